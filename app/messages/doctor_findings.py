"""The findings of `/honk doctor`, each with the next step. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from app.domain import sanitize
from app.domain.values import Value, short
from app.messages.formatting import count

Mark = Literal["good", "note", "bad", "unknown"]
_MARKS: Mapping[Mark, str] = {"good": "✅", "note": "⚠️", "bad": "❌", "unknown": "❔"}
_NAMES_SHOWN = 6
_OURS = range(200, 300)

PERMISSIONS: Mapping[str, tuple[str, str]] = {
    "metadata": ("read", "nothing works"),
    "contents": ("write", "Honk cannot read code or push branches"),
    "issues": ("write", "Honk cannot comment on issues or set labels"),
    "pull_requests": ("write", "Honk cannot open pull requests"),
    "checks": ("write", "commits show no test results"),
    "actions": ("read", "`/honk fix` cannot read the logs of failing workflows"),
    "statuses": ("read", "`/honk fix` cannot read results of CI outside GitHub Actions"),
    "deployments": ("write", "pull requests cannot show previews"),
    "merge_queues": ("write", "Honk cannot add pull requests to the merge queue"),
}
"""The permissions in manifest.yml, and what fails without each."""

EVENTS: Mapping[str, str] = {
    "issues": "Honk does not see the label `honk`",
    "issue_comment": "Honk does not see `/honk` in comments",
    "pull_request": "Honk does not see pull requests being closed or pushed to",
    "pull_request_review": "Honk does not see `/honk` in reviews",
    "pull_request_review_comment": "Honk does not see `/honk` in review comments",
    "check_run": "the buttons on check runs do nothing",
    "check_suite": "“Re-run all checks” does nothing, and Honk does not see failing CI",
    "workflow_run": "Honk does not find what workflows built to try",
    "push": "Honk does not see pushes to the base branch",
    "deployment_status": "Honk does not find previews deployed elsewhere",
    "release": "Honk does not see releases",
    "merge_group": "Honk does not see the merge queue",
}
"""The events in manifest.yml, and what fails without each."""


class RepositoryFinding(Value):
    """One line of the checklist. "note" is informational, "bad" breaks something."""

    mark: Mark
    about: str
    text: str
    todo: str = ""


def report(findings: Sequence[RepositoryFinding]) -> str:
    """The checklist, headed by the number of problems and notes."""
    bad = sum(finding.mark == "bad" for finding in findings)
    notes = sum(finding.mark in ("note", "unknown") for finding in findings)
    problems = f"{count(bad, 'problem')} to fix" if bad else "Everything works"
    head = f"**{problems}**" + (f"; {count(notes, 'note')}." if notes else ".")
    return "\n".join([head, "", *(_line(finding) for finding in findings)])


def _line(finding: RepositoryFinding) -> str:
    todo = f" **→** {finding.todo}" if finding.todo else ""
    return f"- {_MARKS[finding.mark]} **{finding.about}:** {finding.text}{todo}"


def not_seen(about: str, why: str) -> RepositoryFinding:
    """A check that failed to run."""
    reason = sanitize.plain(why, limit=300)
    return RepositoryFinding(mark="unknown", about=about, text=f"could not be checked. {reason}")


def uninstalled() -> list[RepositoryFinding]:
    """The App is no longer installed."""
    return [
        RepositoryFinding(mark="bad", about="Permissions", text="the App is not installed here.")
    ]


def missing_permissions(granted: Mapping[str, str]) -> dict[str, str]:
    """The permissions that Honk needs and lacks, each with its level."""
    return {
        name: level
        for name, (level, _) in PERMISSIONS.items()
        if not _covers(granted.get(name, ""), level)
    }


def permissions(granted: Mapping[str, str], url: str) -> list[RepositoryFinding]:
    """Granted against required permissions; `url` is the installation's page."""
    where = f"[Accept it for the installation]({url})" if url else "Accept it for the installation"
    todo = (
        f"{where}. If no request is pending there, the App's settings request fewer permissions "
        "than `manifest.yml`."
    )
    missing = [
        RepositoryFinding(
            mark="bad",
            about="Permissions",
            text=f"`{name}: {level}` is missing, so {cost}.",
            todo=todo,
        )
        for name, (level, cost) in PERMISSIONS.items()
        if not _covers(granted.get(name, ""), level)
    ]
    workflows = _covers(granted.get("workflows", ""), "write")
    beside = "" if workflows else " Honk cannot change workflow files without `workflows: write`."
    if not missing:
        text = f"all {len(PERMISSIONS)} granted.{beside}"
        return [RepositoryFinding(mark="good", about="Permissions", text=text)]
    good = [name for name in PERMISSIONS if _covers(granted.get(name, ""), PERMISSIONS[name][0])]
    kept = RepositoryFinding(mark="good", about="Permissions", text=f"granted: {_codes(good)}.")
    return [*missing, kept] if good else missing


