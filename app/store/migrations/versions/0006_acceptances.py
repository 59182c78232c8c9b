"""The verdicts that were posted on pull requests, and which of them people accepted."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "posted_verdicts",
        sa.Column("repository", sa.String(210), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("commit_sha", sa.String(64), primary_key=True),
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("tree", sa.String(64), nullable=False),
        sa.Column("base_tree", sa.String(64), nullable=False),
        sa.Column("check_run_id", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("held_by", sa.Text, nullable=False),
        sa.Column("unfinished", sa.Boolean, nullable=False),
        sa.Column("posted_at", sa.Float, nullable=False),
    )
    op.create_table(
        "acceptances",
        sa.Column("repository", sa.String(210), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("commit_sha", sa.String(64), primary_key=True),
        sa.Column("tree", sa.String(64), nullable=False),
        sa.Column("base_tree", sa.String(64), nullable=False),
        sa.Column("login", sa.String(100), nullable=False),
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("accepted_at", sa.Float, nullable=False),
    )
