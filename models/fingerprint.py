"""From a decoded picture to what is compared: a normalised thumbnail, its code, and how much of it can be trusted.

Owns what "too little to tell scenes apart" means and the fingerprint's byte form. Refuses to decode files and to
compare: it is given grey arrays, and detector/match.py compares.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.code import WORDS, code_of
from models.packing import PACKED, pack, pack_into, unpack
from models.placeholder import coarse
from models.records import Picture
from models.thumbnail import FILL_CELLS, FILL_RANGE, INVALID, QUICK_RANGE, SIDE, Box, thumbnail

LEAST_BLOCKS: Final = 10
"""Blocks of 8x8 cells (of 64) that must have texture. Below, scenes of different homes could not be told apart."""
LEAST_VALID: Final = 0.12
"""Share of the frame that must be valid."""
BLOCK_ROWS: Final = 24
"""Rows of the original, in 720, that a cut may leave half decoded: one row of 16-line blocks and its ringing."""
NOISY_RANGE: Final = 3
"""Grey levels that an 8x8 block of a sensor's dark frame spans at least; artwork and blank frames span 0 to 1."""
NOISY_SHARE: Final = 0.5
"""Share of such blocks above which a still carries a sensor's noise."""
FORM: Final = 2
"""Version of the byte form. The first one, two cells a byte, is still read."""


_LEVELS: Final = 2 * 8 * WORDS
_CELLS: Final = _LEVELS + SIDE * SIDE
_PACKED: Final = _CELLS + SIDE * SIDE
"""Where in the bytes of a fingerprint that goes to another process its levels, cells and packed form begin."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is compared of a still. `levels` is the 64x64 thumbnail (int8, -7..7, INVALID where nothing is seen).

    `code` and `mask` are 8 words of 64 bits (models/code.py). `valid` is the share of the frame that is seen;
    `textured` counts blocks of 64 with something in them. `box` is the part inside flat borders, in cells
    (left, top, right, bottom); `filled` counts the cells in it that hold nothing but one grey. `cells` are the mean
    greys, (64, 64) uint8, of a still just looked at; they are not stored. `packed` is what `levels` were unpacked from.

    A still is compared by what was packed and unpacked, also where it was just looked at: so a judge that has the
    still, one that gets a record of it and one that starts from the store say the same.
    """

    levels: NDArray[np.int8]
    code: NDArray[np.uint64]
    mask: NDArray[np.uint64]
    valid: float
    textured: int
    box: tuple[float, float, float, float] = (0.0, 0.0, 64.0, 64.0)
    filled: int = 0
    cells: NDArray[np.uint8] | None = None
    packed: NDArray[np.uint8] | None = None

    @property
    def stored(self) -> NDArray[np.uint8]:
        """As it is stored, (PACKED,): what it came from, else packed now, which may lose something."""
        return pack(self.levels)[0] if self.packed is None else self.packed

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process it goes as one piece of bytes: in a fifth of the time that arrays take."""
        parts = self.code, self.mask, self.levels, self.cells, self.packed
        body = b"".join([b"" if each is None else each.tobytes() for each in parts])
        given = self.cells is not None, self.packed is not None
        return _arrived, (body, given, self.valid, self.textured, self.box, self.filled)

    @classmethod
    def of(cls, levels: NDArray[np.int8]) -> Fingerprint:
        """The fingerprint that a thumbnail stands for, as it is."""
        code, mask = code_of(levels)
        return cls(levels, code, mask, float((levels != INVALID).mean()), SIDE)

    def to_bytes(self) -> bytes:
        """The byte form: version, then the packed thumbnail. The code follows from it and is not stored."""
        return packed_body(self.stored)

    @classmethod
    def from_bytes(cls, body: bytes) -> Fingerprint:
        """The fingerprint that `to_bytes` wrote. Raises ValueError for another version or a torn body."""
        packed = packed_of(body)
        return replace(cls.of(unpack(packed)), packed=packed)


def _arrived(
    body: bytes,
    given: tuple[bool, bool],
    valid: float,
    textured: int,
    box: tuple[float, float, float, float],
    filled: int,
) -> Fingerprint:
    held = np.frombuffer(bytearray(body), np.uint8)  # may be written to, as all others: compiled code asks for that
    words = held[:_LEVELS].view(np.uint64)
    levels = held[_LEVELS:_CELLS].view(np.int8).reshape(SIDE, SIDE)
    cells = held[_CELLS:_PACKED].reshape(SIDE, SIDE) if given[0] else None
    packed = held[-PACKED:] if given[1] else None
    return Fingerprint(levels, words[:WORDS], words[WORDS:], valid, textured, box, filled, cells, packed)


def packed_body(packed: NDArray[np.uint8]) -> bytes:
    """The byte form of a packed thumbnail."""
    return bytes([FORM]) + packed.tobytes()


def packed_of(body: bytes) -> NDArray[np.uint8]:
    """The packed thumbnail in a byte form. Raises ValueError for another version or a body of another length."""
    form, cells = body[:1], np.array(bytearray(body[1:]), np.uint8)
    if form == b"\x01" and cells.size == SIDE * SIDE // 2:
        return pack((np.stack([cells >> 4, cells & 15], axis=1).astype(np.int8) - np.int8(8)).reshape(SIDE, SIDE))[0]
    if form != bytes([FORM]) or cells.size != PACKED:
        raise ValueError(f"not a fingerprint of form {FORM}: {len(body)} bytes, first {form.hex()}")
    return cells


@dataclass(frozen=True, slots=True)
class Still:
    """A looked-at still: its digests, and its fingerprint or, without one, the `reason` in words.

    `noisy` says that a still without a fingerprint carries a sensor's noise, so that an identical copy of it
    elsewhere is a copy and not another blank frame. `complete` is False when its bytes ended early. `coarse` are the
    greys of a still without a fingerprint (models/placeholder.py).
    """

    digest: bytes
    prefix: bytes
    fingerprint: Fingerprint | None
    reason: str
    complete: bool = True
    noisy: bool = False
    coarse: NDArray[np.uint8] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process it goes without the names of its fields, which take longer than what they name."""
        said = self.digest, self.prefix, self.fingerprint, self.reason, self.complete, self.noisy, self.coarse
        return Still, said

    @property
    def is_spoiled(self) -> bool:
        """Whether too little is seen of it, or an area of one grey: decoded in more detail it may say more."""
        return self.fingerprint is None or self.fingerprint.filled >= FILL_CELLS


