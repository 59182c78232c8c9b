"""The code that a run starts from."""

from __future__ import annotations

import structlog

from app import log_events, messages
from app.domain.run import ContextItem, Phase, Preparation, RunInput, Target, branch_names, work_pin
from app.domain.values import CommitSha, TreeSha
from app.errors import UserError
from app.git.mirror import MergeResult
from app.github import checks, pulls, repositories
from app.github.checks import Output
from app.github.pulls import PullRequest
from app.runs.attempt import Attempt
from app.runs.checkouts import fetch_external_content
from app.runs.services import READ_CODE, READ_PULLS, WRITE_COMMITS, Services
from app.runs.steps import guidance
from app.runs.steps.progress import announce
from app.store.runs import RunRow
from app.store.turns import Turns

log = structlog.get_logger()


async def prepare(attempt: Attempt) -> Preparation:
    """Update the mirror and fix the base commit for the whole run.

    If people have pushed since the last attempt, its work is merged onto their commits. Raises
    UserError for an empty repository, a missing base branch or a closed pull request.
    """
    services, run = attempt.services, attempt.run
    await announce(services, run, Phase.PREPARING)
    row = await services.runs.get(run.id)
    target = await _locate(services, run, row)
    row = await _record_published(services, row, target)
    base = await _start(services, run, row, target)
    rules = await _default_head(services, run, base, target)
    merged = await _merge_pushed(services, run, row, target) if row.base_sha else None
    if merged is not None:
        assert target.at is not None
        base = target.at
    await services.mirrors.pin(run.trigger.repository, f"{run.id}-base", base)
    await services.runs.update(run.id, base_sha=base)
    await _record_context(services, run, base, rules)
    await _show_in_progress(services, run, row, target)
    held_by = await _containing_branch(services, run, target, base)
    queued = run.trigger.merge_group is not None
    return Preparation(
        base=base,
        held_by=held_by,
        compared=await compared_with(services, run, target, base),
        # An entry of a merge queue is compared with its base, which may be another entry's commit.
        compared_held=not queued or bool(held_by),
        parent=target.at or base,
        rules=rules,
        target=target,
        conflicts=merged.conflicts if merged else (),
    )


async def _record_context(
    services: Services, run: RunInput, base: CommitSha, rules: CommitSha
) -> None:
    """List external content and guidance files, read or skipped, in the manifest, once per run."""
    supplies = await fetch_external_content(services, run, base)
    known = (await services.runs.get(run.id)).input
    items = [ContextItem(what=what) for what in supplies.present]
    items += [ContextItem(what=what, why_not=why) for what, why in supplies.missing]
    items += (await guidance.read(services, run, rules)).items
    manifest = (*known.manifest, *(item for item in items if item not in known.manifest))
    if manifest != known.manifest:
        change = known.model_copy(update={"manifest": manifest})
        await services.runs.update(run.id, input=change.model_dump(mode="json"))


async def _show_in_progress(services: Services, run: RunInput, row: RunRow, target: Target) -> None:
    """Show the check `honk / run` in progress on the pull request's head."""
    if run.quiet or target.pull is None or target.at is None:
        return
    client = await services.client(run, WRITE_COMMITS)
    name = f"{run.id}.{row.attempt}"
    check = await checks.ensure_check_run(
        client, messages.check_run.RUN_CHECK, target.at, name, status="in_progress"
    )
    title, summary = messages.check_run.run_in_progress()
    output = Output(title=title, summary=summary)
    await checks.update_check_run(client, check.id, status="in_progress", output=output)
    await services.runs.update(run.id, run_check_id=check.id)


async def move(services: Services, run: RunInput, base: CommitSha, merged: MergeResult) -> None:
    """Rebase the work: from now on, it is this tree on top of that commit."""
    repo = run.trigger.repository
    await services.mirrors.pin(repo, f"{run.id}-base", base)
    await services.mirrors.pin(repo, work_pin(run.id), merged.tree)
    last = await Turns(services.database, run.id).last()
    await services.runs.update(run.id, base_sha=base, start_tree=merged.tree, start_seq=last)


async def work_tree(services: Services, run: RunInput) -> TreeSha | None:
    """The tree of the work so far, from the last recorded turn; None when there is none."""
    row = await services.runs.get(run.id)
    snapshot = await Turns(services.database, run.id).last_snapshot(after=row.start_seq)
    found = snapshot or row.start_tree
    return TreeSha(found) if found else None


async def _locate(services: Services, run: RunInput, row: RunRow) -> Target:
    """Find the target branch; this costs a request only if there may already be one."""
    group = run.trigger.merge_group
    if group is not None:
        return Target(base_branch=group.base_ref, branch=group.head_ref, at=group.head_sha)
    if run.trigger.is_pull_request:
        client = await services.client(run, READ_PULLS)
        pull = await pulls.pull_request(client, run.trigger.number)
        return await _pull_target(services, run, row, pull)
    if row.branch is None or row.published_sha is None:
        return await _new_or_created_branch(services, run, row)
    client = await services.client(run, READ_PULLS)
    head = await repositories.branch_head(client, row.branch)
    branch = row.branch if head else ""
    return Target(base_branch=run.base_branch, branch=branch, at=head, ours=True)


