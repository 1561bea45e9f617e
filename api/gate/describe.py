"""The gate in the OpenAPI document: how one signs in, which permission each operation asks for, and its refusals.

Owns that, from the table. Refuses to describe anything else.
"""

from __future__ import annotations

from typing import Any, Final

from api.gate.door import COOKIE
from api.gate.table import TABLE, Anybody
from api.problems import NOT_ALLOWED, NOT_LOCAL, NOT_SIGNED_IN, TOO_MANY_REQUESTS, documented
from detector.access import Permission

_SCHEMES: Final = {
    "token": {"type": "http", "scheme": "bearer", "description": "A program's token, sf_..."},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "A person's session."},
}
_EITHER: Final[list[dict[str, list[str]]]] = [{"token": []}, {"session": []}]
_PERSON: Final[list[dict[str, list[str]]]] = [{"session": []}]
_REFUSED: Final = documented(NOT_SIGNED_IN, NOT_ALLOWED, NOT_LOCAL, TOO_MANY_REQUESTS)


def add(document: dict[str, Any]) -> None:
    """Write into the document what the table says of each operation in it."""
    document["components"]["securitySchemes"] = _SCHEMES
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            row = TABLE.get((method.upper(), path))
            if row is None or row.needs is Anybody.PROBE:
                continue
            for status, said in _REFUSED.items():
                operation["responses"].setdefault(str(status), said)
            if row.needs is not Anybody.ANYBODY:
                operation["security"] = _PERSON if row.needs in (Permission.APPROVE, Permission.ADMIN) else _EITHER
            if isinstance(row.needs, Permission):
                operation["x-permission"] = row.needs.value
