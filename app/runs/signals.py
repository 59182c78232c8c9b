"""Events about a run that are not requests in text: buttons, other Apps' checks, pushes, closing.

Each becomes a trigger on the run's subject, based on the run's original trigger, and is handled
like any other: permission, policy, command.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import structlog

from app import log_events, messages
from app.domain.command import Command
from app.domain.run import Outcome, hidden_ref, subject_key, subject_of_group
from app.domain.trigger import Kind, MergeGroup, Signal, Trigger
from app.domain.values import Value
from app.errors import HonkError, UserError
from app.github import checks, commits, conversation, pulls
from app.github.client import RepositoryClient
from app.runs import (
    builds,
    dispatch,
    durable,
    intake,
    merge_watch,
    pending,
    previews,
    review_check,
)
from app.runs.commands import check
from app.runs.durable import InternalError, NoResult
from app.runs.services import READ_PULLS, READ_SUBJECT, WRITE_CHECKS, WRITE_CODE, Services
from app.store.runs import RunRow

log = structlog.get_logger()

_LEFT_QUEUE = "destroyed"
_CHECK_AGAIN = frozenset({"retry", "test", ""})
_END_POLLS = 120
_GITHUB_CLOSES_SECONDS = 5.0


class ResolveResult(Value):
    """The trigger that a signal becomes; None when it concerns no run."""

    trigger: Trigger | None = None


async def handle_signal(services: Services, signal: Signal, tries: int = 0) -> None:
    """Find the signal's run and handle the resulting trigger.

    `tries` counts earlier attempts to handle it that failed.
    """
    structlog.contextvars.bind_contextvars(trigger=signal.id)
    services.github.know(signal.repository, signal.repository_id)
    found = ResolveResult()
    try:
        if signal.kind == "dequeued" or signal.action in merge_watch.ACTIONS:
            await durable.step("watch merge", NoResult, lambda: _watch_merge(services, signal))
        if signal.kind == "approvals":
            await durable.step(
                "check approvals", NoResult, lambda: _check_approvals(services, signal)
            )
        elif signal.kind == "closed":
            await durable.step("handle close", NoResult, lambda: _handle_close(services, signal))
            await durable.step("remove builds", NoResult, lambda: _remove_builds(services, signal))
        elif signal.kind == "built":
            await durable.step("collect build", NoResult, lambda: _collect_build(services, signal))
        elif signal.kind == "deployment":
            await durable.step(
                "update previews", NoResult, lambda: _update_previews(services, signal)
            )
        elif signal.kind != "dequeued":
            found = await durable.step("resolve", ResolveResult, lambda: _resolve(services, signal))
    except (UserError, InternalError) as problem:
        await pending.defer(services, signal, problem)
        return
    if found.trigger is not None:
        # The trigger has the signal's id, so this also clears the signal's pending entry.
        await dispatch.dispatch(services, found.trigger, tries)
        return
    if signal.kind not in ("approvals", "closed", "deployment", "built", "dequeued"):
        log.info(log_events.SIGNAL_IGNORED, kind=signal.kind)
    if tries:
        await pending.mark_handled(services, signal)


async def _watch_merge(services: Services, signal: Signal) -> NoResult:
    await merge_watch.on_signal(services, signal)
    return NoResult()


async def _check_approvals(services: Services, signal: Signal) -> NoResult:
    if signal.review is not None and signal.number is not None and signal.actor.type == "User":
        await services.runs.note_review(str(signal.repository), signal.number)
    await review_check.on_signal(services, signal)
    return NoResult()


async def _update_previews(services: Services, signal: Signal) -> NoResult:
    await services.follows.wake(signal.repository_id, signal.head_sha or "")
    await previews.on_signal(services, signal)
    return NoResult()


async def _collect_build(services: Services, signal: Signal) -> NoResult:
    await services.follows.wake(signal.repository_id, signal.head_sha or "")
    await builds.on_signal(services, signal)
    return NoResult()


async def _remove_builds(services: Services, signal: Signal) -> NoResult:
    await builds.on_close(services, signal)
    return NoResult()


async def _resolve(services: Services, signal: Signal) -> ResolveResult:
    if signal.kind in ("head", "merge_group"):
        return await _resolve_head(services, signal)
    row = await _find_run(services, signal)
    again = _checks_again(signal, row)
    if again is not None:
        return await _resolve_head(services, again, asked=True)
    if row is None and signal.kind == "pushed":
        return await _resolve_unknown_push(services, signal)
    if row is None and signal.kind == "rerun":
        return await _resolve_rerun(services, signal)
    if row is None:
        return ResolveResult()
    trigger = row.input.trigger
    match signal.kind:
        case "button":
            on_pull = signal.action in ("fix", "accept", "merge") and row.pull_number is not None
            return await _trigger(services, signal, row, "button", signal.action, on_pull=on_pull)
        case "rerun":
            return await _trigger(services, signal, row, "button", "retry", on_pull=False)
        case "pushed":
            if await _is_superseded(services, signal):
                return ResolveResult()
            return await _trigger(services, signal, row, "unasked", "test", on_pull=True)
        case _:
            # A fast check can fail before the run has ended or even opened the pull request.
            if row.finished_at is None:
                await _wait_until_ended(services, row.subject)
                row = await services.runs.get(row.id)
            # On behalf of the run's requester, whose permission is checked again.
            asked = signal.model_copy(update={"actor": trigger.actor})
            return await _trigger(services, asked, row, "unasked", "fix", on_pull=True)


async def _resolve_unknown_push(services: Services, signal: Signal) -> ResolveResult:
    """A push to our own pull request without a known run is checked like any other."""
    assert signal.number is not None
    if await services.runs.of_pull(str(signal.repository), signal.number):
        return ResolveResult()  # the run's own commit is the head again
    return await _resolve_head(services, signal)


async def _resolve_rerun(services: Services, signal: Signal) -> ResolveResult:
    """All checks of a commit are asked for again, and no run is behind ours: a fork's pull request
    that waits for a person, for example. GitHub shows the suite as queued until a check comes."""
    assert signal.head_sha is not None
    client = await services.github.repository(
        signal.installation_id, signal.repository, {**READ_PULLS, **WRITE_CHECKS}
    )
    if not await checks.ours_named(client, messages.check_run.TESTS_CHECK, signal.head_sha):
        return ResolveResult()
    found = await pulls.open_at(client, signal.head_sha)
    if not found:
        return ResolveResult()
    about = {"number": found[0].number, "head_sha": None}
    return await _resolve_head(services, signal.model_copy(update=about), asked=True)


def _checks_again(signal: Signal, row: RunRow | None) -> Signal | None:
    """A request to repeat the check on the current head, with or without a run behind the check."""
    if signal.action not in _CHECK_AGAIN:
        return None
    number, group = check.pull_of(signal.run), None
    if row is not None:
        trigger = row.input.trigger
        number, group = row.number or None, trigger.merge_group
        if trigger.kind != "check":
            return None
    elif number is None:
        return None
    return signal.model_copy(update={"number": number, "head_sha": None, "merge_group": group})


async def _resolve_head(
    services: Services, signal: Signal, *, asked: bool = False
) -> ResolveResult:
    """A trigger for the check on a pull request's head, or on a merge queue's entry.

    `asked`: a person asked for it, so it is about the current head.
    """
    group = signal.merge_group
    if group is not None and signal.action == _LEFT_QUEUE:
        await _stop_entry(services, signal, group)
        return ResolveResult()
    client = await services.github.repository(
        signal.installation_id, signal.repository, READ_SUBJECT
    )
    head = group.head_sha if group is not None else signal.head_sha
    if head is None and signal.number is not None:
        head = (await pulls.pull_request(client, signal.number)).head_sha
    moment = datetime.now(UTC)
    return ResolveResult(
        trigger=Trigger(
            id=signal.id,
            kind="check",
            installation_id=signal.installation_id,
            repository=signal.repository,
            repository_id=signal.repository_id,
            default_branch=signal.default_branch,
            private=True,
            is_pull_request=group is None,
            actor=signal.actor,
            label=None,
            comment=None,
            command=Command(name="test", task="") if asked else None,
            head_sha=head,
            merge_group=group,
            created_at=moment,
            updated_at=moment,
            **await _checked_subject(client, signal),
        )
    )


async def _stop_entry(services: Services, signal: Signal, group: MergeGroup) -> None:
    for row in await services.runs.alive_on(subject_of_group(signal.repository, group)):
        await check.stop(services, row, signal.actor.login, messages.check_run.left_queue())


async def _checked_subject(client: RepositoryClient, signal: Signal) -> dict[str, Any]:
    """The trigger's data about the pull request; a merge queue entry may have none."""
    if signal.number is None:
        title = messages.check_run.merge_queue_entry()
        return {
            "number": 0,
            "title": title,
            "body": "",
            "author": None,
            "labels": (),
            "html_url": "",
        }
    issue = await conversation.issue(client, signal.number)
    return {
        "number": signal.number,
        "title": issue.title,
        "body": issue.body,
        "author": intake.actor_of(issue.author),
        "labels": issue.labels,
        "html_url": f"{client.github.server_url}/{signal.repository}/pull/{signal.number}",
        "closed": signal.merge_group is None and issue.state != "open",
    }


