"""The records of the topic of scenes: what a worker that looks tells the matcher of a still, without the still.

Owns their byte form, version by version. Refuses to look and to judge. The event's attributes travel as the still's
own `ce_*` headers; the value holds what is compared: digests, and a normalised thumbnail or the reason why there is
none. No picture leaves a worker; a thumbnail is personal data all the same.

The value, integers little-endian: version (1 byte), kind (1 byte), then
    LOOKED    flags (1), digest and prefix, each behind its length (1), reason behind its length (2), then the coarse
              greys or the fingerprint: textured (2), filled (2), the box where it is not the whole frame (4 x 8),
              and the thumbnail as models/packing.py packs it, without the zeros at its end
    LATE      nothing: it came too late to be looked at
    REJECTED  nothing: the message is a dead letter already, and is only counted
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import numpy as np

from models.code import code_of
from models.fingerprint import Fingerprint, Still
from models.packing import PACKED, unpack
from models.placeholder import COARSE
from models.records import Delivery
from models.thumbnail import INVALID
from streams.cloudevents import Message, Rejected, parse_headers, to_headers

CONTENT_TYPE: Final = "application/vnd.strayframe.scene"
"""What tells such a record from other events of the topic, which are as they were sent."""
VERSION: Final = 2
LOOKED, LATE, REJECTED = 0, 1, 2
_COMPLETE, _NOISY, _COARSE, _FOUND, _BOXED = 1, 2, 4, 8, 16
_FOUND_FORM: Final = struct.Struct("<HH")
_BOX_FORM: Final = struct.Struct("<dddd")
_WHOLE: Final = (0.0, 0.0, 64.0, 64.0)
LONGEST_REASON: Final = 200
"""Bytes of a reason that are kept: a sentence of ours."""

Headers = list[tuple[str, bytes]]


class Aside(Rejected):
    """A worker has put the message aside already; it is only counted."""


def record_of(delivery: Delivery, still: Still | None) -> tuple[Headers, bytes]:
    """Headers and value for a delivery; without a still it is late."""
    headers = [(name, value) for name, value in to_headers(delivery) if name not in ("content-type", "ce_time")]
    moment = delivery.time.isoformat().encode()  # to the microsecond, as it came
    own = [("content-type", CONTENT_TYPE.encode()), ("ce_time", moment), *headers]
    return own, bytes([VERSION, LATE]) if still is None else bytes([VERSION, LOOKED]) + _looked(still)


def record_of_rejected(integration: str) -> tuple[Headers, bytes]:
    """Headers and value for a still that became a dead letter."""
    said = [("ce_integration", integration.encode())] if integration else []
    return [("content-type", CONTENT_TYPE.encode()), *said], bytes([VERSION, REJECTED])


def read_record(headers: Iterable[tuple[str, bytes | None]], value: bytes | None) -> Message:
    """The message of a record, with what was seen in its still. Raises Aside, Rejected."""
    headers = list(headers)
    if (dict(headers).get("content-type") or b"").decode(errors="replace") != CONTENT_TYPE:
        return parse_headers(headers, value)
    version, kind = (value or b"\0\0")[:2].ljust(2, b"\0")
    if version != VERSION:
        raise Rejected("bad_attribute", f"a record of version {version}; {VERSION} is read here")
    if kind == REJECTED:
        raise Aside("rejected", "a worker put it aside")
    message = parse_headers([each for each in headers if each[0] != "content-type"], value)
    if kind == LATE:
        return replace(message, data=None, late=True)
    return replace(message, data=None, still=_still(memoryview(value or b"")[2:]))


def _looked(still: Still) -> bytes:
    found, coarse = still.fingerprint, still.coarse
    flags = _COMPLETE * still.complete | _NOISY * still.noisy
    flags |= _COARSE * (coarse is not None) | _FOUND * (found is not None)
    flags |= _BOXED * (found is not None and found.box != _WHOLE)
    reason = still.reason.encode()[:LONGEST_REASON]
    head = bytes([flags, len(still.digest)]) + still.digest + bytes([len(still.prefix)]) + still.prefix
    head += struct.pack("<H", len(reason)) + reason
    if coarse is not None:
        head += coarse.astype(np.uint8).tobytes()
    if found is None:
        return head
    box = b"" if found.box == _WHOLE else _BOX_FORM.pack(*found.box)
    return head + _FOUND_FORM.pack(found.textured, found.filled) + box + found.stored.tobytes().rstrip(b"\0")


def _still(body: memoryview) -> Still:
    try:
        flags, at = body[0], 1
        digest, at = _piece(body, at, 1)
        prefix, at = _piece(body, at, 1)
        reason, at = _piece(body, at, 2)
        coarse = None
        if flags & _COARSE:
            coarse = np.frombuffer(body, np.uint8, COARSE * COARSE, at).reshape(COARSE, COARSE)
            at += COARSE * COARSE
        found = _fingerprint(body, at, boxed=bool(flags & _BOXED)) if flags & _FOUND else None
    except (struct.error, IndexError, ValueError) as error:
        raise Rejected("bad_attribute", f"a torn record ({error})") from None
    complete, noisy = bool(flags & _COMPLETE), bool(flags & _NOISY)
    return Still(digest, prefix, found, reason.decode(errors="replace"), complete, noisy, coarse)


def _fingerprint(body: memoryview, at: int, *, boxed: bool) -> Fingerprint:
    textured, filled = _FOUND_FORM.unpack_from(body, at)
    at += _FOUND_FORM.size
    left, top, right, bottom = _BOX_FORM.unpack_from(body, at) if boxed else _WHOLE
    at += _BOX_FORM.size if boxed else 0
    packed = np.array(bytearray(bytes(body[at:]).ljust(PACKED, b"\0")), np.uint8)
    levels = unpack(packed)
    code, mask = code_of(levels)
    valid = float((levels != INVALID).mean())
    return Fingerprint(levels, code, mask, valid, textured, (left, top, right, bottom), filled, packed=packed)


def _piece(body: memoryview, at: int, width: int) -> tuple[bytes, int]:
    """Bytes behind their length of so many bytes, and where the next piece begins."""
    length = int.from_bytes(body[at : at + width], "little")
    begin = at + width
    if begin + length > len(body):
        raise ValueError("it ends early")
    return bytes(body[begin : begin + length]), begin + length
