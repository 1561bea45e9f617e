"""What suspensions rest on, the silence that tells, notices that ask to act, and who ruled on a placeholder."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ACTED = "'suspension.requested', 'suspension.changed', 'suspension.lifted'"


def _moment() -> sa.types.TypeEngine[Any]:
    return sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    """New columns are empty or have defaults. Notices that wait and may ask somebody to act count as such ones."""
    op.add_column("suspensions", sa.Column("quiet", sa.Float(), nullable=True))
    op.add_column("notices", sa.Column("acts", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.execute(f"UPDATE notices SET acts = true WHERE type IN ({ACTED})")  # noqa: S608 - our own words
    op.create_index("ix_calls_notice", "calls", ["notice"], unique=False)
    op.add_column("placeholders", sa.Column("ruled_by", sa.Text(), nullable=True))
    op.add_column("placeholders", sa.Column("ruled_at", _moment(), nullable=True))
    op.create_table(
        "suspension_evidence",
        sa.Column("suspension", sa.Text(), nullable=False),
        sa.Column("alert", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("suspension", "alert", name=op.f("pk_suspension_evidence")),
    )
    _remember()


def _remember() -> None:
    """What the moves so far rested on."""
    moves = op.get_bind().execute(sa.text("SELECT suspension, evidence FROM transitions")).all()
    rests = {(suspension, alert) for suspension, told in moves for alert in json.loads(told)["alerts"]}
    table = sa.table("suspension_evidence", sa.column("suspension", sa.Text()), sa.column("alert", sa.Text()))
    op.bulk_insert(table, [{"suspension": one, "alert": alert} for one, alert in sorted(rests)])
