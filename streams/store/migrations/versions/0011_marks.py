"""Marks of cameras and scenes: what a snapshot holds too is told from them, and need not be read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_SAID = {
    "cameras": ("presumed_owner", "first_seen", "last_seen", "body"),
    "scenes": (
        *("camera", "account", "standing", "delivery_source", "delivery_id"),
        *("first_seen", "last_seen", "seen", "body"),
    ),
}
"""What a mark is of, beside the id."""


def upgrade() -> None:
    """A column that is null until a judge fills it, and turns null where somebody changes the row and not the mark: a
    program of the version before, which goes on, or a person."""
    for table in _SAID:
        op.add_column(table, sa.Column("mark", sa.BigInteger(), nullable=True))
        op.create_index(f"ix_{table}_mark", table, ["mark"], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION mark_is_lost() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN NEW.mark := NULL; RETURN NEW; END $$"
        )
    for table, columns in _SAID.items():
        if op.get_bind().dialect.name == "postgresql":
            old, new = (f"({', '.join(f'{row}.{name}' for name in columns)})" for row in ("OLD", "NEW"))
            op.execute(
                f"CREATE TRIGGER {table}_mark BEFORE UPDATE ON {table} FOR EACH ROW "
                f"WHEN (OLD.mark = NEW.mark AND {old} IS DISTINCT FROM {new}) EXECUTE FUNCTION mark_is_lost()"
            )
        else:
            changed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in columns)
            lose = f"UPDATE {table} SET mark = NULL WHERE id = NEW.id"  # noqa: S608 - a name of ours
            op.execute(
                f"CREATE TRIGGER {table}_mark AFTER UPDATE ON {table} WHEN OLD.mark = NEW.mark AND ({changed}) "
                f"BEGIN {lose}; END"
            )
