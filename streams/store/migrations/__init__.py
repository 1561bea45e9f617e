"""The store's schema and its versions: `upgrade` brings a database to this program's, `check` only looks.

Owns when migrations run: under a lock, in one transaction, at the start. Refuses a database that a newer program
wrote. A migration must leave the programs of the version before it working (docs/store.md).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, inspect, text

from models.errors import StrayframeError
from streams.store.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

HEAD: Final = "0013"
"""The revision that this program reads and writes; tests/test_store.py holds it equal to the newest migration."""
REVISIONS: Final = tuple(f"{number:04}" for number in range(1, int(HEAD) + 1))
"""Every revision that this program knows, oldest first."""
_LOCK: Final = 0x53_54_52_41_59
"""Key of PostgreSQL's advisory lock under which one process at a time migrates: "STRAY"."""


class SchemaOutdated(StrayframeError):
    """The store was written by an older program and has to be upgraded first: `strayframe store upgrade`."""


class SchemaTooNew(StrayframeError):
    """The store was upgraded by a newer program than this one. Run that one, or restore a backup from before."""


def revision(database: Database) -> str | None:
    """The schema's revision in the database, None in an empty one."""
    with database.reading() as connection:
        return _revision(connection)


def check(database: Database) -> None:
    """Raise SchemaOutdated or SchemaTooNew unless the schema is this program's."""
    found = revision(database)
    _refuse_newer(database, found)
    if found != HEAD:
        raise SchemaOutdated(
            f"{database.name}: the schema is at revision {found or 'none'} and this program needs {HEAD}; "
            "run `strayframe store upgrade`"
        )


def upgrade(database: Database) -> tuple[str | None, str]:
    """Bring the schema to this program's; returns the revision before and after. Raises SchemaTooNew."""
    before = revision(database)
    _refuse_newer(database, before)
    if before == HEAD:
        return HEAD, HEAD
    from alembic import command  # imported here: only an upgrade should pay for it

    with database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        before = _revision(connection)
        _refuse_newer(database, before)
        command.upgrade(configuration(connection), HEAD)
    return before, HEAD


def configuration(connection: Connection) -> Config:
    """Alembic's configuration for this connection; no file is read."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _refuse_newer(database: Database, found: str | None) -> None:
    if found is not None and found not in REVISIONS:
        raise SchemaTooNew(
            f"{database.name}: the schema is at revision {found}, which this program does not know; it knows "
            f"up to {HEAD}. A newer program upgraded this store"
        )
