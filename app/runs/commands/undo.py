"""`/honk undo`: revert everything that one run published, in one commit."""

from __future__ import annotations

from app import messages
from app.domain import (
    labels,
)
from app.domain.policy import Policy
from app.domain.run import hidden_ref
from app.domain.trigger import Trigger
from app.domain.values import CommitSha, RunId, Value, commit_sha
from app.github import commits, conversation, pulls
from app.github.client import RepositoryClient
from app.github.commits import RefMoved
from app.github.pulls import PullRequest
from app.runs import durable, intake, starting
from app.runs.commands import check
from app.runs.durable import NoResult
from app.runs.services import PUBLISH, READ_CODE, WRITE_COMMENTS, Services
from app.store.runs import RunRow

_MAX_COMMITS = 200


class UndoResult(Value):
    """The run that was reverted, its pull request, the new head and the answer, or why nothing was
    done."""

    run: RunId | None = None
    pull: int | None = None
    sha: CommitSha | None = None
    answer: str = ""
    problem: str = ""
    next_step: str = ""


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Revert the last run, unless people have pushed on top of it."""
    done = await durable.step("undo", UndoResult, lambda: _undo(services, trigger))
    if done.run is not None:
        run, answer = done.run, done.answer
        await durable.step("correct", NoResult, lambda: _update_texts(services, run))
        await durable.step("answer", NoResult, lambda: intake.answer(services, trigger, answer))
        await _check(services, trigger, policy, done)
    else:
        await starting.refuse(services, trigger, (done.problem, done.next_step))


async def _check(services: Services, trigger: Trigger, policy: Policy, done: UndoResult) -> None:
    """Check the new head like anyone's push: GitHub's event for it is Honk's own and ignored."""
    if done.pull is None:
        return
    change = {
        "id": f"{trigger.id}:check",
        "kind": "check",
        "number": done.pull,
        "is_pull_request": True,
        "command": None,
        "comment": None,
        "label": None,
        "head_sha": done.sha,
    }
    await check.handle(services, trigger.model_copy(update=change), policy)


async def _undo(services: Services, trigger: Trigger) -> UndoResult:
    row = await _published(services, trigger)
    if row is None or row.branch is None or row.published_sha is None:
        return _refused(messages.refusals.nothing_to_undo(trigger.number))
    if row.finished_at is None:
        return _refused(messages.refusals.stop_first(trigger.number))
    client = await services.client(row.input, PUBLISH)
    if row.pull_number is not None:
        pull = await pulls.pull_request(client, row.pull_number)
        if pull.merged:
            return _refused(messages.refusals.undo_merged(pull.number))
    published = commit_sha(row.published_sha)
    before = await _parent_of_run(services, row, published)
    if before is None:
        return _refused(messages.refusals.undo_pushed_on_top(row.branch, published, row.id))
    tree = await services.mirrors.tree_of(row.input.trigger.repository, before)
    message = messages.comments.undo_message(row.id, row.input.trigger.title)
    made = await commits.create_signed_commit(client, tree, [published], message)
    try:
        ref = f"refs/heads/{row.branch}"
        await commits.ensure_ref(client, ref, made.sha, expected=published)
    except RefMoved:
        return _refused(messages.refusals.undo_pushed_on_top(row.branch, published, row.id))
    await services.runs.update(row.id, published_sha=None)
    await commits.delete_ref(client, hidden_ref(row.id))
    return UndoResult(
        run=row.id,
        pull=row.pull_number,
        sha=made.sha,
        answer=messages.comments.undo_answer(made.sha, row.branch, row.id),
    )


async def _update_texts(services: Services, run: RunId) -> NoResult:
    """Update the pull request's text, and label the issue as needing attention."""
    row = await services.runs.get(run)
    client = await services.client(row.input, {**WRITE_COMMENTS, **PUBLISH})
    if row.pull_number is not None:
        pull = await pulls.pull_request(client, row.pull_number)
        if pull.state == "open" and pull.author.login == await services.bot_login():
            await _update_pull(client, pull, row)
    number = row.input.trigger.number
    await conversation.set_state_label(client, number, labels.NEEDS_YOU, messages.labels.LABELS)
    return NoResult()


async def _update_pull(client: RepositoryClient, pull: PullRequest, row: RunRow) -> None:
    """Convert the run's own pull request to a draft; in another one, correct only the run's
    part."""
    if not messages.refusals.is_opened_by(pull.body, row.id):
        body = messages.pull_request.without_verdict(pull.body, row.id)
        part = messages.refusals.undone_part(row.id)
        body = messages.pull_request.with_follow_up(body, row.id, part)
        await pulls.update_pull_request(client, pull.number, body=body)
        return
    await pulls.disable_auto_merge(client, pull.node_id)
    is_draft = pull.draft or await pulls.convert_to_draft(client, pull.node_id)
    title = pull.title if is_draft else messages.pull_request.not_ready_title(pull.title)
    body = messages.refusals.undone_body(pull.body, row.id, row.input.trigger)
    await pulls.update_pull_request(client, pull.number, title=title, body=body)


async def _published(services: Services, trigger: Trigger) -> RunRow | None:
    """The newest run with published commits: on the pull request, or for the issue."""
    here = await services.runs.of_pull(str(trigger.repository), trigger.number)
    requested = await intake.requested_runs(services, trigger)
    own = [row for row in requested if not intake.is_answered(row)][:1]
    rows = here if trigger.is_pull_request else own
    return next((row for row in rows if row.published_sha), None)


async def _parent_of_run(services: Services, row: RunRow, published: CommitSha) -> CommitSha | None:
    """The parent of the run's own commits; None when the branch is not at the run's last one."""
    run, repo = row.input, row.input.trigger.repository
    remote = await services.remote(run, READ_CODE)
    head = await services.mirrors.fetch(repo, remote, f"refs/heads/{row.branch}")
    if head != published:
        return None
    trailer = f"Honk-Run: {row.id}"
    below = published
    for each in reversed(await services.mirrors.history(repo, published, _MAX_COMMITS)):
        if trailer not in each.message.splitlines():
            break
        below = each.parent
    return None if below == published else below


def _refused(refusal: tuple[str, str]) -> UndoResult:
    return UndoResult(problem=refusal[0], next_step=refusal[1])
