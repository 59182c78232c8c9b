"""Check runs: results on a commit, which branch protection may require.

https://docs.github.com/en/rest/checks/runs
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from app import retrying
from app.domain.values import CommitSha, Value
from app.github.client import RepositoryClient
from app.github.exchange import ApiRequest, cut
from app.github.refusals import UnknownOutcomeError
from app.retrying import Retries

MAX_TEXT = 65_535
"""Bytes of a summary or text. The documentation says characters, but GitHub counts bytes:
https://github.com/github/docs/issues/35252"""

MAX_TITLE = 255
MAX_ANNOTATION_TEXT = 64_000
"""Bytes; GitHub's limit is 64 KB."""

MAX_ACTIONS = 3
ANNOTATIONS_A_REQUEST = 50

Status = Literal["queued", "in_progress"]
Conclusion = Literal[
    "action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"
]


Level = Literal["notice", "warning", "failure"]

_LEVELS: dict[str, Level] = {"warning": "warning", "failure": "failure"}

_FAILED = {"failure", "timed_out", "startup_failure", "error"}
_MOST_ANNOTATED = 20
"""How many failing check runs have their annotations read."""

_JOB = re.compile(r"/actions/runs/\d+/job/(\d+)")


class CheckRunRef(Value):
    """A check run. `url` is its page; `created` is whether this call created it."""

    id: int
    url: str
    created: bool


class Annotation(Value):
    """An annotation on lines of a file at the head commit. Lines count from 1."""

    path: str
    start_line: int
    end_line: int
    level: Level
    message: str
    title: str = ""


class Output(Value):
    """The content of the check's page. `summary` and `text` are Markdown, truncated to fit."""

    title: str
    summary: str
    text: str = ""


class Action(Value):
    """A button on a completed check run's page. The webhook sends `identifier` back."""

    label: str
    description: str
    identifier: str


class CheckRunPage(Value):
    """What Honk's check run shows. `completed_at` is GitHub's time; None while it is open."""

    title: str
    summary: str
    conclusion: str
    completed_at: datetime | None


class FailingCheck(Value):
    """A failed check run or commit status of another App.

    `conclusion` is GitHub's value: `failure`, `timed_out`, `startup_failure`, or a status's
    `error`. A status has no App and no annotations. `job_id` is the GitHub Actions job whose log
    `actions.job_log` reads. `annotations_left_out` counts the annotations that were not read.
    """

    id: int
    name: str
    kind: Literal["check_run", "status"]
    app_id: int | None
    app_slug: str | None
    conclusion: str
    title: str
    summary: str
    details_url: str | None
    annotations: tuple[Annotation, ...] = ()
    annotations_left_out: int = 0
    job_id: int | None = None


class _CheckAppWire(msgspec.Struct):
    id: int
    slug: str | None = None


class _OutputWire(msgspec.Struct):
    annotations_count: int = 0
    title: str | None = None
    summary: str | None = None


class _AnnotationWire(msgspec.Struct):
    path: str
    start_line: int
    end_line: int
    annotation_level: str | None = None
    message: str | None = None
    title: str | None = None


class _StatusWire(msgspec.Struct):
    id: int
    state: str
    context: str
    description: str | None = None
    target_url: str | None = None


class _CombinedWire(msgspec.Struct):
    statuses: list[_StatusWire]


class _CheckRunWire(msgspec.Struct):
    id: int
    name: str
    status: str = "completed"
    external_id: str | None = None
    html_url: str | None = None
    details_url: str | None = None
    conclusion: str | None = None
    completed_at: datetime | None = None
    app: _CheckAppWire | None = None
    output: _OutputWire = msgspec.field(default_factory=_OutputWire)


class _CheckRunsWire(msgspec.Struct):
    check_runs: list[_CheckRunWire]


async def ensure_check_run(
    client: RepositoryClient,
    name: str,
    head_sha: CommitSha,
    external_id: str,
    *,
    status: Status = "queued",
    details_url: str | None = None,
    fresh: bool = False,
) -> CheckRunRef:
    """Create a check run on a commit unless ours with this name and `external_id` exists.

    GitHub allows duplicates, so this looks first; `fresh` skips that for a commit that was just
    created.
    """

    async def look() -> _CheckRunWire | None:
        listing = client.pages(
            _OF_COMMIT,
            path={"ref": head_sha},
            query={"check_name": name, "app_id": client.github.app_id, "filter": "all"},
        )
        async for answer in listing:
            for run in answer.read(_CheckRunsWire).check_runs:
                if run.external_id == external_id and run.name == name and _is_ours(client, run):
                    return run
        return None

    async def create() -> _CheckRunWire:
        body = {
            "name": name,
            "head_sha": head_sha,
            "external_id": external_id,
            "status": status,
            **_optional(details_url=details_url),
        }
        answer = await client.send(
            ApiRequest("POST", "/repos/{owner}/{repo}/check-runs", body=body)
        )
        return answer.read(_CheckRunWire)

    run, created = await client.ensure(look, create, fresh=fresh)
    return CheckRunRef(id=run.id, url=run.html_url or "", created=created)


