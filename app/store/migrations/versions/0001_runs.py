"""Runs, their turns, messages and results; the workers; the deliveries that were read."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("trigger_id", sa.String(200), nullable=False, unique=True),
        sa.Column("subject", sa.String(300), nullable=False),
        sa.Column("repository", sa.String(210), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("installation_id", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.Column("input", sa.JSON, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="1"),
        sa.Column("phase", sa.String(20), nullable=False),
        sa.Column("outcome", sa.String(20)),
        sa.Column("base_sha", sa.String(64)),
        sa.Column("start_tree", sa.String(64)),
        sa.Column("start_seq", sa.Integer),
        sa.Column("head_sha", sa.String(64)),
        sa.Column("head_key", sa.String(64)),
        sa.Column("branch", sa.String(250)),
        sa.Column("published_sha", sa.String(64)),
        sa.Column("pull_number", sa.Integer),
        sa.Column("pull_url", sa.Text),
        sa.Column("status_comment_id", sa.BigInteger),
        sa.Column("status_node_id", sa.String(200)),
        sa.Column("run_check_id", sa.BigInteger),
        sa.Column("told_attempt", sa.Integer),
        sa.Column("phases", sa.JSON),
        sa.Column("stop_asked_by", sa.String(100)),
        sa.Column("stop_why", sa.Text),
        sa.Column("plan", sa.JSON),
        sa.Column("model_turns", sa.Integer, nullable=False, server_default="0"),
        sa.Column("cost_usd", sa.Float, nullable=False, server_default="0"),
        sa.Column("api_calls", sa.Integer, nullable=False, server_default="0"),
        sa.Column("status_edits", sa.Integer, nullable=False, server_default="0"),
        sa.Column("token_requests", sa.Integer, nullable=False, server_default="0"),
        sa.Column("asked_at", sa.Float, nullable=False),
        sa.Column("admitted_at", sa.Float),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("finished_at", sa.Float),
    )
    op.create_index("runs_by_subject", "runs", ["subject", "created_at"])
    op.create_index("runs_by_time", "runs", ["created_at"])
    op.create_index("runs_by_repository", "runs", ["repository", "admitted_at"])
    op.create_index("runs_by_installation", "runs", ["installation_id", "admitted_at"])
    op.create_index("runs_by_commit", "runs", ["repository", "published_sha"])
    op.create_index("runs_by_pull", "runs", ["repository", "pull_number"])
    op.create_index(
        "runs_alive",
        "runs",
        ["subject"],
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_table(
        "turns",
        sa.Column("run_id", sa.String(32), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("record", sa.JSON, nullable=False),
        sa.Column("cost_usd", sa.Float, nullable=False, server_default="0"),
        sa.Column("snapshot", sa.String(64)),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.String(200), primary_key=True),
        sa.Column("run_id", sa.String(32), sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("author", sa.String(100), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_index("messages_by_run", "messages", ["run_id", "created_at"])
    op.create_table(
        "images",
        sa.Column("run_id", sa.String(32), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("media_type", sa.String(40), nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "writes",
        sa.Column("installation_id", sa.BigInteger, primary_key=True),
        sa.Column("tokens", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
    )
    op.create_table(
        "results",
        sa.Column("repository", sa.String(210), primary_key=True),
        sa.Column("commit_sha", sa.String(64), primary_key=True),
        sa.Column("environment", sa.String(64), primary_key=True),
        sa.Column("results", sa.JSON, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String(100), primary_key=True),
        sa.Column("slots", sa.Integer, nullable=False),
        sa.Column("started_at", sa.Float, nullable=False),
    )
    op.create_table(
        "deliveries",
        sa.Column("guid", sa.String(64), primary_key=True),
        sa.Column("seen_at", sa.Float, nullable=False),
    )
    op.create_index("deliveries_by_time", "deliveries", ["seen_at"])
    op.create_table(
        "marks",
        sa.Column("name", sa.String(50), primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
    )
