"""The checks of `/honk doctor`, each independent and with a minimal token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping

import structlog

from app import log_events
from app.domain.policy import CiPolicy, Policy
from app.domain.run import branch_name, run_id
from app.domain.trigger import Trigger
from app.domain.values import CommitSha
from app.errors import HonkError, UserError
from app.git.mirror import Remote
from app.github import actions, commits, deliveries, installations, repositories
from app.github.client import RepositoryClient
from app.github.deliveries import KEPT_SECONDS
from app.github.refusals import MissingPermissionError
from app.messages import doctor_findings
from app.messages.doctor_findings import RepositoryFinding
from app.runs import starting
from app.runs.services import READ_CODE, READ_RUNS, START_RUNS, WRITE_CODE, Services
from app.verify.commit_tree import CommitTree
from app.verify.verifier import as_typed
from app.verify.verifiers import choose

log = structlog.get_logger()

_METADATA = {"metadata": "read"}
_MAX_DELIVERIES = 100
_POLLS = 3
_SECONDS_BETWEEN = 2.0
"""A workflow run appears some seconds after the push that started it."""


async def check_repository(
    services: Services, trigger: Trigger, policy: Policy
) -> list[RepositoryFinding]:
    """Run all checks. A failing check is reported as such and does not affect the others."""
    checks = {
        "Permissions": _installation(services, trigger),
        "Deliveries": _deliveries(services),
        "Missed requests": _missed(services),
        "Rules": _rules(services, trigger, policy),
        "Published commits": _published(services, trigger),
        "Hidden refs": _hidden_ref(services, trigger),
        "Tests": _tests(services, trigger, policy),
        "Budget today": _money(services, trigger, policy),
    }
    found = await asyncio.gather(*(_run_check(about, check) for about, check in checks.items()))
    return [finding for findings in found for finding in findings]


async def _run_check(
    about: str, check: Awaitable[list[RepositoryFinding]]
) -> list[RepositoryFinding]:
    try:
        return await check
    except HonkError as problem:
        log.warning(log_events.REPOSITORY_CHECK_FAILED, about=about, why=str(problem))
        return [doctor_findings.not_seen(about, str(problem))]


async def _installation(services: Services, trigger: Trigger) -> list[RepositoryFinding]:
    found = await installations.installation(services.github, trigger.installation_id)
    if found is None:
        return doctor_findings.uninstalled()
    granted = doctor_findings.permissions(found.permissions, found.url)
    if services.intake == "poll":
        return granted
    return [*granted, *doctor_findings.events(found.events)]


async def _deliveries(services: Services) -> list[RepositoryFinding]:
    """The newest entries of the App's delivery log, and how they were answered."""
    if services.intake == "poll":
        return doctor_findings.polled()
    now, seen, lost = time.time(), 0, 0
    last = None
    async for delivery in deliveries.recent(services.github, since=now - KEPT_SECONDS):
        last = last or delivery
        seen += 1
        lost += not 200 <= delivery.status_code < 300
        if seen == _MAX_DELIVERIES:
            break
    if last is None:
        return doctor_findings.no_deliveries()
    ago = now - last.delivered_at
    return doctor_findings.deliveries(last.event, last.status_code, ago, lost, seen)


async def _missed(services: Services) -> list[RepositoryFinding]:
    if services.intake == "poll":
        return []
    found = await services.reconciler.reconcile()
    return doctor_findings.reconciled(found.inspected, found.accepted)


async def _rules(services: Services, trigger: Trigger, policy: Policy) -> list[RepositoryFinding]:
    """Rules of the default branch and of a branch that Honk would create."""
    client = await _client(services, trigger, _METADATA)
    findings = []
    ours = branch_name(policy, trigger.number, trigger.title)
    for branch in (ours, trigger.default_branch):
        found = await repositories.rules_for_branch(client, branch)
        rules = [(rule.type, rule.parameters, rule.source) for rule in found]
        findings += doctor_findings.rules(branch, rules, ours=branch == ours)
    return findings


async def _published(services: Services, trigger: Trigger) -> list[RepositoryFinding]:
    """Whether the last published commit is signed, and which workflows ran on it."""
    row = await services.runs.last_published(str(trigger.repository))
    if row is None or row.published_sha is None:
        return doctor_findings.nothing_published()
    sha = CommitSha(row.published_sha)
    signed, started = await asyncio.gather(
        _run_check("Signed commits", _signed(services, trigger, sha)),
        _run_check("CI on Honk's pushes", _ci(services, trigger, sha)),
    )
    return [*signed, *started]


