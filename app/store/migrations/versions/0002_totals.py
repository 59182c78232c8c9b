"""Totals that outlive the runs they were counted from; where work stays that GitHub refused."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("kept_here", sa.Text))
    op.create_table(
        "totals",
        sa.Column("name", sa.String(50), primary_key=True),
        sa.Column("label", sa.String(100), primary_key=True),
        sa.Column("value", sa.Float, nullable=False),
    )