async def ours_named(client: RepositoryClient, name: str, head_sha: CommitSha) -> list[int]:
    """The ids of all our check runs on a commit with this name, oldest first."""
    listing = client.pages(
        _OF_COMMIT,
        path={"ref": head_sha},
        query={"check_name": name, "app_id": client.github.app_id, "filter": "all"},
    )
    found = [
        run.id
        async for answer in listing
        for run in answer.read(_CheckRunsWire).check_runs
        if run.name == name and _is_ours(client, run)
    ]
    return sorted(found)


async def open_check_runs(
    client: RepositoryClient, head_sha: CommitSha, external_id: str
) -> list[int]:
    """The ids of our incomplete check runs on a commit with this `external_id`."""
    listing = client.pages(
        "/repos/{owner}/{repo}/commits/{ref}/check-runs",
        path={"ref": head_sha},
        query={"app_id": client.github.app_id, "filter": "all"},
    )
    return [
        run.id
        async for answer in listing
        for run in answer.read(_CheckRunsWire).check_runs
        if run.status != "completed" and run.external_id == external_id and _is_ours(client, run)
    ]


async def check_run_page(client: RepositoryClient, check_run_id: int) -> CheckRunPage:
    """Raises NotFoundError, for example when GitHub deleted an old check run."""
    answer = await client.get(_CHECK_RUN, path={"check_run_id": check_run_id})
    return _page(answer.read(_CheckRunWire))


def _page(wire: _CheckRunWire) -> CheckRunPage:
    return CheckRunPage(
        title=wire.output.title or "",
        summary=wire.output.summary or "",
        conclusion=wire.conclusion or "",
        completed_at=wire.completed_at,
    )


async def newest_page(
    client: RepositoryClient, name: str, head_sha: CommitSha
) -> CheckRunPage | None:
    """Our newest completed check run with this name on a commit, None without one."""
    listing = client.pages(
        _OF_COMMIT,
        path={"ref": head_sha},
        query={"check_name": name, "app_id": client.github.app_id, "filter": "all"},
    )
    found = [
        run
        async for answer in listing
        for run in answer.read(_CheckRunsWire).check_runs
        if run.name == name and run.conclusion and _is_ours(client, run)
    ]
    return _page(max(found, key=lambda run: run.id)) if found else None


async def update_check_run(
    client: RepositoryClient,
    check_run_id: int,
    *,
    status: Status | None = None,
    conclusion: Conclusion | None = None,
    output: Output | None = None,
    actions: Sequence[Action] | None = None,
    details_url: str | None = None,
) -> None:
    """Update a check run. A `conclusion` completes it; arguments left out stay unchanged, and
    no `actions` remove the buttons.

    Raises ValueError for more or longer buttons than GitHub accepts.
    """
    body = _optional(
        status=status,
        conclusion=conclusion,
        output=_output(output) if output else None,
        actions=None if actions is None else _actions(actions),
        details_url=details_url,
    )
    await _patch(client, check_run_id, body, repeatable=True)


async def complete_check_run(
    client: RepositoryClient,
    check_run_id: int,
    *,
    conclusion: Conclusion,
    output: Output,
    annotations: Sequence[Annotation] = (),
    actions: Sequence[Action] = (),
    details_url: str | None = None,
) -> None:
    """Complete a check run with annotations, fifty per request, the conclusion in the last.

    Each request appends its annotations. GitHub's own count says where to continue, initially and
    after a request with unknown outcome, so a repeated call must pass the same annotations in the
    same order.
    """
    closing = _optional(
        conclusion=conclusion, actions=_actions(actions) or None, details_url=details_url
    )
    sent = await _annotations_sent(client, check_run_id) if annotations else 0
    retries = Retries(retrying.GITHUB_ANNOTATIONS, client.github.sleep)
    while True:
        batch = annotations[sent : sent + ANNOTATIONS_A_REQUEST]
        last = sent + len(batch) >= len(annotations)
        body = {"output": _output(output, batch), **(closing if last else {})}
        try:
            await _patch(client, check_run_id, body, repeatable=not batch)
        except UnknownOutcomeError:
            if not await retries.pause():
                raise
            sent = await _annotations_sent(client, check_run_id)
            continue
        if last:
            return
        sent += len(batch)


async def failing(
    client: RepositoryClient, sha: CommitSha, annotations_each: int = 50
) -> tuple[FailingCheck, ...]:
    """Failed checks on a commit, except ours. Needs checks: read and statuses: read.

    Includes the latest check run of each name and App, and the latest status of each context.
    Cancelled checks and those that wait for approval have not failed.
    https://docs.github.com/en/rest/checks/runs#list-check-runs-for-a-git-reference
    https://docs.github.com/en/rest/commits/statuses#get-the-combined-status-for-a-specific-reference
    """
    latest: dict[tuple[str, int | None], _CheckRunWire] = {}
    listing = client.pages(_OF_COMMIT, path={"ref": sha}, query={"filter": "latest"}, most=10)
    async for answer in listing:
        for run in answer.read(_CheckRunsWire).check_runs:
            key = (run.name, run.app.id if run.app else None)
            if not _is_ours(client, run) and (key not in latest or latest[key].id < run.id):
                latest[key] = run
    bad = sorted((r for r in latest.values() if r.conclusion in _FAILED), key=lambda run: run.id)
    found = [
        await _failing_run(client, run, annotations_each if place < _MOST_ANNOTATED else 0)
        for place, run in enumerate(bad)
    ]
    return (*found, *await _failing_statuses(client, sha))


