"""Slack: its inbox, links to GitHub accounts, threads and Honk's messages there."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "slack_inbox",
        sa.Column("id", sa.String(300), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("payload", sa.JSON(none_as_null=True)),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next_at", sa.Float),
        sa.Column("waits_for", sa.String(100), nullable=False),
        sa.Column("received_at", sa.Float, nullable=False),
    )
    op.create_index("slack_inbox_by_time", "slack_inbox", ["next_at"])
    op.create_table(
        "slack_links",
        sa.Column("team", sa.String(40), primary_key=True),
        sa.Column("user_id", sa.String(40), primary_key=True),
        sa.Column("login", sa.String(100), nullable=False),
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("repository", sa.String(210), nullable=False),
        sa.Column("linked_at", sa.Float, nullable=False),
    )
    op.create_index("slack_links_by_account", "slack_links", ["account_id"])
    op.create_table(
        "slack_codes",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("login", sa.String(100), nullable=False),
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.Float, nullable=False),
    )
    op.create_table(
        "slack_channels",
        sa.Column("team", sa.String(40), primary_key=True),
        sa.Column("channel", sa.String(40), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("repository", sa.String(210), nullable=False),
        sa.Column("login", sa.String(100), nullable=False),
        sa.Column("set_at", sa.Float, nullable=False),
    )
    op.create_table(
        "slack_threads",
        sa.Column("team", sa.String(40), primary_key=True),
        sa.Column("channel", sa.String(40), primary_key=True),
        sa.Column("thread", sa.String(40), primary_key=True),
        sa.Column("user_id", sa.String(40), nullable=False),
        sa.Column("repository", sa.String(210), nullable=False),
        sa.Column("repository_id", sa.BigInteger, nullable=False),
        sa.Column("installation_id", sa.BigInteger, nullable=False),
        sa.Column("private", sa.Boolean, nullable=False),
        sa.Column("number", sa.Integer),
        sa.Column("subject", sa.String(300), nullable=False),
        sa.Column("pull_subject", sa.String(300), nullable=False),
        sa.Column("live_until", sa.Float, nullable=False),
        sa.Column("closed_by", sa.String(100), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_index("slack_threads_by_subject", "slack_threads", ["subject"])
    op.create_index("slack_threads_by_pull", "slack_threads", ["pull_subject"])
    op.create_index("slack_threads_live", "slack_threads", ["live_until"])
    op.create_table(
        "slack_posts",
        sa.Column("key", sa.String(200), primary_key=True),
        sa.Column("team", sa.String(40), nullable=False),
        sa.Column("channel", sa.String(40), nullable=False),
        sa.Column("thread", sa.String(40), nullable=False),
        sa.Column("ts", sa.String(40)),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("posted_at", sa.Float, nullable=False),
    )
    op.create_index("slack_posts_by_thread", "slack_posts", ["channel", "thread"])
    op.create_table(
        "slack_answers",
        sa.Column("trigger_id", sa.String(200), primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("given_at", sa.Float, nullable=False),
    )
