"""Pages of collections: how the next one is named, in the body and in the `Link` header (RFC 8288).

Owns the link. Refuses to know what is on a page.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Request, Response
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from api import cursor
from models.records import utc

LONGEST_ID: Final = 1024
"""Characters of an id in a query or a path, at most: as many as an event's attribute may have."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("is not printable text")
    return text


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL, which PostgreSQL keeps in no text")
    return text


def _in_utc(when: datetime) -> datetime:
    try:
        return utc(when)
    except OverflowError:
        raise ValueError("lies outside of the years 1 to 9999 in UTC") from None


def _written_out(value: object) -> object:
    """A bare number would be read as seconds since 1970: somebody who asks for the year 2026 gets everything."""
    if isinstance(value, str) and "T" not in value.upper() and " " not in value:
        raise ValueError("is not RFC 3339, such as 2026-01-05T09:00:00Z")
    return value


Name = Annotated[str, Field(min_length=1, max_length=LONGEST_ID), AfterValidator(_printable)]
"""An id or a name as a client may ask for it: no event can bring one of another form."""
Text = Annotated[str, Field(min_length=1), AfterValidator(_storable)]
"""What a person writes, in one line or several."""
Moment = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_in_utc)]
"""A time with a zone, in UTC."""
PAGE_HEADERS: Final[dict[str, Any]] = {
    "headers": {
        "Link": {
            "description": 'The next page, rel="next" (RFC 8288), with the same filters; absent on the last page.',
            "schema": {"type": "string"},
            "example": '</v1/alerts?kind=leak&cursor=MTphbGVydHM6NDI>; rel="next"',
        }
    }
}


def link_next(request: Request, response: Response, collection: str, sequence: int | None) -> str | None:
    """Set the `Link` header to the next page and return its cursor; None and no header on the last page.

    The link is relative to the host, so that it holds behind any proxy that keeps the path.
    """
    if sequence is None:
        return None
    following = cursor.encode(collection, sequence)
    url = request.url.include_query_params(cursor=following)
    response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
    return following
