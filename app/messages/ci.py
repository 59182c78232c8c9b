"""What people read about results from the repository's own CI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.domain import sanitize
from app.domain.ci import CiRun
from app.domain.evidence import Cell, CellRun, Evidence
from app.domain.values import short

_NAMED = 5

_CELLS = {
    Cell.BASE: "old tests on the old code",
    Cell.PROOF: "new tests on the old code",
    Cell.GUARD: "old tests on the new code",
    Cell.HEAD: "new tests on the new code",
}


def waiting(urls: Mapping[str, str]) -> tuple[str, str]:
    """Title and summary of the check run while workflow runs are queued or in progress, given as
    cell and URL."""
    lines = [f"- {cell}: {_link(url, 'workflow run')}" for cell, url in sorted(urls.items())]
    count = "1 workflow run" if len(urls) == 1 else f"{len(urls)} workflow runs"
    text = "The verdict comes from the repository's own CI, which has not finished:"
    return f"Waiting for {count}", "\n".join([text, "", *lines])


def cells(evidence: Evidence) -> str:
    """Which cells the repository's CI ran, in Markdown with links; empty if Honk ran them all."""
    if not evidence.by_ci:
        return ""
    runs: Mapping[Cell, CellRun] = {
        Cell.BASE: evidence.base,
        Cell.PROOF: evidence.proof,
        Cell.GUARD: evidence.guard,
        Cell.HEAD: evidence.head,
    }
    lines = [f"- {cell.value} ({_CELLS[cell]}): {_who(run)}" for cell, run in runs.items()]
    return "\n".join(["**Who ran the tests**", "", *lines])


def _who(run: CellRun) -> str:
    if run.ci is not None:
        return _by_ci(run.ci)
    if run.same_as is not None:
        return f"not run, it cannot differ from {run.same_as.value}"
    why = sanitize.plain(run.why_not.rstrip("."), limit=400)
    return f"not measured: {why}" if why else "not measured"


def _by_ci(run: CiRun) -> str:
    parts = [
        f"CI, {_link(run.url, f'run {run.id}')}, attempt {run.attempt}",
        "started by Honk" if run.started else f"event {sanitize.code(run.event, limit=40)}",
    ]
    if run.merged:
        parts.append("tested as merged with the base branch")
    if run.fork:
        parts.append("with the fork's own workflow file")
    return ", ".join(parts)


def _link(url: str, text: str) -> str:
    plain = (
        url if url.startswith(("https://", "http://")) and not set(url) & set(" <>()[]\n") else ""
    )
    return f"[{text}]({plain})" if plain else f"{text} ({sanitize.code(url, limit=300)})"


def may_not_read() -> str:
    """The App lacks the permission to read workflow runs."""
    return (
        "Honk may not read workflow runs: grant the App `actions: read`, and accept it on the "
        "installation's page"
    )


def may_not_start() -> str:
    """The App lacks the permission to start workflows."""
    return "Honk may not start workflows here: that needs `actions: write` and `contents: write`"


def never_for_forks() -> str:
    """Why no workflow run is started for a fork."""
    return "a fork's code never runs in this repository's CI, which has its secrets"


def refused_by_policy(path: str) -> str:
    """Why no workflow run is started for a change that the policy forbids."""
    named = f" ({path})" if path else ""
    return f"the repository's policy forbids a path in this change{named}, so CI was not started"


def changes_ci() -> str:
    """Why no workflow run is started for the head of a change to CI files."""
    return "the change edits CI files, which Honk does not run before they are published"


def no_workflow(file: str, known: Sequence[str]) -> str:
    """The workflow that the policy names does not exist."""
    names = ", ".join(path.rpartition("/")[2] for path in known[:_NAMED]) or "none"
    return (
        f"This repository has no workflow {file}; was it renamed? It has: {names}. Set "
        "`verify.workflow` in the policy"
    )


def disabled(file: str, state: str) -> str:
    """The workflow is disabled."""
    return f"The workflow {file} is disabled ({state}): enable it on the Actions page"


def no_run(file: str, sha: str, why_not_started: str) -> str:
    """A commit has no run of the workflow, and none was started."""
    why = f", and {why_not_started}" if why_not_started else ""
    return f"{file} has no run for exactly {short(sha)}{why}"


def not_started(file: str, refused: str) -> str:
    """GitHub refused to start the workflow."""
    return (
        f"GitHub did not start {file}: {refused.rstrip('.')}. It needs `workflow_dispatch:` "
        "under `on:`"
    )


def waits_for_approval(url: str) -> str:
    """A run waits for a person."""
    return f"The workflow run waits for someone's approval: approve it at {url}, then ask again"


def took_too_long(url: str, minutes: int) -> str:
    """A run did not end in time."""
    return f"The workflow run did not end within {minutes} minutes: {url}"


def started_again(url: str) -> str:
    """A run was started again each time while its reports were read."""
    return f"The workflow run was re-run while Honk read its reports: {url}"


def of_another_commit(artifact: str, url: str) -> str:
    """An artifact that belongs to another run or commit than it is listed with."""
    return f"The artifact {artifact} is of another commit than its workflow run: {url}"


def no_reports(file: str, url: str, names: Sequence[str], expired: Sequence[str]) -> str:
    """A run that succeeded left no report that Honk can read."""
    if expired:
        return f"The artifact {expired[0]} has expired: run {file} again at {url}"
    if not names:
        return (
            f"{file} uploaded no artifact, or its artifacts have expired: upload the reports with "
            f"actions/upload-artifact, or run it again at {url}"
        )
    listed = ", ".join(names[:_NAMED])
    return (
        f"No artifact of {file} ({listed}) has a JUnit report that `verify.junit` names, and no "
        "other one counts"
    )


def too_large(size: str) -> str:
    """The end of a sentence on an artifact that is not downloaded."""
    return f"it has {size}; list the artifacts with reports under `verify.artifacts`"


def tests_run_in_ci(file: str) -> str:
    """For the agent: its own verification cannot run these tests."""
    return (
        f"The tests of this repository run only in its own CI ({file}), on the commit that is made "
        "when you finish. They cannot run here. Check what you can by other means."
    )
