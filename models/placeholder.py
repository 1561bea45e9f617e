"""Placeholders: pictures that show nobody's home, such as a vendor's "camera is off", and when two are one picture.

Owns what is kept of such a picture, how it is recognised near (scaled, re-encoded, with another clock text), and what
tells a living camera from a picture that was only encoded anew. Refuses to count accounts and to decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.code import code_of
from models.distance import distances
from models.records import AccountId, CameraId, derived_id
from models.thumbnail import INVALID, SIDE

PlaceholderId = NewType("PlaceholderId", str)

ACCOUNTS: Final = 3
"""Unrelated accounts that got one picture through cameras of their own, from which on it accuses nobody without a home:
two homes may hold one camera's still, by a leak or a neighbour's lens; three of different homes hardly do."""
SHOWN: Final = 5
"""Such accounts from which on a person is shown it. At three and four the list held a dozen pictures a replay, all but
none a vendor's: one home's still that a few got, told as a leak anyway."""
COARSE: Final = 16
"""Cells a side of the coarse picture of a still that has no fingerprint."""
COARSE_STEP: Final = 6.0
"""Grey levels by which a cell of the same flat picture differs at most once it is scaled and re-encoded."""
COARSE_ROWS: Final = 2
"""Rows of such cells that a clock may take: they are left out where they differ most."""
SAME_STEP: Final = 0.50
"""Sum of the levels by which two thumbnails differ, as a share of what is drawn in either, up to which they are of one
picture. Scaled, re-encoded and with another clock: at most 0.47; 105,000 pairs of different places: at least 0.67."""
LEAST_DRAWN: Final = 150
"""Sum of levels that must be drawn for that: a line of small letters."""
CLOCK_ROWS: Final = 10
"""Rows of cells that a clock and what it changes around it may take: they are left out where they differ most."""
NEAREST: Final = 8
"""Flat pictures that are compared cell by cell, nearest first."""
NEAR_BITS: Final = 24
"""Reliable bits in common,"""
NEAR_RADIUS: Final = 0.25
"""and the share of them that may differ, for two pictures to be compared cell by cell."""
LIVING_CHANGE: Final = 4
"""Levels beyond which a cell has changed between two stills of a living camera,"""
LIVING_CELLS: Final = 3
"""in so many cells outside a clock's strip. Of 480 pairs of one picture, scaled and encoded anew, 99 in 100 have two
at most; of 111 fixed cameras 95 % have three or more within six stills. (How much the median block differs says no
more: what packing rounds away differs as a sensor's noise does.)"""
FORM: Final = 1
"""Version of the byte form."""


class State(StrEnum):
    """What a person said of a placeholder; a candidate waits for it."""

    CANDIDATE = "candidate"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What is compared of a picture: its digest, and its thumbnail (64x64 int8) or, without one, its coarse greys."""

    digest: bytes
    levels: NDArray[np.int8] | None = None
    code: NDArray[np.uint64] | None = None
    mask: NDArray[np.uint64] | None = None
    coarse: NDArray[np.uint8] | None = None

    def is_like(self, other: Look) -> bool:
        """Whether both are one picture: the same bytes, or nearly the same to look at, a clock's strip left out."""
        if self.digest == other.digest:
            return True
        if self.levels is not None and other.levels is not None:
            return same_drawing(self.levels, other.levels)
        if self.coarse is not None and other.coarse is not None:
            return _same_coarse(self.coarse, other.coarse)
        return False

    def to_bytes(self) -> bytes:
        """The byte form: version, digest, a kind, and the thumbnail or the coarse greys."""
        head = bytes([FORM, len(self.digest)]) + self.digest
        if self.levels is not None:
            return head + b"L" + (self.levels.astype(np.int8) + 8).astype(np.uint8).tobytes()
        return head + (b"" if self.coarse is None else b"C" + self.coarse.tobytes())

    @classmethod
    def from_bytes(cls, body: bytes) -> Look:
        """The look that `to_bytes` wrote. Raises ValueError for another version or a torn body."""
        if len(body) < 2 or body[0] != FORM:
            raise ValueError(f"not a placeholder's look of form {FORM}: first byte {body[:1].hex()}")
        digest, rest = body[2 : 2 + body[1]], body[2 + body[1] :]
        cells = np.frombuffer(rest, np.uint8, offset=1) if rest else np.zeros(0, np.uint8)
        if rest[:1] == b"L" and cells.size == SIDE * SIDE:
            levels = cells.astype(np.int8).reshape(SIDE, SIDE) - np.int8(8)
            return cls(digest, levels, *code_of(levels))
        if rest[:1] == b"C" and cells.size == COARSE * COARSE:
            return cls(digest, coarse=cells.reshape(COARSE, COARSE))
        if rest:
            raise ValueError(f"not a placeholder's look: {len(body)} bytes")
        return cls(digest)


@dataclass(slots=True)
class Placeholder:
    """A picture that unrelated accounts got, or that a person gave.

    `accounts` counts them, up to a bound; `stills` the deliveries in which it was noticed, `camera` is of the first.
    `homes` counts the living cameras whose history turned out to hold it, of which `owner_camera` is the first: with
    one home it is that home's still, and whoever else gets it is told as a leak. `label` is a person's. `ruled_by`
    said what it is, at `ruled_at`; None where nobody has, or who did was not asked.
    """

    id: PlaceholderId
    state: State
    body: bytes
    accounts: int = 0
    stills: int = 0
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    camera: CameraId | None = None
    homes: int = 0
    owner_camera: CameraId | None = None
    label: str = ""
    ruled_by: str | None = None
    ruled_at: datetime | None = None

    @property
    def is_shown(self) -> bool:
        """Whether a person should see it: enough accounts got it and it has no one home, or somebody spoke of it."""
        named = self.state is not State.CANDIDATE or bool(self.label)
        return named or (self.accounts >= SHOWN and self.homes != 1)


@dataclass(frozen=True, slots=True)
class Sighting:
    """An account that got the picture through a camera of its own, the first time."""

    placeholder: PlaceholderId
    account: AccountId
    camera: CameraId


@dataclass(frozen=True, slots=True)
class Shelf:
    """What the store holds of placeholders. `version` grows with every ruling of a person; equal versions are equal."""

    version: int = 0
    placeholders: tuple[Placeholder, ...] = ()
    sightings: tuple[Sighting, ...] = field(default=(), repr=False)


def placeholder_id(look: Look) -> PlaceholderId:
    """The id of the placeholder that was first met in this look: the same bytes give the same again."""
    return PlaceholderId(derived_id("ph", look.digest.hex()))


def coarse(grey: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The coarse picture, (16, 16), of a still's greys; None of one too small for it."""
    h, w = grey.shape
    if h < COARSE or w < COARSE:
        return None
    rows = np.add.reduceat(grey, np.arange(COARSE) * h // COARSE, axis=0, dtype=np.float64)
    cells = np.add.reduceat(rows, np.arange(COARSE) * w // COARSE, axis=1)
    high = np.diff(np.append(np.arange(COARSE) * h // COARSE, h))
    wide = np.diff(np.append(np.arange(COARSE) * w // COARSE, w))
    mean: NDArray[np.uint8] = np.rint(cells / (high[:, None] * wide[None])).astype(np.uint8)
    return mean


def same_drawing(a: NDArray[np.int8], b: NDArray[np.int8]) -> bool:
    """Whether two thumbnails are of one picture as they lie, a clock's strip left out."""
    x, y = _shown(a), _shown(b)
    most = np.maximum(np.abs(x), np.abs(y)).sum(axis=1)
    drawn, differs = _without_clock(most, np.abs(x - y).sum(axis=1), CLOCK_ROWS)
    return drawn >= LEAST_DRAWN and differs <= SAME_STEP * drawn


def _shown(levels: NDArray[np.int8]) -> NDArray[np.int16]:
    """Levels to subtract; nothing is drawn where nothing is seen."""
    return np.where(levels == INVALID, 0, levels).astype(np.int16)


@njit(cache=True, nogil=True)
def _without_clock(total: NDArray[np.int64], bad: NDArray[np.int64], rows: int) -> tuple[int, int]:
    """The sums once the strip of rows with the most bad ones is left out; nothing is where nothing is bad."""
    worst, start = 0, -1
    for y in range(bad.size - rows + 1):
        strip = bad[y : y + rows].sum()
        if strip > worst:
            worst, start = strip, y
    left_out = total[start : start + rows].sum() if start >= 0 else 0
    return total.sum() - left_out, bad.sum() - worst


def _same_coarse(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> bool:
    bad = (np.abs(a.astype(np.int16) - b) > COARSE_STEP).sum(axis=1)
    return _without_clock(np.full(COARSE, COARSE), bad, COARSE_ROWS)[1] == 0


def lives(earlier: NDArray[np.int8], later: NDArray[np.int8]) -> bool:
    """Whether two thumbnails of one scene differ by more than scaling, encoding and a clock: a living camera's do."""
    changed = _changed(earlier, later)
    return _without_clock(changed, changed, CLOCK_ROWS)[1] >= LIVING_CELLS


@njit(cache=True, nogil=True)
def _changed(earlier: NDArray[np.int8], later: NDArray[np.int8]) -> NDArray[np.int64]:
    """Cells that changed much in each row."""
    changed = np.zeros(SIDE, np.int64)
    for y in range(SIDE):
        for x in range(SIDE):
            if earlier[y, x] != INVALID and later[y, x] != INVALID:
                step = abs(np.int64(earlier[y, x]) - np.int64(later[y, x]))
                changed[y] += step > LIVING_CHANGE
    return changed


class Gallery:
    """Looks by their placeholders. `find` is exact over all; a placeholder has one look."""

    def __init__(self) -> None:
        self._looks: dict[PlaceholderId, Look] = {}
        self._digests: dict[bytes, PlaceholderId] = {}
        self._drawn: list[PlaceholderId] = []
        self._codes = np.zeros((0, 8), np.uint64)
        self._masks = np.zeros((0, 8), np.uint64)
        self._flat: list[PlaceholderId] = []
        self._coarse = np.zeros((0, COARSE, COARSE), np.int16)

    def __len__(self) -> int:
        return len(self._looks)

    def __contains__(self, id_: PlaceholderId) -> bool:
        return id_ in self._looks

    def look(self, id_: PlaceholderId) -> Look:
        """The look of a placeholder that is in here."""
        return self._looks[id_]

    def add(self, id_: PlaceholderId, look: Look) -> None:
        """Hang one up; the same one twice is one."""
        if id_ in self._looks:
            return
        self._looks[id_] = look
        self._digests[look.digest] = id_
        if look.code is not None and look.mask is not None:
            self._drawn.append(id_)
            self._codes = np.concatenate([self._codes, look.code[None]])
            self._masks = np.concatenate([self._masks, look.mask[None]])
        elif look.coarse is not None:
            self._flat.append(id_)
            self._coarse = np.concatenate([self._coarse, look.coarse[None].astype(np.int16)])

    def remove(self, id_: PlaceholderId) -> None:
        """Take one down. One that is not there changes nothing."""
        look = self._looks.pop(id_, None)
        if look is None:
            return
        self._digests.pop(look.digest, None)
        if id_ in self._drawn:
            at = self._drawn.index(id_)
            del self._drawn[at]
            self._codes, self._masks = np.delete(self._codes, at, axis=0), np.delete(self._masks, at, axis=0)
        elif id_ in self._flat:
            at = self._flat.index(id_)
            del self._flat[at]
            self._coarse = np.delete(self._coarse, at, axis=0)

    def find(self, look: Look) -> PlaceholderId | None:
        """The placeholder that is this picture: by its digest, else the nearest that is like it."""
        same = self._digests.get(look.digest)
        if same is not None:
            return same
        if look.code is not None and look.mask is not None and look.levels is not None:
            return self._find_drawn(look.code, look.mask, look.levels)
        return None if look.coarse is None else self._find_flat(look.coarse)

    def _find_drawn(
        self, code: NDArray[np.uint64], mask: NDArray[np.uint64], levels: NDArray[np.int8]
    ) -> PlaceholderId | None:
        if not self._drawn:
            return None
        differing, common = distances(code, mask, self._codes, self._masks, np.arange(len(self._drawn)))
        share = np.where(common >= NEAR_BITS, differing / np.maximum(common, 1), 1.0)
        nearest: list[int] = np.argsort(share, kind="stable").tolist()
        for at in nearest:
            if share[at] > NEAR_RADIUS:
                break
            stored = self._looks[self._drawn[at]].levels
            if stored is not None and same_drawing(stored, levels):
                return self._drawn[at]
        return None

    def _find_flat(self, grey: NDArray[np.uint8]) -> PlaceholderId | None:
        if not self._flat:
            return None
        off = np.abs(self._coarse - grey).mean(axis=(1, 2))
        nearest: list[int] = np.argsort(off, kind="stable")[:NEAREST].tolist()
        for at in nearest:
            if _same_coarse(self._coarse[at].astype(np.uint8), grey):
                return self._flat[at]
        return None
