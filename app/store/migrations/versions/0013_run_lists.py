"""Indexes for lists of runs that are narrowed to a repository, a person or an outcome."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("runs_by_repository_time", "runs", ["repository", "created_at"])
    op.create_index("runs_by_actor", "runs", ["actor", "created_at"])
    op.create_index("runs_by_outcome", "runs", ["outcome", "created_at"])
