"""The store: what earlier batches added up to, on SQLite or PostgreSQL.

Owns the transaction of a batch and the offsets in it. Refuses to write without the lease, and to write half: a
commit is all of the batch or nothing, and a judge that was replaced writes nothing at all. docs/store.md.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Connection, Row, Select, bindparam, func, or_, select, update

from detector.engine import Knowledge
from detector.turn import Standing
from models.errors import StrayframeError
from models.placeholder import Placeholder, PlaceholderId, State
from streams.judge import Batch, Move, News
from streams.share import WHOLE, Share
from streams.store import audit, learned, marks, migrations, outbox, rows, schema
from streams.store import lease as leasing
from streams.store.answers import Answers
from streams.store.database import Database
from streams.store.lease import Fenced, Lease
from streams.store.queries import RULINGS, Queries, rulings, standing
from streams.store.suspensions import Suspensions
from streams.store.writing import Writing, unmeet

T = TypeVar("T")

CHUNK: Final = 2000
"""Rows fetched at a time while reading all: a few megabytes of scenes."""
DIGEST_KEY: Final = "digest_key"
DIGEST_KEY_BYTES: Final = 32
HOOK_KEY: Final = "hook_key"
HOOK_KEY_BYTES: Final = 32
SIGN_IN_KEY: Final = "sign_in_key"
SIGN_IN_KEY_BYTES: Final = 32
IDENTITY: Final = "identity"
IDENTITY_BYTES: Final = 16


class SomebodysHome(StrayframeError):
    """The picture is what one living camera shows: it cannot be confirmed as nobody's home."""