def _covers(level: str, wanted: str) -> bool:
    ladder = ["", "read", "write", "admin"]
    return level in ladder and ladder.index(level) >= ladder.index(wanted)


def events(subscribed: Iterable[str]) -> list[RepositoryFinding]:
    """Subscribed against required events."""
    missing = [name for name in EVENTS if name not in set(subscribed)]
    if not missing:
        return [
            RepositoryFinding(mark="good", about="Events", text=f"all {len(EVENTS)} subscribed.")
        ]
    todo = "Subscribe to it in the App's settings under “Permissions & events”."
    return [
        RepositoryFinding(
            mark="bad",
            about="Events",
            text=f"not subscribed to `{name}`, so {EVENTS[name]}.",
            todo=todo,
        )
        for name in missing
    ]


def deliveries(
    event: str, status: int, seconds_ago: float, lost: int, seen: int
) -> list[RepositoryFinding]:
    """The newest entry of GitHub's delivery log, and how many of the newest `seen` failed."""
    when = _ago(seconds_ago)
    last = f"the last one (`{event}`, {when}) was answered with {status}"
    if not lost:
        return [RepositoryFinding(mark="good", about="Deliveries", text=f"{last}.")]
    return [
        RepositoryFinding(
            mark="bad" if status not in _OURS else "note",
            about="Deliveries",
            text=f"{last}; {lost} of the last {seen} failed.",
            todo="Check the webhook URL and secret in the App's settings. With "
            "`HONK_INTAKE=log` or `poll` this is expected.",
        )
    ]


def polled() -> list[RepositoryFinding]:
    """Nothing is delivered: Honk asks."""
    text = "Honk asks GitHub for new labels and comments (`HONK_INTAKE=poll`)."
    return [RepositoryFinding(mark="good", about="Deliveries", text=text)]


def no_deliveries() -> list[RepositoryFinding]:
    """GitHub's delivery log is empty."""
    return [
        RepositoryFinding(
            mark="bad",
            about="Deliveries",
            text="GitHub has sent nothing in three days.",
            todo="Activate the webhook in the App's settings, or set `HONK_INTAKE=poll`.",
        )
    ]


def reconciled(looked_at: int, taken: int) -> list[RepositoryFinding]:
    """Requests in GitHub's delivery log that had not reached Honk."""
    if not taken:
        more = f" ({looked_at} checked)" if looked_at else ""
        text = f"none{more}."
        return [RepositoryFinding(mark="good", about="Missed requests", text=text)]
    text = f"{taken} had not reached Honk and will be handled now."
    todo = "See “Deliveries” for the reason."
    return [RepositoryFinding(mark="note", about="Missed requests", text=text, todo=todo)]


