"""A year of alerts, made up: what the plans of questions are looked at on, and what benchmarks/store.py times.

Five integrations, from seven in ten alerts to one in a thousand; four bugs with ten thousand to a hundred and fifty
thousand alerts each, one of which served a single home's still to everybody and one of which a late grant explained
away; a fifth of the alerts raised hours or days after their delivery, as in the replays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from models.records import AccountId, CameraId, IncidentId, Kind, Level
from streams.store import schema
from streams.store.sql import SqlStore
from streams.store.walk import AlertFilter

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 365
SHARES = (0.7, 0.2, 0.08, 0.019, 0.001)
"""Of the integrations tv, display, car, watch and lab."""
INTEGRATIONS = ("tv", "display", "car", "watch", "lab")
BUGS = ((40, 0.15, "tv"), (120, 0.08, "tv"), (200, 0.04, "display"), (300, 0.02, "tv"))
"""(day, share of all alerts, integration) of the big incidents; each lasts two days."""
EVERYBODY, EXPLAINED = 1, 3
"""Which of them served one home's still to everybody, and which was withdrawn as a whole."""
WITHDRAWN = 0.02
LATE = ((0.15, 5.0), (0.05, 72.0))
"""(share, mean hours) of alerts that are raised after their delivery: replays have 10 % over 3 h, 5 % over 7 h."""
CHUNK = 20_000

Values = dict[str, Any]
EVERYBODYS = AccountId("acct-7"), CameraId("cam-7-0")
"""Owner and camera of the still that was served to everybody: in one alert of twelve."""
DAY, MONTH = (
    {"since": START + timedelta(days=a), "until": START + timedelta(days=b)} for a, b in ((180, 181), (80, 110))
)

QUESTIONS: dict[str, AlertFilter] = {
    "all": AlertFilter(),
    "leaks": AlertFilter(kind=Kind.LEAK),
    "shown": AlertFilter(level=Level.SHOWN),
    "shifts that act (none)": AlertFilter(kind=Kind.SHIFT, level=Level.ACTING),
    "withdrawn": AlertFilter(withdrawn=True),
    "standing": AlertFilter(withdrawn=False),
    "frequent integration": AlertFilter(integration="tv"),
    "rare integration": AlertFilter(integration="lab"),
    "unknown integration": AlertFilter(integration="no such"),
    "frequent integration, withdrawn shifts": AlertFilter(integration="tv", kind=Kind.SHIFT, withdrawn=True),
    "frequent integration, shifts that act (none)": AlertFilter(
        integration="tv", kind=Kind.SHIFT, level=Level.ACTING, withdrawn=False
    ),
    "big incident": AlertFilter(incident=IncidentId("in-bug-0")),
    "small incident": AlertFilter(incident=IncidentId("in-lab-20")),
    "standing ones of an incident (none)": AlertFilter(incident=IncidentId("in-bug-3"), withdrawn=False),
    "account": AlertFilter(account=AccountId("acct-5123")),
    "account of everybody's still": AlertFilter(account=EVERYBODYS[0]),
    "account of everybody's still, shifts": AlertFilter(account=EVERYBODYS[0], kind=Kind.SHIFT),
    "camera": AlertFilter(camera=CameraId("cam-5123-0")),
    "everybody's camera, withdrawn": AlertFilter(camera=EVERYBODYS[1], withdrawn=True),
    "a day": AlertFilter(**DAY),
    "a month": AlertFilter(**MONTH),
    "a month of a rare integration": AlertFilter(integration="lab", kind=Kind.LEAK, **MONTH),
    "a month of everybody's account": AlertFilter(account=EVERYBODYS[0], **MONTH),
}
"""Every filter alone, with values that many and few alerts have, and values that hardly or never meet."""


def fill(store: SqlStore, count: int, seed: int = 1) -> None:
    """Put `count` alerts and their incidents into an empty store. The indexes are made afterwards, which is faster."""
    incidents, chunks = made(count, seed)
    indexes = sorted(schema.alerts.indexes, key=lambda index: str(index.name))
    with store.database.writing() as connection:
        for index in indexes:
            index.drop(connection)
        connection.execute(schema.incidents.insert(), incidents)
        for chunk in chunks:
            connection.execute(schema.alerts.insert(), chunk)
        for index in indexes:
            index.create(connection)
    if not store.database.is_sqlite:
        with store.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")  # as the server's own housekeeping does within minutes


