"""The index: scenes of all cameras, found by the keys that they share with a query.

Owns rows: what is searched (keys in hash tables, code, mask, camera, standing) and, apart from it, what only candidates
and a growing table need (the packed thumbnail, the keys). Refuses to know accounts and to decide.

What is found, stated without the index: the scenes that share a key with the query under one of its placings
(models/keys.py), whose code agrees loosely under that placing (`LOOSE_RADIUS`, or `LOOSE_WORDS` of it), and which the
distance of models/distance.py finds under any placing of the query. Every such scene is found, and no other.

One thread writes, any number may search at once. A search finds every scene that was inserted before it began and is
not removed before it ends, and none that was removed before it began; of what comes or goes meanwhile it finds all
or nothing. The place of a removed scene is used again when no search that may have seen it runs any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.bucket import (
    ALL,
    ASKER,
    COUNTED,
    MOST,
    NO_KEY,
    PLACE,
    PROBE,
    RING,
    ROWS,
    TAG,
    below,
    bucket_of,
    choosing,
    lines,
    walk,
)
from models.code import WORDS, code_of
from models.distance import SHORT_BITS, WORD_BITS, WORD_PART, Found, distances, match_rows
from models.keys import BITS, KEYS, Lookup, keys_of
from models.lanes import compare_words, prefetch
from models.packing import PACKED, unpack
from models.table import Searched, Tables
from models.thumbnail import INVALID, SIDE
from models.vectors import LINE

FREE: Final = -1
"""The camera number of a row that holds nothing."""
LOOSE_RADIUS: Final = 0.35
"""Share of the common bits that may differ under the placing by which a key is shared: of 3,547 true pairs two lie
above, of what shares a key by chance nineteen in twenty."""
LOOSE_WORDS: Final = 1
"""Words that must agree by themselves where more bits differ: a part of the picture may be all that is the same."""
_PENDING: Final = 1024
"""Rows that are compared together."""
_SOON: Final = 16
"""Rows whose codes are asked of memory before they are needed."""
_AHEAD: Final = 24
"""Lines of the next table that are asked of memory before it is looked at."""
_LOW: Final = below(BITS)


@njit(cache=True, nogil=True)
def _candidates(
    tables: tuple[NDArray[np.uint32], ...],
    buckets: NDArray[np.int64],
    bits: NDArray[np.uint64],
    camera: NDArray[np.int32],
    standing: NDArray[np.uint8],
    keys: NDArray[np.uint32],
    free: NDArray[np.uint32],
    seen: NDArray[np.bool_],
    qcodes: NDArray[np.uint64],
    qmasks: NDArray[np.uint64],
    skip: NDArray[np.int32],
    wanted: int,
    out: NDArray[np.int64],
) -> int:
    """Fill `out` with the rows that share a key and agree loosely; returns how many there are.

    While one table's lines are looked at, memory is asked for the next one's; rows wait until there are many.
    """
    known = np.zeros(4 * out.size, np.int64)
    both, now = np.empty((2, RING, PROBE), np.uint32), 0
    rows, by = np.empty(_PENDING + LINE, np.uint32), np.empty(_PENDING + LINE, np.uint32)
    n, found, t = 0, 0, 0
    h, turned, tail = _probes(keys, free, seen, t, int(buckets[t]), 0, np.uint32(0), both[now])
    while t < len(tables):
        following, coming = t, 0
        if h >= keys.shape[0]:
            following, h, turned = t + 1, 0, np.uint32(0)
        if following < len(tables):
            h, turned, coming = _probes(keys, free, seen, following, int(buckets[following]), h, turned, both[1 - now])
            for k in range(min(_AHEAD, coming)):
                prefetch(tables[following], np.int64(both[1 - now, k, PLACE]))
        head = 0
        while head < tail:
            head, tail, more = walk(tables[t], both[now], head, tail, rows[found:], by[found:])
            found += more
            if head < tail:
                n = _narrow(bits, camera, standing, qcodes, qmasks, skip, wanted, rows, by, found, known, out, n)
                found = 0
        t, tail, now = following, coming, 1 - now
    return _narrow(bits, camera, standing, qcodes, qmasks, skip, wanted, rows, by, found, known, out, n)


@njit(cache=True, nogil=True)
def _probes(
    keys: NDArray[np.uint32],
    free: NDArray[np.uint32],
    seen: NDArray[np.bool_],
    t: int,
    buckets: int,
    h: int,
    turned: np.uint32,
    probes: NDArray[np.uint32],
) -> tuple[int, np.uint32, int]:
    """Fill in the buckets that the free signs of the placings' keys leave open, from placing `h` and these turned signs
    on. Where it goes on then, and how many buckets they are."""
    bits, count = choosing(buckets), 0
    last = np.int64((bits + 1) >> 1)
    while h < keys.shape[0] and count < RING:
        if seen[h, t]:
            # each subset of the free signs that choose a bucket, the empty one first
            probe = keys[h, t] ^ turned
            place = bucket_of(probe, buckets, bits)
            probes[count, PLACE], probes[count, TAG] = place, probe >> np.uint32(_LOW)
            probes[count, COUNTED] = ~free[h, t] >> np.uint32(_LOW) & np.uint32((1 << BITS) - 1 >> _LOW)
            probes[count, MOST], probes[count, ALL], probes[count, ASKER] = 0, BITS, h
            # a bucket that was not divided is the same whatever that sign is
            count += not (np.int64(turned) & last and (place & (last - 1)) + last >= buckets)
            open_ = free[h, t] & np.uint32(bits)
            turned = (turned - open_) & open_
        h += turned == 0
    return h, turned, count


@njit(cache=True, nogil=True)
def _narrow(
    bits: NDArray[np.uint64],
    camera: NDArray[np.int32],
    standing: NDArray[np.uint8],
    qcodes: NDArray[np.uint64],
    qmasks: NDArray[np.uint64],
    skip: NDArray[np.int32],
    wanted: int,
    rows: NDArray[np.uint32],
    by: NDArray[np.uint32],
    found: int,
    known: NDArray[np.int64],
    out: NDArray[np.int64],
    n: int,
) -> int:
    """Append those of the rows that share a key which are what was asked for; returns how many there are then."""
    codes, masks = bits[:, :WORDS], bits[:, WORDS:]
    for j in range(min(_SOON, found)):
        prefetch(codes, np.int64(rows[j]))
        prefetch(masks, np.int64(rows[j]))
    for j in range(found):
        if j + _SOON < found:
            prefetch(codes, np.int64(rows[j + _SOON]))
            prefetch(masks, np.int64(rows[j + _SOON]))
        r = np.int64(rows[j])
        if r >= camera.size:
            continue  # came after the search began
        common, differing, votes, _ = compare_words(
            codes, masks, r, qcodes, qmasks, np.int64(by[j]), WORD_BITS, WORD_PART
        )
        if common > SHORT_BITS and (differing <= LOOSE_RADIUS * common or votes >= LOOSE_WORDS):
            cam = camera[r]
            if cam != FREE and (wanted >> standing[r]) & 1 and not _within(cam, skip):
                n = _note(r, known, out, n)
    return n


@njit(cache=True, nogil=True)
def _within(number: int, numbers: NDArray[np.int32]) -> bool:
    """Whether a number is among some, which are in order."""
    low, high = 0, numbers.size
    while low < high:
        middle = (low + high) // 2
        if numbers[middle] < number:
            low = middle + 1
        else:
            high = middle
    return low < numbers.size and numbers[low] == number


@njit(cache=True, nogil=True)
def _note(row: int | np.int64, known: NDArray[np.int64], out: NDArray[np.int64], n: int) -> int:
    """Append a row unless it is there; `known` is a set of rows. Beyond the room in `out` it is only counted."""
    at = (row * 2654435761) % known.size
    while known[at] != 0:
        if known[at] == row + 1:
            return n
        at = at + 1 if at + 1 < known.size else 0
    if n < out.size:
        known[at] = row + 1
        out[n] = row
    return n + 1


class _Rows(NamedTuple):
    """What a search reads of the rows, by row (`keys` by table and row). `bits` are the words of the code and, behind
    them in the same page of memory, those of the mask.

    Replaced as a whole when there is no room left, and before a row beyond it is written: who reads never meets arrays
    of different sizes, and a row beyond those that it has came after it began.
    """

    bits: NDArray[np.uint64]
    camera: NDArray[np.int32]
    standing: NDArray[np.uint8]
    keys: NDArray[np.uint32]

    @property
    def codes(self) -> NDArray[np.uint64]:
        """The codes, (n, 8): what is written to them is written to the rows."""
        return self.bits[:, :WORDS]

    @property
    def masks(self) -> NDArray[np.uint64]:
        """The masks likewise."""
        return self.bits[:, WORDS:]


class Index:
    """Grows without a rebuild; an inserted scene is found by the next search; a removed one's place is used again.

    Holds up to `ROWS` scenes.
    """

    def __init__(self) -> None:
        self._tables = Tables(KEYS, _ROOM, BITS, small=_SMALL)
        self._rows = _empty(_ROOM)
        self._thumbs: list[NDArray[np.uint8]] = []
        self._used = 0
        self._free: deque[tuple[int, int]] = deque()
        self._lock = Lock()
        self._clock = 0
        self._running: set[int] = set()

    @classmethod
    def of(cls, parts: Mapping[str, NDArray[Any]]) -> Index:
        """The index that `parts` were taken of; it keeps tables and thumbnails where they lie. Raises ValueError."""
        made, n = cls(), len(parts["camera"])
        made._rows = _Rows(*(parts[name] for name in _Rows._fields))
        for name, wanted in _empty(n)._asdict().items():
            if parts[name].shape != wanted.shape or parts[name].dtype != wanted.dtype:
                raise ValueError(f"{name} is {parts[name].dtype} {parts[name].shape}, not of {n} rows")
        buckets, settled = parts["buckets"]
        searched = Searched(tuple(parts[f"table.{t}"] for t in range(KEYS)), buckets)
        made._tables = Tables.of(searched, settled, made._rows.keys, BITS, small=_SMALL)
        made._thumbs = [parts[f"thumbs.{k}"] for k in range(-(-n // _SHEET))]
        if n % _SHEET:
            last = np.zeros((_SHEET, PACKED), np.uint8)
            last[: n % _SHEET] = made._thumbs[-1]
            made._thumbs[-1] = last
        made._used = n
        made._reserve(min(n + 1, ROWS))  # what must be copied to grow, now rather than at the first insert
        made._free.extend((0, int(row)) for row in np.flatnonzero(made._rows.camera[:n] == FREE))
        return made

    def parts(self) -> dict[str, NDArray[Any]]:
        """All of it as buffers, by name. `bits` and `thumbs.N` are live, the others copies.

        While a `reading` lasts that began before, the live ones stay true of the rows that are in use now, but for the
        thumbnail of a scene that is removed meanwhile, which turns blank.
        """
        n, rows, tables = self._used, self._rows, self._tables
        parts: dict[str, NDArray[Any]] = {"bits": rows.bits[:n]}
        parts |= {"camera": rows.camera[:n].copy(), "standing": rows.standing[:n].copy()}
        parts |= {"keys": rows.keys[:, :n].copy()}
        searched, settled = tables.in_use
        parts |= {"buckets": np.stack([searched.buckets, settled])}
        parts |= {f"table.{t}": table for t, table in enumerate(searched.tables)}
        parts |= {f"thumbs.{k}": sheet[: n - k * _SHEET] for k, sheet in enumerate(self._thumbs) if n > k * _SHEET}
        return parts

    def genuine(self) -> bool:
        """Whether codes and keys are those that this program makes of the thumbnails; looks at some rows."""
        for row in np.flatnonzero(self._rows.camera[: self._used] != FREE)[:: max(1, len(self) // _LOOKED_AT)]:
            levels, rows = self.levels(int(row)), self._rows
            if not self._thumb(int(row)).any():
                continue
            code, mask = code_of(levels)
            same = np.array_equal(code, rows.codes[row]) and np.array_equal(mask, rows.masks[row])
            if not same or not np.array_equal(keys_of(levels), rows.keys[:, row]):
                return False
        return True

    def __len__(self) -> int:
        return self._used - len(self._free)

    @property
    def nbytes(self) -> tuple[int, int]:
        """Bytes in use: of what the search reads, and of what lies apart (thumbnails, and keys for growing)."""
        row = sum(a.itemsize * a[:1].size for name, a in self._rows._asdict().items() if name != "keys")
        return self._used * row + self._tables.nbytes, self._used * (PACKED + 4 * KEYS)

    def insert(
        self, code: NDArray[np.uint64], mask: NDArray[np.uint64], camera: int, standing: int, packed: NDArray[np.uint8]
    ) -> int:
        """The row that the scene now has, with its thumbnail, (PACKED,). The same scene inserted twice has two rows.
        Raises IndexFull."""
        row = self._place()
        rows = self._rows
        rows.codes[row], rows.masks[row] = code, mask
        rows.standing[row], rows.camera[row] = standing, camera
        self._thumb(row)[:] = packed
        keys = rows.keys[:, row] = keys_of(unpack(packed))
        self._tables.insert(row, keys)
        return row

    def extend(
        self,
        codes: NDArray[np.uint64],
        masks: NDArray[np.uint64],
        cameras: NDArray[np.int32],
        standings: NDArray[np.uint8],
        thumbs: NDArray[np.uint8] | None,
        keys: NDArray[np.uint32],
    ) -> range:
        """Many scenes at once, behind all others: the rows that they have. `keys` are (KEYS, n); raises IndexFull.

        Without `thumbs`, (n, PACKED), their thumbnails are blank: nothing can be said of such a candidate.
        """
        first, end = self._used, self._used + len(codes)
        self._reserve(end)
        rows = self._rows
        rows.codes[first:end], rows.masks[first:end] = codes, masks
        rows.standing[first:end], rows.camera[first:end] = standings, cameras
        rows.keys[:, first:end] = keys
        if thumbs is not None:
            self._spread(first, thumbs)
        self._used = end
        self._tables.extend(keys)
        return range(first, end)

    def assign(self, cameras: NDArray[np.int32], standings: NDArray[np.uint8]) -> None:
        """Set camera and standing of the first rows, as many as are given; remove those whose camera is `FREE`."""
        n, kept, rows = len(cameras), cameras != FREE, self._rows
        gone = np.flatnonzero(~kept & (rows.camera[:n] != FREE))
        rows.camera[:n][kept], rows.standing[:n][kept] = cameras[kept], standings[kept]
        for row in gone:
            self.remove(int(row))

    def restand(self, row: int, standing: int) -> None:
        """Change a row's standing."""
        self._rows.standing[row] = standing

    def remove(self, row: int) -> None:
        """Forget a row."""
        self._rows.camera[row] = FREE
        self._tables.remove(row, self._rows.keys[:, row])
        self._rows.keys[:, row] = NO_KEY
        self._thumb(row)[:] = 0
        with self._lock:
            self._clock += 1
            self._free.append((self._clock, row))

    def compact(self) -> NDArray[np.int64] | None:
        """Close the gaps of removed rows where they are more than half: each row's new number, -1 for a gap.

        None when nothing was done: too few are free, or a search runs. Costs by what is left, which is less than what
        was removed; all memory beyond that is given back.
        """
        if 2 * len(self._free) <= self._used or len(self._free) < _ROOM or self._running:
            return None
        rows, made = self._rows, Index()
        kept = np.flatnonzero(rows.camera[: self._used] != FREE)
        made._reserve(len(kept))
        for k, sheet in enumerate(self._thumbs):
            first, end = np.searchsorted(kept, (k * _SHEET, (k + 1) * _SHEET))
            made._spread(int(first), sheet[kept[first:end] - k * _SHEET])
        search = rows.codes[kept], rows.masks[kept], rows.camera[kept], rows.standing[kept]
        made.extend(*search, None, rows.keys[:, kept])
        numbers = np.full(self._used, -1, np.int64)
        numbers[kept] = np.arange(len(kept))
        with self._lock:
            if self._running:
                return None
            self._rows, self._tables, self._thumbs = made._rows, made._tables, made._thumbs
            self._used = made._used
            self._free.clear()
        return numbers

    def bits(self, row: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """The code and mask of a row, 8 words each."""
        return self._rows.codes[row].copy(), self._rows.masks[row].copy()

    def levels(self, row: int) -> NDArray[np.int8]:
        """The thumbnail of a row, (64, 64) int8; nothing is seen in that of a scene that was removed."""
        try:
            return unpack(self._thumb(row))
        except ValueError:  # removed in this moment: half of its bytes are zeros
            return np.full((SIDE, SIDE), INVALID, np.int8)

    def packed(self, row: int) -> NDArray[np.uint8]:
        """The same as it is stored, (PACKED,); a copy."""
        return self._thumb(row).copy()

    def owner(self, row: int) -> int:
        """The camera number of a row; FREE where nothing is."""
        return int(self._rows.camera[row])

    def in_use(self) -> NDArray[np.int64]:
        """The rows that hold something."""
        return np.flatnonzero(self._rows.camera[: self._used] != FREE)

    def blank(self) -> NDArray[np.int32]:
        """The camera numbers of rows in use whose thumbnails say nothing, as one does whose scene is removed."""
        cameras = self._rows.camera[: self._used]
        first = [sheet[:, 0] for sheet in self._thumbs]
        unsaid = np.concatenate(first)[: self._used] == 0 if first else np.zeros(0, bool)
        return np.unique(cameras[unsaid & (cameras != FREE)])

    def holds(self, row: int, packed: NDArray[np.uint8]) -> bool:
        """Whether the row has this packed thumbnail."""
        return np.array_equal(self._thumb(row), packed)

    def distances(
        self, code: NDArray[np.uint64], mask: NDArray[np.uint64], rows: Sequence[int]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Differing and common bits against these rows, in their order."""
        differing, common = distances(code, mask, self._rows.codes, self._rows.masks, np.array(rows, np.int64))
        return differing, common

    def candidates(self, query: Lookup, *, skip: Sequence[int], standings: Sequence[int]) -> NDArray[np.int64]:
        """Rows of these standings that share a key with the query and agree loosely; in order, each once.

        Cameras in `skip` are left out.
        """
        wanted = sum(1 << s for s in standings)
        skipped = np.sort(np.asarray(skip, np.int32))
        room = 1024
        with self.reading():
            searched, rows = self._tables.searched, self._rows
            while True:
                out = np.empty(room, np.int64)
                n = _candidates(
                    *searched,
                    rows.bits,
                    rows.camera,
                    rows.standing,
                    query.keys,
                    query.free,
                    query.seen,
                    query.codes,
                    query.masks,
                    skipped,
                    wanted,
                    out,
                )
                if n <= room:
                    return np.sort(out[:n])
                room = 2 * n

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While this lasts, no place of a row that is removed meanwhile is used again, and no row gets another number.

        For a thread beside the writer's, around all that it does with the rows that it finds.
        """
        with self._lock:
            self._clock += 1
            began = self._clock
            self._running.add(began)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(began)

    def rows(self, *, skip: Sequence[int], standings: Sequence[int]) -> NDArray[np.int64]:
        """All rows of these standings but those of the cameras in `skip`: for who may take the time to scan them."""
        used, rows = self._used, self._rows
        camera, standing = rows.camera[:used], rows.standing[:used]
        wanted = (camera != FREE) & np.isin(standing, list(standings)) & ~np.isin(camera, list(skip))
        return np.nonzero(wanted)[0]

    def match(
        self,
        rows: Sequence[int] | NDArray[np.int64],
        codes: NDArray[np.uint64],
        masks: NDArray[np.uint64],
        *,
        radius: float,
        least: int,
        short: bool = False,
    ) -> list[Found]:
        """Those of the given rows that the distance finds under any hypothesis, in their order."""
        at = np.asarray(rows, np.int64)
        hits = match_rows(at, self._rows.codes, self._rows.masks, codes, masks, radius, least, short)
        return [Found(r, h, d, c, v, bool(n)) for r, h, d, c, v, n in hits.tolist()]

    def _place(self) -> int:
        """A row to write to: one that was removed before any search that still runs began, else a new one."""
        with self._lock:
            if self._free and self._free[0][0] < min(self._running, default=self._clock + 1):
                return self._free.popleft()[1]
        self._reserve(self._used + 1)
        self._used += 1
        return self._used - 1

    def _thumb(self, row: int) -> NDArray[np.uint8]:
        """The packed thumbnail of a row, to be read or written."""
        thumb: NDArray[np.uint8] = self._thumbs[row // _SHEET][row % _SHEET]
        return thumb

    def _reserve(self, rows: int) -> None:
        if rows > ROWS:
            raise IndexFull(rows)
        while rows > len(self._thumbs) * _SHEET:
            self._thumbs.append(np.zeros((_SHEET, PACKED), np.uint8))
        size = self._rows.camera.size
        if rows <= size:
            return
        grown = _empty(max(rows, 2 * size))
        for name, new in grown._asdict().items():
            used = np.s_[:, : self._used] if name == "keys" else np.s_[: self._used]
            new[used] = getattr(self._rows, name)[used]
        self._rows = grown

    def _spread(self, first: int, thumbs: NDArray[np.uint8]) -> None:
        """Write packed thumbnails from row `first` on, sheet by sheet."""
        while len(thumbs):
            sheet, at = self._thumbs[first // _SHEET], first % _SHEET
            n = min(len(thumbs), _SHEET - at)
            sheet[at : at + n] = thumbs[:n]
            first, thumbs = first + n, thumbs[n:]


def _empty(room: int) -> _Rows:
    """Room for so many rows, of which none is in use."""
    bits = lines(2 * room).view(np.uint64).reshape(room, 2 * WORDS)
    camera, standing, keys = np.full(room, FREE, np.int32), np.zeros(room, np.uint8), np.empty((KEYS, room), np.uint32)
    return _Rows(bits, camera, standing, keys)


class IndexFull(Exception):
    """More scenes than one index holds: divide the cameras among several."""

    def __init__(self, rows: int) -> None:
        super().__init__(f"{rows} scenes, {ROWS} fit into one index")


_SHEET: Final = 4096
"""Thumbnails that lie together: 3.6 MB, never moved when the index grows."""
_ROOM: Final = 1024
"""Rows that an empty index has room for."""
_SMALL: Final = 1_000_000
"""Scenes up to which memory is spent on fewer lines to look at: 37 bytes a scene, two lines in five."""
_LOOKED_AT: Final = 16
"""Rows that `genuine` looks at: any change of the smoothing, the code or the keys changes nearly all."""
