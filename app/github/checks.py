"""Check runs: what stands beside the commit and may hold a merge back.

https://docs.github.com/en/rest/checks/runs
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from app.domain.values import CommitSha, Value
from app.github.client import RepositoryClient
from app.github.exchange import Request, cut
from app.github.refusals import UnsureError

MAX_TEXT = 65_535
"""Bytes of a summary or text. The documentation says characters, GitHub counts bytes:
https://github.com/github/docs/issues/35252
"""

MAX_TITLE = 255
MAX_ANNOTATION_TEXT = 64_000
"""Bytes; GitHub's limit is 64 KB."""

MAX_ACTIONS = 3
ANNOTATIONS_A_REQUEST = 50
_ATTEMPTS = 3

Status = Literal["queued", "in_progress"]
Conclusion = Literal[
    "action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"
]


class CheckRunRef(Value):
    """A check run by its id; `url` is its page, `created` whether this call made it."""

    id: int
    url: str
    created: bool


class Annotation(Value):
    """A remark on lines of a file at the head commit. Lines count from 1."""

    path: str
    start_line: int
    end_line: int
    level: Literal["notice", "warning", "failure"]
    message: str
    title: str = ""


class Output(Value):
    """What the check's page shows. `summary` and `text` are Markdown and cut to fit."""

    title: str
    summary: str
    text: str = ""


class Action(Value):
    """A button on the page of a completed check run. `identifier` comes back in the webhook."""

    label: str
    description: str
    identifier: str


class _AppWire(msgspec.Struct):
    id: int


class _OutputWire(msgspec.Struct):
    annotations_count: int = 0


class _CheckRunWire(msgspec.Struct):
    id: int
    name: str
    status: str = "completed"
    external_id: str | None = None
    html_url: str | None = None
    app: _AppWire | None = None
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
    """Make a check run on a commit unless ours with this name and `external_id` is there.

    GitHub itself makes a second of the same name without a word, so the look is ours to do;
    `fresh` spares it for a commit that has only just been made.
    """

    async def look() -> _CheckRunWire | None:
        listing = client.pages(
            "/repos/{owner}/{repo}/commits/{ref}/check-runs",
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
        answer = await client.send(Request("POST", "/repos/{owner}/{repo}/check-runs", body=body))
        return answer.read(_CheckRunWire)

    run, created = await client.ensure(look, create, fresh=fresh)
    return CheckRunRef(id=run.id, url=run.html_url or "", created=created)


async def open_check_runs(
    client: RepositoryClient, head_sha: CommitSha, external_id: str
) -> list[int]:
    """The ids of our check runs on a commit that carry this `external_id` and are not completed."""
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


async def update_check_run(
    client: RepositoryClient,
    check_run_id: int,
    *,
    status: Status | None = None,
    conclusion: Conclusion | None = None,
    output: Output | None = None,
    actions: Sequence[Action] = (),
    details_url: str | None = None,
) -> None:
    """Say how it stands. A `conclusion` completes the run; what is left out stays as it is.

    Raises ValueError for more or longer buttons than GitHub takes.
    """
    body = _optional(
        status=status,
        conclusion=conclusion,
        output=_output(output) if output else None,
        actions=_actions(actions) or None,
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
    """End a check run, with annotations, fifty a request, the conclusion in the last one.

    Each request adds its annotations to those that are there, so before the first and after a
    request of unknown fate GitHub's own count says where to go on: give the same annotations in
    the same order when this is done again.
    """
    closing = _optional(
        conclusion=conclusion, actions=_actions(actions) or None, details_url=details_url
    )
    sent = await _annotations_sent(client, check_run_id) if annotations else 0
    failures = 0
    while True:
        batch = annotations[sent : sent + ANNOTATIONS_A_REQUEST]
        last = sent + len(batch) >= len(annotations)
        body = {"output": _output(output, batch), **(closing if last else {})}
        try:
            await _patch(client, check_run_id, body, repeatable=not batch)
        except UnsureError:
            failures += 1
            if failures >= _ATTEMPTS:
                raise
            await client.github.pause(failures)
            sent = await _annotations_sent(client, check_run_id)
            continue
        if last:
            return
        sent += len(batch)


async def _annotations_sent(client: RepositoryClient, check_run_id: int) -> int:
    answer = await client.get(_CHECK_RUN, path={"check_run_id": check_run_id})
    return answer.read(_CheckRunWire).output.annotations_count


async def _patch(
    client: RepositoryClient, check_run_id: int, body: dict[str, Any], *, repeatable: bool
) -> None:
    await client.send(
        Request(
            "PATCH",
            _CHECK_RUN,
            path={"check_run_id": check_run_id},
            body=body,
            repeatable=repeatable,
        )
    )


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
