"""Collecting what `honk report` shows. Only reads from GitHub."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app import messages
from app.domain.author_kind import AuthorKind, author_kind
from app.domain.pull_report import (
    FOLLOWED_DAYS,
    Lines,
    ReportedPull,
    is_reverted,
    seconds_until_review,
    worked_seconds,
)
from app.domain.values import CommitSha, RepoName
from app.errors import UserError
from app.git import rework
from app.git.command import GitError
from app.git.mirror import Remote
from app.github import checks, pulls, repositories, reviews
from app.github.client import RepositoryClient
from app.github.pulls import ListedPull
from app.runs.services import READ_CODE, READ_REPORT, Services
from app.store.database import Database
from app.store.reports import Reports
from app.store.runs import RunRow, Runs

MOST_PULLS = 1_000
"""The maximum number of pull requests in one report; the newest ones."""

_AT_ONCE = 8

Progress = Callable[[int, int, int], None]
"""Called with the number of finished pull requests, their total, and the last one's number."""


@dataclass(frozen=True)
class ReportTarget:
    """A repository on GitHub, and the head of its default branch in the mirror."""

    repo: RepoName
    repository_id: int
    installation: int
    branch: str
    tip: CommitSha
    remote: Remote
    client: RepositoryClient
    honk_login: str


@dataclass(frozen=True)
class Selection:
    """Which pull requests: those opened since a given time, or the last merged ones."""

    since: datetime | None = None
    last: int | None = None


async def target(services: Services, repo: RepoName) -> ReportTarget:
    """Fetch the default branch. Raises UserError when the repository cannot be read."""
    installation = await services.github.installation_of(repo)
    if installation is None:
        raise UserError(
            f"The App is not installed on {repo}, or there is no such repository.",
            next_step="Check the name, then install the App there.",
        )
    client = await services.github.repository(installation, repo, READ_REPORT)
    info = await repositories.repository(client)
    token = await services.github.token(installation, repo, READ_CODE)
    remote = Remote(url=services.git_url(repo), token=token.get_secret_value())
    tip = await services.mirrors.fetch(repo, remote, f"refs/heads/{info.default_branch}")
    if tip is None:
        raise UserError(f"{repo} is empty.", next_step="Push a commit first.")
    honk = await services.bot_login()
    branch = info.default_branch
    return ReportTarget(repo, info.id, installation, branch, tip, remote, client, honk)


async def select(found: ReportTarget, selection: Selection) -> list[ListedPull]:
    """The chosen pull requests, newest first, at most `MOST_PULLS`."""
    chosen: list[ListedPull] = []
    most = min(selection.last or MOST_PULLS, MOST_PULLS)
    async for pull in pulls.newest(
        found.client, state="all" if selection.last is None else "closed"
    ):
        if selection.since is not None and pull.created_at < selection.since:
            break
        if selection.last is None or pull.state == "merged":
            chosen.append(pull)
        if len(chosen) == most:
            break
    return chosen


async def report(
    services: Services,
    found: ReportTarget,
    chosen: Sequence[ListedPull],
    database: Database | None,
    progress: Progress,
) -> list[ReportedPull]:
    """Everything about the chosen pull requests. `database` has the runs of this Honk, if any."""
    if not chosen:
        return []
    # A run may have started a while before it opened its pull request.
    oldest = min(each.created_at for each in chosen) - timedelta(days=FOLLOWED_DAYS)
    rows = []
    if database is not None:
        rows = await Runs(database).of_repository(found.repository_id, oldest.timestamp())
    later = await _later_texts(services, found, chosen)
    at_once = asyncio.Semaphore(_AT_ONCE)
    done = 0

    async def one(pull: ListedPull) -> ReportedPull:
        nonlocal done
        async with at_once:
            mine = [row for row in rows if _is_about(row, pull.number)]
            reported = await _reported(services, found, pull, mine, database, later)
        done += 1
        progress(done, len(chosen), pull.number)
        return reported

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(pull)) for pull in chosen]
    return [task.result() for task in tasks]


def _is_about(row: RunRow, number: int) -> bool:
    on_it = row.number == number and row.input.trigger.is_pull_request
    return on_it or row.pull_number == number