class SqlStore(Queries):
    """A store by its database URL. Safe for several threads; one judging process holds its lease.

    Brings the schema up to date unless `upgrade` is False. Raises BadStoreUrl, StoreUnavailable, StoreRefused,
    SchemaTooNew and, without `upgrade`, SchemaOutdated.
    """

    def __init__(self, url: str, *, upgrade: bool = True) -> None:
        super().__init__(Database(url))
        self.lease: Lease | None = None
        self.share = WHOLE
        self._folded = 0
        self._followed: dict[tuple[str, int], int] = {}
        self.suspensions = Suspensions(self.database, outbox.put)
        self.answers = Answers(self.database)
        self.writing = Writing(self.database)
        try:
            if upgrade:
                migrations.upgrade(self.database)
            else:
                migrations.check(self.database)
        except BaseException:
            self.database.close()
            raise

    def __enter__(self) -> SqlStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the lease, if it is held, and close the connections."""
        try:
            self.release()
        finally:
            self.database.close()

    # --- the lease ---------------------------------------------------------------------------------------

    def acquire(self, lease_seconds: float, who: str = "strayframe", share: Share = WHOLE) -> Lease:
        """Take the lease of a share, needed to commit. Raises JudgeRunning."""
        self.lease = leasing.acquire(self.database, lease_seconds, who, _judge(share))
        self._join(share)
        return self.lease

    def standby(
        self, lease_seconds: float, wait: Callable[[float], bool], who: str = "strayframe", share: Share = WHOLE
    ) -> Lease | None:
        """Wait for the lease and take it; None when `wait(seconds)` returned True, which gives up."""
        self.lease = leasing.standby(self.database, lease_seconds, wait, who, _judge(share))
        if self.lease is not None:
            self._join(share)
        return self.lease

    def _join(self, share: Share) -> None:
        """Enter the share. Where others keep offsets, these are noted now, before anything is read that they led to."""
        table = schema.offsets
        with self.database.writing() as connection:
            self._folded = learned.join(connection, share)
            found = connection.execute(select(table.c.topic, table.c.partition, table.c.next_offset))
            self._followed = {(row.topic, row.partition): row.next_offset for row in found}
        self.share = share

    def release(self) -> None:
        """Give the lease back. Without one nothing happens."""
        held, self.lease = self.lease, None
        if held is not None:
            held.release()

    # --- what the judge starts from ------------------------------------------------------------------------

    def knowledge(self) -> Knowledge:
        """All that earlier batches added up to. Nothing is read before it is iterated, in chunks, as often as wished.

        Rights and alerts come in the order in which they were stored, incidents oldest first; withdrawn alerts
        stay out, but under the lease for those that another share withdrew and `news` will tell of. Placeholders
        alone are read at once. To be read under the lease: of other shares it may hold some of what `news` tells.
        """
        alerts, incidents, deployed = schema.alerts, schema.incidents, schema.deployed
        untold: list[str] = []
        if self.lease is not None:  # who only looks takes nothing up
            with self.database.reading() as connection:
                untold = learned.withdrawn_since(connection, self._folded)
        stands = or_(alerts.c.withdrawn_at.is_(None), alerts.c.id.in_(untold)) if untold else None
        within = select(alerts.c.id, alerts.c.incident).where(
            alerts.c.withdrawn_at.is_(None) if stands is None else stands, alerts.c.incident.is_not(None)
        )
        raised = standing() if stands is None else select(alerts).where(stands)
        return Knowledge(
            rights=self._all(select(schema.rights).order_by(schema.rights.c.seq), rows.to_right),
            cameras=marks.cameras(self.database),
            scenes=marks.scenes(self.database),
            alerts=self._all(raised.order_by(alerts.c.seq), rows.to_alert),
            incidents=self._all(select(incidents).order_by(incidents.c.seq), rows.to_incident),
            members=self._all(within.order_by(alerts.c.seq), tuple),
            deployed=self._all(select(deployed).order_by(deployed.c.time, deployed.c.id), rows.to_deployed),
            counted=self._all(select(schema.tally), rows.to_bucket),
            placeholders=self.shelf(),
        )

    def mark(self) -> int:
        """Give a mark to each camera and scene that an older program stored; how many. Raises Fenced."""
        return marks.fill(self.database, self._held())

    def digest_key(self) -> bytes:
        """The key of the digests of stills: drawn when first asked for, the same ever after."""
        return self._drawn(DIGEST_KEY, DIGEST_KEY_BYTES)

    def hook_key(self) -> bytes:
        """The key that secrets of hooks derive from: drawn when first asked for, the same ever after."""
        return self._drawn(HOOK_KEY, HOOK_KEY_BYTES)

    def sign_in_key(self) -> bytes:
        """The key that signs what a browser keeps while its owner signs in elsewhere; drawn once, as the others are."""
        return self._drawn(SIGN_IN_KEY, SIGN_IN_KEY_BYTES)

    def identity(self) -> str:
        """What tells this store from any other: drawn when first asked for, the same ever after."""
        return self._drawn(IDENTITY, IDENTITY_BYTES).hex()

    def _drawn(self, name: str, size: int) -> bytes:
        with self.database.reading() as connection:
            value = _meta(connection, name)
        if value is not None:
            return value
        drawn = {"name": name, "value": secrets.token_bytes(size)}
        with self.database.writing() as connection:
            connection.execute(self.database.insert(schema.meta).on_conflict_do_nothing(), drawn)
            value = _meta(connection, name)
        assert value is not None
        return value

    # --- offsets -------------------------------------------------------------------------------------------

    def positions(self, topic: str) -> dict[int, int]:
        """The next offset to read of each partition that was ever claimed."""
        table = schema.offsets
        with self.database.reading() as connection:
            found = connection.execute(select(table.c.partition, table.c.next_offset).where(table.c.topic == topic))
            return {row.partition: row.next_offset for row in found}

    def lost(self, topic: str) -> int:
        """Messages of the topic that the broker no longer had when they were to be read."""
        table = schema.offsets
        with self.database.reading() as connection:
            return int(connection.scalar(select(func.sum(table.c.lost)).where(table.c.topic == topic)) or 0)

    def claim(self, topic: str, partition: int, begin: int) -> int:
        """Make the partition this lease's; returns its next offset, `begin` where it was never read. Raises Fenced."""
        held, table = self._held(), schema.offsets
        row = {"topic": topic, "partition": partition, "epoch": held.epoch, "next_offset": begin, "lost": 0}
        claim = self.database.insert(table).values(row)
        claim = claim.on_conflict_do_update(index_elements=["topic", "partition"], set_={"epoch": held.epoch})
        where = (table.c.topic == topic, table.c.partition == partition)
        with self.database.writing() as connection:
            connection.execute(claim)
            offset = connection.scalar(select(table.c.next_offset).where(*where))
            held.fence(connection)
        assert offset is not None
        return int(offset)

    def follow(self, topic: str, partition: int, begin: int) -> int:
        """Where to read a partition whose offsets another share keeps: what it read before was in the store when this
        share was entered; `begin` where it was never read."""
        return self._followed.get((topic, partition), begin)

    # --- what other matchers learned ---------------------------------------------------------------------------

    def news(self, after: int | None = None) -> News | None:
        """What other shares told behind a number, or since this one's last commit; None where there is nothing."""
        with self.database.reading() as connection:
            return learned.news(connection, self.share, self._folded if after is None else after)

    # --- what persons said of suspensions, for the judge ---------------------------------------------------------

    def standing(self) -> Standing:
        """All that a switchboard starts from."""
        return self.suspensions.standing()

    # --- what a person says of a placeholder: no lease is needed, the judge looks after its next commit -----------

    def put_placeholder(self, given: Placeholder) -> None:
        """Store a placeholder that a person gave, in its state; one of that id takes over the state and the label."""
        table = schema.placeholders
        insert = self.database.insert(table)
        said = {name: insert.excluded[name] for name in ("state", "label")}
        with self.database.writing() as connection:
            connection.execute(
                insert.on_conflict_do_update(index_elements=["id"], set_=said), [rows.of_placeholder(given)]
            )
            self._ruled(connection, "placeholder.added", given.id, state=given.state.value)

    def rule(self, id: PlaceholderId, state: State, actor: str | None = None, at: datetime | None = None) -> bool:
        """Set what a person says of a placeholder. False when there is none of that id. Raises SomebodysHome."""
        table = schema.placeholders
        said = {"state": state.value, "ruled_by": actor, "ruled_at": at}
        with self.database.writing() as connection:
            row = connection.execute(select(table).where(table.c.id == id).with_for_update()).one_or_none()
            if row is not None and state is State.CONFIRMED and row.homes == 1:
                camera = row.owner_camera
                raise SomebodysHome(f"{id} shows the home of camera {camera}: who else got it is told as a leak")
            found = connection.execute(update(table).where(table.c.id == id).values(said)).rowcount == 1
            if found:
                self._ruled(connection, "placeholder.ruled", id, actor, state=state.value)
            return found

    def remove_placeholder(self, id: PlaceholderId) -> bool:
        """Forget a placeholder and its sightings. False when there is none of that id."""
        with self.database.writing() as connection:
            found = unmeet(connection, [id]) == 1
            if found:
                self._ruled(connection, "placeholder.removed", id)
            return found

    def _ruled(
        self, connection: Connection, what: str, id: PlaceholderId, actor: str | None = None, **detail: str
    ) -> None:
        self.count_ruling(connection)
        audit.write(connection, what, id, actor=actor, **detail)

    def count_ruling(self, connection: Connection) -> None:
        """Let judges know that a person said something of a placeholder: they look after their next commit."""
        number = str(rulings(connection) + 1).encode()
        insert = self.database.insert(schema.meta).values(name=RULINGS, value=number)
        connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"value": number}))

    # --- the transaction -----------------------------------------------------------------------------------

    def commit(self, batch: Batch) -> None:
        """Write the batch in one transaction, or nothing.

        Raises Overtaken when a person spoke since its turn was decided: decide again. Raises Fenced when another judge
        took over, when a partition was not where the batch began, or when no lease is held; StoreUnavailable when it
        may succeed later. After either of these the caller starts again from the store: a connection that broke at
        the last moment does not tell whether the transaction was kept.
        """
        held = self._held()
        with self.database.writing() as connection:
            if not self.share.is_whole:
                learned.lock(connection)
            if batch.turn is not None:
                self.suspensions.write(connection, batch.turn)  # first: who was overtaken knows before it writes
            self.writing.write(connection, batch, rights=self.share.is_desk)
            outbox.put(connection, batch.notices)
            _move(connection, [move for move in batch.moves if not move.followed], held)
            learned.write(connection, self.share, batch)
            held.fence(connection)  # last: from here to the end of the transaction nobody can take over
        if batch.folded is not None:
            self._folded = batch.folded

    def _held(self) -> Lease:
        if self.lease is None:
            raise Fenced("this process does not hold the store's lease; nothing was written")
        self.lease.check()
        return self.lease

    def _all(self, statement: Select[Any], to: Callable[[Row[Any]], T]) -> _Read[T]:
        def read() -> Iterator[T]:
            with self.database.reading_through() as connection:
                for chunk in connection.execution_options(yield_per=CHUNK).execute(statement).partitions():
                    yield from map(to, chunk)

        return _Read(read)


