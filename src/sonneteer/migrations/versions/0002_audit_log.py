"""The audit log, which takes new entries and refuses every change of old ones."""

import sqlalchemy as sql
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table; in SQLite also the triggers that refuse changes."""
    op.create_table(
        "audit",
        sql.Column("number", sql.Integer, primary_key=True, autoincrement=False),
        sql.Column("at", sql.String(40), nullable=False),
        sql.Column("who", sql.String(255), nullable=False),
        sql.Column("action", sql.String(64), nullable=False),
        sql.Column("subject", sql.String(255), nullable=False, index=True),
        sql.Column("content", sql.Text, nullable=False),
        sql.Column("previous", sql.String(64), nullable=False),
        sql.Column("hash", sql.String(64), nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_refuses_{change.lower()} BEFORE {change} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("audit")
