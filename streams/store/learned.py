"""The log in which matchers that share a store tell each other what they learned.

Owns its rows, their order, how far each share has taken them up, and when they are forgotten. A row says what a batch
changed, by ids; how that stands by now the other tables say, so that a row read late or twice does no harm. Refuses to
hold what a table holds. The number of a row is the order of commits: shares commit one after the other, under a lock.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, and_, delete, insert, not_, select, text, update

from detector.learned import Learned, Sought
from models.placeholder import PlaceholderId, Sighting
from models.records import (
    AccountId,
    Alert,
    AlertId,
    CameraId,
    Delivery,
    DeliveryId,
    Judgement,
    SceneId,
    Verdict,
    Withdrawal,
)
from streams.judge import Batch, News
from streams.share import Share
from streams.store import rows, schema
from streams.store.schema import learned, shares

ROWS: Final = 50
"""Rows taken up at a time: between two batches of the own share, some batches of the others."""
IDS: Final = 1000
"""Ids asked for in one statement."""
_LOCK: Final = 0x53_48_41_52_45
"""Key of PostgreSQL's advisory lock under which shares commit: "SHARE". On SQLite there is one writer at a time."""


def lock(connection: Connection) -> None:
    """From here to the end of the transaction no other share commits."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def join(connection: Connection, share: Share) -> int:
    """Enter the share; the number up to which it has taken up the log. A division in other shares takes over what was
    left open by the former one: each new share begins where the slowest old one was."""
    lock(connection)
    held = {row.share: row for row in connection.execute(select(shares))}
    if share.is_whole and not held:
        return 0  # the store was never shared
    if {row.of for row in held.values()} != {share.of}:
        begin = min((row.folded for row in held.values()), default=0)
        connection.execute(delete(shares))
        every = [{"share": number, "of": share.of, "folded": begin} for number in range(1, share.of + 1)]
        connection.execute(insert(shares), every)
        return int(begin)
    return int(held[share.number].folded)


def write(connection: Connection, share: Share, batch: Batch) -> None:
    """Tell the others what the batch changed, note how far they were heard, and forget what all have heard."""
    if not share.is_whole:
        body = _body(batch)
        if any(body.values()):
            packed = zlib.compress(json.dumps(body, separators=(",", ":")).encode(), 1)
            connection.execute(insert(learned).values(share=share.number, of=share.of, body=packed))
    if batch.folded is not None:
        connection.execute(update(shares).where(shares.c.share == share.number).values(folded=batch.folded))
        own = and_(shares.c.share == learned.c.share, shares.c.of == learned.c.of)
        waits = select(shares.c.share).where(shares.c.folded < learned.c.seq, not_(own)).exists()
        connection.execute(delete(learned).where(not_(waits)))


def news(connection: Connection, share: Share, after: int) -> News | None:
    """What the other shares told behind a number, oldest first; None where there is nothing."""
    told = connection.execute(select(learned).where(learned.c.seq > after).order_by(learned.c.seq).limit(ROWS)).all()
    if not told:
        return None
    own = (share.number, share.of)
    found = [_read(connection, _said(row.body)) for row in told if (row.share, row.of) != own]
    return News(told[-1].seq, found)


def withdrawn_since(connection: Connection, after: int) -> list[str]:
    """Alerts that others withdrew behind a number: a share that starts has not yet taken them off."""
    told = connection.execute(select(learned.c.body).where(learned.c.seq > after))
    return [id_ for row in told for id_ in _said(row.body)["withdrawn"]]


def _body(batch: Batch) -> dict[str, list[Any]]:
    changes = batch.changes
    return {
        "scenes": [each.id for each in changes.scenes],
        "removed": list(changes.removed),
        "cameras": [each.id for each in changes.cameras],
        "sought": [[each.scene, _told(each.now), each.least, each.kin] for each in changes.sought],
        "went_on": [_told(each) for each in changes.went_on],
        "alive": list(changes.alive),
        "sightings": [[each.placeholder, each.account, each.camera] for each in changes.sightings],
        "raised": [each.id for each in changes.raised],
        "withdrawn": [each.alert for each in changes.withdrawn],
        "judged": [
            [*_told(each.delivery), dict(each.delivery.attributes), each.verdict.value, each.rule, _ids(each.alerts)]
            for each in batch.judged
        ],
    }


def _ids(alerts: Iterable[Alert]) -> list[str]:
    return [alert.id for alert in alerts]


def _said(body: bytes) -> dict[str, list[Any]]:
    said: dict[str, list[Any]] = json.loads(zlib.decompress(body))
    return said


def _told(delivery: Delivery) -> list[str]:
    key = delivery.key
    return [key.source, key.id, delivery.time.isoformat(), delivery.account, delivery.camera]


def _delivery(told: Sequence[str]) -> Delivery:
    source, id_, time, account, camera = told
    return Delivery(DeliveryId(source, id_), datetime.fromisoformat(time), AccountId(account), CameraId(camera))


def _read(connection: Connection, said: dict[str, list[Any]]) -> Learned:
    """A row, with how what it names stands by now."""
    met = {each[0] for each in said["sightings"]}
    alerts = [rows.to_alert(row) for row in _named(connection, schema.alerts.c.id, said["raised"], _STANDS)]
    raised = {alert.id: alert for alert in alerts}
    gone = _named(connection, schema.alerts.c.id, said["withdrawn"], schema.alerts.c.withdrawn_at.is_not(None))
    return Learned(
        scenes=[rows.to_scene(row) for row in _named(connection, schema.scenes.c.id, said["scenes"])],
        removed=[SceneId(id_) for id_ in said["removed"]],
        cameras=[rows.to_camera(row) for row in _named(connection, schema.cameras.c.id, said["cameras"])],
        sought=[Sought(SceneId(id_), _delivery(now), least, kin) for id_, now, least, kin in said["sought"]],
        went_on=[_delivery(told) for told in said["went_on"]],
        alive=[SceneId(id_) for id_ in said["alive"]],
        placeholders=[rows.to_placeholder(r) for r in _named(connection, schema.placeholders.c.id, sorted(met))],
        sightings=[_sighting(*each) for each in said["sightings"]],
        raised=[raised[id_] for id_ in said["raised"] if id_ in raised],
        withdrawn=[Withdrawal(AlertId(row.id), row.withdrawn_at, row.withdrawn_why) for row in gone],
        judged=[_judgement(told, raised) for told in said["judged"]],
    )


def _sighting(placeholder: str, account: str, camera: str) -> Sighting:
    return Sighting(PlaceholderId(placeholder), AccountId(account), CameraId(camera))


def _judgement(told: Sequence[Any], raised: dict[AlertId, Alert]) -> Judgement:
    *named, attributes, verdict, rule, alerts = told
    delivery = replace(_delivery(named), attributes=attributes)
    return Judgement(delivery, Verdict(verdict), rule, {}, tuple(raised[id_] for id_ in alerts if id_ in raised))


def _named(connection: Connection, key: Column[Any], ids: Sequence[str], *where: ColumnElement[bool]) -> list[Any]:
    """The rows of these ids that are there."""
    found: list[Any] = []
    for begin in range(0, len(ids), IDS):
        found += connection.execute(select(key.table).where(key.in_(ids[begin : begin + IDS]), *where))
    return found


_STANDS: Final = schema.alerts.c.withdrawn_at.is_(None)
