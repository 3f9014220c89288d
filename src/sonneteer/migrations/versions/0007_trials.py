"""Searches: what happened to their trials, in order."""

import sqlalchemy as sql
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "trials",
        sql.Column("study", sql.String(200), primary_key=True),
        sql.Column("number", sql.Integer, primary_key=True),
        sql.Column("body", sql.Text, nullable=False),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("trials")
