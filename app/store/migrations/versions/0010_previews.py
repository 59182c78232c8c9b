"""Where a commit can be tried, as reported on GitHub."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "previews",
        sa.Column("repository_id", sa.BigInteger, primary_key=True),
        sa.Column("sha", sa.String(64), primary_key=True),
        sa.Column("links", sa.JSON, nullable=False),
        sa.Column("newest_status", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
    )
