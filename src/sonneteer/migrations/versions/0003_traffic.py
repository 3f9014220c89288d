"""What happens after deployment: deployments, exchanges and feedback."""

import sqlalchemy as sql
from alembic import op

revision = "0003"
down_revision = "0002"

TABLES = {
    "deployments": ("champion_id", "phase"),
    "exchanges": ("model_id", "arm", "conversation"),
    "feedback": ("exchange_id", "opinion"),
}


def upgrade() -> None:
    """Create the tables."""
    for table, searched in TABLES.items():
        op.create_table(
            table,
            sql.Column("id", sql.String(128), primary_key=True),
            sql.Column("name", sql.String(64), nullable=False, index=True),
            sql.Column("created_at", sql.String(40), nullable=False, index=True),
            *(sql.Column(name, sql.String(128), nullable=False, index=True) for name in searched),
            sql.Column("body", sql.Text, nullable=False),
        )


def downgrade() -> None:
    """Drop them."""
    for table in TABLES:
        op.drop_table(table)
