"""What `/honk doctor` makes of what it saw: findings, each with what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from app.domain import sanitize
from app.domain.values import Value, short

Mark = Literal["good", "note", "bad", "unknown"]
_MARKS: Mapping[Mark, str] = {"good": "✅", "note": "⚠️", "bad": "❌", "unknown": "❔"}
_NAMES_SHOWN = 6
_OURS = range(200, 300)

PERMISSIONS: Mapping[str, tuple[str, str]] = {
    "metadata": ("read", "nothing works at all"),
    "contents": ("write", "no code can be read and no branch be pushed"),
    "issues": ("write", "it cannot answer on issues or set its labels"),
    "pull_requests": ("write", "no pull request can be opened"),
    "checks": ("write", "what the tests say is not shown at the commit"),
    "actions": ("read", "`/honk fix` does not see the logs of failing workflows"),
    "statuses": ("read", "`/honk fix` does not see what CI outside of Actions says"),
    "deployments": ("write", "previews cannot be shown at the pull request"),
    "merge_queues": ("write", "a pull request cannot be put into the merge queue"),
}
"""What manifest.yml asks for, and what does not work where it is missing."""

EVENTS: Mapping[str, str] = {
    "issues": "the label `honk` is not heard",
    "issue_comment": "`/honk` in a comment is not heard",
    "pull_request": "a closed pull request, or a push to it, goes unnoticed",
    "pull_request_review": "`/honk` in a review is not heard",
    "pull_request_review_comment": "`/honk` on a line is not heard",
    "check_run": "the buttons of a check run do nothing",
    "check_suite": "“Re-run all checks” does nothing, and failing CI goes unnoticed",
    "workflow_run": "the end of a workflow goes unnoticed",
    "push": "a push to the base goes unnoticed",
    "deployment_status": "previews made elsewhere are not found",
    "release": "releases go unnoticed",
    "merge_group": "the merge queue goes unnoticed",
}
"""What manifest.yml subscribes to, and what is not heard without it."""


class RepositoryFinding(Value):
    """One line of the checklist. "note" is worth knowing, "bad" keeps something from working."""

    mark: Mark
    about: str
    text: str
    todo: str = ""


def report(findings: Sequence[RepositoryFinding]) -> str:
    """The checklist, short lines first to last, with how many need a person on top."""
    bad = sum(finding.mark == "bad" for finding in findings)
    notes = sum(finding.mark in ("note", "unknown") for finding in findings)
    if bad:
        head = f"**Doctor: {bad} to mend**" + (f", {notes} to know." if notes else ".")
    else:
        head = "**Doctor: nothing to mend**" + (f", {notes} to know." if notes else ".")
    return "\n".join([head, "", *(_line(finding) for finding in findings)])


def _line(finding: RepositoryFinding) -> str:
    todo = f" **→** {finding.todo}" if finding.todo else ""
    return f"- {_MARKS[finding.mark]} **{finding.about}:** {finding.text}{todo}"


def not_seen(about: str, why: str) -> RepositoryFinding:
    """What could not be looked at; the rest still is."""
    told = sanitize.plain(why, limit=300)
    return RepositoryFinding(mark="unknown", about=about, text=f"could not be looked at. {told}")


def uninstalled() -> list[RepositoryFinding]:
    """The App is not installed any more."""
    return [
        RepositoryFinding(mark="bad", about="Permissions", text="the App is not installed here.")
    ]


def missing_permissions(granted: Mapping[str, str]) -> dict[str, str]:
    """What Honk needs and was not granted, each with its level."""
    return {
        name: level
        for name, (level, _) in PERMISSIONS.items()
        if not _covers(granted.get(name, ""), level)
    }


def permissions(granted: Mapping[str, str], url: str) -> list[RepositoryFinding]:
    """What was granted, against what the App asks for; `url` is the installation's page."""
    where = f"[Accept it for the installation]({url})" if url else "Accept it for the installation"
    todo = (
        f"{where}; where nothing waits to be accepted, the App's own settings ask for less than "
        "`manifest.yml`."
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
    beside = "" if workflows else " Workflow files stay as they are: `workflows` was not asked for."
    if not missing:
        text = f"all {len(PERMISSIONS)} are granted.{beside}"
        return [RepositoryFinding(mark="good", about="Permissions", text=text)]
    good = [name for name in PERMISSIONS if _covers(granted.get(name, ""), PERMISSIONS[name][0])]
    kept = RepositoryFinding(mark="good", about="Permissions", text=f"{_codes(good)} are granted.")
    return [*missing, kept] if good else missing


def _covers(level: str, wanted: str) -> bool:
    ladder = ["", "read", "write", "admin"]
    return level in ladder and ladder.index(level) >= ladder.index(wanted)


def events(subscribed: Iterable[str]) -> list[RepositoryFinding]:
    """What GitHub sends, against what the App needs to hear."""
    missing = [name for name in EVENTS if name not in set(subscribed)]
    if not missing:
        return [RepositoryFinding(mark="good", about="Events", text=f"all {len(EVENTS)} are sent.")]
    todo = "Subscribe to it in the App's settings, “Permissions & events”."
    return [
        RepositoryFinding(
            mark="bad",
            about="Events",
            text=f"`{name}` is not sent, so {EVENTS[name]}.",
            todo=todo,
        )
        for name in missing
    ]


def deliveries(
    event: str, status: int, seconds_ago: float, lost: int, seen: int
) -> list[RepositoryFinding]:
    """The newest entry of GitHub's log, and how many of the newest `seen` nobody took."""
    when = _ago(seconds_ago)
    last = f"the last one, `{event}`, was {when} and was answered with {status}"
    if not lost:
        return [RepositoryFinding(mark="good", about="Deliveries", text=f"{last}.")]
    return [
        RepositoryFinding(
            mark="bad" if status not in _OURS else "note",
            about="Deliveries",
            text=f"{last}; {lost} of the last {seen} were not received.",
            todo="Look at the webhook's address and secret in the App's settings; with "
            "`HONK_INTAKE=poll` this is as it should be.",
        )
    ]


def no_deliveries() -> list[RepositoryFinding]:
    """GitHub's log is empty."""
    return [
        RepositoryFinding(
            mark="bad",
            about="Deliveries",
            text="GitHub has sent nothing in three days.",
            todo="Switch the webhook on in the App's settings, or set `HONK_INTAKE=poll`.",
        )
    ]


def reconciled(looked_at: int, taken: int) -> list[RepositoryFinding]:
    """What a look into GitHub's log found that had not reached us."""
    if not taken:
        more = f" ({looked_at} were looked at)" if looked_at else ""
        text = f"nothing was missed{more}."
        return [RepositoryFinding(mark="good", about="Missed requests", text=text)]
    text = f"{taken} had not reached Honk and are taken up now."
    todo = "See “Deliveries” for why."
    return [RepositoryFinding(mark="note", about="Missed requests", text=text, todo=todo)]


_ON_OUR_BRANCH: Mapping[str, tuple[Mark, str, str]] = {
    "creation": ("bad", "nobody may create it", "Let Honk bypass the rule, or change `branch`."),
    "update": ("bad", "nobody may push to it", "Let Honk bypass the rule, or change `branch`."),
    "pull_request": (
        "bad",
        "it may be changed by pull requests only",
        "Leave Honk's branches out of the rule.",
    ),
    "required_status_checks": (
        "note",
        "checks must have passed before a push",
        "Leave Honk's branches out of the rule, or let it not hold for new branches.",
    ),
    "required_signatures": (
        "note",
        "commits must be signed; GitHub signs Honk's",
        "See “Signed commits”.",
    ),
    "required_linear_history": (
        "note",
        "merge commits are refused, so the base cannot be merged into it",
        "Leave Honk's branches out of the rule; `/honk rebase` works all the same.",
    ),
    "commit_message_pattern": ("bad", "commit messages must match", "Let Honk bypass the rule."),
    "commit_author_email_pattern": ("bad", "authors must match", "Let Honk bypass the rule."),
    "committer_email_pattern": ("bad", "committers must match", "Let Honk bypass the rule."),
    "branch_name_pattern": ("note", "its name must match", "Change `branch` in the policy."),
    "file_path_restriction": ("note", "some files may not be pushed", ""),
    "file_extension_restriction": ("note", "some kinds of files may not be pushed", ""),
    "max_file_size": ("note", "large files may not be pushed", ""),
    "max_file_path_length": ("note", "long paths may not be pushed", ""),
}
_ON_DEFAULT: Mapping[str, tuple[Mark, str, str]] = {
    "merge_queue": (
        "note",
        "pull requests are merged by the queue",
        "Required checks must run for `merge_group`, too.",
    ),
    "required_linear_history": (
        "note",
        "merge commits are refused",
        "Merge Honk's pull requests by squash or rebase.",
    ),
    "commit_message_pattern": (
        "note",
        "commit messages must match",
        "Merge by squash, with a message that does.",
    ),
    "commit_author_email_pattern": ("note", "authors must match", "Merge by squash."),
}


def rules(
    branch: str, found: Sequence[tuple[str, Mapping[str, Any], str]], *, ours: bool
) -> list[RepositoryFinding]:
    """The rules (type, parameters, whose) of a branch that would be in our way."""
    known = _ON_OUR_BRANCH if ours else _ON_DEFAULT
    about = f"Rules of {sanitize.code(branch, limit=80)}"
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
    text = "none stands in the way. Classic branch protection is not shown to Apps."
    return [RepositoryFinding(mark="good", about=about, text=text)]


def _parameters(parameters: Mapping[str, Any]) -> str:
    """What must match, as the rule says it."""
    for name in ("pattern", "restricted_file_paths", "restricted_file_extensions"):
        value = parameters.get(name)
        if value:
            told = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            return f" {sanitize.code(told, limit=80)}"
    return ""


def _whose(source: str) -> str:
    return f" of {sanitize.code(source, limit=80)}" if source else ""


def nothing_published() -> list[RepositoryFinding]:
    """Of two things nothing is known before the first pull request."""
    todo = "Ask again after the first pull request."
    text = "nothing of Honk's was published here yet."
    return [
        RepositoryFinding(mark="unknown", about="Signed commits", text=text, todo=todo),
        RepositoryFinding(mark="unknown", about="CI on our pushes", text=text, todo=todo),
    ]


def signed(sha: str, reason: str, *, verified: bool) -> list[RepositoryFinding]:
    """Whether GitHub shows the last published commit as verified."""
    if verified:
        text = f"GitHub shows `{short(sha)}`, the last one, as verified."
        return [RepositoryFinding(mark="good", about="Signed commits", text=text)]
    return [
        RepositoryFinding(
            mark="note",
            about="Signed commits",
            text=f"`{short(sha)}`, the last one, is not verified "
            f"({sanitize.plain(reason, limit=60)}).",
            todo="Rules that require signatures refuse it; ask the operator whether this GitHub "
            "signs the commits of Apps.",
        )
    ]


def ci(sha: str, started: int, waiting: int) -> list[RepositoryFinding]:
    """What workflows did with the last published commit."""
    about = "CI on our pushes"
    if waiting:
        return [
            RepositoryFinding(
                mark="note",
                about=about,
                text=f"{waiting} of {started} workflows on `{short(sha)}` wait for approval.",
                todo="Approve them at the pull request; who needs approval is set in the "
                "repository's settings, Actions, General.",
            )
        ]
    if not started:
        return [
            RepositoryFinding(
                mark="note",
                about=about,
                text=f"`{short(sha)}` started no workflow.",
                todo="Fine where there is none; else see which branches and events its "
                "workflows name under `on:`.",
            )
        ]
    text = f"`{short(sha)}` started {started} by itself."
    return [RepositoryFinding(mark="good", about=about, text=text)]


def hidden_ref_works(started: int | None) -> list[RepositoryFinding]:
    """A ref below `refs/honk/` could be made and deleted, and started so many workflows; None where
    that cannot be seen.
    """
    about = "Hidden refs"
    if started is None:
        text = "accepted; whether they start a workflow cannot be seen without `actions: read`."
        return [RepositoryFinding(mark="note", about=about, text=text)]
    if not started:
        text = "accepted, and they start no workflow."
        return [RepositoryFinding(mark="good", about=about, text=text)]
    return [
        RepositoryFinding(
            mark="bad",
            about=about,
            text=f"accepted, but one started {started} workflows.",
            todo="Let workflows name the branches that they run for under `on.push.branches`.",
        )
    ]


def hidden_ref_refused(why: str) -> list[RepositoryFinding]:
    """Checkpoints cannot be kept on GitHub."""
    return [
        RepositoryFinding(
            mark="bad",
            about="Hidden refs",
            text=f"refused. {sanitize.plain(why, limit=300)}",
            todo="Leave `refs/honk/**` out of the repository's rules: work is kept there.",
        )
    ]


def empty_repository() -> str:
    """Why some things cannot be looked at."""
    return "The default branch has no commit."


def tests(commands: Sequence[str]) -> list[RepositoryFinding]:
    """What would verify the default branch."""
    about = "Tests"
    if not commands:
        return [
            RepositoryFinding(
                mark="bad",
                about=about,
                text="none was found, so no change can be shown to be good.",
                todo="Name the command under `verify` in `.github/honk.yml`.",
            )
        ]
    return [RepositoryFinding(mark="good", about=about, text=f"{_codes(commands)}.")]


def budget(left: float | None, limit: float | None, *, whose: str) -> list[RepositoryFinding]:
    """What the day has left, in US dollars; None without a limit."""
    about = f"Money today, {whose}"
    if left is None or limit is None:
        return [RepositoryFinding(mark="good", about=about, text="no limit is set.")]
    text = f"${max(0.0, left):.2f} of ${limit:.2f} left."
    if left > 0:
        return [RepositoryFinding(mark="good", about=about, text=text)]
    todo = "Nothing starts before tomorrow, 00:00 UTC, unless the limit is raised."
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
