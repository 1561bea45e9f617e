"""Bytes of a still to a Picture: grey pixels at a reduced scale, and what the bytes say of themselves.

Owns decoding and its limits. Pictures come from outside: size, pixel count and format are checked before anything is
decoded. Refuses to judge: what cannot be decoded becomes a Picture without pixels that says why, because such a
still was delivered all the same and its digest is searched. Pillow is the reference decoder.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from typing import Final

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from models.records import PREFIX_BYTES, Picture

FORMATS: Final = ("JPEG", "PNG", "WEBP")
SMALLEST: Final = (400, 220)
"""Least width and height, in pixels, that a JPEG is decoded to: Pillow's draft halves the scale while the result
is at least this large. The fingerprint works on 64x64 cells, so this leaves each cell six pixels wide."""
TAIL: Final = 64
"""Bytes at the end in which a whole JPEG has its end-of-image marker; some encoders pad behind it."""
END_OF_IMAGE: Final = b"\xff\xd9"


class Decoder:
    """Decodes stills. One per thread or process.

    `key` keys the digests, so that they are worth nothing to somebody who finds them and has candidate pictures.
    `max_bytes` and `max_pixels` bound what is decoded; larger stills become a Picture without pixels.
    """

    def __init__(self, key: bytes, max_bytes: int = 16_000_000, max_pixels: int = 50_000_000) -> None:
        self._key = key[:64]
        self._max_bytes = max_bytes
        self._max_pixels = max_pixels

    def __call__(self, data: bytes) -> Picture:
        """The picture in `data`. Never raises for what the bytes hold: `fault` says what is wrong with them."""
        digest, prefix = self.digest(data), b""
        if len(data) > PREFIX_BYTES:
            prefix = self.digest(data[:PREFIX_BYTES])
        if len(data) > self._max_bytes:
            return Picture(None, False, digest, prefix, f"too large: {len(data)} bytes, {self._max_bytes} are accepted")
        try:
            grey, complete = self._grey(data)
        except _Refused as refused:
            return Picture(None, False, digest, prefix, str(refused))
        return Picture(grey, complete, digest, prefix)

    def digest(self, data: bytes) -> bytes:
        """The keyed digest of some bytes, 16 bytes long."""
        return hashlib.blake2b(data, digest_size=16, key=self._key).digest()

    def _grey(self, data: bytes) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.uint8]], bool]:
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
                return np.asarray(image.convert("L")), complete
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


class _Refused(Exception):
    """The bytes cannot be decoded; the message says why, without quoting them."""


# Cut-off files are decoded as far as they go: the valid part of a damaged still is what names its owner.
ImageFile.LOAD_TRUNCATED_IMAGES = True
