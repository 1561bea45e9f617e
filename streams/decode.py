"""Bytes of a still to what is compared of it: grey pixels at a reduced scale, and what the bytes say of themselves.

Owns decoding, its scale and its limits. Pictures come from outside: size, pixel count and format are checked before
anything is decoded. Refuses to judge: what cannot be decoded becomes a Picture without pixels that says why, because
such a still was delivered all the same and its digest is searched.

Two ways lead to the pixels. Pillow is the reference: it reads every format, and damaged files as far as they go. A
whole JPEG first gets a quick look, by libjpeg-turbo without anything around it, at the smallest scale that the
fingerprint can use; at an eighth a plain one is read without libjpeg-turbo (streams/eighth.py). At one scale all give
the same pixels. Where the quick look meets any error or warning, or shows
too little or areas of one grey, the reference looks again, in more detail.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable
from functools import lru_cache
from time import perf_counter
from typing import Final

import numpy as np
import simplejpeg
from blake3 import blake3
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from models.fingerprint import Still, fingerprint
from models.records import PREFIX_BYTES, Picture
from streams.eighth import FORMS, HEAD, eighth, head_of

FORMATS: Final = ("JPEG", "PNG", "WEBP")
SMALLEST: Final = (400, 220)
"""Least width and height, in pixels, to which the reference decodes a JPEG: Pillow's draft halves the scale while the
result is at least this large. The fingerprint works on 64x64 cells, so this leaves each cell six pixels wide."""
QUICK_SIDE: Final = 88
"""Least width and height, in pixels, to which the quick look decodes: 1280x720 becomes 160x90. Measured on eight
labelled replays against `SMALLEST` (docs/decisions/decoding.md)."""
SCALES: Final = (8, 4, 2, 1)
"""By what a JPEG can be reduced while it is decoded; Pillow knows the same."""
COLOURS: Final = ("YCbCr", "Gray")
"""Colour spaces of a JPEG whose grey is a plane of its own."""
GREY: Final = "GRAY"
START_OF_IMAGE: Final = b"\xff\xd8\xff"
TAIL: Final = 64
"""Bytes at the end in which a whole JPEG has its end-of-image marker; some encoders pad behind it."""
END_OF_IMAGE: Final = b"\xff\xd9"


class Decoder:
    """Decodes stills. One per thread or process.

    `key` keys the digests, so that they are worth nothing to somebody who finds them and has candidate pictures.
    `max_bytes` and `max_pixels` bound what is decoded; larger stills become a Picture without pixels.
    """

    def __init__(self, key: bytes, max_bytes: int = 16_000_000, max_pixels: int = 50_000_000) -> None:
        self._key = hashlib.blake2b(key, digest_size=blake3.key_size).digest()
        self._max_bytes = max_bytes
        self._max_pixels = max_pixels

    def still(self, data: bytes) -> Still:
        """What is compared of the still in `data`. Never raises for what the bytes hold."""
        whole = data.startswith(START_OF_IMAGE) and END_OF_IMAGE in data[-TAIL:] and len(data) <= self._max_bytes
        grey = self._quick(data) if whole else None
        if grey is None:
            return fingerprint(self(data))
        picture = Picture(grey, True, *self._digests(data), quick=True)
        still = fingerprint(picture)
        if still.is_spoiled:
            still = fingerprint(self._looked_at(data, picture.digest, picture.prefix))
        return still

    def timed(self, data: bytes, took: Callable[[float], None]) -> Still:
        """The same; `took` is told the seconds."""
        begin = perf_counter()
        try:
            return self.still(data)
        finally:
            took(perf_counter() - begin)

    def unseen(self, data: bytes, why: str) -> Still:
        """A still of which only the bytes are known, and why."""
        return fingerprint(Picture(None, False, *self._digests(data), why))

    def __call__(self, data: bytes) -> Picture:
        """The picture in `data` as the reference sees it. Never raises for what the bytes hold: `fault` says what is
        wrong with them."""
        return self._looked_at(data, *self._digests(data))

    def _looked_at(self, data: bytes, digest: bytes, prefix: bytes) -> Picture:
        if len(data) > self._max_bytes:
            return Picture(None, False, digest, prefix, f"too large: {len(data)} bytes, {self._max_bytes} are accepted")
        try:
            grey, complete = self._grey(data)
        except _Refused as refused:
            return Picture(None, False, digest, prefix, str(refused))
        return Picture(grey, complete, digest, prefix)

    def _digests(self, data: bytes) -> tuple[bytes, bytes]:
        """The digests of all bytes and of the first ones, which are empty when there are no others."""
        return self.digest(data), self.digest(data[:PREFIX_BYTES]) if len(data) > PREFIX_BYTES else b""

    def digest(self, data: bytes) -> bytes:
        """The keyed digest of some bytes, 16 bytes long."""
        return blake3(data, key=self._key).digest(16)

    def _quick(self, data: bytes) -> NDArray[np.uint8] | None:
        """The grey pixels of a JPEG at the smallest useful scale; None where anything is unusual about it."""
        try:
            head = head_of(data)
            height, width, colours = (_kept if len(head) <= HEAD else _said)(head)
            if colours not in COLOURS or width * height > self._max_pixels:
                return None
            scale = next((s for s in SCALES if min(-(-height // s), -(-width // s)) >= QUICK_SIDE), 1)
            plain = eighth(data, head) if scale == 8 else None
            if plain is not None:
                return plain
            h, w = -(-height // scale), -(-width // scale)
            grey: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, GREY, min_height=h, min_width=w)
        except ValueError:  # of errors, and of what libjpeg-turbo recovers from with a warning
            return None
        return grey.reshape(grey.shape[:2])

    def _grey(self, data: bytes) -> tuple[NDArray[np.uint8], bool]:
        complete = True
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow warns of what is refused or accepted below by our own limits
                image = Image.open(io.BytesIO(data), formats=FORMATS)
                if image.width * image.height > self._max_pixels:
                    raise _Refused(f"too large: {image.width}x{image.height} pixels, {self._max_pixels} are accepted")
                if image.format == "JPEG":
                    complete = END_OF_IMAGE in data[-TAIL:]
                    image.draft("L", SMALLEST)
                return np.array(image.convert("L")), complete
        except UnidentifiedImageError:
            raise _Refused(f"not a picture: none of {', '.join(FORMATS)}") from None
        except Image.DecompressionBombError:
            raise _Refused("too large: a decompression bomb") from None
        except (
            OSError,
            SyntaxError,
            ValueError,
            IndexError,
            TypeError,
            KeyError,
            EOFError,
            MemoryError,
        ) as error:
            # Pillow's decoders raise any of these for a broken file; each is a fact about the bytes, not about us
            raise _Refused(f"undecodable: {type(error).__name__}") from None


def _said(head: bytes) -> tuple[int, int, str]:
    """Height, width and colours that a JPEG says to have, of what lies before its entropy code. Raises ValueError."""
    height, width, colours, _ = simplejpeg.decode_jpeg_header(head)
    return height, width, colours


_kept = lru_cache(FORMS)(_said)


class _Refused(Exception):
    """The bytes cannot be decoded; the message says why, without quoting them."""


# Cut-off files are decoded as far as they go: the valid part of a damaged still is what names its owner.
ImageFile.LOAD_TRUNCATED_IMAGES = True
