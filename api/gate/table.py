"""What each route asks of its caller: one row a method and path, and nothing without a row.

Owns the rows. A request that no row covers never reaches a route: a new route needs a row, and tests/test_gate.py fails
until it has one. `own` marks routes whose store is narrowed to the caller's integrations (streams/store/own.py): a
caller who may see some only is refused everywhere else. `noted` is what the audit says of a request that was answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from re import Pattern
from typing import Final

from starlette.routing import compile_path

from api.problems import METHOD_NOT_ALLOWED, NOT_FOUND, ProblemError
from detector.access import Permission


class Anybody(Enum):
    """What a route asks for that needs no permission."""

    PROBE = "probe"
    """Nothing, ever: neither who it is nor how often."""
    ANYBODY = "anybody"
    """Nothing; who is signed in is known as such."""
    SIGNED_IN = "signed-in"
    """That somebody is signed in."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one route asks for."""

    needs: Permission | Anybody
    own: bool = False
    noted: str = ""


_PROBE, _ANYBODY, _SIGNED_IN = Row(Anybody.PROBE), Row(Anybody.ANYBODY), Row(Anybody.SIGNED_IN, own=True)
_READ, _READ_WHOLE = Row(Permission.READ, own=True), Row(Permission.READ)
_TRIAGE, _ACT = Row(Permission.TRIAGE, own=True), Row(Permission.ACT, own=True)
_RULE = Row(Permission.TRIAGE)
_HOOKS, _ADMIN, _AUDIT = Row(Permission.HOOKS), Row(Permission.ADMIN), Row(Permission.AUDIT)

