"""A process that stores notices as a judge does and carries them out, until it is killed: `told.py URL FIRST COUNT`.

Writes each number once its notice is stored. With COUNT 0 it only dispatches.
"""

from __future__ import annotations

import os
import sys
import threading
from datetime import UTC, datetime, timedelta

import structlog

from detector.notice import Notice, NoticeType, notice
from streams.judge import Batch
from streams.metrics import Metrics
from streams.outbox.dispatch import Dispatcher
from streams.settings import Settings
from streams.store.sql import SqlStore

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EACH = 3
"""Notices in one transaction."""


def batch(number: int) -> list[Notice]:
    """What the transaction of that number tells of."""
    return [
        notice(
            NoticeType.ALERT_RAISED,
            NOON + timedelta(seconds=number),
            "tv",
            {"alert": f"al-{number}-{k}"},
            f"{number}-{k}",
        )
        for k in range(EACH)
    ]


def main(url: str, first: int, count: int, *, dispatch: bool) -> None:
    """Store so many transactions and dispatch meanwhile; then wait to be killed."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # nobody may read what stdout holds
    settings = Settings(store=url, hook_networks="127.0.0.0/8", sinks=os.environ.get("STRAYFRAME_SINKS", ""))
    with SqlStore(url) as store:
        store.acquire(600, "test")
        dispatcher = Dispatcher(settings, Metrics())
        if dispatch:
            dispatcher.start()
        for number in range(first, first + count):
            store.commit(Batch(notices=batch(number)))
            dispatcher.bell.ring()
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), dispatch=len(sys.argv) == 4)