async def _reported(
    services: Services,
    found: ReportTarget,
    pull: ListedPull,
    rows: Sequence[RunRow],
    database: Database | None,
    later: Sequence[tuple[float, str]],
) -> ReportedPull:
    author = pull.author
    reverted, lines = await _followed(services, found, pull, later)
    return ReportedPull(
        number=pull.number,
        title=pull.title,
        author=author.login,
        kind=author_kind(author.login, author.type, found.honk_login),
        state=pull.state,
        created_at=pull.created_at,
        merged_at=pull.merged_at,
        head=pull.head_sha,
        verdict=await _verdict(found, pull, rows, database),
        reverted=reverted,
        lines=lines,
        review_seconds=await _review_seconds(found, pull),
        machine_seconds=sum(worked_seconds(row.phases or [], row.finished_at) for row in rows),
    )


async def _verdict(
    found: ReportTarget, pull: ListedPull, rows: Sequence[RunRow], database: Database | None
) -> str:
    """The title of the verdict on the head: from the stored runs, or else from GitHub's check
    run.
    """
    for row in rows:
        stored = await Reports(database).of(row.id, row.attempt) if database is not None else None
        if stored is not None and stored.verdict is not None and stored.head_sha == pull.head_sha:
            return stored.verdict.title
    page = await checks.newest_page(found.client, messages.check_run.TESTS_CHECK, pull.head_sha)
    return page.title if page else ""


async def _review_seconds(found: ReportTarget, pull: ListedPull) -> float | None:
    given = await reviews.submitted(found.client, pull.number)
    by_people = [
        each.submitted_at
        for each in given
        if each.reviewer.id != pull.author.id
        and author_kind(each.reviewer.login, each.reviewer_type, found.honk_login)
        is AuthorKind.PERSON
    ]
    if not by_people:
        return None
    ready = await pulls.ready_times(found.client, pull.number)
    return seconds_until_review(pull.created_at, ready, by_people)


async def _later_texts(
    services: Services, found: ReportTarget, chosen: Sequence[ListedPull]
) -> list[tuple[float, str]]:
    """The texts that may name a reverted change, with their times: commits and merged pull
    requests.
    """
    merged = [each.merged_at for each in chosen if each.merged_at is not None]
    if not merged:
        return []
    texts = list(await rework.messages_since(services.mirrors, found.repo, found.tip, min(merged)))
    for pull in chosen:
        if pull.merged_at is not None:
            texts.append((pull.merged_at.timestamp(), pull.body))
    return texts


async def _followed(
    services: Services,
    found: ReportTarget,
    pull: ListedPull,
    later: Sequence[tuple[float, str]],
) -> tuple[bool | None, Lines | None]:
    """Whether a merged change was reverted, and how many of its lines survived; None if unknown."""
    merged, at = pull.merge_commit, pull.merged_at
    if merged is None or at is None:
        return None, None
    until = at + timedelta(days=FOLLOWED_DAYS)
    mirrors, repo = services.mirrors, found.repo
    try:
        if not await mirrors.has_commit(repo, merged):
            return None, None
        if not await mirrors.is_ancestor(repo, merged, found.tip):
            return None, None
        before = await base_of(services, found, pull)
        if before is None:
            return None, None
        landed = await rework.landed_commits(mirrors, repo, before, merged)
        texts = [text for time, text in later if at.timestamp() <= time <= until.timestamp()]
        reverted = is_reverted(pull.number, {*landed, pull.head_sha}, texts, str(repo))
        last = await rework.commit_at(mirrors, repo, found.tip, until)
        if last is None or not await mirrors.is_ancestor(repo, merged, last):
            last = merged
        return reverted, await rework.lines_gone(mirrors, repo, before, merged, last, landed)
    except GitError:
        return None, None


async def base_of(services: Services, found: ReportTarget, pull: ListedPull) -> CommitSha | None:
    """Where the base branch was when the pull request was merged; None if git does not know.

    A merge and a squash have it as their first parent. A rebase adds several commits, and has it
    before the first of them. Raises GitError.
    """
    mirrors, repo, merged = services.mirrors, found.repo, pull.merge_commit
    if merged is None:
        return None
    before = await rework.first_parent(mirrors, repo, merged)
    if before is None or merged == pull.head_sha:
        # The branch was pushed to the base as it is.
        return await mirrors.merge_base(repo, pull.base_sha, merged)
    if await fetch_head(services, found, pull):
        return await rework.before_rebase(mirrors, repo, before, merged, pull.head_sha)
    return before


async def fetch_head(services: Services, found: ReportTarget, pull: ListedPull) -> bool:
    """Fetch a pull request's head, which GitHub keeps without its branch; False if it is gone."""
    ref = f"refs/pull/{pull.number}/head"
    return await services.mirrors.fetch(found.repo, found.remote, ref) == pull.head_sha


def since(days: float) -> datetime:
    """The time that many days ago."""
    return datetime.now(UTC) - timedelta(days=days)
