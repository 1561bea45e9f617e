"""The database connection: SQLite or PostgreSQL behind one door.

Owns URLs, pragmas, transactions, the database's clock and what its errors mean. Refuses to know a table. Every
writing transaction on SQLite takes the write lock at its start, so that it never fails half-way for another writer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy import exc as sa_exc
from sqlalchemy.dialects import postgresql, sqlite

from models.errors import StrayframeError

BUSY_SECONDS: Final = 10
"""Seconds that a transaction waits for another one's lock. A batch's transaction takes milliseconds; whoever holds
a lock this long was stopped."""
IDLE_SECONDS: Final = 15
"""Seconds after which a writing transaction on PostgreSQL is ended whose client has gone silent: a judge that was
stopped in the middle of one would otherwise hold its rows' locks, and nobody could take over."""
CONNECT_SECONDS: Final = 10
"""Seconds for PostgreSQL to answer a connection attempt."""
SILENT_MILLISECONDS: Final = 30_000
"""Milliseconds after which a connection whose bytes nobody acknowledges is given up (TCP_USER_TIMEOUT)."""

_WRITES: Final = "strayframe_writes"
_END_SILENT: Final = text("""
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = session_user
      AND application_name = current_setting('application_name')
      AND backend_xid IS NOT NULL AND wait_event = 'ClientRead'
      AND state_change < clock_timestamp() - make_interval(secs => :seconds)
""")
_SQLITE_PASSING: Final = ("BUSY", "LOCKED", "FULL", "IOERR", "CANTOPEN", "READONLY", "NOMEM", "PROTOCOL")
_POSTGRES_PASSING: Final = ("08", "25", "40", "53", "55", "57", "58")
"""Classes of SQLSTATE that pass by themselves: connection, transaction state (a standby server, an idle transaction
that was ended), serialization, resources, locks, operator intervention, system errors. PostgreSQL's appendix A."""


class BadStoreUrl(StrayframeError):
    """The store's URL names no database that Strayframe can use; the message says what is accepted."""


class StoreUnavailable(StrayframeError):
    """The store cannot be reached or cannot write now: no connection, a lock, a full disk. Trying again may help."""

    retry: ClassVar[bool] = True


class StoreRefused(StrayframeError):
    """The database refused a statement, and would refuse it again: a damaged file, a missing right or table."""


class Database:
    """One database and its pool of connections; safe for several threads, not across a fork.

    Raises BadStoreUrl. Nothing is opened before the first use.
    """

    def __init__(self, url: str) -> None:
        parsed = _parsed(url)
        self.name = parsed.set(query={}).render_as_string(hide_password=True)  # a password may stand in the query, too
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.engine = _sqlite_engine(parsed) if self.is_sqlite else _postgres_engine(parsed)
        self._answering = self.engine if self.is_sqlite else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self.insert: Any = sqlite.insert if self.is_sqlite else postgresql.insert
        self._mine = threading.local()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one moment on SQLite, and each statement's own moment on PostgreSQL.

        There it opens no transaction: two round trips less, and nothing is rolled back, upon which the driver forgets
        the statements that it has prepared.
        """
        with self._connected(self._answering) as connection:
            yield connection

    @contextmanager
    def reading_through(self) -> Iterator[Connection]:
        """A connection as of `reading`, whose rows are fetched in chunks: that takes a transaction on PostgreSQL."""
        with self._connected(self.engine) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction: committed when the block ends well, else nothing of it stays. Raises as the class says."""
        with self._meaning():
            if (joined := self._joined()) is not None:
                yield joined
                return
            with self.engine.connect() as connection:
                connection.execution_options(**{_WRITES: True})
                with connection.begin():
                    if not self.is_sqlite:
                        connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
                    yield connection

    @contextmanager
    def together(self) -> Iterator[Connection]:
        """One transaction of all that this thread reads and writes here within the block, whoever does it. A block
        within another one is part of it."""
        before = self._joined()
        with self.writing() as connection:
            self._mine.connection = connection
            try:
                yield connection
            finally:
                self._mine.connection = before

    def _joined(self) -> Connection | None:
        """The transaction of the block in which this thread is."""
        joined: Connection | None = getattr(self._mine, "connection", None)
        return joined

    def end_silent(self) -> None:
        """End each session of ours on PostgreSQL that has written and then left the server waiting for IDLE_SECONDS.

        PostgreSQL does so itself where the client went silent between two statements, but neither amid the rows of
        one, which the driver sends as a pipeline, nor behind them. So whoever wants a lease, or holds one, does it.
        """
        if not self.is_sqlite:
            with self.reading() as connection:
                connection.execute(_END_SILENT, {"seconds": IDLE_SECONDS})

    def close(self) -> None:
        """Close every connection that is not in use."""
        self.engine.dispose()

    @contextmanager
    def _connected(self, engine: Engine) -> Iterator[Connection]:
        with self._meaning():
            if (joined := self._joined()) is not None:
                yield joined
                return
            with engine.connect() as connection:
                yield connection

    @contextmanager
    def _meaning(self) -> Iterator[None]:
        try:
            yield
        except sa_exc.DBAPIError as error:
            raise _meant(error, self.name) from error
        except sa_exc.StatementError as error:
            if isinstance(error.orig, StrayframeError):  # a value that its column's type refused
                raise error.orig from error
            raise
        except sa_exc.TimeoutError as error:
            raise StoreUnavailable(f"{self.name}: all connections are in use") from error


