"""How a check or an approval that was honest in its place is made to count in another."""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from app.domain.approvals import Account, GivenReview, Involved, sort_out
from app.domain.ci import WorkflowRun
from app.domain.policy import CiPolicy, Policy
from app.domain.run import RunInput, run_id
from app.domain.trigger import Actor, AppIdentity, Signal, Trigger, from_event
from app.domain.values import CommitSha, RepoName
from app.domain.verdict import VerifierResult
from app.github import webhooks
from app.github.client import GitHubApp
from app.runs.commands import check
from app.runs.services import Services
from app.runs.shared_commit import shared_with
from app.sandbox.spec import Completed
from app.store.database import Database
from app.store.runs import Runs
from app.verify.archive import ArchivedFile
from app.verify.ci_results import Artifact, results
from app.verify.junit import read_junit
from app.verify.verifiers.pytest import REPORT, Pytest, read_report
from tests.security.harness import Attempt, Outcome, outcome
from tests.support.deliveries import encoded, labeled
from tests.support.runs import check_trigger
from tests.support.workflow_runs import workflow_run
from tests.unit.github.scripted import Reply, ScriptedGitHub
from tests.unit.web.support import MemoryIntake

_HEAD, _OTHER = CommitSha("a" * 40), CommitSha("b" * 40)
_START = datetime(2026, 3, 2, tzinfo=UTC)
_HONK = "honk[bot]"
_WALTER = Account(login="walter", id=2)
_US = AppIdentity(app_id=4711, slug="honk")


# -- the order of pushes

Ordered = Callable[[Trigger], Trigger]


def as_shown(trigger: Trigger) -> Trigger:
    """The product's order: by the moment at which GitHub showed the head."""
    return trigger


def as_it_arrives(trigger: Trigger) -> Trigger:
    """No defense: what is handled last is the newest."""
    return trigger.model_copy(update={"updated_at": datetime.now(UTC)})


async def _late(order: Ordered, folder: Path) -> Outcome:
    """The request about a former head was held up; the newest head is being verified."""
    database = Database(f"sqlite:///{folder / 'honk.db'}")
    database.migrate()
    runs = Runs(database)
    services = cast("Services", SimpleNamespace(runs=runs))
    seen = datetime.now(UTC) - timedelta(minutes=1)
    newest = check_trigger(id="head:newest", head_sha=_HEAD, updated_at=seen)
    run = RunInput(
        id=run_id(newest.id),
        trigger=newest,
        policy=Policy(),
        base_branch="main",
        model="",
        mode="test",
        quiet=True,
    )
    await runs.open(run)
    await runs.admitted(run.id, 1)
    before = seen - timedelta(minutes=1)
    late = check_trigger(id="head:late", head_sha=_OTHER, updated_at=before)
    await check.supersede(services, order(late))
    asked = (await runs.get(run.id)).stop_asked_by
    database.close()
    return outcome(asked is not None, "the newest head's check is canceled", "it was seen earlier")


@asynccontextmanager
async def _app(github: ScriptedGitHub) -> AsyncIterator[GitHubApp]:
    """The App as it speaks to this GitHub."""
    github.now = time.time()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    async with github.serve():
        url = github.url
        app = GitHubApp("7", SecretStr(pem), url, url.removesuffix("/api/v3"), timeout=5)
        yield app
        await app.close()


# -- one commit in two pull requests

Shared = Callable[[Services, Trigger, CommitSha], Awaitable[str]]


async def alone(services: Services, trigger: Trigger, sha: CommitSha) -> str:
    """No defense: the check is taken to be about its pull request only."""
    return ""


def _pull(number: int, base: str) -> dict[str, object]:
    return {
        "number": number,
        "html_url": f"https://github.invalid/{number}",
        "node_id": f"PR_{number}",
        "title": "",
        "state": "open",
        "head": {"ref": "fix", "sha": _HEAD, "repo": None},
        "base": {"ref": base, "sha": _OTHER, "repo": {"id": 1, "full_name": "acme/one"}},
    }


async def _same_head(shared: Shared, folder: Path) -> Outcome:
    """The tests are gone on the attacker's base branch, so removing them changes nothing there."""
    database = Database(f"sqlite:///{folder / 'honk.db'}")
    database.migrate()
    github = ScriptedGitHub()
    found = Reply(200, [_pull(7, "bare"), _pull(8, "main")])
    github.reply("GET", f"/repos/acme/one/commits/{_HEAD}/pulls", found)
    async with _app(github) as app:
        services = cast("Services", SimpleNamespace(github=app, runs=Runs(database)))
        place = await shared(services, check_trigger(head_sha=_HEAD), _HEAD)
    database.close()
    return outcome(not place, "#8 passes with #7's result", f"{place} has the same head")