def fingerprint(picture: Picture) -> Still:
    """What is compared of a picture. Never raises for what the picture shows."""
    grey = picture.grey
    if grey is None:
        return Still(picture.digest, picture.prefix, None, picture.fault or "undecodable", picture.complete)
    if min(grey.shape) < 16:
        return _without(picture, grey, f"too small: {grey.shape[1]}x{grey.shape[0]} pixels")
    h, w = grey.shape
    cut = 0 if picture.complete else max(1, BLOCK_ROWS * h // 720)
    span = QUICK_RANGE if picture.quick else FILL_RANGE
    levels, packed = np.empty((SIDE, SIDE), np.int8), np.zeros(PACKED, np.uint8)
    code, mask = np.empty(WORDS, np.uint64), np.empty(WORDS, np.uint64)
    cells, textured, share, filled, (top, bottom, left, right) = _taken(grey, cut, span, levels, packed, code, mask)
    if not share:
        return _without(picture, grey, "blank")
    if textured < LEAST_BLOCKS or share < LEAST_VALID:
        return _without(picture, grey, f"too little to tell apart: texture in {textured} of 64 blocks")
    box = (left * 64.0 / w, top * 64.0 / h, right * 64.0 / w, bottom * 64.0 / h)
    found = Fingerprint(levels, code, mask, share, textured, box, filled, cells, packed)
    return Still(picture.digest, picture.prefix, found, "", picture.complete)


@njit(cache=True, nogil=True, error_model="numpy")
def _taken(
    grey: NDArray[np.uint8],
    cut: int,
    span: int,
    levels: NDArray[np.int8],
    packed: NDArray[np.uint8],
    code: NDArray[np.uint64],
    mask: NDArray[np.uint64],
) -> tuple[NDArray[np.uint8], int, float, int, Box]:
    """What `thumbnail` says beside the levels. Where that is enough to tell scenes apart, `packed` (zeros) is filled,
    and levels, code and mask with what it gives back."""
    taken, cells, textured, share, filled, box = thumbnail(grey, cut, span)
    if textured >= LEAST_BLOCKS and share >= LEAST_VALID:
        pack_into(taken, packed, levels)
        code[:], mask[:] = code_of(levels)
    return cells, textured, share, filled, box


def _without(picture: Picture, grey: NDArray[np.uint8], reason: str) -> Still:
    return Still(picture.digest, picture.prefix, None, reason, picture.complete, _is_noisy(grey), coarse(grey))


def _is_noisy(grey: NDArray[np.uint8]) -> bool:
    h, w = (side - side % 8 for side in grey.shape)
    if not h or not w:
        return False
    blocks = grey[:h, :w].reshape(h // 8, 8, w // 8, 8)
    span = blocks.max(axis=(1, 3)).astype(np.int16) - blocks.min(axis=(1, 3))
    return bool((span >= NOISY_RANGE).mean() > NOISY_SHARE)
