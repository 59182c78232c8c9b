"""The verify step's statement is signed, stored once, and can be found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.domain import attestation
from app.domain.evidence import Cell, Rules
from app.domain.run import Ground, RunInput
from app.domain.setup_outcome import CommandRun, SetupOutcome
from app.domain.values import CommitSha
from app.domain.verdict import VerdictKind
from app.git.mirror import Mirrors
from app.github.client import GitHubApp
from app.runs import attestations
from app.runs.services import Services
from app.store.database import Database
from tests.support import runs
from tests.support.evidence import evidence, verdict
from tests.support.keys import signing_key
from tests.support.workspaces import Origin

SERVER = "https://github.example"


@pytest.fixture(name="services")
async def _services(tmp_path: Path) -> AsyncIterator[Services]:
    database = Database(f"sqlite:///{tmp_path / 'honk.db'}")
    database.migrate()
    github = GitHubApp("1", SecretStr(""), f"{SERVER}/api/v3", SERVER)
    mirrors = Mirrors(tmp_path / "mirrors")
    with runs.services(database, tmp_path, github, mirrors) as found:
        yield replace(found, public_url="https://honk.example")
    await github.close()
    database.close()


@pytest.fixture(name="run")
async def _run(services: Services) -> RunInput:
    return await runs.open_run(services.database, "abcdefghij", "acme/One", 1)


@pytest.fixture(name="commits")
async def _commits(
    services: Services, run: RunInput, tmp_path: Path
) -> tuple[CommitSha, CommitSha]:
    origin, commits = Origin(tmp_path / "origin"), []
    for text in ("1", "2"):
        origin.write("calc.py", text)
        commits.append(origin.commit())
    await services.mirrors.fetch(run.trigger.repository, origin.remote, "main")
    return commits[0], commits[1]


async def attest(services: Services, run: RunInput, commits: tuple[CommitSha, CommitSha]) -> str:
    base, head = commits
    return await attestations.attest(
        services,
        run,
        base=Ground(commit=base, branch="main"),
        head=head,
        evidence=evidence(),
        rules=Rules(),
        verdict=verdict(),
    )


async def test_the_evidence_is_signed_and_found_at_its_url(
    services: Services, run: RunInput, commits: tuple[CommitSha, CommitSha]
) -> None:
    url = await attest(services, run, commits)
    assert url.startswith("https://honk.example/attestations/")
    stored = await services.attestations.find(url.rpartition("/")[2])
    assert stored is not None
    assert stored.envelope.signer(await services.attestations.keys()) == (
        signing_key(1).public.key_id
    )
    found = attestation.read(stored.envelope)
    assert (found.commit.base, found.commit.head) == commits
    assert found.commit.server == SERVER
    assert found.commit.head_tree == await services.mirrors.tree_of(
        run.trigger.repository, commits[1]
    )
    assert found.url == "https://honk.example/runs/abcdefghij"
    assert found.verdict.kind is VerdictKind.PROVEN
    assert found.cell(Cell.PROOF).only == ("t.py",)
    assert found.surroundings.held_by == "main"
    assert found.surroundings.toolchains[0].name == "python"


async def test_the_commands_of_a_setup_that_honk_found_out_are_listed(
    services: Services, run: RunInput, commits: tuple[CommitSha, CommitSha]
) -> None:
    command = CommandRun(line="npm ci", source="package-lock.json", folder="web", output="added 3")
    outcome = SetupOutcome(ran=(command,))
    await services.runs.record_setup(run.id, outcome.model_dump(mode="json"))

    async def listed(run: RunInput) -> list[tuple[str, str, str]]:
        url = await attest(services, run, commits)
        stored = await services.attestations.find(url.rpartition("/")[2])
        assert stored is not None
        ran = attestation.read(stored.envelope).how_to_run.ran
        return [(each.line, each.source, each.folder) for each in ran]

    found_out = run.model_copy(update={"policy": run.policy.model_copy(update={"setup": None})})
    assert await listed(found_out) == [("npm ci", "package-lock.json", "web")]
    by_policy = run.policy.model_copy(update={"setup": ("make",)})
    assert await listed(run.model_copy(update={"policy": by_policy})) == []


async def test_a_repeated_step_writes_to_the_same_place(
    services: Services, run: RunInput, commits: tuple[CommitSha, CommitSha]
) -> None:
    assert await attest(services, run, commits) == await attest(services, run, commits)
    assert (
        services.database.transact(
            lambda c: c.exec_driver_sql("select count(*) from attestations").scalar_one()
        )
        == 1
    )


async def test_without_a_public_url_it_is_kept_and_has_no_link(
    services: Services, run: RunInput, commits: tuple[CommitSha, CommitSha]
) -> None:
    assert await attest(replace(services, public_url=""), run, commits) == ""
    assert await services.attestations.latest(run.trigger.repository, commits[1]) is not None


async def test_an_acceptance_is_signed_in_the_same_place(
    services: Services, run: RunInput, commits: tuple[CommitSha, CommitSha]
) -> None:
    url = await attest(services, run, commits)
    again = await attestations.record_acceptance(
        services, run.trigger.repository, commits[1], verdict(accepted_by="olivia")
    )
    assert again == url
    stored = await services.attestations.latest(run.trigger.repository, commits[1])
    assert stored is not None
    stored.envelope.signer(await services.attestations.keys())
    found = attestation.read(stored.envelope)
    assert found.verdict.accepted_by == found.rules.accepted_by == "olivia"


async def test_an_acceptance_without_an_attestation_changes_nothing(
    services: Services, run: RunInput
) -> None:
    assert not await attestations.record_acceptance(
        services, run.trigger.repository, CommitSha("c" * 40), verdict()
    )