async def _new_or_created_branch(services: Services, run: RunInput, row: RunRow) -> Target:
    """A new branch, or one that a killed attempt already created at our commit."""
    new = Target(base_branch=run.base_branch)
    if row.head_sha is None:
        return new
    client = await services.client(run, READ_PULLS)
    for name in branch_names(run):
        head = await repositories.branch_head(client, name)
        if head is None:
            break
        if head == row.head_sha:
            return new.model_copy(update={"branch": name, "at": head, "ours": True})
    return new


async def _record_published(services: Services, row: RunRow, target: Target) -> RunRow:
    """If the branch is at our commit, record it as published: a crash may have prevented that."""
    if row.input.mode == "test":
        return row  # the head is someone else's commit
    if target.at is None or target.at != row.head_sha or target.at == row.published_sha:
        return row
    return await services.runs.update(row.id, branch=target.branch, published_sha=target.at)


async def _pull_target(services: Services, run: RunInput, row: RunRow, pull: PullRequest) -> Target:
    if pull.state != "open":
        problem, next_step = messages.refusals.pull_is_closed(pull.number, merged=pull.merged)
        raise UserError(problem, next_step=next_step)
    target = Target(
        base_branch=pull.base_ref,
        branch=pull.head_ref,
        at=run.trigger.head_sha or pull.head_sha,
        pull=pull.number,
        ours=pull.author.login == await services.bot_login(),
    )
    if pull.same_repository:
        return target
    if run.trusted is None:
        return target.model_copy(update={"fork": True})
    # On top of the commit that a person trusts, whatever was pushed to the fork since.
    branch = row.branch or ""
    return target.model_copy(
        update={"branch": branch, "at": CommitSha(row.published_sha or run.trusted), "ours": True}
    )


async def _start(services: Services, run: RunInput, row: RunRow, target: Target) -> CommitSha:
    """The base commit of the work, fetched into the mirror."""
    repo = run.trigger.repository
    remote = await services.remote(run, READ_CODE)
    if target.pull is not None:
        # GitHub has pull request heads under this ref, including those from forks.
        await services.mirrors.fetch(repo, remote, f"refs/pull/{target.pull}/head")
    if target.at is not None and not await services.mirrors.has_commit(repo, target.at):
        await services.mirrors.fetch(repo, remote, target.at)
    if run.mode == "test" and target.at is not None:
        compared = await compared_with(services, run, target, target.at)
        return compared or target.at
    start = row.base_sha or target.at or f"refs/heads/{target.base_branch}"
    base = await services.mirrors.fetch(repo, remote, start)
    if base is None:
        problem, next_step = messages.refusals.no_commits(repo, target.base_branch)
        raise UserError(problem, next_step=next_step)
    return base


async def _containing_branch(
    services: Services, run: RunInput, target: Target, base: CommitSha
) -> str:
    """The base branch if it contains the commit, else empty. Only setup snapshots depend on
    this."""
    if run.policy.setup == ():
        return ""
    repo = run.trigger.repository
    remote = await services.remote(run, READ_CODE)
    tip = await services.mirrors.fetch(repo, remote, f"refs/heads/{target.base_branch}")
    held = tip is not None and await services.mirrors.is_ancestor(repo, base, tip)
    return target.base_branch if held else ""


async def compared_with(
    services: Services, run: RunInput, target: Target, head: CommitSha
) -> CommitSha | None:
    """The merge base of a branch with its target branch: what its verdict compares with.

    None when the head is on the target branch itself, or the two have no history in common.
    """
    if target.at is None:
        return None
    repo = run.trigger.repository
    remote = await services.remote(run, READ_CODE)
    if run.trigger.merge_group is not None:
        return await services.mirrors.fetch(repo, remote, run.trigger.merge_group.base_sha)
    tip = await services.mirrors.fetch(repo, remote, f"refs/heads/{target.base_branch}")
    return await services.mirrors.merge_base(repo, tip, head) if tip else None


async def _merge_pushed(
    services: Services, run: RunInput, row: RunRow, target: Target
) -> MergeResult | None:
    """Merge the last attempt's work onto what people have pushed to its branch since."""
    known = {row.published_sha, row.base_sha}
    if target.at is None or target.at in known or run.mode in ("test", "rebase"):
        return None
    repo = run.trigger.repository
    parent = CommitSha(row.published_sha or row.base_sha or "")
    tree = await work_tree(services, run) or await services.mirrors.tree_of(repo, parent)
    message = f"Work of run {run.id}\n"
    work = await services.mirrors.commit_tree(repo, tree, [parent], message)
    merged = await services.mirrors.merge(repo, work, target.at)
    log.info(log_events.WORK_MOVED_ONTO_PUSH, conflicts=len(merged.conflicts))
    await move(services, run, target.at, merged)
    return merged


async def _default_head(
    services: Services, run: RunInput, base: CommitSha, target: Target
) -> CommitSha:
    """The head of the default branch: guidance for agents is only read from there."""
    branch = run.trigger.default_branch
    if branch == target.base_branch and target.at is None:
        return base
    remote = await services.remote(run, READ_CODE)
    head = await services.mirrors.fetch(run.trigger.repository, remote, f"refs/heads/{branch}")
    return head or base