@dataclass(frozen=True, slots=True)
class _Read(Generic[T]):
    """An iterable that reads anew each time it is iterated."""

    read: Callable[[], Iterator[T]]

    def __iter__(self) -> Iterator[T]:
        return self.read()


def _judge(share: Share) -> str:
    return leasing.JUDGE if share.is_whole else leasing.judge_of(str(share))


def _meta(connection: Connection, name: str) -> bytes | None:
    meta = schema.meta
    value: bytes | None = connection.scalar(select(meta.c.value).where(meta.c.name == name))
    return value


def _move(connection: Connection, moves: Sequence[Move], lease: Lease) -> None:
    """Move the offsets. Raises Fenced where one is not where its batch began."""
    if not moves:
        return
    table = schema.offsets
    as_known = (
        table.c.topic == bindparam("of"),
        table.c.partition == bindparam("number"),
        table.c.epoch == lease.epoch,
        table.c.next_offset == bindparam("first"),
    )
    moved = update(table).where(*as_known).values(next_offset=bindparam("next"), lost=table.c.lost + bindparam("gone"))
    values = [
        {"of": each.topic, "number": each.partition, "first": each.first, "next": each.next, "gone": each.lost}
        for each in moves
    ]
    if connection.execute(moved, values).rowcount != len(moves):
        begins = ", ".join(f"{each.topic}[{each.partition}] at {each.first}" for each in moves)
        raise Fenced(
            f"not all is where the batch began under epoch {lease.epoch} ({begins}): another judge moved it, or it was "
            "never claimed; nothing was written"
        )
