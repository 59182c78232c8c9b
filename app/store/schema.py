"""Honk's tables; the workflow engine's own are in the same database.

The same definitions serve SQLite and Postgres. Times are seconds since 1970, UTC.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("trigger_id", sa.String(200), nullable=False, unique=True),
    # An issue or pull request: `owner/name#number` in lower case.
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
    # The tree of the work when the run moved to another base, and the last turn before that.
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
    # GitHub's reason for refusing the push, while the work is only on the worker's disk.
    sa.Column("kept_here", sa.Text),
    # The last attempt whose final comment was tried.
    sa.Column("told_attempt", sa.Integer),
    # [phase, seconds since 1970] in order.
    sa.Column("phases", sa.JSON),
    sa.Column("stop_asked_by", sa.String(100)),
    sa.Column("stop_asked_at", sa.Float),
    sa.Column("stop_why", sa.Text),
    sa.Column("plan", sa.JSON),
    # How the setup that Honk planned went, and what was chosen for it.
    sa.Column("setup_outcome", sa.JSON),
    sa.Column("setup_choices", sa.JSON),
    sa.Column("model_turns", sa.Integer, nullable=False, server_default="0"),
    sa.Column("cost_usd", sa.Float, nullable=False, server_default="0"),
    sa.Column("api_calls", sa.Integer, nullable=False, server_default="0"),
    sa.Column("status_edits", sa.Integer, nullable=False, server_default="0"),
    sa.Column("token_requests", sa.Integer, nullable=False, server_default="0"),
    # Of the model, in and out, cached ones included.
    sa.Column("tokens", sa.BigInteger, nullable=False, server_default="0"),
    # When a person first reviewed its pull request, and when that was merged.
    sa.Column("reviewed_at", sa.Float),
    sa.Column("merged_at", sa.Float),
    # When this attempt was queued, and when it got a slot.
    sa.Column("asked_at", sa.Float, nullable=False),
    sa.Column("admitted_at", sa.Float),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.Column("finished_at", sa.Float),
)
sa.Index("runs_by_subject", runs.c.subject, runs.c.created_at)
sa.Index("runs_by_time", runs.c.created_at)
sa.Index("runs_by_repository", runs.c.repository, runs.c.admitted_at)
sa.Index("runs_by_repository_time", runs.c.repository, runs.c.created_at)
sa.Index("runs_by_actor", runs.c.actor, runs.c.created_at)
sa.Index("runs_by_outcome", runs.c.outcome, runs.c.created_at)
sa.Index("runs_by_installation", runs.c.installation_id, runs.c.admitted_at)
sa.Index("runs_by_commit", runs.c.repository, runs.c.published_sha)
sa.Index("runs_by_pull", runs.c.repository, runs.c.pull_number)
sa.Index(
    "runs_alive",
    runs.c.subject,
    sqlite_where=runs.c.finished_at.is_(None),
    postgresql_where=runs.c.finished_at.is_(None),
)

turns = sa.Table(
    "turns",
    metadata,
    sa.Column("run_id", sa.String(32), sa.ForeignKey("runs.id"), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("record", sa.JSON, nullable=False),
    sa.Column("cost_usd", sa.Float, nullable=False, server_default="0"),
    # The work tree after this turn's tools; a resumed run starts from it.
    sa.Column("snapshot", sa.String(64)),
    sa.Column("created_at", sa.Float, nullable=False),
)

# The report of a run's last attempt, for its page.
reports = sa.Table(
    "reports",
    metadata,
    sa.Column(
        "run_id",
        sa.String(32),
        sa.ForeignKey("runs.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("report", sa.JSON, nullable=False),
)

# What the run changes so far, as a patch against the commit it started from.
run_diffs = sa.Table(
    "run_diffs",
    metadata,
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

messages = sa.Table(
    "messages",
    metadata,
    # The trigger's id, so a message that is delivered twice is stored once.
    sa.Column("id", sa.String(200), primary_key=True),
    sa.Column("run_id", sa.String(32), sa.ForeignKey("runs.id"), nullable=False),
    sa.Column("author", sa.String(100), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
)
sa.Index("messages_by_run", messages.c.run_id, messages.c.created_at)

images = sa.Table(
    "images",
    metadata,
    sa.Column("run_id", sa.String(32), sa.ForeignKey("runs.id"), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("about", sa.Text, nullable=False),
    sa.Column("media_type", sa.String(40), nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

# Token buckets of GitHub's write limit, one per installation, shared by all workers.
writes = sa.Table(
    "writes",
    metadata,
    sa.Column("installation_id", sa.BigInteger, primary_key=True),
    sa.Column("tokens", sa.Float, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
)

results = sa.Table(
    "results",
    metadata,
    sa.Column("repository", sa.String(210), primary_key=True),
    sa.Column("commit_sha", sa.String(64), primary_key=True),
    # A digest of everything else the results depend on: verifiers, commands, setup, sandbox.
    sa.Column("environment", sa.String(64), primary_key=True),
    sa.Column("results", sa.JSON, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
)

# The newest verdict that was posted on each commit of a pull request.
posted_verdicts = sa.Table(
    "posted_verdicts",
    metadata,
    sa.Column("repository", sa.String(210), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("commit_sha", sa.String(64), primary_key=True),
    sa.Column("run_id", sa.String(32), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("tree", sa.String(64), nullable=False),
    # Empty when it is not known.
    sa.Column("base_tree", sa.String(64), nullable=False),
    sa.Column("check_run_id", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    # Why the pull request stays a draft even if a person accepts the verdict; empty if it does not.
    sa.Column("held_by", sa.Text, nullable=False),
    # Whether the run ended before its work was done.
    sa.Column("unfinished", sa.Boolean, nullable=False),
    sa.Column("posted_at", sa.Float, nullable=False),
)

# Commits of pull requests whose changed or removed tests a person has accepted.
acceptances = sa.Table(
    "acceptances",
    metadata,
    sa.Column("repository", sa.String(210), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("commit_sha", sa.String(64), primary_key=True),
    sa.Column("tree", sa.String(64), nullable=False),
    sa.Column("base_tree", sa.String(64), nullable=False),
    sa.Column("login", sa.String(100), nullable=False),
    sa.Column("account_id", sa.BigInteger, nullable=False),
    sa.Column("accepted_at", sa.Float, nullable=False),
)

# The last request to merge each pull request.
merges = sa.Table(
    "merges",
    metadata,
    sa.Column("repository_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("commit_sha", sa.String(64), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("trigger_id", sa.String(200), nullable=False),
    # By GitHub's clock; `changed_at` is by ours.
    sa.Column("asked_at", sa.Float, nullable=False),
    sa.Column("changed_at", sa.Float, nullable=False),
)

# Merges whose way to production is followed.
follows = sa.Table(
    "follows",
    metadata,
    sa.Column("repository_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("repository", sa.String(210), nullable=False),
    sa.Column("installation_id", sa.BigInteger, nullable=False),
    # The commit on the base branch.
    sa.Column("sha", sa.String(64), nullable=False),
    sa.Column("minutes", sa.Integer, nullable=False),
    sa.Column("until", sa.Float, nullable=False),
    sa.Column("next_at", sa.Float, nullable=False),
    # What the last look found, if it may be final.
    sa.Column("seen", sa.Text, nullable=False),
    sa.Column("ended", sa.Boolean, nullable=False),
)
sa.Index("follows_by_time", follows.c.next_at)

# Tests that passed and failed on the same commit.
flaky_tests = sa.Table(
    "flaky_tests",
    metadata,
    sa.Column("repository", sa.String(210), primary_key=True),
    # The issue or pull request whose code showed it; 0 is code of the base.
    sa.Column("number", sa.Integer, primary_key=True),
    # A digest of the verifier and the test's name, which may be long.
    sa.Column("test", sa.String(64), primary_key=True),
    sa.Column("verifier", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("commit_sha", sa.String(64), nullable=False),
    sa.Column("seen_at", sa.Float, nullable=False),
)

workers = sa.Table(
    "workers",
    metadata,
    # The engine's executor id. A worker listed here without holding its lock is dead.
    sa.Column("id", sa.String(100), primary_key=True),
    sa.Column("slots", sa.Integer, nullable=False),
    sa.Column("started_at", sa.Float, nullable=False),
)

# Accepted requests that could not be handled yet, and when they are retried.
pending = sa.Table(
    "pending",
    metadata,
    # The id of the trigger or signal.
    sa.Column("id", sa.String(200), primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("installation_id", sa.BigInteger, nullable=False),
    sa.Column("subject", sa.String(300), nullable=False),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("cause", sa.String(20), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("told", sa.Boolean, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("since", sa.Float, nullable=False),
    sa.Column("next_at", sa.Float, nullable=False),
)
sa.Index("pending_by_time", pending.c.next_at)

deliveries = sa.Table(
    "deliveries",
    metadata,
    # GUIDs read from GitHub's delivery log; deleted once GitHub's log drops them.
    sa.Column("guid", sa.String(64), primary_key=True),
    sa.Column("seen_at", sa.Float, nullable=False),
)
sa.Index("deliveries_by_time", deliveries.c.seen_at)

marks = sa.Table(
    "marks",
    metadata,
    # The time up to which a recurring task is done.
    sa.Column("name", sa.String(50), primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
)

# Lifetime totals. Runs are deleted after a while; these are not.
totals = sa.Table(
    "totals",
    metadata,
    sa.Column("name", sa.String(50), primary_key=True),
    sa.Column("label", sa.String(100), primary_key=True),
    sa.Column("value", sa.Float, nullable=False),
)

# The public halves of the keys that signed them; private keys never enter the database.
attestation_keys = sa.Table(
    "attestation_keys",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("public", sa.LargeBinary, nullable=False),
    sa.Column("used_at", sa.Float, nullable=False),
)

# Signed statements about verdicts. They outlive their runs.
attestations = sa.Table(
    "attestations",
    metadata,
    # A digest of repository, run, base and head: a repeated step writes to the same row.
    sa.Column("id", sa.String(32), primary_key=True),
    # `owner/name` in lower case.
    sa.Column("repository", sa.String(210), nullable=False),
    sa.Column("repository_id", sa.BigInteger, nullable=False),
    sa.Column("run_id", sa.String(32), nullable=False),
    sa.Column("base_sha", sa.String(64), nullable=False),
    sa.Column("head_sha", sa.String(64), nullable=False),
    sa.Column("key_id", sa.String(64), sa.ForeignKey("attestation_keys.id"), nullable=False),
    sa.Column("signature", sa.LargeBinary, nullable=False),
    # The signed JSON, compressed with zlib.
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
)
sa.Index("attestations_by_commit", attestations.c.repository, attestations.c.head_sha)
sa.Index("attestations_by_time", attestations.c.created_at)
sa.Index("attestations_by_key", attestations.c.key_id)

# Where a commit can be tried, as its repository's CI or host last reported on GitHub.
previews = sa.Table(
    "previews",
    metadata,
    sa.Column("repository_id", sa.BigInteger, primary_key=True),
    sa.Column("sha", sa.String(64), primary_key=True),
    sa.Column("links", sa.JSON, nullable=False),
    # The newest deployment status that `links` is from: a slower reader must not bring back older
    # ones.
    sa.Column("newest_status", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
)

# Deliveries from Slack, each once: what its id names was received.
slack_inbox = sa.Table(
    "slack_inbox",
    metadata,
    sa.Column("id", sa.String(300), primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    # Null once it is handled.
    sa.Column("payload", sa.JSON(none_as_null=True)),
    sa.Column("tries", sa.Integer, nullable=False),
    # When it is handled next; null once it is, or while a person must do something first.
    sa.Column("next_at", sa.Float),
    # Whose link it waits for, `team:user`, or empty.
    sa.Column("waits_for", sa.String(100), nullable=False),
    sa.Column("received_at", sa.Float, nullable=False),
)
sa.Index("slack_inbox_by_time", slack_inbox.c.next_at)

# Slack users and the GitHub accounts that they signed in with.
slack_links = sa.Table(
    "slack_links",
    metadata,
    sa.Column("team", sa.String(40), primary_key=True),
    sa.Column("user_id", sa.String(40), primary_key=True),
    sa.Column("login", sa.String(100), nullable=False),
    sa.Column("account_id", sa.BigInteger, nullable=False),
    # The person's default repository, `owner/name`, or empty.
    sa.Column("repository", sa.String(210), nullable=False),
    sa.Column("linked_at", sa.Float, nullable=False),
)
sa.Index("slack_links_by_account", slack_links.c.account_id)

# Codes that Honk's page shows to a GitHub account, to be sent from Slack. Only digests are stored.
slack_codes = sa.Table(
    "slack_codes",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("login", sa.String(100), nullable=False),
    sa.Column("account_id", sa.BigInteger, nullable=False),
    sa.Column("ends_at", sa.Float, nullable=False),
)

# The default repository of a channel.
slack_channels = sa.Table(
    "slack_channels",
    metadata,
    sa.Column("team", sa.String(40), primary_key=True),
    sa.Column("channel", sa.String(40), primary_key=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("repository", sa.String(210), nullable=False),
    sa.Column("login", sa.String(100), nullable=False),
    sa.Column("set_at", sa.Float, nullable=False),
)

# Threads in Slack and the issues that record them.
slack_threads = sa.Table(
    "slack_threads",
    metadata,
    sa.Column("team", sa.String(40), primary_key=True),
    sa.Column("channel", sa.String(40), primary_key=True),
    sa.Column("thread", sa.String(40), primary_key=True),
    # Who asked first.
    sa.Column("user_id", sa.String(40), nullable=False),
    sa.Column("repository", sa.String(210), nullable=False),
    sa.Column("repository_id", sa.BigInteger, nullable=False),
    sa.Column("installation_id", sa.BigInteger, nullable=False),
    sa.Column("private", sa.Boolean, nullable=False),
    # Null until the issue is created.
    sa.Column("number", sa.Integer),
    # `owner/name#number` in lower case, or empty; the pull request's as well once there is one.
    sa.Column("subject", sa.String(300), nullable=False),
    sa.Column("pull_subject", sa.String(300), nullable=False),
    # Until when Slack is kept up to date even if nothing runs; 0 when everything is shown.
    sa.Column("live_until", sa.Float, nullable=False),
    # Why nothing more is shown there, or empty.
    sa.Column("closed_by", sa.String(100), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
)
sa.Index("slack_threads_by_subject", slack_threads.c.subject)
sa.Index("slack_threads_by_pull", slack_threads.c.pull_subject)
sa.Index("slack_threads_live", slack_threads.c.live_until)

# Honk's own messages in Slack. `ts` is null while it is not known whether one was posted.
slack_posts = sa.Table(
    "slack_posts",
    metadata,
    sa.Column("key", sa.String(200), primary_key=True),
    sa.Column("team", sa.String(40), nullable=False),
    sa.Column("channel", sa.String(40), nullable=False),
    sa.Column("thread", sa.String(40), nullable=False),
    sa.Column("ts", sa.String(40)),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("posted_at", sa.Float, nullable=False),
)
sa.Index("slack_posts_by_thread", slack_posts.c.channel, slack_posts.c.thread)

# Answers and refusals of the intake to requests from Slack, until they are shown there.
slack_answers = sa.Table(
    "slack_answers",
    metadata,
    sa.Column("trigger_id", sa.String(200), primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("given_at", sa.Float, nullable=False),
)

# What a repository's workflow built from a commit, and the files of it in pieces.
builds = sa.Table(
    "builds",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("repository_id", sa.BigInteger, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("sha", sa.String(64), nullable=False),
    sa.Column("build", sa.JSON, nullable=False),
    sa.Column("deployment_id", sa.BigInteger),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
)
sa.Index("builds_by_pull", builds.c.repository_id, builds.c.number)
sa.Index("builds_by_time", builds.c.expires_at)

build_pieces = sa.Table(
    "build_pieces",
    metadata,
    sa.Column("build_id", sa.String(32), primary_key=True),
    sa.Column("file", sa.Integer, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
)