async def _is_superseded(services: Services, signal: Signal) -> bool:
    """Whether a live run put its own verified commit on top of the push."""
    assert signal.number is not None
    subject = subject_key(signal.repository, signal.number)
    alive = await services.runs.alive_on(subject)
    if all(row.input.quiet for row in alive):
        return False  # a run that only verifies pushes nothing
    await _wait_until_ended(services, subject)
    client = await services.github.repository(signal.installation_id, signal.repository, READ_PULLS)
    head = (await pulls.pull_request(client, signal.number)).head_sha
    rows = await services.runs.of_pull(str(signal.repository), signal.number)
    return any(row.published_sha == head for row in rows)


async def _find_run(services: Services, signal: Signal) -> RunRow | None:
    repository = str(signal.repository)
    if signal.run:
        # `honk / run` has the external id `<run>.<attempt>`.
        row = await services.runs.find(signal.run.partition(".")[0])
        if row is None or row.repository == repository:
            return row
        # Repeat checks under the repository's current name; a run's issue keeps its location.
        before = row.input.trigger
        is_moved = before.kind == "check" and before.repository_id == signal.repository_id
        return row if is_moved else None
    if signal.kind == "pushed" and signal.number is not None:
        rows = await services.runs.of_pull(repository, signal.number)
        return rows[0] if rows and rows[0].published_sha != signal.head_sha else None
    rows = await services.runs.of_commit(repository, signal.head_sha or "")
    if not rows and signal.kind == "rerun":
        rows = await services.runs.of_checked_commit(repository, signal.head_sha or "")
    return rows[0] if rows else None