_ON_OUR_BRANCH: Mapping[str, tuple[Mark, str, str]] = {
    "creation": (
        "bad",
        "creating it is restricted",
        "Let Honk bypass the rule, or change `branch`.",
    ),
    "update": (
        "bad",
        "pushing to it is restricted",
        "Let Honk bypass the rule, or change `branch`.",
    ),
    "pull_request": (
        "bad",
        "changes require a pull request",
        "Exclude Honk's branches from the rule.",
    ),
    "required_status_checks": (
        "note",
        "checks must pass before a push",
        "Exclude Honk's branches from the rule, or exempt branch creation.",
    ),
    "required_signatures": (
        "note",
        "commits must be signed; GitHub signs Honk's",
        "See “Signed commits”.",
    ),
    "required_linear_history": (
        "note",
        "merge commits are not allowed, so the base cannot be merged into it",
        "Exclude Honk's branches from the rule; `/honk rebase` works either way.",
    ),
    "commit_message_pattern": ("bad", "commit messages must match", "Let Honk bypass the rule."),
    "commit_author_email_pattern": ("bad", "authors must match", "Let Honk bypass the rule."),
    "committer_email_pattern": ("bad", "committers must match", "Let Honk bypass the rule."),
    "branch_name_pattern": ("note", "its name must match", "Change `branch` in the policy."),
    "file_path_restriction": ("note", "some files cannot be pushed", ""),
    "file_extension_restriction": ("note", "some file types cannot be pushed", ""),
    "max_file_size": ("note", "large files cannot be pushed", ""),
    "max_file_path_length": ("note", "long paths cannot be pushed", ""),
}
_ON_DEFAULT: Mapping[str, tuple[Mark, str, str]] = {
    "merge_queue": (
        "note",
        "merging goes through a merge queue",
        "Required checks must also run on `merge_group`.",
    ),
    "required_linear_history": (
        "note",
        "merge commits are not allowed",
        "Squash or rebase when you merge Honk's pull requests.",
    ),
    "commit_message_pattern": (
        "note",
        "commit messages must match",
        "Squash and merge with a matching message.",
    ),
    "commit_author_email_pattern": ("note", "authors must match", "Squash and merge."),
}


def rules(
    branch: str, found: Sequence[tuple[str, Mapping[str, Any], str]], *, ours: bool
) -> list[RepositoryFinding]:
    """The rules (type, parameters, source) of a branch that affect Honk."""
    known = _ON_OUR_BRANCH if ours else _ON_DEFAULT
    about = f"Rules for {sanitize.code(branch, limit=80)}"
    findings = [
        RepositoryFinding(
            mark=known[kind][0],
            about=about,
            text=f"{known[kind][1]}{_parameters(parameters)} (`{kind}`{_whose(source)}).",
            todo=known[kind][2],
        )
        for kind, parameters, source in found
        if kind in known
    ]
    if findings:
        return findings
    text = "none affects Honk. GitHub doesn't show classic branch protection to Apps."
    return [RepositoryFinding(mark="good", about=about, text=text)]


def _parameters(parameters: Mapping[str, Any]) -> str:
    """The pattern or list of a rule."""
    for name in ("pattern", "restricted_file_paths", "restricted_file_extensions"):
        value = parameters.get(name)
        if value:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            return f" {sanitize.code(shown, limit=80)}"
    return ""


def _whose(source: str) -> str:
    return f" from {sanitize.code(source, limit=80)}" if source else ""


def nothing_published() -> list[RepositoryFinding]:
    """Two checks need a first pull request."""
    todo = "Run `/honk doctor` again after the first pull request."
    text = "unknown: Honk has not published anything here yet."
    return [
        RepositoryFinding(mark="unknown", about="Signed commits", text=text, todo=todo),
        RepositoryFinding(mark="unknown", about="CI on Honk's pushes", text=text, todo=todo),
    ]


def signed(sha: str, reason: str, *, verified: bool) -> list[RepositoryFinding]:
    """Whether GitHub shows the last published commit as verified."""
    if verified:
        text = f"GitHub shows the last one, `{short(sha)}`, as verified."
        return [RepositoryFinding(mark="good", about="Signed commits", text=text)]
    return [
        RepositoryFinding(
            mark="note",
            about="Signed commits",
            text=f"the last one, `{short(sha)}`, is not verified "
            f"({sanitize.plain(reason, limit=60)}).",
            todo="Rules that require signed commits reject it; ask the operator whether this "
            "GitHub signs Apps' commits.",
        )
    ]


