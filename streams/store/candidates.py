"""Placeholder candidates that persons name: an alert was false, because its picture is nobody's home.

Owns the way from an alert to the look of its picture: the scene that it rests on. No picture is kept, so it is the
scene's thumbnail and digest. Refuses to confirm: a candidate is judged like any still until a person rules on it.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update

from detector.known import Known, read_scene
from models.code import code_of
from models.errors import StrayframeError
from models.packing import unpack
from models.placeholder import Gallery, Look, Placeholder, PlaceholderId, State, placeholder_id
from models.records import Alert
from streams.store import rows, schema
from streams.store.sql import SomebodysHome, SqlStore


class NothingKept(StrayframeError):
    """The alert rests on no scene that is still kept: rights decided, or its scene was given up. Give a file instead:
    `strayframe placeholder add FILE`."""


def name_candidate(store: SqlStore, alert: Alert, actor: str, at: datetime) -> PlaceholderId:
    """Make the alert's picture a candidate that persons are shown; one that was met before becomes it.

    Raises NothingKept, SomebodysHome.
    """
    known, look = _look_of(store, alert)
    if known.lives:
        raise SomebodysHome(f"camera {known.record.camera} lives with what {alert.id} shows: it is that camera's home")
    label = f"named by {actor} on {alert.id}"
    met = Gallery()
    for held in store.placeholders(shown=False):
        met.add(held.id, Look.from_bytes(held.body))
    same = met.find(look)
    if same is None:
        seen = alert.delivered_at
        one = Placeholder(placeholder_id(look), State.CANDIDATE, look.to_bytes(), label=label)
        one.first_seen, one.last_seen, one.camera = seen, seen, alert.camera
        store.put_placeholder(one)
        return one.id
    table = schema.placeholders
    with store.database.writing() as connection:
        unnamed = (table.c.id == same, table.c.label == "")
        connection.execute(update(table).where(*unnamed).values(label=label))
        store.count_ruling(connection)
    return same


def _look_of(store: SqlStore, alert: Alert) -> tuple[Known, Look]:
    table = schema.scenes
    with store.database.reading() as connection:
        row = None
        if alert.scene is not None:
            row = connection.execute(select(table).where(table.c.id == alert.scene)).one_or_none()
    if row is None:
        raise NothingKept(f"{alert.id} rests on no scene that is still kept; `strayframe placeholder add` takes a file")
    known, packed = read_scene(rows.to_scene(row))
    if packed is None:
        return known, Look(known.digest)
    levels = unpack(packed)
    return known, Look(known.digest, levels, *code_of(levels))
