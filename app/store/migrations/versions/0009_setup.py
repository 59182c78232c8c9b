"""How a run's setup went, and what was chosen for it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("setup_outcome", sa.JSON))
    op.add_column("runs", sa.Column("setup_choices", sa.JSON))
