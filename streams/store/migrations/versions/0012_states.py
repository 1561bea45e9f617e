"""The log of calls by state: the few that failed are found without reading all that were delivered."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """An index more; a program of the version before writes it as well."""
    op.create_index("ix_calls_target_state_seq", "calls", ["target", "state", "seq"], unique=False)
