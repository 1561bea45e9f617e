"""New stores of tests start from a mould: what the migrations make of an empty database, made once for a run's process.

Owns the mould of SQLite files; conftest.py has PostgreSQL's, a database that others are copied from. Stands where
SqlStore has streams/store/migrations. Refuses to touch a database that holds a table already: that is migrated, and so
is every one of those tests that are about migrations.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import inspect

from streams.store import migrations
from streams.store.database import Database
from streams.store.migrations import HEAD, check

__all__ = ["check", "upgrade"]


def upgrade(database: Database) -> tuple[str | None, str]:
    """Bring the schema to this program's, as migrations.upgrade does."""
    if database.is_sqlite and migrations.revision(database) is None:
        with database.writing() as connection:
            if not inspect(connection).get_table_names():
                for statement in statements():
                    connection.exec_driver_sql(statement)
                return None, HEAD
    return migrations.upgrade(database)


@cache
def statements() -> tuple[str, ...]:
    """What makes the schema and its first rows in an empty file."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "mould.db")
        database = Database(f"sqlite:///{path}")
        migrations.upgrade(database)
        database.close()
        with closing(sqlite3.connect(path)) as made:
            return tuple(line for line in made.iterdump() if line not in ("BEGIN TRANSACTION;", "COMMIT;"))
