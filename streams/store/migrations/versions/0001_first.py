"""The first schema."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _moment() -> sa.types.TypeEngine[Any]:
    return sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def _sequence() -> sa.types.TypeEngine[Any]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """From an empty database."""
    op.create_table(
        "alert_hours",
        sa.Column("hour", _moment(), nullable=False),
        sa.Column("least", sa.BigInteger(), nullable=False),
        sa.Column("most", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", name=op.f("pk_alert_hours")),
    )
    op.create_table(
        "cameras",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("presumed_owner", sa.Text(), nullable=True),
        sa.Column("first_seen", _moment(), nullable=False),
        sa.Column("last_seen", _moment(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cameras")),
    )
    op.create_table(
        "coverage",
        sa.Column("hour", _moment(), nullable=False),
        sa.Column("integration", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("stills", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "integration", "verdict", name=op.f("pk_coverage")),
    )
    op.create_table(
        "deployed",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("component", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("time", _moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployed")),
    )
    op.create_index("ix_deployed_time", "deployed", ["time"], unique=False)
    op.create_table(
        "incidents",
        sa.Column("seq", _sequence(), autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("integration", sa.Text(), nullable=False),
        sa.Column("opened", _moment(), nullable=False),
        sa.Column("first", _moment(), nullable=False),
        sa.Column("last", _moment(), nullable=False),
        sa.Column("leaks", sa.BigInteger(), nullable=False),
        sa.Column("shifts", sa.BigInteger(), nullable=False),
        sa.Column("viewers", sa.BigInteger(), nullable=False),
        sa.Column("owners", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_incidents")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_incidents_id", "incidents", ["id"], unique=True)
    op.create_index("ix_incidents_integration_seq", "incidents", ["integration", "seq"], unique=False)
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("process_start", sa.BigInteger(), nullable=False),
        sa.Column("lease_seconds", sa.Float(), nullable=False),
        sa.Column("since", _moment(), nullable=True),
        sa.Column("beat_at", _moment(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_meta")),
    )
    op.create_table(
        "offsets",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("lost", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", name=op.f("pk_offsets")),
    )
    op.create_table(
        "opened",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("delivery_source", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("time", _moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_opened")),
    )
    op.create_table(
        "rights",
        sa.Column("seq", _sequence(), autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("time", _moment(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_rights")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_rights_id", "rights", ["id"], unique=True)
    op.create_table(
        "scenes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("standing", sa.Text(), nullable=False),
        sa.Column("delivery_source", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("first_seen", _moment(), nullable=False),
        sa.Column("last_seen", _moment(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scenes")),
    )
    op.create_table(
        "alerts",
        sa.Column("seq", _sequence(), autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("delivery_source", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("delivered_at", _moment(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("owner_camera", sa.Text(), nullable=True),
        sa.Column("presumed", sa.Boolean(), nullable=False),
        sa.Column("raised_source", sa.Text(), nullable=False),
        sa.Column("raised_id", sa.Text(), nullable=False),
        sa.Column("raised_at", _moment(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("numbers", sa.Text(), nullable=False),
        sa.Column("scene", sa.Text(), nullable=True),
        sa.Column("integration", sa.Text(), nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("incident", sa.Text(), nullable=True),
        sa.Column("withdrawn_at", _moment(), nullable=True),
        sa.Column("withdrawn_why", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["incident"], ["incidents.id"], name=op.f("fk_alerts_incident")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_alerts")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alerts_camera_seq", "alerts", ["camera", "seq"], unique=False)
    op.create_index("ix_alerts_delivered_at_seq", "alerts", ["delivered_at", "seq"], unique=False)
    op.create_index("ix_alerts_id", "alerts", ["id"], unique=True)
    op.create_index("ix_alerts_incident_seq", "alerts", ["incident", "seq"], unique=False)
    op.create_index("ix_alerts_integration_seq", "alerts", ["integration", "seq"], unique=False)
    op.create_index("ix_alerts_kind_seq", "alerts", ["kind", "seq"], unique=False)
    op.create_index("ix_alerts_level_seq", "alerts", ["level", "seq"], unique=False)
    op.create_index("ix_alerts_owner_camera_seq", "alerts", ["owner_camera", "seq"], unique=False)
    op.create_index("ix_alerts_owner_seq", "alerts", ["owner", "seq"], unique=False)
    op.create_index("ix_alerts_recipient_seq", "alerts", ["recipient", "seq"], unique=False)
    op.create_index(
        "ix_alerts_standing",
        "alerts",
        ["seq"],
        unique=False,
        postgresql_where=sa.text("withdrawn_at IS NULL"),
        sqlite_where=sa.text("withdrawn_at IS NULL"),
    )
    op.create_index(
        "ix_alerts_withdrawn",
        "alerts",
        ["seq"],
        unique=False,
        postgresql_where=sa.text("withdrawn_at IS NOT NULL"),
        sqlite_where=sa.text("withdrawn_at IS NOT NULL"),
    )