# -- a repository's former name


def _token(repository_id: int) -> Reply:
    found = [{"id": repository_id, "full_name": f"acme/of-{repository_id}"}]
    ends = "2099-01-01T00:00:00Z"
    return Reply(201, {"token": f"ghs_{repository_id}", "expires_at": ends, "repositories": found})


async def _former_name(knows_id: bool, folder: Path) -> Outcome:
    """The repository was renamed during a run, and another one (10) was made under its name."""
    github = ScriptedGitHub()
    github.reply("POST", "/app/installations/1/access_tokens", _token(10), _token(9))
    async with _app(github) as app:
        repo = RepoName.parse("acme/one")
        if knows_id:
            app.know(repo, 9)
        token = (await app.token(1, repo, {"checks": "write"})).get_secret_value()
    return outcome(token == "ghs_10", "Honk writes checks there", "it has another id")


# -- another base branch

Read = Callable[[str, Mapping[str, Any]], Signal | None]


def as_event(name: str, payload: Mapping[str, Any]) -> Signal | None:
    """The product's reading of a delivery."""
    read = webhooks.read(name, "application/json", encoded(payload))
    found = from_event(name, read, _US)
    return found if isinstance(found, Signal) else None


def by_head(name: str, payload: Mapping[str, Any]) -> Signal | None:
    """No defense: a head that has its check keeps it."""
    found = as_event(name, payload)
    named = {"id": f"head:{found.head_sha}"} if found else {}
    return found.model_copy(update=named) if found else None


def _event(action: str, **more: Any) -> dict[str, Any]:
    pull = {
        **labeled()["issue"],
        "number": 8,
        "head": {"sha": _HEAD},
        "user": {"login": "trudy", "id": 3, "type": "User"},
    }
    common = {key: labeled()[key] for key in ("repository", "installation", "sender")}
    return {"action": action, **common, "pull_request": pull, **more}


async def _retargeted(read: Read, folder: Path) -> Outcome:
    """A person started the tests of a fork against one branch; its author chooses another one."""
    intake = MemoryIntake()
    changed = {"base": {"ref": {"from": "main"}, "sha": {"from": _OTHER}}}
    taken = []
    for payload in (_event("opened"), _event("edited", changes=changed)):
        found = read("pull_request", payload)
        taken.append(found is not None and await intake.enqueue(found) == "accepted")
    why = "the new base is a request of its own, which waits for a person"
    return outcome(taken != [True, True], "the check of the former base stays", why)


# -- approvals


def _review(at: datetime) -> GivenReview:
    return GivenReview(
        id=1,
        reviewer=_WALTER,
        reviewer_type="User",
        association="MEMBER",
        state="APPROVED",
        commit=_HEAD,
        submitted_at=at,
    )


def _counts(given: GivenReview, requesters: Sequence[Actor], changed: datetime | None) -> bool:
    asked = tuple(Account(login=each.login, id=each.id) for each in requesters)
    involved = Involved(
        author=Account(login=_HONK, id=9),
        author_type="Bot",
        requesters=asked,
        commits=(),
        base_changed_at=changed,
    )
    approved, _ = sort_out([given], _HEAD, involved, _HONK, requester_counts=False)
    return _WALTER in approved


async def _other_base(sees_base: bool, folder: Path) -> Outcome:
    """The head stays, but against another branch it proposes other changes."""
    changed = _START + timedelta(hours=1) if sees_base else None
    olivia = Actor(login="olivia", id=1, type="User")
    through = _counts(_review(_START), [olivia], changed)
    return outcome(through, "it approves the other changes", "it was given for the former base")


Asked = Callable[[RunInput], Sequence[Actor]]


def everyone_who_asked(run: RunInput) -> Sequence[Actor]:
    return run.requesters


def first_requester(run: RunInput) -> Sequence[Actor]:
    """No defense: only who asked first asked."""
    return [run.trigger.actor]


