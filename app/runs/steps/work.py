"""The agent's turns, in a workspace derived only from the transcript."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

from app import log_events, messages, retrying
from app.agent.engine import (
    AgentTask,
    Budget,
    BudgetSpent,
    Done,
    Ending,
    ModelDeclined,
    PersonMessage,
    Picture,
    Programs,
    Progress,
    Question,
    Signals,
    Stuck,
    TurnRecord,
    WorkspaceActions,
    already_heard,
)
from app.agent.prompt import Assignment, QuotedComment
from app.domain import excerpts
from app.domain.budget import agent_budget
from app.domain.overview import changed_together, named_files, overview
from app.domain.report import (
    Work,
)
from app.domain.run import ContextText, Phase, Preparation, RunInput
from app.domain.sanitize import printable
from app.domain.setup_outcome import SetupOutcome
from app.domain.setup_plan import Choices
from app.domain.values import CommitSha, TreeSha
from app.git.checkout import Workspace
from app.git.co_changes import latest_changes
from app.git.snapshots import Snapshots, snapshots_of
from app.retrying import RetryRule, retry
from app.runs.attempt import Attempt
from app.runs.checkouts import check_out, fetch_external_content
from app.runs.diff_recorder import DiffRecorder, diff_recorder
from app.runs.services import READ_CODE, Services
from app.runs.steps import (
    cells,
    checkpoint,
    guidance,
    handoff,
    prepare,
    pull_template,
    set_up,
    verify,
)
from app.runs.steps.handoff import BackgroundPusher
from app.runs.steps.progress import announce
from app.sandbox.spec import Mount, Program, SandboxSession
from app.store.turns import Turns

_DIFF_BYTES = 60_000
_TRACED_BYTES = 400_000
"""Of a file that a stack trace names."""


async def work(
    attempt: Attempt,
    preparation: Preparation,
    feedback: str | None,
    *,
    feedback_id: str,
) -> Work:
    """Let the agent work until it ends; `feedback` sends it back to work it had finished.

    Feedback with the same `feedback_id` is delivered once. A rerun resumes after the last recorded
    turn. Raises UserError when the App lost access to the repository: work that cannot be published
    should not cost money.
    """
    services, run = attempt.services, attempt.run
    await announce(services, run, Phase.WORKING)
    await handoff.fetch_work(services, run, preparation.base)
    workspace = await open_workspace(services, run, preparation.base)
    tree = await prepare.work_tree(services, run)
    await services.setup_choices.load(services.runs, run.id)
    workspace = await set_up.for_the_agent(services, run, workspace, preparation.ground, tree)
    baseline = asyncio.create_task(_baseline(services, run, preparation))
    try:
        async with (
            handoff.background_pusher(
                _to_github(services, run, preparation), services.stops.of(run.id).set
            ) as pusher,
            services.sandbox.session(
                services.workspaces.spec(workspace, image=run.policy.image, with_services=True)
            ) as sandbox,
            snapshots_of(workspace, services.workspaces) as snapshots,
            diff_recorder(services, run, preparation.base) as diffs,
        ):
            keepers = _Keepers(snapshots, pusher, diffs)
            task = await _task(services, run, preparation, workspace, sandbox, keepers)
            ending = await services.engines.get(run.engine).run(
                task, feedback, feedback_id=feedback_id
            )
        if pusher.shut_out is not None:
            raise pusher.shut_out
        if isinstance(ending, Done):
            await baseline
    finally:
        baseline.cancel()
        await asyncio.gather(baseline, return_exceptions=True)
    return _to_work(ending)


async def _baseline(services: Services, run: RunInput, preparation: Preparation) -> None:
    """Verify the base while the agent works, so that its results are ready when it finishes."""
    if run.policy.ci is None:
        await cells.baseline(services, run, preparation.comparison)


def _to_github(
    services: Services, run: RunInput, preparation: Preparation
) -> Callable[[TreeSha], Awaitable[None]]:
    async def push(tree: TreeSha) -> None:
        await checkpoint.save_tree(services, run, preparation.base, tree)

    return push


async def has_unread_messages(services: Services, run: RunInput) -> bool:
    """Whether the attempt got messages that are not in the transcript.

    Messages from before the attempt's start do not count: they started it, and a run that always
    fails would otherwise never end. Neither do messages from before a stop.
    """
    records = await StoredTranscript(Turns(services.database, run.id)).load()
    row = await services.runs.get(run.id)
    since = max(row.admitted_at or 0.0, row.stop_asked_at or 0.0)
    said = [each for each in await services.messages.of(run.id) if each.created_at > since]
    return any(not already_heard(records, each.id) for each in said)


async def open_workspace(services: Services, run: RunInput, base: CommitSha) -> Workspace:
    """A new workspace: the base commit with the work so far on top."""
    tree = await prepare.work_tree(services, run)
    return await check_out(services, run, base, run.id, tree=tree)


@dataclass(frozen=True)
class _Keepers:
    """What keeps the work while the agent goes on."""

    snapshots: Snapshots
    pusher: BackgroundPusher
    diffs: DiffRecorder


async def _task(
    services: Services,
    run: RunInput,
    preparation: Preparation,
    workspace: Workspace,
    sandbox: SandboxSession,
    keepers: _Keepers,
) -> AgentTask:
    async def snapshot() -> str | None:
        if run.mode != "work":
            return None
        tree = await keepers.snapshots.take()
        # Pinned for the run, not for its workspace, which is removed when the run resumes
        # elsewhere.
        await services.mirrors.pin(workspace.repo, f"{run.id}-snapshot", tree)
        keepers.pusher.send(tree)
        keepers.diffs.send(tree)
        return tree

    async def verify_now() -> str:
        return await verify.for_the_agent(services, run, preparation.comparison, workspace)

    async def set_up_again(choices: tuple[Choices, ...]) -> str:
        return await set_up.run_again(services, run, workspace, choices)

    async def progress(so_far: Progress) -> None:
        plan = list(so_far.plan)
        services.edits.record_work_time(run.id, so_far.seconds)
        await announce(services, run, Phase.WORKING, plan=plan)

    async def pause(complete_record: Callable[[], Awaitable[None]]) -> None:
        async def complete() -> None:
            await complete_record()
            await keepers.pusher.flush()

        await services.shutdown.safe_point(complete)

    async def said() -> list[PersonMessage]:
        found = await services.messages.of(run.id)
        return [PersonMessage(id=each.id, author=each.author, text=each.text) for each in found]

    stop = services.stops.of(run.id)

    async def stopped() -> bool:
        return stop.is_set()

    share = agent_budget(run.policy.budget, judge=run.policy.judge)
    return AgentTask(
        assignment=await _assignment(services, run, preparation, workspace),
        model=run.model,
        sandbox=sandbox,
        workspace=WorkspaceActions(verify_now, set_up_again, snapshot),
        transcript=StoredTranscript(Turns(services.database, run.id)),
        budget=Budget(usd=share.usd, seconds=share.minutes * 60, turns=share.turns),
        signals=Signals(should_stop=stopped, messages=said, progress=progress, pause=pause),
        programs=_programs(services, run, workspace),
        pictures=await _pictures(services, run),
        stronger=run.stronger,
    )


def _programs(services: Services, run: RunInput, workspace: Workspace) -> Programs:
    """Sandboxes for an engine's own programs, over the agent's workspace."""

    def program(
        argv: Sequence[str],
        *,
        mounts: tuple[Mount, ...] = (),
        environment: Mapping[str, str],
        worker_port: int | None = None,
    ) -> AbstractAsyncContextManager[Program]:
        spec = services.workspaces.spec(
            workspace,
            environment=environment,
            mounts=mounts,
            image=run.policy.image,
            with_services=True,
        )
        return services.sandbox.program(replace(spec, worker_port=worker_port), argv)

    return program


class StoredTranscript:
    """The agent's transcript, stored in the run's turns."""

    def __init__(self, turns: Turns, rule: RetryRule = retrying.TRANSCRIPT) -> None:
        """`rule` says how to retry recording while the database is unavailable."""
        self._turns = turns
        self._rule = rule

    async def load(self) -> list[TurnRecord]:
        return [TurnRecord.recorded(record) for record in await self._turns.load()]

    async def record(self, turn: TurnRecord) -> None:
        """Record a turn. The model's answer is paid for, so retry through a short database outage.

        Raises RetryableError when the database stays unavailable.
        """
        await retry(lambda: self._record(turn), self._rule, event=log_events.TURN_NOT_RECORDED)

    async def _record(self, turn: TurnRecord) -> None:
        await self._turns.record(
            turn.seq,
            turn.model_dump(mode="json"),
            cost_usd=turn.cost_usd,
            snapshot=turn.snapshot,
            by_model=turn.role == "assistant",
            tokens=turn.tokens,
        )


async def _assignment(
    services: Services, run: RunInput, preparation: Preparation, workspace: Workspace
) -> Assignment:
    trigger = run.trigger
    return Assignment(
        repo=trigger.repository,
        number=trigger.number,
        title=trigger.title,
        body=trigger.body,
        author=trigger.author.login if trigger.author else "",
        requester=trigger.actor.login,
        mode=run.mode,
        request=run.request,
        kind="pull_request" if trigger.is_pull_request else "issue",
        comments=tuple(
            QuotedComment(about=each.about, author=each.author, access=each.access, text=each.text)
            for each in await _context(services, run, preparation)
        ),
        guidance=(await guidance.read(services, run, preparation.rules)).texts,
        template=await pull_template.read(services, run, preparation),
        base_branch=preparation.target.branch or preparation.target.base_branch,
        test_commands=cells.test_commands(run, workspace),
    )


async def _context(
    services: Services, run: RunInput, preparation: Preparation
) -> tuple[ContextText, ...]:
    """The collected context, plus missing external content and, on a pull request, its diff."""
    supplies = await fetch_external_content(services, run, preparation.base)
    gathered = run.context
    if supplies.missing:
        text = messages.agent.absent_from_checkout(supplies.missing)
        gathered = (ContextText(about="what is not in the checkout", text=text), *gathered)
    if supplies.present:
        text = messages.agent.fetched_into_checkout(supplies.present)
        gathered = (ContextText(about="what was fetched into the checkout", text=text), *gathered)
    recorded = (await services.runs.get(run.id)).setup_outcome
    state = messages.agent.setup_state(SetupOutcome.recorded(recorded)) if recorded else ""
    if state:
        gathered = (ContextText(about="what the setup lacks", text=state), *gathered)
    known = await _overview(services, run, preparation.base)
    traced = await _traced(services, run, preparation.base)
    if traced:
        gathered = (ContextText(about=messages.agent.TRACED, text=traced), *gathered)
    gathered = (ContextText(about=messages.agent.OVERVIEW, text=known), *gathered)
    target, repo = preparation.target, run.trigger.repository
    if target.pull is None or target.at is None:
        return gathered
    other = await services.mirrors.fetch(
        repo, await services.remote(run, READ_CODE), f"refs/heads/{target.base_branch}"
    )
    base = await services.mirrors.merge_base(repo, other, target.at) if other else None
    if base is None:
        return gathered
    diff = await services.mirrors.diff(repo, base, target.at, _DIFF_BYTES)
    return (ContextText(about="what the pull request changes", text=diff), *gathered)


async def _overview(services: Services, run: RunInput, base: CommitSha) -> str:
    """The repository in a few lines: its files, and those that the request names."""
    repo = run.trigger.repository
    paths = [printable(path) for path in await services.mirrors.files(repo, base)]
    named = named_files(_said(run), paths)
    commits = await latest_changes(services.mirrors, repo, base) if named else ()
    return overview(paths, named, changed_together(named, commits, frozenset(paths)))


async def _traced(services: Services, run: RunInput, base: CommitSha) -> str:
    """The base's code around the lines that a stack trace in the request names; maybe empty."""
    repo, said = run.trigger.repository, _said(run)
    if not excerpts.has_frames(said):
        return ""
    files = await services.mirrors.files(repo, base)
    blobs = {path: sha for path, sha in files.items() if path == printable(path)}
    found = []
    for frame in excerpts.frames(said, blobs):
        content = await services.mirrors.blob_start(repo, blobs[frame.path], _TRACED_BYTES)
        found.append(excerpts.excerpt(frame, printable(content.decode("utf-8", "replace"))))
    return excerpts.fitted(found)


def _said(run: RunInput) -> str:
    """All that the request and its context say, in one text."""
    trigger = run.trigger
    return "\n".join([trigger.title, trigger.body, run.request, *(c.text for c in run.context)])


async def _pictures(services: Services, run: RunInput) -> tuple[Picture, ...]:
    images = await services.images.of(run.id)
    return tuple(Picture(media_type=image.media_type, data=image.data) for image in images)


def _to_work(ending: Ending) -> Work:
    match ending:
        case Done():
            return Work(
                ending="done",
                text=ending.summary,
                not_done=ending.not_done,
                how_to_check=ending.how_to_check,
                risks=ending.risks,
                look_first=ending.look_first,
                lacked=ending.lacked,
            )
        case Question():
            return Work(ending="question", text=ending.text)
        case BudgetSpent():
            return Work(ending="budget", spent=ending.which)
        case Stuck():
            return Work(ending="stuck", text=messages.refusals.repeated(ending.tool, ending.times))
        case ModelDeclined():
            return Work(ending="refused", text=ending.text)
        case _:
            return Work(ending="stopped")
