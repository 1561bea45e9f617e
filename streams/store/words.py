"""What persons said that holds for more than one scope: the kill switch, the modes of integrations.

Owns the table `words`, of which the latest row on a subject holds, and the number that orders persons and judges: who
moves a switch, or says a word, locks it first. Refuses to decide what follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, func, select, update

from detector.policy import Mode
from models.records import utc
from streams.store import schema
from streams.store.suspension_schema import words

WORDS: Final = "suspension_words"
"""Where `meta` counts what persons said, as decimal digits. Its row is the lock of all that moves a switch."""
KILL, MODE = "kill-switch", "mode"
ON, OFF = "on", "off"


@dataclass(frozen=True, slots=True)
class Word:
    """What a person said that holds for more than one scope, and when. `integration` is empty for the kill switch."""

    at: datetime
    actor: str
    subject: str
    integration: str
    value: str
    why: str

    @property
    def is_on(self) -> bool:
        """Of the kill switch: whether it is on."""
        return self.value == ON

    def told(self, *, named: bool) -> str:
        """Of the kill switch: how it stands, in words; by whom and why, where that may be `named`."""
        since, by = f"{utc(self.at):%Y-%m-%dT%H:%M:%SZ}", f", by {self.actor} ({self.why})" if named else ""
        return f"ON since {since}{by}: nothing acts" if self.is_on else "off"


def lock(connection: Connection) -> int:
    """Wait until nobody else moves a switch, keep others out until this transaction ends; the number of words."""
    meta = schema.meta
    found = connection.scalar(select(meta.c.value).where(meta.c.name == WORDS).with_for_update())
    assert found is not None, "the migration that made the tables made this row"
    return int(found)


def number(connection: Connection) -> int:
    """How often persons have spoken."""
    meta = schema.meta
    return int(connection.scalar(select(meta.c.value).where(meta.c.name == WORDS)) or 0)


def latest(connection: Connection, subject: str) -> dict[str, Word]:
    """The latest word on the subject, by integration."""
    newest = select(func.max(words.c.seq)).where(words.c.subject == subject).group_by(words.c.integration)
    found = connection.execute(select(words).where(words.c.seq.in_(newest)))
    return {row.integration: Word(row.at, row.actor, row.subject, row.integration, row.value, row.why) for row in found}


def killed() -> ColumnElement[bool]:
    """Within a statement: whether the kill switch is on."""
    last = select(words.c.value).where(words.c.subject == KILL).order_by(words.c.seq.desc()).limit(1)
    return func.coalesce(last.scalar_subquery(), OFF) == ON


def is_killed(connection: Connection) -> bool:
    """Whether the kill switch is on."""
    return bool(connection.scalar(select(killed())))


def modes(connection: Connection) -> dict[str, Mode]:
    """The mode of each integration for which somebody set one."""
    return {name: Mode(word.value) for name, word in latest(connection, MODE).items()}


def count(connection: Connection, said: int) -> None:
    """Let judges know that a person spoke: the number grows from what `lock` gave."""
    meta = schema.meta
    connection.execute(update(meta).where(meta.c.name == WORDS).values(value=str(said + 1).encode()))
