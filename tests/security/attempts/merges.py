"""How a merge that someone asked for is made to bring in something else, or to break a rule."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from app.domain.mergeability import (
    CheckContext,
    Mergeable,
    PullState,
    decide,
    read_rules,
)
from app.domain.trigger import Actor, Signal
from app.domain.values import CommitSha, RepoName
from app.github import merging
from app.runs import merge_watch
from app.runs.services import MERGE, Services
from app.store.merges import Merges
from tests.security.harness import Attempt, Outcome, outcome
from tests.support.app_on_github import REPO, AppOnGitHub, app_on_github
from tests.support.runs import check_trigger

_HONK, _ACTIONS = 7, 5
_SHA = CommitSha("a" * 40)
_PEOPLE = {"olivia": "admin", "mallory": "write"}


# -- a push between the look and the merge

Bound = Callable[[CommitSha, CommitSha], CommitSha]


def to_the_commit_seen(seen: CommitSha, now: CommitSha) -> CommitSha:
    """The product's way: the merge names what the person saw."""
    return seen


def to_whatever_is_there(seen: CommitSha, now: CommitSha) -> CommitSha:
    """No defense: the merge takes the head as it is."""
    return now


async def _push_before_merge(bound: Bound, folder: Path) -> Outcome:
    async with app_on_github(folder, _PEOPLE) as house:
        number, seen = await _proposed(house)
        now = CommitSha(await house.github.push_files(REPO, "feat", {"evil": b"x"}, "mallory"))
        client = await house.app.repository(await _installation(house), RepoName.parse(REPO), MERGE)
        done = await merging.merge(client, number, bound(seen, now), "merge")
        evil = await house.github.file(REPO, "main", "evil")
        return outcome(
            evil is not None, "the later push is merged", f"nothing merged: {done.outcome}"
        )


# -- a push while auto-merge is on

Watch = Callable[[Services, Signal], Awaitable[None]]


async def does_not_watch(_services: Services, _signal: Signal) -> None:
    """No defense: GitHub's auto-merge is left to itself."""


async def nowhere_else(_request: str, _text: str) -> None:
    """Nobody asked in Slack."""


async def _push_after_auto_merge(watch: Watch, folder: Path) -> Outcome:
    async with app_on_github(folder, _PEOPLE) as house:
        github, repository = house.github, house.github.repository(REPO)
        repository.allow_auto_merge = True
        github.protect(REPO, "main", checks=["ci"])
        number, seen = await _proposed(house)
        merges = Merges(house.database)
        asked = check_trigger(id="asked", number=number, repository_id=repository.id)
        await merges.claim(asked, number, seen)
        await merges.note(asked, number, "auto")
        await github.enable_auto_merge(REPO, number, "olivia")
        later = CommitSha(await github.push_files(REPO, "feat", {"evil": b"x"}, "mallory"))
        parts = SimpleNamespace(merges=merges, github=house.app, relay=nowhere_else)
        services = cast("Services", parts)
        await watch(services, await _pushed(house, number, later))
        body = {"state": "success", "context": "ci"}
        await github.act("olivia", "POST", f"/repos/{REPO}/statuses/{later}", body)
        await github.drained()
        evil = await github.file(REPO, "main", "evil")
        return outcome(evil is not None, "the later push is merged", "auto-merge was turned off")


async def _pushed(house: AppOnGitHub, number: int, head: CommitSha) -> Signal:
    return Signal(
        id="pushed",
        kind="approvals",
        installation_id=await _installation(house),
        repository=RepoName.parse(REPO),
        repository_id=house.github.repository(REPO).id,
        default_branch="main",
        actor=Actor(login="mallory", id=2, type="User"),
        number=number,
        head_sha=head,
        action="synchronize",
    )


async def _proposed(house: AppOnGitHub) -> tuple[int, CommitSha]:
    sha = await house.github.push_files(REPO, "feat", {"b": b"b"}, "mallory")
    made = await house.github.open_pull_request(REPO, "mallory", "feat")
    return made.number, CommitSha(sha)


async def _installation(house: AppOnGitHub) -> int:
    found = await house.app.installation_of(RepoName.parse(REPO))
    assert found is not None
    return found


# -- what counts as a requirement that is met

_OPEN = PullState(number=3, node_id="PR", head_sha=_SHA, base_ref="main", state="open")


async def _required(app_id: int | None, _folder: Path) -> Outcome:
    """The check that a rule requires from GitHub Actions is reported by someone else's App."""
    rule = {"required_status_checks": [{"context": "ci", "integration_id": app_id}]}
    forged = CheckContext(name="ci", state="success", app_id=666)
    return _decided([("required_status_checks", rule)], checks=(forged,))


async def _own_check(honk: int, _folder: Path) -> Outcome:
    """Honk's check failed; another App reports a success under its name."""
    checks = (
        CheckContext(name="honk / tests", state="failure", app_id=_HONK),
        CheckContext(name="honk / tests", state="success", app_id=666),
    )
    return _decided([], honk, checks=checks)


async def _bypass(is_looked_at: bool, _folder: Path) -> Outcome:
    """The App is on a bypass list, so GitHub would merge although a scan has found something."""
    return _decided([("code_scanning", {})], may_bypass=is_looked_at)


async def _classic(is_read: bool, _folder: Path) -> Outcome:
    """GitHub's summary is of before the check failed; the rule is classic branch protection."""
    failed = CheckContext(name="ci", state="failure", app_id=_ACTIONS, required=is_read)
    return _decided([], checks=(failed,), status="CLEAN")


def _decided(rules: list[tuple[str, dict[str, Any]]], honk: int = _HONK, **state: Any) -> Outcome:
    found = decide(
        _OPEN.model_copy(update=state),
        read_rules(rules),
        method=None,
        honk_app_id=honk,
        needs_honk_review=False,
    )
    if isinstance(found, Mergeable):
        return outcome(True, "merged", "")
    return outcome(False, "", f"missing: {found.lack.value}")


ATTEMPTS = (
    Attempt(
        "a push between the request to merge and the merge",
        "the merge names the commit that the person saw",
        functools.partial(_push_before_merge, to_the_commit_seen),
        functools.partial(_push_before_merge, to_whatever_is_there),
    ),
    Attempt(
        "a push while GitHub's auto-merge waits for the checks",
        "auto-merge is turned off when the head moves",
        functools.partial(_push_after_auto_merge, merge_watch.on_signal),
        functools.partial(_push_after_auto_merge, does_not_watch),
    ),
    Attempt(
        "another App reports the check that a rule requires before a merge",
        "the rule's App is compared",
        functools.partial(_required, _ACTIONS),
        functools.partial(_required, None),
    ),
    Attempt(
        "another App reports honk / tests before a merge",
        "Honk's own check is known by its App",
        functools.partial(_own_check, _HONK),
        functools.partial(_own_check, 666),
    ),
    Attempt(
        "a merge uses the App's place on a bypass list",
        "an App that may bypass rules merges only what it can judge",
        functools.partial(_bypass, True),
        functools.partial(_bypass, False),
    ),
    Attempt(
        "a merge relies on GitHub's old summary",
        "each required check is looked at, classic protection's too",
        functools.partial(_classic, True),
        functools.partial(_classic, False),
    ),
)
