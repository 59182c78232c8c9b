"""Runs as a request creates them, only in a database, and the services of a worker for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.agent.engine import AgentTask, Ending
from app.agent.engines import Engines
from app.domain.model_question import AnswerForm, ModelAnswer
from app.domain.policy import Policy
from app.domain.run import RunInput
from app.domain.trigger import Actor, AppIdentity, Trigger, from_event
from app.domain.values import CommitSha, RepoName, RunId
from app.egress.setup_proxy import SetupProxies
from app.git.checkout import Workspaces
from app.git.external_cache import ExternalCache
from app.git.mirror import Mirrors
from app.git.setup_snapshots import SetupSnapshots
from app.github import webhooks
from app.github.client import GitHubApp
from app.runs import queue
from app.runs.reconcile import Reconciler
from app.runs.services import Services
from app.sandbox.bubblewrap import Unsandboxed
from app.store.acceptances import Acceptances
from app.store.attestations import Attestations
from app.store.builds import BuildStore
from app.store.database import Database
from app.store.flaky_tests import FlakyTests
from app.store.follows import Follows
from app.store.images import Images
from app.store.merges import Merges
from app.store.messages import Messages
from app.store.pending import PendingRequests
from app.store.previews import PreviewStore
from app.store.reports import Reports
from app.store.results import ResultStore
from app.store.runs import Runs
from app.store.writes import Writes
from tests.support.deliveries import encoded, labeled
from tests.support.keys import signing_key

LARGE = 2**40
"""An id of a repository as GitHub will give out one day."""


async def open_run(
    database: Database,
    name: str,
    repository: str,
    number: int,
    *,
    quiet: bool = False,
    background: bool = False,
) -> RunInput:
    """The request of adding the label to an issue, stored but not queued."""
    event = labeled(
        issue__title=f"title of {name} 'ü",
        issue__number=number,
        repository__full_name=repository,
        repository__id=LARGE,
    )
    read = webhooks.read("issues", "application/json", encoded(event))
    trigger = from_event("issues", read, AppIdentity(app_id=1, slug="honk"))
    assert isinstance(trigger, Trigger)
    run = RunInput(
        id=RunId(name),
        trigger=trigger,
        policy=Policy(),
        base_branch="main",
        model="m",
        quiet=quiet,
        background=background,
    )
    await Runs(database).open(run)
    return run


def check_trigger(**values: Any) -> Trigger:
    """A request for the check on a head that a bot has pushed; `values` are other fields."""
    moment = datetime.now(UTC)
    given = {
        "id": "head:1:7",
        "kind": "check",
        "installation_id": 1,
        "repository": RepoName.parse("acme/one"),
        "repository_id": 1,
        "default_branch": "main",
        "private": True,
        "number": 7,
        "is_pull_request": True,
        "actor": Actor(login="renovate[bot]", id=1, type="Bot"),
        "title": "",
        "body": "",
        "author": None,
        "labels": (),
        "label": None,
        "comment": None,
        "command": None,
        "head_sha": CommitSha("a" * 40),
        "created_at": moment,
        "updated_at": moment,
        "html_url": "",
    }
    return Trigger.model_validate(given | values)


@contextmanager
def services(
    database: Database, home: Path, github: GitHubApp, mirrors: Mirrors
) -> Iterator[Services]:
    """A worker's services, without a model and without sandbox isolation."""
    sandbox = Unsandboxed()
    workspaces = Workspaces(home / "workspaces", mirrors, sandbox)
    with queue.trigger_queue(database) as triggers:
        yield Services(
            database=database,
            runs=Runs(database),
            results=ResultStore(database),
            flaky_tests=FlakyTests(database),
            messages=Messages(database),
            pending=PendingRequests(database),
            writes=Writes(database),
            images=Images(database),
            external_cache=ExternalCache(home / "elsewhere"),
            reports=Reports(database),
            attestations=Attestations(database),
            signing_key=signing_key(1),
            acceptances=Acceptances(database),
            previews=PreviewStore(database),
            builds=BuildStore(database),
            merges=Merges(database),
            follows=Follows(database),
            github=github,
            reconciler=Reconciler(database, github, triggers, AppIdentity(app_id=1, slug="honk")),
            mirrors=mirrors,
            workspaces=workspaces,
            sandbox=sandbox,
            egress=SetupProxies(sandbox),
            snapshots=SetupSnapshots(home / "setups", workspaces),
            engines=Engines("anthropic", lambda _: _NoEngine()),
            setup_network="none",
            model_id="m",
            model_id_max="m",
            scratch=home / "scratch",
            local_bundles=home / "kept",
        )


class _NoEngine:
    async def run(
        self, task: AgentTask, feedback: str | None = None, *, feedback_id: str = ""
    ) -> Ending:
        raise AssertionError("nobody asks it here")

    async def ask(self, model: str, system: str, question: str, form: AnswerForm) -> ModelAnswer:
        raise AssertionError("nobody asks it here")

    async def probe(self, model: str) -> None:
        raise AssertionError("nobody asks it here")

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...
