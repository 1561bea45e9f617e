"""Who may and who did: users, sessions, service tokens, the audit chain with its head."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_SQLITE = (
    "CREATE TRIGGER audit_keep_{verb} BEFORE {verb} ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END"
)
_POSTGRES = (
    "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'audit is append-only'; END $$",
    "CREATE TRIGGER audit_keep BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()",
    "CREATE TRIGGER audit_keep_all BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()",
)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite"), nullable=nullable)


def _texts(*names: str, nullable: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=nullable) for name in names]


def _number() -> sa.Column[Any]:
    return sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False)


def upgrade() -> None:
    """Five tables; programs of the version before never look at them."""
    op.create_table(
        "users",
        *_texts("name"),
        *_texts("password", "subject", nullable=True),
        *_texts("roles"),
        _moment("created_at"),
        _moment("signed_in_at", nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_users")),
    )
    op.create_index("ix_users_subject", "users", ["subject"], unique=True)
    op.create_table(
        "sessions",
        *_texts("digest", "user"),
        _moment("created_at"),
        _moment("expires_at"),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sessions")),
    )
    op.create_index("ix_sessions_user", "sessions", ["user"], unique=False)
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"], unique=False)
    op.create_table(
        "tokens",
        *_texts("id", "name", "digest", "access"),
        _moment("created_at"),
        *_texts("created_by"),
        _moment("expires_at"),
        _moment("revoked_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
    )
    op.create_index("ix_tokens_digest", "tokens", ["digest"], unique=True)
    op.create_table(
        "audit",
        _number(),
        _moment("at"),
        *_texts("actor", "via", "what", "subject", "integration", "detail", "before", "digest"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit")),
    )
    for name in ("actor", "what", "subject"):
        op.create_index(f"ix_audit_{name}_number", "audit", [name, "number"], unique=False)
    op.create_table(
        "audit_head",
        *_texts("name"),
        sa.Column("number", sa.BigInteger(), nullable=False),
        *_texts("digest"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_audit_head")),
    )
    head = sa.table("audit_head", sa.column("name"), sa.column("number"), sa.column("digest"))
    op.bulk_insert(head, [{"name": "head", "number": 0, "digest": "0" * 64}])
    if op.get_bind().dialect.name == "sqlite":
        statements = [_SQLITE.format(verb=verb) for verb in ("UPDATE", "DELETE")]
    else:
        statements = list(_POSTGRES)
    for statement in statements:
        op.execute(statement)
