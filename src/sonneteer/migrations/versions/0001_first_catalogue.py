"""The first catalogue: data sets, runs, reports, models, and how often a sealed test split was opened."""

import sqlalchemy as sql
from alembic import op

revision = "0001"
down_revision = None

TABLES = {
    "datasets": ("prepared_from",),
    "runs": ("status", "dataset_id"),
    "reports": ("run_id", "dataset_id", "verdict"),
    "models": ("number", "run_id", "dataset_id", "stage"),
}


def upgrade() -> None:
    """Create the tables."""
    for table, searched in TABLES.items():
        op.create_table(
            table,
            sql.Column("id", sql.String(128), primary_key=True),
            sql.Column("name", sql.String(64), nullable=False, index=True),
            sql.Column("created_at", sql.String(40), nullable=False, index=True),
            *(
                sql.Column(name, sql.Integer if name == "number" else sql.String(128), nullable=False, index=True)
                for name in searched
            ),
            sql.Column("body", sql.Text, nullable=False),
        )
    op.create_table(
        "test_openings",
        sql.Column("id", sql.Integer, primary_key=True, autoincrement=True),
        sql.Column("dataset_id", sql.String(128), nullable=False, index=True),
        sql.Column("opened_at", sql.String(40), nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for table in (*TABLES, "test_openings"):
        op.drop_table(table)
