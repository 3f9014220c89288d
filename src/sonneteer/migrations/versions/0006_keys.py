"""API keys: names, what each may do, and the hashes of the keys."""

import sqlalchemy as sql
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "keys",
        sql.Column("name", sql.String(64), primary_key=True),
        sql.Column("created_at", sql.String(40), nullable=False),
        sql.Column("body", sql.Text, nullable=False),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("keys")
