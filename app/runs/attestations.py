"""Signing the evidence of a verdict and keeping it."""

from __future__ import annotations

import asyncio

from app import __version__
from app.domain import attestation
from app.domain.attestation import (
    PAYLOAD_TYPE,
    Attestation,
    HowToRun,
    Surroundings,
    ToolchainVersion,
    VerifiedCommit,
)
from app.domain.dsse import Envelope
from app.domain.evidence import Evidence, Rules
from app.domain.run import Ground, RunInput
from app.domain.setup_outcome import CommandRun, SetupOutcome
from app.domain.values import CommitSha, RepoName
from app.domain.verdict import Verdict
from app.runs.services import Services
from app.store.attestations import StoredAttestation
from app.store.database import now

PATH = "/attestations"


async def attest(
    services: Services,
    run: RunInput,
    *,
    base: Ground,
    head: CommitSha,
    evidence: Evidence,
    rules: Rules,
    verdict: Verdict,
) -> str:
    """Sign and store the attestation of a verdict; return its URL, or "" without a public URL.

    An existing attestation of the same run on the same commits is replaced, so a repeated step is
    harmless. Raises RetryableError while the database is unavailable.
    """
    attested = attestation.attestation(
        evidence,
        verdict,
        rules,
        commit=await _verified_commit(services, run, base.commit, head),
        run=run.id,
        url=page_url(services, run),
        how_to_run=HowToRun.of(
            run.policy, run.policy.image or services.image, await _setup_commands(services, run)
        ),
        surroundings=await _surroundings(services, base, evidence),
        finished=now(),
    )
    return await _sign(services, attested)


async def _setup_commands(services: Services, run: RunInput) -> tuple[CommandRun, ...]:
    """The commands that worked in automatic setup; none if the policy has the setup commands."""
    row = await services.runs.find(run.id)
    recorded = row.setup_outcome if row is not None and run.policy.setup is None else None
    return SetupOutcome.recorded(recorded).ran if recorded else ()


async def record_acceptance(
    services: Services, repo: RepoName, head: CommitSha, verdict: Verdict
) -> str:
    """Record in a commit's newest attestation who accepted it; return its URL.

    `verdict` is the accepted one. Without an attestation (an older run, or one that is no longer
    kept) nothing happens and "" is returned.
    """
    stored = await services.attestations.latest(repo, head)
    if stored is None:
        return ""
    attested = attestation.read(stored.envelope)
    rules = attested.rules.model_copy(update={"accepted_by": verdict.accepted_by})
    judged = attestation.verdict_record(verdict)
    return await _sign(services, attested.model_copy(update={"rules": rules, "verdict": judged}))


def attestation_url(
    public_url: str, repository_id: int, run: str, base: CommitSha, head: CommitSha
) -> str:
    """The URL of the attestation of a run's verdict; "" without a public URL."""
    name = attestation.attestation_id(repository_id, run, base, head)
    return f"{public_url}{PATH}/{name}" if public_url else ""


def page_url(services: Services, run: RunInput) -> str:
    """The run's page; "" without a public URL."""
    return f"{services.public_url}/runs/{run.id}" if services.public_url else ""


async def _sign(services: Services, attested: Attestation) -> str:
    key, commit = services.signing_key, attested.commit
    payload = await asyncio.to_thread(attestation.payload, attested)
    signature = (key.public.key_id, key.sign(PAYLOAD_TYPE, payload))
    stored = StoredAttestation(
        id=attestation.attestation_id(commit.repository_id, attested.run, commit.base, commit.head),
        repository=commit.repository,
        repository_id=commit.repository_id,
        run_id=attested.run,
        base_sha=commit.base,
        head_sha=commit.head,
        created_at=now(),
        envelope=Envelope(PAYLOAD_TYPE, payload, (signature,)),
    )
    await services.attestations.put(stored, key.public)
    return attestation_url(
        services.public_url, commit.repository_id, attested.run, commit.base, commit.head
    )


async def _verified_commit(
    services: Services, run: RunInput, base: CommitSha, head: CommitSha
) -> VerifiedCommit:
    trigger, mirrors = run.trigger, services.mirrors
    return VerifiedCommit(
        server=services.github.server_url,
        repository=str(trigger.repository),
        repository_id=trigger.repository_id,
        base=base,
        base_tree=await mirrors.tree_of(trigger.repository, base),
        head=head,
        head_tree=await mirrors.tree_of(trigger.repository, head),
    )


async def _surroundings(services: Services, base: Ground, evidence: Evidence) -> Surroundings:
    versions = await asyncio.to_thread(lambda: services.workspaces.toolchains.versions)
    results = evidence.head.results or evidence.base.results
    return Surroundings(
        honk=__version__,
        sandbox=services.sandbox_kind,
        environment=results.environment if results else "",
        toolchains=tuple(
            ToolchainVersion(name=name, version=version)
            for name, version in versions.items()
            if version
        ),
        held_by=base.branch,
    )
