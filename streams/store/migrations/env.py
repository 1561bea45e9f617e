"""Alembic's entry: runs migrations on the connection that streams/store/migrations/__init__.py hands over."""

from __future__ import annotations

from alembic import context

from streams.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite's too: streams/store/database.py begins every transaction itself
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
