"""Alerts by time of delivery: each filter has a second index, in which a span of time is a walk as a page is."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ASKED = ("recipient", "owner", "camera", "owner_camera", "integration", "incident")
GONE = "(CASE WHEN (withdrawn_at IS NULL) THEN 0 ELSE 1 END)"
AGE = "(-seq)"


def upgrade() -> None:
    """The time leaves the old indexes, and what bounded a walk along them goes."""
    marks: list[Any] = ["kind", "level", sa.text(GONE)]
    op.drop_index("ix_alerts_delivered_at_seq", "alerts")
    for name in (*ASKED, None):
        index, asked = ("ix_alerts", []) if name is None else (f"ix_alerts_{name}", [name])
        op.drop_index(f"{index}_walk", "alerts")
        op.create_index(f"{index}_walk", "alerts", [*asked, *marks, sa.text(AGE)], unique=False)
        op.create_index(f"{index}_span", "alerts", [*asked, *marks, "delivered_at", "seq"], unique=False)
    op.drop_table("alert_hours")
