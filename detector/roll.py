"""Rolls: how many cameras and accounts an integration has, and whether enough of its cameras are known to act for it.

Owns the count of each integration in bounded memory: the smallest hashes of the ids, a fair sample that is the same in
every order of the same ids (bottom-k; Bar-Yossef et al., RANDOM 2002). Up to `SAMPLE` ids it is exact; beyond, the
standard error is about 3 %. Refuses to keep an id, and to decide what follows.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Final

import numpy as np

SAMPLE: Final = 1024
"""Ids sampled of each kind: one over the root of it is the standard error of the count."""
_SPACE: Final = 2**64


class Sample:
    """Distinct ids, counted by the smallest of their hashes; some of them are marked."""

    __slots__ = ("_held", "_marked")

    def __init__(self, held: Iterable[int] = (), marked: Iterable[int] = ()) -> None:
        self._held = sorted(held)
        self._marked = set(marked)

    def add(self, text: str, *, mark: bool = False) -> bool:
        """Count an id, and mark it for good; True when that changed anything."""
        hashed = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
        if len(self._held) >= SAMPLE and hashed > self._held[-1]:
            return False
        new = hashed not in self
        if new:
            insort(self._held, hashed)
            if len(self._held) > SAMPLE:
                self._marked.discard(self._held.pop())
        if mark and hashed not in self._marked:
            self._marked.add(hashed)
            return True
        return new

    def __contains__(self, hashed: int) -> bool:
        at = bisect_left(self._held, hashed)
        return at < len(self._held) and self._held[at] == hashed

    def __len__(self) -> int:
        """How many distinct ids there were: exact up to `SAMPLE`, estimated beyond."""
        if len(self._held) < SAMPLE:
            return len(self._held)
        return round((SAMPLE - 1) * _SPACE / self._held[-1])

    @property
    def marked(self) -> float:
        """The share of ids that are marked, in [0, 1]; 0 of none."""
        return len(self._marked) / len(self._held) if self._held else 0.0

    def to_bytes(self) -> bytes:
        """As it is stored: how many are held, their hashes, those that are marked."""
        numbers = [len(self._held), *self._held, *sorted(self._marked)]
        return np.array(numbers, dtype="<u8").tobytes()

    @classmethod
    def from_bytes(cls, body: bytes) -> Sample:
        """As it was when it was stored."""
        held, *numbers = (int(each) for each in np.frombuffer(body, dtype="<u8"))
        return cls(numbers[:held], numbers[held:])


@dataclass(slots=True)
class Roll:
    """One integration: since when it is seen, its cameras (those explained once are known), its accounts.

    `warm_at` is when enough of its cameras were known, and stays; None while it warms up.
    """

    integration: str
    first_seen: datetime
    warm_at: datetime | None = None
    cameras: Sample = field(default_factory=Sample)
    accounts: Sample = field(default_factory=Sample)

    @property
    def known_cameras(self) -> int:
        """How many of its cameras are known, estimated as the sample says."""
        return round(len(self.cameras) * self.cameras.marked)

    def note(self, camera: str, account: str, *, known: bool) -> bool:
        """Count a delivery; True when that changed anything. Cameras no longer matter once it is warm."""
        changed = self.accounts.add(account)
        if self.warm_at is None:
            changed |= self.cameras.add(camera, mark=known)
        return changed

    def warm(self, at: datetime, cameras: int, share: float) -> bool:
        """Whether it is warm, from `at` on if it becomes so now: enough cameras known, and enough of all seen."""
        if self.warm_at is None and self.known_cameras >= cameras and self.cameras.marked >= share:
            self.warm_at = at
        return self.warm_at is not None