TABLE: Final[Mapping[tuple[str, str], Row]] = {
    ("GET", "/"): _PROBE,
    ("GET", "/healthz"): _PROBE,
    ("GET", "/readyz"): _PROBE,
    ("GET", "/openapi.json"): _PROBE,
    ("GET", "/metrics"): Row(Permission.METRICS),
    # stills and facts in
    ("POST", "/v1/stills"): Row(Permission.INGEST, own=True),
    ("POST", "/v1/events"): Row(Permission.INGEST, noted="events.taken"),
    # what was found
    ("GET", "/v1/alerts"): _READ,
    ("GET", "/v1/alerts/{id}"): Row(Permission.READ, own=True, noted="evidence.viewed"),
    ("GET", "/v1/alerts/{id}/triage"): _READ,
    ("PATCH", "/v1/alerts/{id}/triage"): _TRIAGE,
    ("GET", "/v1/incidents"): _READ,
    ("GET", "/v1/incidents/{id}"): Row(Permission.READ, own=True, noted="evidence.viewed"),
    ("GET", "/v1/incidents/{id}/triage"): _READ,
    ("PATCH", "/v1/incidents/{id}/triage"): _TRIAGE,
    ("GET", "/v1/incidents/{id}/reach"): Row(Permission.REACH, own=True, noted="reach.viewed"),
    ("GET", "/v1/incidents/{id}/reach.csv"): Row(Permission.REACH, own=True, noted="reach.exported"),
    ("GET", "/v1/incidents/{id}/notification"): Row(Permission.REACH, own=True, noted="notification.drafted"),
    ("GET", "/v1/stream"): _READ,
    ("GET", "/v1/coverage"): _READ,
    # a picture that anybody may get is no integration's own
    ("GET", "/v1/placeholders"): _READ_WHOLE,
    ("GET", "/v1/placeholders/{id}"): _READ_WHOLE,
    ("POST", "/v1/placeholders/{id}/confirm"): _RULE,
    ("POST", "/v1/placeholders/{id}/reject"): _RULE,
    ("DELETE", "/v1/placeholders/{id}"): _RULE,
    ("GET", "/v1/changes"): _READ_WHOLE,
    ("GET", "/v1/rights"): Row(Permission.REACH),
    # what is switched off
    ("GET", "/v1/suspensions"): _READ,
    ("GET", "/v1/suspensions/{id}"): _READ,
    ("POST", "/v1/suspensions"): _ACT,
    ("POST", "/v1/suspensions/{id}/propose"): _ACT,
    ("POST", "/v1/suspensions/{id}/suspend"): _ACT,
    ("POST", "/v1/suspensions/{id}/stopped"): _ACT,
    ("POST", "/v1/suspensions/{id}/reject"): _ACT,
    ("POST", "/v1/suspensions/{id}/resume"): _ACT,
    ("POST", "/v1/suspensions/{id}/probe"): _ACT,
    ("POST", "/v1/suspensions/{id}/ramp"): _ACT,
    ("POST", "/v1/suspensions/{id}/force"): _ACT,
    ("POST", "/v1/suspensions/{id}/approve"): Row(Permission.APPROVE, own=True),
    ("GET", "/v1/integrations"): _READ,
    ("PUT", "/v1/integrations/{name}/mode"): Row(Permission.APPROVE),
    ("GET", "/v1/policy"): _READ,
    ("GET", "/v1/kill-switch"): _READ,
    ("PUT", "/v1/kill-switch"): Row(Permission.ACT),
    # who is told
    ("GET", "/v1/hooks"): _HOOKS,
    ("POST", "/v1/hooks"): _HOOKS,
    ("GET", "/v1/hooks/{id}"): _HOOKS,
    ("PATCH", "/v1/hooks/{id}"): _HOOKS,
    ("DELETE", "/v1/hooks/{id}"): _HOOKS,
    ("POST", "/v1/hooks/{id}/rotate"): _HOOKS,
    ("POST", "/v1/hooks/{id}/test"): _HOOKS,
    ("GET", "/v1/hooks/{id}/deliveries"): _HOOKS,
    ("POST", "/v1/hooks/{id}/deliveries/{delivery}/replay"): _HOOKS,
    ("GET", "/v1/sinks"): _HOOKS,
    ("GET", "/v1/sinks/{name}"): _HOOKS,
    ("POST", "/v1/sinks/{name}/test"): _HOOKS,
    ("GET", "/v1/sinks/{name}/deliveries"): _HOOKS,
    ("POST", "/v1/sinks/{name}/deliveries/{delivery}/replay"): _HOOKS,
    # who may, and who did
    ("GET", "/v1/session"): _ANYBODY,
    ("POST", "/v1/session"): _ANYBODY,
    ("DELETE", "/v1/session"): _SIGNED_IN,
    ("GET", "/v1/session/oidc"): _ANYBODY,
    ("GET", "/v1/session/oidc/callback"): _ANYBODY,
    ("GET", "/v1/users"): _ADMIN,
    ("POST", "/v1/users"): _ADMIN,
    ("PUT", "/v1/users/{name}/roles"): _ADMIN,
    ("DELETE", "/v1/users/{name}"): _ADMIN,
    ("GET", "/v1/tokens"): _ADMIN,
    ("POST", "/v1/tokens"): _ADMIN,
    ("DELETE", "/v1/tokens/{id}"): _ADMIN,
    ("GET", "/v1/audit"): _AUDIT,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request's row, the path it stands under, and what its path names first: an id, mostly."""

    row: Row
    path: str
    subject: str


_WHOLE: Final[dict[str, dict[str, Row]]] = {}
_NAMED: Final[list[tuple[Pattern[str], str, dict[str, Row]]]] = []
for (_method, _path), _row in TABLE.items():
    if "{" not in _path:
        _WHOLE.setdefault(_path, {})[_method] = _row
for _path in dict.fromkeys(path for _, path in TABLE if "{" in path):
    _rows = {method: row for (method, path), row in TABLE.items() if path == _path}
    _NAMED.append((compile_path(_path)[0], _path, _rows))


def row_of(method: str, path: str) -> Asked:
    """The row that covers a request, a whole path before one with names in it. Raises ProblemError: there is none."""
    rows = _WHOLE.get(path)
    if rows is not None:
        return Asked(_of_method(rows, method), path, "")
    for pattern, template, named in _NAMED:
        if (found := pattern.match(path)) is not None:
            return Asked(_of_method(named, method), template, next(iter(found.groupdict().values())))
    raise ProblemError(NOT_FOUND)


def _of_method(rows: Mapping[str, Row], method: str) -> Row:
    row = rows.get(method)
    if row is None:
        raise ProblemError(METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(sorted(rows))})
    return row