def _parsed(url: str) -> URL:
    accepted = "sqlite:///FILE and postgresql://USER:PASSWORD@HOST/NAME are accepted"
    try:
        parsed = make_url(url)
    except (sa_exc.ArgumentError, ValueError):  # the text may hold a password: it is not repeated
        raise BadStoreUrl(f"the store's URL cannot be read; {accepted}") from None
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        if not parsed.database:
            raise BadStoreUrl(f"the store's URL names no database; {accepted}")
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        return _sqlite_url(parsed)
    raise BadStoreUrl(f"the store's URL begins with {parsed.drivername!r}; {accepted}")


def _sqlite_url(url: URL) -> URL:
    if url.host:
        raise BadStoreUrl(f"sqlite://{url.host}/... names a host; a file takes three slashes: sqlite:///FILE")
    if not url.database or url.database.startswith((":memory:", "file:")):
        raise BadStoreUrl("the store is a file that outlives the process: sqlite:///FILE")
    path = Path(url.database)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise BadStoreUrl(f"{path} cannot be the store: its folder does not exist, or it is a folder itself")
    return url


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(url, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver opens no transaction of its own; `_begin` does
        for pragma in (f"busy_timeout = {BUSY_SECONDS * 1000}", "journal_mode = WAL", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgres_engine(url: URL) -> Engine:
    arguments = {
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": SILENT_MILLISECONDS,
        "application_name": "strayframe",
    }
    given = {key: value for key, value in arguments.items() if key not in url.query}
    engine = create_engine(url, hide_parameters=True, pool_pre_ping=True, pool_use_lifo=True, connect_args=given)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.execute("SET timezone = 'UTC'")
        connection.execute(f"SET lock_timeout = '{BUSY_SECONDS + IDLE_SECONDS}s'")
        connection.commit()

    return engine


def _meant(error: sa_exc.DBAPIError, name: str) -> StrayframeError:
    original = error.orig
    lines = str(original).strip().splitlines() or [type(original).__name__]
    code = getattr(original, "sqlite_errorname", None)
    if code is not None:
        passing = code.removeprefix("SQLITE_").split("_")[0] in _SQLITE_PASSING
    else:
        state = getattr(original, "sqlstate", None)
        passing = state[:2] in _POSTGRES_PASSING if state else _is_broken(error)
    said = f"{name}: {lines[0].rstrip('.')}"
    return StoreUnavailable(said) if passing else StoreRefused(said)


def _is_broken(error: sa_exc.DBAPIError) -> bool:
    return error.connection_invalidated or isinstance(error, sa_exc.OperationalError | sa_exc.InterfaceError)