async def _resumed(asked: Asked, folder: Path) -> Outcome:
    """Walter has the run continue with his own instructions, and approves what comes out."""
    olivia = Actor(login="olivia", id=1, type="User")
    run = RunInput(
        id=run_id("r"),
        trigger=check_trigger(actor=olivia),
        policy=Policy(),
        base_branch="main",
        model="",
        resumed_by=(Actor(login=_WALTER.login, id=_WALTER.id, type="User"),),
    )
    through = _counts(_review(_START), asked(run), None)
    return outcome(through, "he approves his own request", "who resumed a run asked for it")


# -- failures that a report hides

_PASSED = '<testcase classname="test_a" name="test_one"/>'
_QUIET = f"<testsuite>{_PASSED}</testsuite>".encode()
_UNNAMED = f'<testsuite tests="2" failures="1">{_PASSED}</testsuite>'.encode()
_CI = CiPolicy(workflow="ci.yml", junit=("*.xml",))

OfCi = Callable[[bytes, WorkflowRun], bool]
OfPytest = Callable[[Completed, bytes], bool]


def _is_bad(found: VerifierResult) -> bool:
    return any(test.outcome.bad for test in found.tests)


def of_run_and_reports(report: bytes, run: WorkflowRun) -> bool:
    """Whether the product sees a failure in a report and its workflow run."""
    artifact = Artifact("junit", (ArchivedFile(b"a.xml", report),))
    return any(map(_is_bad, results(run, [artifact], _CI, _HEAD, None).verifiers))


def of_cases(report: bytes, run: WorkflowRun) -> bool:
    """No defense: only the cases that the report names."""
    cases = read_junit(report, lambda name, file: name).tests
    return any(test.outcome.bad for test in cases)


async def _hidden_in_ci(
    report: bytes, conclusion: str, sees_failure: OfCi, folder: Path
) -> Outcome:
    run = workflow_run(_HEAD, _CI.path, conclusion=conclusion)
    return outcome(not sees_failure(report, run), "all tests pass", "a failure of the whole run")


def of_code_and_report(completed: Completed, report: bytes) -> bool:
    return _is_bad(Pytest().parse(completed, {REPORT: report}))


def of_report(completed: Completed, report: bytes) -> bool:
    """No defense: only what the report says."""
    return any(test.outcome.bad for test in read_report(report, "")[0].tests)


async def _hidden(sees_failure: OfPytest, folder: Path) -> Outcome:
    """A hook of the tested code writes a report with the passing tests only."""
    failed = Completed(
        exit_code=1, output=b"1 failed", dropped_bytes=0, timed_out=False, killed=None, seconds=1.0
    )
    return outcome(not sees_failure(failed, _QUIET), "all tests pass", "the exit code says failure")


_BOTH = "exit code or conclusion and report are compared; the worse one wins"


def _in_ci(name: str, report: bytes, conclusion: str) -> Attempt:
    run = functools.partial(_hidden_in_ci, report, conclusion)
    return Attempt(
        name, _BOTH, functools.partial(run, of_run_and_reports), functools.partial(run, of_cases)
    )


ATTEMPTS = (
    Attempt(
        "a request about a former head that comes late stops the newest push's check",
        "requests are ordered by when GitHub showed their heads",
        functools.partial(_late, as_shown),
        functools.partial(_late, as_it_arrives),
    ),
    Attempt(
        "a pull request passes with the result of another one with the same head commit",
        "a passing check counts only where no other pull request or base shares the commit",
        functools.partial(_same_head, shared_with),
        functools.partial(_same_head, alone),
    ),
    Attempt(
        "a new repository takes the name of one that was renamed during a run",
        "a token is for the repository's id",
        functools.partial(_former_name, True),
        functools.partial(_former_name, False),
    ),
    Attempt(
        "a fork is retargeted after a person started its tests",
        "another base branch is another request",
        functools.partial(_retargeted, as_event),
        functools.partial(_retargeted, by_head),
    ),
    Attempt(
        "an approval of the changes against another base branch",
        "approvals from before the base branch changed do not count",
        functools.partial(_other_base, True),
        functools.partial(_other_base, False),
    ),
    Attempt(
        "the person who resumed a run approves its result",
        "everyone who asked for one of the attempts is a requester",
        functools.partial(_resumed, everyone_who_asked),
        functools.partial(_resumed, first_requester),
    ),
    _in_ci("a failed CI job uploads a report of passing tests", _QUIET, "failure"),
    _in_ci("a CI report counts a failure that it does not name", _UNNAMED, "success"),
    Attempt(
        "failing tests leave a report of passing tests",
        _BOTH,
        functools.partial(_hidden, of_code_and_report),
        functools.partial(_hidden, of_report),
    ),
)
