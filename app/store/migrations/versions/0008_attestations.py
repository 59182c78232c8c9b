"""Signed statements about verdicts, and the public keys that they are checked with."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attestation_keys",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("public", sa.LargeBinary, nullable=False),
        sa.Column("used_at", sa.Float, nullable=False),
    )
    op.create_table(
        "attestations",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("repository", sa.String(210), nullable=False),
        sa.Column("repository_id", sa.BigInteger, nullable=False),
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("base_sha", sa.String(64), nullable=False),
        sa.Column("head_sha", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(64), sa.ForeignKey("attestation_keys.id"), nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_index("attestations_by_commit", "attestations", ["repository", "head_sha"])
    op.create_index("attestations_by_time", "attestations", ["created_at"])
    op.create_index("attestations_by_key", "attestations", ["key_id"])
