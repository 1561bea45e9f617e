"""Incidents that end and say why; what persons say of them; how many stills were delivered on which path."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

QUIET_HOURS = 6


def _moment() -> sa.types.TypeEngine[Any]:
    return sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def _sequence() -> sa.Column[int]:
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("seq", whole, primary_key=True, autoincrement=True, nullable=False)


def upgrade() -> None:
    """New columns have defaults and new tables nobody else looks at; incidents so far count as ended when they fell
    quiet."""
    op.add_column("incidents", sa.Column("resolved", _moment(), nullable=True))
    for name in ("reopened", "updates"):
        op.add_column("incidents", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("incidents", sa.Column("told", _moment(), nullable=True))
    op.add_column("incidents", sa.Column("news", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("incidents", sa.Column("split_from", sa.Text(), nullable=True))
    op.add_column("incidents", sa.Column("analysis", sa.Text(), nullable=True))
    sqlite = op.get_bind().dialect.name == "sqlite"
    quiet = f"last + {QUIET_HOURS * 3_600_000_000}" if sqlite else f"last + interval '{QUIET_HOURS} hours'"
    op.execute(f"UPDATE incidents SET resolved = {quiet}, told = opened")  # noqa: S608 - our own words
    op.create_table(
        "tally",
        sa.Column("integration", sa.Text(), nullable=False),
        sa.Column("span", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("integration", "span", "number", name=op.f("pk_tally")),
    )
    op.create_table(
        "triage",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged", _moment(), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("assignee", sa.Text(), nullable=True),
        sa.Column("ruling", sa.Text(), nullable=True),
        sa.Column("confirmed", _moment(), nullable=True),
        sa.Column("snoozed_until", _moment(), nullable=True),
        sa.Column("snoozed_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_triage")),
    )
    op.create_index("ix_triage_ruling", "triage", ["ruling"], unique=False)
    op.create_index("ix_triage_snoozed_until", "triage", ["snoozed_until"], unique=False)
    op.create_table(
        "triage_log",
        _sequence(),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("at", _moment(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("did", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_triage_log")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_triage_log_subject_seq", "triage_log", ["subject", "seq"], unique=False)
    for name in ("camera", "account"):
        op.create_index(f"ix_rights_{name}_seq", "rights", [name, "seq"], unique=False)
