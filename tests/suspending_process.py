"""A judge as a process of its own that test_suspensions_store.py kills: `python suspending_process.py URL`.

It takes up where the store says that the last one ended, and prints a line for each batch that is stored.
"""

from __future__ import annotations

import sys

from suspending import Path

from streams.store.sql import SqlStore

STEPS = 180
EACH = 3
"""Deliveries of one batch."""


def steps(path: Path, begin: int) -> None:
    """Deliveries from that number on: a leak now and then; an account that goes on although its link is shut."""
    for number in range(begin, STEPS):
        home = number % 12
        viewer = (home + 1) % 12 if number % 10 == 9 else None
        path.still(home, viewer, 20.0 * number, id=f"d-{number}", cachenode=f"cache-{number % 4}")
        if number % EACH == EACH - 1:
            path.commit()
            print("stored", flush=True)  # noqa: T201 - the test that started this waits for it


if __name__ == "__main__":
    with SqlStore(sys.argv[1]) as store:
        store.acquire(5)
        judged = sum(store.coverage().values())
        steps(Path(None, store), judged)
