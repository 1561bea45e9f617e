"""Placeholders: pictures that many accounts get, who got them, and what a person said of them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _moment() -> sa.types.TypeEngine[Any]:
    return sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    """Two tables; programs of the version before never look at them."""
    op.create_table(
        "placeholders",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("accounts", sa.BigInteger(), nullable=False),
        sa.Column("stills", sa.BigInteger(), nullable=False),
        sa.Column("first_seen", _moment(), nullable=True),
        sa.Column("last_seen", _moment(), nullable=True),
        sa.Column("camera", sa.Text(), nullable=True),
        sa.Column("homes", sa.BigInteger(), nullable=False),
        sa.Column("owner_camera", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_placeholders")),
    )
    op.create_table(
        "placeholder_sightings",
        sa.Column("placeholder", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("camera", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("placeholder", "account", name=op.f("pk_placeholder_sightings")),
    )