async def _signed(services: Services, trigger: Trigger, sha: CommitSha) -> list[RepositoryFinding]:
    commit = await commits.get_commit(await _client(services, trigger, READ_CODE), sha)
    return doctor_findings.signed(sha, commit.reason, verified=commit.verified)


async def _ci(services: Services, trigger: Trigger, sha: CommitSha) -> list[RepositoryFinding]:
    found = await actions.runs_for_sha(await _client(services, trigger, READ_RUNS), sha)
    return doctor_findings.ci(sha, len(found), sum(run.state == "approval" for run in found))


async def _hidden_ref(services: Services, trigger: Trigger) -> list[RepositoryFinding]:
    """Create a hidden ref at the default branch's head, see which workflows it starts, and delete
    it."""
    client = await _client(services, trigger, WRITE_CODE)
    head = await repositories.branch_head(client, trigger.default_branch)
    if head is None:
        return [doctor_findings.not_seen("Hidden refs", doctor_findings.empty_repository())]
    ref = f"refs/honk/doctor-{run_id(trigger.id)}"
    before = await _runs_at(services, trigger, head)
    try:
        await commits.ensure_ref(client, ref, head, expected=None)
    except UserError as problem:
        return doctor_findings.hidden_ref_refused(str(problem))
    try:
        return doctor_findings.hidden_ref_works(await _started(services, trigger, head, before))
    finally:
        await commits.delete_ref(client, ref)


async def _started(
    services: Services, trigger: Trigger, head: CommitSha, before: frozenset[int] | None
) -> int | None:
    """How many new workflow runs our account has started at this commit."""
    if before is None:
        return None
    for _ in range(_POLLS):
        await asyncio.sleep(_SECONDS_BETWEEN)
        found = await _runs_at(services, trigger, head)
        if found is None or found > before:
            return None if found is None else len(found - before)
    return 0


async def _runs_at(services: Services, trigger: Trigger, head: CommitSha) -> frozenset[int] | None:
    """Our account's workflow runs at a commit; None when the App may not see them."""
    try:
        found = await actions.runs_for_sha(await _client(services, trigger, READ_RUNS), head)
    except UserError:
        return None
    bot = await services.bot_login()
    return frozenset(run.id for run in found if run.actor == bot)


async def _tests(services: Services, trigger: Trigger, policy: Policy) -> list[RepositoryFinding]:
    """The commands that would verify the default branch, derived from its files alone."""
    if policy.ci is not None:
        return await _tests_of_ci(services, trigger, policy.ci)
    repo = trigger.repository
    token = await services.github.token(trigger.installation_id, repo, READ_CODE)
    remote = Remote(url=services.git_url(repo), token=token.get_secret_value())
    ref = f"refs/heads/{trigger.default_branch}"
    head = await services.mirrors.fetch(repo, remote, ref)
    if head is None:
        return [doctor_findings.not_seen("Tests", doctor_findings.empty_repository())]
    tree = await CommitTree.open(services.mirrors, repo, head)
    chosen = await asyncio.to_thread(choose, policy.commands, tree)
    commands = [as_typed(each) for each in chosen.verifiers if each.kind == "tests"]
    return doctor_findings.tests(commands)


async def _tests_of_ci(
    services: Services, trigger: Trigger, policy: CiPolicy
) -> list[RepositoryFinding]:
    found = await actions.workflows(await _client(services, trigger, READ_RUNS))
    state = next((each.state for each in found if each.path == policy.path), "")
    try:
        await (await _client(services, trigger, START_RUNS)).token()
        may_start = True
    except MissingPermissionError:
        may_start = False
    return doctor_findings.tests_of_ci(policy.file, state, may_start=may_start)


async def _money(services: Services, trigger: Trigger, policy: Policy) -> list[RepositoryFinding]:
    day = await starting.budget_left_today(services, policy, trigger)
    account = services.usd_per_day_installation
    return [
        *doctor_findings.budget(day.repository, policy.budget.per_day_usd, whose="this repository"),
        *doctor_findings.budget(day.installation, account, whose="this account"),
        *doctor_findings.budget(day.everywhere, services.usd_per_day, whose="all of Honk"),
    ]


async def _client(
    services: Services, trigger: Trigger, permissions: Mapping[str, str]
) -> RepositoryClient:
    return await services.github.repository(
        trigger.installation_id, trigger.repository, permissions
    )
