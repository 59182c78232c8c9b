"""What a run changes so far, and what usage needs: tokens, the first review, the merge."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("tokens", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("reviewed_at", sa.Float))
    op.add_column("runs", sa.Column("merged_at", sa.Float))
    op.create_table(
        "run_diffs",
        sa.Column(
            "run_id",
            sa.String(32),
            sa.ForeignKey("runs.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("tree", sa.String(64), nullable=False),
        sa.Column("patch", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    )