async def _trigger(
    services: Services,
    signal: Signal,
    row: RunRow,
    kind: Kind,
    name: str,
    *,
    on_pull: bool,
) -> ResolveResult:
    """The run's trigger again, with the signal's actor and the subject's current labels."""
    before = row.input.trigger
    number = row.pull_number if on_pull and row.pull_number else row.number
    client = await services.github.repository(
        signal.installation_id,
        signal.repository,
        await services.reading_permissions(),
        observe=services.counting(row.id, signal.installation_id),
    )
    issue = await conversation.issue(client, number)
    # The button *Accept* is below the verdict on exactly this commit.
    sha = signal.head_sha or "" if name == "accept" else ""
    said = signal.said or Command.model_validate({"name": name, "task": "", "sha": sha})
    return ResolveResult(
        trigger=before.model_copy(
            update={
                "id": signal.id,
                "kind": kind,
                "actor": signal.actor,
                "number": number,
                "is_pull_request": issue.is_pull_request,
                "closed": issue.state != "open",
                "labels": issue.labels,
                "label": None,
                "comment": None,
                "comments": 0,
                "command": said,
                "updated_at": datetime.now(UTC),
            }
        )
    )


async def _handle_close(services: Services, signal: Signal) -> NoResult:
    """Handle a closed or deleted subject: stop its run, and delete its hidden refs.

    Only people with rights can merge, transfer or delete; anybody can close their own issue.
    """
    assert signal.number is not None
    subject = subject_key(signal.repository, signal.number)
    alive = await services.runs.alive_on(subject)
    checking = [row for row in alive if row.input.trigger.kind == "check"]
    problem, _ = messages.refusals.subject_closed(signal.number, signal.action)
    for row in checking:
        await check.stop(services, row, signal.actor.login, problem)
    alive = [row for row in alive if row not in checking]
    if alive and signal.action == "closed" and not await intake.may_stop(services, signal):
        return NoResult()
    published = await services.runs.of_pull(str(signal.repository), signal.number)
    if signal.action == "merged":
        await services.runs.note_merge(str(signal.repository), signal.number)
    for row in alive:
        await services.runs.ask_to_stop(row.id, signal.actor.login, problem)
    await _wait_until_ended(services, subject)
    if not published:
        return NoResult()
    client = await services.github.repository(
        signal.installation_id, signal.repository, {**WRITE_CODE, "issues": "write"}
    )
    rows = {row.id: row for row in (*published, *await services.runs.of_subject(subject))}
    for row in rows.values():
        if not _holds_the_only_copy(row):
            await _delete_hidden_ref(client, row)
    if signal.action == "merged":
        await _close_issue(client, published[0])
    return NoResult()


async def _wait_until_ended(services: Services, subject: str) -> None:
    for _ in range(_END_POLLS):
        if not await services.runs.alive_on(subject):
            return
        async with durable.released():
            await asyncio.sleep(1.0)


def _holds_the_only_copy(row: RunRow) -> bool:
    """Whether the hidden ref is the only copy: the run was stopped by the closing and published
    nothing."""
    return row.outcome is Outcome.STOPPED and bool(row.stop_why) and row.published_sha is None


async def _delete_hidden_ref(client: RepositoryClient, row: RunRow) -> None:
    try:
        await commits.delete_ref(client, hidden_ref(row.id))
    except HonkError as problem:
        log.warning(log_events.HIDDEN_REF_NOT_DELETED, run=row.id, why=str(problem))


async def _close_issue(client: RepositoryClient, row: RunRow) -> None:
    """Close the issue after a merge, since GitHub's keyword does not work for every merge.

    As with the keyword, only for a merge into the default branch.
    """
    trigger = row.input.trigger
    if trigger.is_pull_request or row.input.base_branch != trigger.default_branch:
        return
    await asyncio.sleep(_GITHUB_CLOSES_SECONDS)
    issue = await conversation.issue(client, trigger.number)
    if issue.state == "open":
        await conversation.close_issue(client, trigger.number)
