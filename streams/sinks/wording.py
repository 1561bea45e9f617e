"""A notice in one line, for receivers that show one: what happened, to whose path, and why.

Owns the sentence, and what calls itself Strayframe in which version. Refuses to name accounts: who sees a pager's
screen may not see who watched whom.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from detector.notice import Notice, NoticeType

PRODUCT: Final = "Strayframe"

_DONE: Final = {
    NoticeType.ALERT_RAISED: "raised",
    NoticeType.ALERT_WITHDRAWN: "withdrawn",
    NoticeType.INCIDENT_OPENED: "opened",
    NoticeType.INCIDENT_UPDATED: "goes on",
    NoticeType.INCIDENT_RESOLVED: "resolved",
}


@lru_cache(maxsize=1)
def program_version() -> str:
    """The version that is installed."""
    try:
        return version("strayframe")
    except PackageNotFoundError:
        return "0"


def headline(notice: Notice) -> str:
    """One line without an account or a camera in it."""
    data = notice.data
    match notice.type.partition(".")[0]:
        case "alert":
            what = "a still reached the wrong home" if data.get("kind") == "leak" else "a camera's scene changed"
            return f"Alert {_DONE[notice.type]} in {notice.integration}: {what} ({data.get('level', '')})"
        case "incident":
            counts = f"{data.get('leaks', 0)} leaks, {data.get('shifts', 0)} shifts, {data.get('viewers', 0)} viewers"
            return f"Incident {_DONE[notice.type]} in {notice.integration}: {counts}"
        case "suspension":
            state = "lifted" if notice.type is NoticeType.SUSPENSION_LIFTED else data.get("state", "")
            return f"Suspension {state} in {notice.integration}: {where(data)}"
    return "TEST from Strayframe: nothing happened"


def where(data: Any) -> str:
    """The scope of a suspension, as a person reads it; an account's link is not named."""
    scope = data.get("scope")
    if not isinstance(scope, dict):
        return str(scope or "")
    named = [f"{name} {', '.join(values)}" for name, values in scope.get("where", {}).items() if name != "account"]
    return " ".join([str(scope.get("breadth", "")), *named]).strip()
