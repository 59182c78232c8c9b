"""Requests to merge pull requests."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "merges",
        sa.Column("repository_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("commit_sha", sa.String(64), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("trigger_id", sa.String(200), nullable=False),
        sa.Column("asked_at", sa.Float, nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
    )
