"""Tests that passed and failed on the same commit."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "flaky_tests",
        sa.Column("repository", sa.String(210), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("test", sa.String(64), primary_key=True),
        sa.Column("verifier", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("commit_sha", sa.String(64), nullable=False),
        sa.Column("seen_at", sa.Float, nullable=False),
    )
