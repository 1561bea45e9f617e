"""Notices as CEF (Common Event Format, version 0) in syslog messages of RFC 5424, framed as RFC 6587 counts octets.

Owns names, escapes and limits. Refuses to send.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from detector.notice import Notice
from streams.cloudevents import instant
from streams.sinks.severity import Severity, severity
from streams.sinks.wording import PRODUCT, headline, program_version, where

FACILITIES: Final = {f"local{n}": 16 + n for n in range(8)} | {"user": 1, "daemon": 3, "auth": 4, "authpriv": 10}
"""RFC 5424, 6.2.1: those that a program of one's own may take."""
CEF_SEVERITY: Final = {
    Severity.INFORMATIONAL: 1,
    Severity.LOW: 3,
    Severity.MEDIUM: 5,
    Severity.HIGH: 8,
    Severity.CRITICAL: 10,
}
"""CEF counts from 0 to 10: 0-3 low, 4-6 medium, 7-8 high, 9-10 very high."""
SYSLOG_SEVERITY: Final = {
    Severity.INFORMATIONAL: 6,
    Severity.LOW: 5,
    Severity.MEDIUM: 4,
    Severity.HIGH: 3,
    Severity.CRITICAL: 2,
}
"""RFC 5424, 6.2.1: 2 critical, 3 error, 4 warning, 5 notice, 6 informational."""
LONGEST: Final = 1023
"""Characters of a CEF custom string; of `msg` as well, so that a message stays below the 8 kB that receivers take."""
_NEWLINES: Final = re.compile(r"\r\n|\r|\n")


def cef(notice: Notice) -> str:
    """The notice as a line of CEF."""
    header = (
        PRODUCT,
        PRODUCT.lower(),
        program_version(),
        notice.type.value,
        headline(notice),
        str(CEF_SEVERITY[severity(notice)]),
    )
    told = " ".join(f"{name}={_value(value)}" for name, value in _extension(notice).items() if value not in (None, ""))
    return "|".join(["CEF:0", *map(_head, header), told])


def syslog(notice: Notice, host: str, facility: int) -> bytes:
    """The notice as a syslog message of RFC 5424. `host` is who sends; the notice's id is CEF's externalId."""
    priority = facility * 8 + SYSLOG_SEVERITY[severity(notice)]
    head = (
        f"<{priority}>1 {instant(notice.at)} {_word(host, 255)} {PRODUCT.lower()} - {_word(notice.type.value, 32)} - "
    )
    return head.encode() + b"\xef\xbb\xbf" + cef(notice).encode()


def counted(message: bytes) -> bytes:
    """The message in a frame: its length in octets, a space, the message (RFC 6587, 3.4.1; RFC 5425, 4.3)."""
    return b"%d %b" % (len(message), message)


def _extension(notice: Notice) -> dict[str, Any]:
    data = notice.data
    told: dict[str, Any] = {
        "externalId": notice.id,
        "rt": round(notice.at.timestamp() * 1000),
        "msg": str(data.get("why") or data.get("sentence") or data.get("message") or ""),
        "duid": data.get("recipient"),
        "suid": data.get("owner"),
        "reason": data.get("rule") or data.get("reason"),
        "cnt": data.get("leaks"),
        "outcome": data.get("state"),
    }
    return told | _custom(notice, data)


def _custom(notice: Notice, data: Mapping[str, Any]) -> dict[str, Any]:
    """The custom strings, each with its label; a label without its string is not told."""
    found: dict[str, Any] = {}
    named = {
        "integration": notice.integration,
        "alert": data.get("alert"),
        "incident": data.get("incident"),
        "camera": data.get("owner_camera") or data.get("camera"),
        "suspension": data.get("suspension"),
        "scope": where(data),
    }
    for number, (label, value) in enumerate(named.items(), start=1):
        if value:
            found |= {f"cs{number}Label": label, f"cs{number}": value}
    return found


def _head(text: str) -> str:
    return _NEWLINES.sub(" ", text).replace("\\", "\\\\").replace("|", "\\|")


def _value(value: Any) -> str:
    text = str(value)[:LONGEST].replace("\\", "\\\\").replace("=", "\\=")
    return _NEWLINES.sub("\\\\n", text)


def _word(text: str, most: int) -> str:
    """A field of printable ASCII without spaces, as RFC 5424 asks; `-` where nothing is left."""
    return "".join(c for c in text if 33 <= ord(c) <= 126)[:most] or "-"
