"""Cursors of collections: where a page ended, in a form that a client can only hand back.

Owns the coding and its version. Refuses to mean anything to a client. A cursor names the collection and the store's
sequence number, which only grows: what is new arrives before the first page and moves no later one.
"""

from __future__ import annotations

import base64
import binascii
import re

from api.problems import BAD_CURSOR, ProblemError

VERSION = "1"
_FORM = re.compile(r"1:([a-z]+):(0|[1-9][0-9]{0,17})")
"""Version, collection, sequence number; 18 digits fit in the 64 bits that a database gives a sequence."""


def encode(collection: str, sequence: int) -> str:
    """The cursor behind the row with this sequence number."""
    return base64.urlsafe_b64encode(f"{VERSION}:{collection}:{sequence}".encode()).decode().rstrip("=")


def decode(collection: str, cursor: str) -> int:
    """The sequence number in a cursor. Raises ProblemError for one that this collection never gave out."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    found = _FORM.fullmatch(text)
    if found is None or found[1] != collection or encode(collection, int(found[2])) != cursor:
        raise ProblemError(BAD_CURSOR, "Take the cursor from `next` of an earlier page, unchanged.")
    return int(found[2])