async def _failing_run(client: RepositoryClient, run: _CheckRunWire, most: int) -> FailingCheck:
    count = run.output.annotations_count
    notes = await annotations_of(client, run.id, most) if count and most else ()
    slug = run.app.slug if run.app else None
    job = _JOB.search(run.details_url or "")
    # Check runs of GitHub Actions are its jobs and have the same ids.
    job_id = (int(job[1]) if job else run.id) if slug == "github-actions" else None
    return FailingCheck(
        id=run.id,
        name=run.name,
        kind="check_run",
        app_id=run.app.id if run.app else None,
        app_slug=slug,
        conclusion=run.conclusion or "",
        title=run.output.title or "",
        summary=run.output.summary or "",
        details_url=run.details_url,
        annotations=notes,
        annotations_left_out=max(0, count - len(notes)),
        job_id=job_id,
    )


async def _failing_statuses(client: RepositoryClient, sha: CommitSha) -> list[FailingCheck]:
    listing = client.pages("/repos/{owner}/{repo}/commits/{ref}/status", path={"ref": sha}, most=3)
    return [
        FailingCheck(
            id=status.id,
            name=status.context,
            kind="status",
            app_id=None,
            app_slug=None,
            conclusion=status.state,
            title=status.description or "",
            summary="",
            details_url=status.target_url,
        )
        async for answer in listing
        for status in answer.read(_CombinedWire).statuses
        if status.state in _FAILED
    ]


async def annotations_of(
    client: RepositoryClient, check_run_id: int, most: int = 50
) -> tuple[Annotation, ...]:
    """The first annotations of a check run, in creation order.

    https://docs.github.com/en/rest/checks/runs#list-check-run-annotations
    """
    found: list[Annotation] = []
    listing = client.pages(
        f"{_CHECK_RUN}/annotations", path={"check_run_id": check_run_id}, most=-(-most // 100)
    )
    async for answer in listing:
        found.extend(_read_annotation(wire) for wire in answer.read(list[_AnnotationWire]))
    return tuple(found[:most])


def _read_annotation(wire: _AnnotationWire) -> Annotation:
    return Annotation(
        path=wire.path,
        start_line=wire.start_line,
        end_line=wire.end_line,
        level=_LEVELS.get(wire.annotation_level or "", "notice"),
        message=wire.message or "",
        title=wire.title or "",
    )


async def _annotations_sent(client: RepositoryClient, check_run_id: int) -> int:
    answer = await client.get(_CHECK_RUN, path={"check_run_id": check_run_id})
    return answer.read(_CheckRunWire).output.annotations_count


async def _patch(
    client: RepositoryClient, check_run_id: int, body: dict[str, Any], *, repeatable: bool
) -> None:
    await client.send(
        ApiRequest(
            "PATCH",
            _CHECK_RUN,
            path={"check_run_id": check_run_id},
            body=body,
            repeatable=repeatable,
        )
    )


_OF_COMMIT = "/repos/{owner}/{repo}/commits/{ref}/check-runs"
_CHECK_RUN = "/repos/{owner}/{repo}/check-runs/{check_run_id}"


def _is_ours(client: RepositoryClient, run: _CheckRunWire) -> bool:
    return run.app is not None and run.app.id == client.github.app_id


def _output(output: Output, annotations: Sequence[Annotation] = ()) -> dict[str, Any]:
    return {
        "title": _title(output.title),
        "summary": cut(output.summary, MAX_TEXT),
        **_optional(
            text=cut(output.text, MAX_TEXT) or None,
            annotations=[_annotation(each) for each in annotations] or None,
        ),
    }


def _annotation(annotation: Annotation) -> dict[str, Any]:
    return {
        "path": annotation.path,
        "start_line": annotation.start_line,
        "end_line": annotation.end_line,
        "annotation_level": annotation.level,
        "message": cut(annotation.message, MAX_ANNOTATION_TEXT),
        **_optional(title=_title(annotation.title) or None),
    }


def _actions(actions: Sequence[Action]) -> list[dict[str, str]]:
    if len(actions) > MAX_ACTIONS:
        raise ValueError(f"{len(actions)} buttons; GitHub shows {MAX_ACTIONS}")
    for action in actions:
        if len(action.label) > 20 or len(action.description) > 40 or len(action.identifier) > 20:
            raise ValueError(f"a button's words are too long for GitHub: {action}")
    return [action.model_dump() for action in actions]


def _title(text: str) -> str:
    return text if len(text) <= MAX_TITLE else text[: MAX_TITLE - 1] + "…"


def _optional(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