def ci(sha: str, started: int, waiting: int) -> list[RepositoryFinding]:
    """Workflow runs on the last published commit."""
    about = "CI on Honk's pushes"
    if waiting:
        return [
            RepositoryFinding(
                mark="note",
                about=about,
                text=f"{waiting} of {started} workflows on `{short(sha)}` are awaiting approval.",
                todo="Approve them on the pull request; the repository's settings under Actions, "
                "General say who needs approval.",
            )
        ]
    if not started:
        return [
            RepositoryFinding(
                mark="note",
                about=about,
                text=f"no workflow ran on `{short(sha)}`.",
                todo="Fine if you have none; otherwise check the branches and events under `on:` "
                "in your workflows.",
            )
        ]
    text = f"{count(started, 'workflow')} ran on `{short(sha)}` without approval."
    return [RepositoryFinding(mark="good", about=about, text=text)]


def hidden_ref_works(started: int | None) -> list[RepositoryFinding]:
    """A ref below `refs/honk/` could be created and deleted. `started` is how many workflows it
    triggered, None if unknown.
    """
    about = "Hidden refs"
    if started is None:
        text = "accepted; without `actions: read` Honk cannot tell whether they trigger workflows."
        return [RepositoryFinding(mark="note", about=about, text=text)]
    if not started:
        text = "accepted, and they trigger no workflows."
        return [RepositoryFinding(mark="good", about=about, text=text)]
    return [
        RepositoryFinding(
            mark="bad",
            about=about,
            text=f"accepted, but one triggered {count(started, 'workflow')}.",
            todo="Limit workflows to branches with `on.push.branches`.",
        )
    ]


def hidden_ref_refused(why: str) -> list[RepositoryFinding]:
    """Checkpoints cannot be saved on GitHub."""
    return [
        RepositoryFinding(
            mark="bad",
            about="Hidden refs",
            text=f"rejected. {sanitize.plain(why, limit=300)}",
            todo="Exclude `refs/honk/**` from the repository's rules: Honk saves work there.",
        )
    ]


def empty_repository() -> str:
    """Why some checks cannot run."""
    return "The default branch has no commit."


def tests(commands: Sequence[str]) -> list[RepositoryFinding]:
    """The commands that would verify the default branch."""
    about = "Tests"
    if not commands:
        return [
            RepositoryFinding(
                mark="bad",
                about=about,
                text="none found, so no change can be verified.",
                todo="Add the test command under `verify` in `.github/honk.yml`.",
            )
        ]
    return [RepositoryFinding(mark="good", about=about, text=f"{_codes(commands)}.")]


def tests_of_ci(file: str, state: str, *, may_start: bool) -> list[RepositoryFinding]:
    """The workflow that verifies changes. `state` is GitHub's value, empty if there is none."""
    about, name = "Tests", sanitize.code(file, limit=200)
    if state != "active":
        how = f"is {state}" if state else "does not exist"
        todo = "Enable it on the Actions page, or change `verify.workflow` in `.github/honk.yml`."
        text = f"the workflow {name} {how}, so no change can be verified."
        return [RepositoryFinding(mark="bad", about=about, text=text, todo=todo)]
    if may_start:
        return [RepositoryFinding(mark="good", about=about, text=f"the workflow {name}.")]
    text = f"the workflow {name}, which Honk cannot start: proofs are not measured."
    todo = "Grant the App `actions: write`, then accept it on the installation's page."
    return [RepositoryFinding(mark="note", about=about, text=text, todo=todo)]


def budget(left: float | None, limit: float | None, *, whose: str) -> list[RepositoryFinding]:
    """What is left of the daily limit, in US dollars; None without a limit."""
    about = f"Budget today, {whose}"
    if left is None or limit is None:
        return [RepositoryFinding(mark="good", about=about, text="no limit set.")]
    text = f"${max(0.0, left):.2f} of ${limit:.2f} left."
    if left > 0:
        return [RepositoryFinding(mark="good", about=about, text=text)]
    todo = "Raise the limit, or wait until 00:00 UTC."
    return [RepositoryFinding(mark="bad", about=about, text=text, todo=todo)]


def _codes(names: Sequence[str]) -> str:
    shown = ", ".join(sanitize.code(name, limit=80) for name in names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _ago(seconds: float) -> str:
    minutes = max(0.0, seconds) / 60
    if minutes < 2:
        return "just now"
    if minutes < 120:
        return f"{minutes:.0f} minutes ago"
    return f"{minutes / 60:.0f} hours ago"
