"""What clients leave with a server: batches and files. Their contents lie in the workspace's folder `uploads`."""

import sqlalchemy as sql
from alembic import op

revision = "0004"
down_revision = "0003"

TABLES = {"batches": ("owner", "state"), "files": ("owner", "purpose")}


def upgrade() -> None:
    """Create the tables."""
    for table, searched in TABLES.items():
        op.create_table(
            table,
            sql.Column("id", sql.String(128), primary_key=True),
            sql.Column("name", sql.String(255), nullable=False, index=True),
            sql.Column("created_at", sql.String(40), nullable=False, index=True),
            *(sql.Column(name, sql.String(128), nullable=False, index=True) for name in searched),
            sql.Column("body", sql.Text, nullable=False),
        )


def downgrade() -> None:
    """Drop them."""
    for table in TABLES:
        op.drop_table(table)
