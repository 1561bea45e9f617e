"""Suspensions: the switches, their transitions, what persons said, and the rolls of integrations."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _moment() -> sa.types.TypeEngine[Any]:
    return sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def _sequence() -> sa.types.TypeEngine[Any]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _texts(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _moments(*names: str, nullable: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, _moment(), nullable=nullable) for name in names]


def _numbered(name: str, *columns: sa.Column[Any]) -> None:
    key = sa.PrimaryKeyConstraint("seq", name=op.f(f"pk_{name}"))
    op.create_table(name, sa.Column("seq", _sequence(), nullable=False), *columns, key, sqlite_autoincrement=True)


def upgrade() -> None:
    """Five tables, and the number of what persons said; programs of the version before never look at them."""
    _numbered(
        "suspensions",
        *_texts("id", "integration", "breadth", "scope", "state"),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("share", sa.Float(), nullable=False),
        *_moments("since", "ordered", "settled", nullable=True),
        *_texts("evidence"),
        sa.Column("carried", sa.Boolean(), nullable=False),
        sa.Column("shadow", sa.Boolean(), nullable=False),
        sa.Column("asked", sa.Text(), nullable=True),
        sa.Column("approved", sa.Text(), nullable=True),
        sa.Column("clean", sa.BigInteger(), nullable=False),
        *_moments("last", nullable=True),
    )
    op.create_index("ix_suspensions_id", "suspensions", ["id"], unique=True)
    op.create_index("ix_suspensions_state_seq", "suspensions", ["state", "seq"], unique=False)
    op.create_index("ix_suspensions_integration_seq", "suspensions", ["integration", "seq"], unique=False)
    _numbered(
        "transitions",
        *_texts("suspension"),
        sa.Column("version", sa.BigInteger(), nullable=False),
        *_moments("at", "stored_at"),
        *_texts("what", "before", "after"),
        sa.Column("share", sa.Float(), nullable=False),
        sa.Column("shadow", sa.Boolean(), nullable=False),
        *_texts("actor"),
        sa.Column("person", sa.Boolean(), nullable=False),
        *_texts("reason", "why", "numbers", "evidence"),
        sa.Column("page", sa.Boolean(), nullable=False),
        *_texts("rules"),
    )
    op.create_index("ix_transitions_suspension_version", "transitions", ["suspension", "version"], unique=True)
    op.create_index("ix_transitions_at", "transitions", ["at"], unique=False)
    _numbered("words", *_moments("at"), *_texts("actor", "subject", "integration", "value", "why"))
    op.create_index("ix_words_subject_integration_seq", "words", ["subject", "integration", "seq"], unique=False)
    op.create_table(
        "requests",
        *_texts("key", "digest", "suspension"),
        sa.Column("version", sa.BigInteger(), nullable=False),
        *_moments("at"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_requests")),
    )
    op.create_index("ix_requests_at", "requests", ["at"], unique=False)
    op.create_table(
        "rolls",
        *_texts("integration"),
        *_moments("first_seen"),
        *_moments("warm_at", nullable=True),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("cameras", "known", "accounts")),
        *(sa.Column(name, sa.LargeBinary(), nullable=False) for name in ("known_cameras", "known_accounts")),
        sa.PrimaryKeyConstraint("integration", name=op.f("pk_rolls")),
    )
    meta = sa.table("meta", sa.column("name", sa.Text()), sa.column("value", sa.LargeBinary()))
    op.bulk_insert(meta, [{"name": "suspension_words", "value": b"0"}])
