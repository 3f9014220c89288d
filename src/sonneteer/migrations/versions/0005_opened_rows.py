"""Which sealed examples were opened, whatever data set held them: preparing anew does not make them unseen."""

import sqlalchemy as sql
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "opened_rows",
        sql.Column("id", sql.Integer, primary_key=True, autoincrement=True),
        sql.Column("example_id", sql.String(32), nullable=False, index=True),
        sql.Column("opened_at", sql.String(40), nullable=False),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("opened_rows")
