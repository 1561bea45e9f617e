"""The outbox: notices, hooks, calls and attempts."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _moment() -> sa.types.TypeEngine[Any]:
    return sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def _sequence() -> sa.types.TypeEngine[Any]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Four tables; programs of the version before never look at them."""
    op.create_table(
        "notices",
        sa.Column("seq", _sequence(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("at", _moment(), nullable=False),
        sa.Column("integration", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("stored_at", _moment(), nullable=False),
        sa.Column("routed_at", _moment(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_notices")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notices_id", "notices", ["id"], unique=True)
    _partial("ix_notices_unrouted", "notices", ["seq"], "routed_at IS NULL")
    op.create_table(
        "hooks",
        sa.Column("seq", _sequence(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("integration", sa.Text(), nullable=True),
        sa.Column("events", sa.Text(), nullable=True),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("previous_until", _moment(), nullable=True),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("disabled_at", _moment(), nullable=True),
        sa.Column("disabled_why", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_hooks")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_hooks_id", "hooks", ["id"], unique=True)
    op.create_table(
        "calls",
        sa.Column("seq", _sequence(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("notice", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("due_at", _moment(), nullable=False),
        sa.Column("begun_at", _moment(), nullable=True),
        sa.Column("settled_at", _moment(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_calls")),
        sa.ForeignKeyConstraint(["notice"], ["notices.id"], name=op.f("fk_calls_notice")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_calls_id", "calls", ["id"], unique=True)
    op.create_index("ix_calls_target_seq", "calls", ["target", "seq"], unique=False)
    _partial("ix_calls_due", "calls", ["target", "rank", "seq"], "settled_at IS NULL")
    _partial("ix_calls_lane", "calls", ["target", "lane", "seq"], "settled_at IS NULL")
    op.create_table(
        "attempts",
        sa.Column("seq", _sequence(), nullable=False),
        sa.Column("call", sa.Text(), nullable=False),
        sa.Column("at", _moment(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_attempts")),
        sa.ForeignKeyConstraint(["call"], ["calls.id"], name=op.f("fk_attempts_call")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_attempts_call_seq", "attempts", ["call", "seq"], unique=False)


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, unique=False, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