def made(count: int, seed: int) -> tuple[list[Values], Iterator[list[Values]]]:
    """The incidents, and the alerts in chunks, in the order in which they are stored."""
    draw = np.random.default_rng(seed)
    bug = np.full(count, -1)
    day = draw.random(count) * DAYS
    place = 0
    for number, (first, share, _) in enumerate(BUGS):
        size = int(share * count)
        bug[place : place + size] = number
        day[place : place + size] = first + 2 * draw.random(size)
        place += size
    order = np.argsort(day)
    bug, day = bug[order], day[order]
    integration = np.where(
        bug >= 0,
        np.array([INTEGRATIONS.index(name) for *_, name in BUGS])[bug],
        draw.choice(len(SHARES), count, p=SHARES),
    )
    leak = (bug >= 0) | (draw.random(count) < 0.4)
    late = np.zeros(count)
    for share, hours in LATE:
        late += (draw.random(count) < share) * draw.exponential(hours / 24, count)
    drawn = {
        "bug": bug,
        "day": day,
        "integration": integration,
        "leak": leak,
        "acting": leak & (draw.random(count) < 0.7),
        "late": late,
        "withdrawn": (bug == EXPLAINED) | (draw.random(count) < WITHDRAWN),
        "viewer": (draw.pareto(1.2, count) * 5_000).astype(int) % 200_000,
        "owner": np.where(bug == EVERYBODY, 7, draw.integers(0, 200_000, count)),
    }
    names = [_incident(k, n) for n in range(len(INTEGRATIONS)) for k in range(DAYS + 2)]
    names += [f"in-bug-{number}" for number in range(len(BUGS))]
    incidents = [_incident_row(name, at) for at, name in enumerate(names)]
    chunks = (
        [_alert(n, {name: column[n] for name, column in drawn.items()}) for n in range(k, min(k + CHUNK, count))]
        for k in range(0, count, CHUNK)
    )
    return incidents, chunks


def _incident(day: int, integration: int) -> str:
    return f"in-{INTEGRATIONS[integration]}-{day}"


def _incident_row(name: str, at: int) -> Values:
    day = START + timedelta(days=at % (DAYS + 2))
    return {
        "id": name,
        "integration": "tv" if "bug" in name else name.split("-")[1],
        "opened": day,
        "first": day,
        "last": day + timedelta(hours=20),
        "leaks": 10,
        "shifts": 3,
        "viewers": 9,
        "owners": 8,
    }


def _alert(n: int, a: Values) -> Values:
    raised = START + timedelta(days=float(a["day"]))
    leak = bool(a["leak"])
    name, viewer, owner = INTEGRATIONS[a["integration"]], int(a["viewer"]), int(a["owner"])
    incident = f"in-bug-{a['bug']}" if a["bug"] >= 0 else _incident(int(a["day"]), int(a["integration"]))
    return {
        "id": "al-" + hashlib.blake2b(str(n).encode(), digest_size=16).hexdigest(),
        "kind": "leak" if leak else "shift",
        "level": "acting" if a["acting"] else "shown",
        "delivery_source": "/edge/eu-1",
        "delivery_id": f"d-{n:09d}",
        "delivered_at": raised - timedelta(days=float(a["late"])),
        "recipient": f"acct-{viewer}",
        "camera": f"cam-{viewer}-{n % 3}",
        "owner": f"acct-{owner}" if leak else None,
        "owner_camera": f"cam-{owner}-0" if leak else None,
        "presumed": False,
        "raised_source": "/edge/eu-1",
        "raised_id": f"d-{n:09d}",
        "raised_at": raised,
        "rule": "foreign-scene" if leak else "foreign-at-once",
        "why": "The still agrees with a scene of another account's camera: 2.4 % of 334 bits differ, margin 0.81.",
        "numbers": {name: round(0.1 + n % 89 / 100, 4) for name in NUMBERS},
        "scene": f"sc-{n:032x}" if leak else None,
        "integration": name,
        "attributes": {"integration": name, "cachenode": f"cache-{n % 12}", "region": "eu-1", "release": "2026.7"},
        "incident": incident if leak else None,
        "withdrawn_at": raised + timedelta(hours=1) if a["withdrawn"] else None,
        "withdrawn_why": "the viewer had a right to that camera after all" if a["withdrawn"] else None,
    }


NUMBERS = ("distance", "common_bits", "score", "correlation", "fine", "share", "blocks", "covered", "intact", "margin")
