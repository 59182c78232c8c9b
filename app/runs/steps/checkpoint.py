"""Checkpoints: the work is packed, scanned for secrets and pushed to a hidden ref, which starts no
CI."""

from __future__ import annotations

import asyncio

import structlog

from app import log_events, messages
from app.domain.flag import Flag
from app.domain.run import Preparation, RunInput, hidden_ref, work_pin
from app.domain.values import CommitSha, TreeSha, Value
from app.errors import HonkError, RetryableError
from app.git.load_diff import load_diff
from app.git.mirror import PushMode, PushRefusedError
from app.git.packing import pack
from app.integrity.secrets import added_secrets, as_flags
from app.runs.attempt import Attempt
from app.runs.services import WRITE_CODE, Services
from app.runs.steps import handoff
from app.runs.steps.prepare import work_tree

log = structlog.get_logger()


class PushRefusal(Value):
    """GitHub's refusal of a push that violates a repository rule."""

    rule: str
    paths: tuple[str, ...] = ()  # the files named in the refusal


class CheckpointResult(Value):
    """The work as one tree. `empty` means that it equals the base's."""

    tree: TreeSha
    commit: CommitSha
    empty: bool
    left_out: tuple[str, ...] = ()
    secrets: tuple[Flag, ...] = ()  # secrets found in the work, which is therefore not pushed
    refused: PushRefusal | None = (
        None  # GitHub refused the push, so the work is only on this machine
    )


async def checkpoint(attempt: Attempt, preparation: Preparation) -> CheckpointResult:
    """Pack the work tree and push it to `refs/honk/<run id>`.

    If GitHub's rules refuse the push, store the work locally; the run continues.
    """
    services, run = attempt.services, attempt.run
    await handoff.fetch_work(services, run, preparation.base)
    workspace = await services.workspaces.open(run.id)
    packed = None if workspace is None else await pack(workspace, services.workspaces)
    tree = packed.tree if packed else await work_tree(services, run)
    left_out = packed.skipped if packed else ()
    return await checkpoint_tree(services, run, preparation.base, tree, left_out)


async def checkpoint_tree(
    services: Services,
    run: RunInput,
    base: CommitSha,
    tree: TreeSha | None,
    left_out: tuple[str, ...] = (),
) -> CheckpointResult:
    """Scan a tree for secrets and push it; None is the base's."""
    base_tree = await services.mirrors.tree_of(run.trigger.repository, base)
    tree = tree or base_tree
    commit = await _commit(services, run, base, tree)
    empty = tree == base_tree
    found = () if empty else await _secrets(services, run, base, tree)
    refused = None
    if found:
        await _save_locally(services, run, base, commit)
    elif not empty:
        refused = await _push_or_save(services, run, base, commit)
    return CheckpointResult(
        tree=tree,
        commit=commit,
        empty=empty,
        left_out=left_out,
        secrets=found,
        refused=refused,
    )


async def save_tree(services: Services, run: RunInput, base: CommitSha, tree: TreeSha) -> None:
    """Push a tree of the work to `refs/honk/<run id>`, unless it equals the base's."""
    if tree == await services.mirrors.tree_of(run.trigger.repository, base):
        return
    commit = await _commit(services, run, base, tree)
    if await _secrets(services, run, base, tree):
        log.warning(log_events.WORK_CONTAINS_SECRET, run=run.id)
        await _save_locally(services, run, base, commit)
    else:
        await _push_or_save(services, run, base, commit)


async def salvage(services: Services, run: RunInput) -> str:
    """After a failure, push the last recorded work to the hidden ref and return the ref's name.

    Returns an empty string when there is no work or it cannot be pushed; it is then still in the
    mirror.
    """
    row = await services.runs.get(run.id)
    tree = await work_tree(services, run)
    if tree is None or row.base_sha is None:
        return ""
    try:
        base = CommitSha(row.base_sha)
        if tree == await services.mirrors.tree_of(run.trigger.repository, base):
            return ""
        if await _secrets(services, run, base, tree):
            return ""
        commit = await _commit(services, run, base, tree)
        if await _push_or_save(services, run, base, commit) is not None:
            return ""
    except RetryableError:
        raise
    except HonkError as problem:
        log.warning(log_events.PUSH_FAILED, run=run.id, why=str(problem))
        return ""
    return hidden_ref(run.id)


async def _secrets(
    services: Services, run: RunInput, base: CommitSha, tree: TreeSha
) -> tuple[Flag, ...]:
    """Secrets that the work adds. They must not leave this machine, not even to a hidden ref."""
    diff = await load_diff(services.mirrors, run.trigger.repository, base, tree)
    found = await asyncio.to_thread(added_secrets, diff, services.credentials)
    return as_flags(found)


async def _commit(services: Services, run: RunInput, base: CommitSha, tree: TreeSha) -> CommitSha:
    message = f"Work of run {run.id}\n\nKept by Honk; not part of any branch.\n"
    repo = run.trigger.repository
    commit = await services.mirrors.commit_tree(repo, tree, [base], message)
    await services.mirrors.pin(repo, work_pin(run.id), commit)
    return commit


async def _push_or_save(
    services: Services, run: RunInput, base: CommitSha, commit: CommitSha
) -> PushRefusal | None:
    """Push to the hidden ref; if a rule refuses the push, store the work in a local file."""
    row = await services.runs.get(run.id)
    try:
        await push(services, run, commit)
    except PushRefusedError as refusal:
        if refusal.moved:
            raise
        await _save_locally(services, run, base, commit)
        log.warning(log_events.PUSH_REFUSED, run=run.id, why=refusal.message)
        await services.runs.update(
            run.id, kept_here=messages.status_comment.kept_here(refusal.paths, refusal.rule)
        )
        return PushRefusal(rule=refusal.rule, paths=refusal.paths)
    handoff.checkpoint_file(services, run).unlink(missing_ok=True)
    if row.kept_here:
        await services.runs.update(run.id, kept_here=None)
    return None


async def _save_locally(
    services: Services, run: RunInput, base: CommitSha, commit: CommitSha
) -> None:
    """Store the work in its own file: the mirror is only a cache, and this may be the only copy."""
    path = handoff.checkpoint_file(services, run)
    await services.mirrors.bundle(run.trigger.repository, base, commit, path)


async def push(services: Services, run: RunInput, commit: CommitSha) -> None:
    """Push a local commit and its tree to the hidden ref."""
    remote = await services.remote(run, WRITE_CODE)
    await services.mirrors.push(
        run.trigger.repository, remote, commit, hidden_ref(run.id), expected=PushMode.ANY
    )
