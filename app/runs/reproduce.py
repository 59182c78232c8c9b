"""Running the cells of an attestation again on this machine."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from app import __version__
from app.domain import attestation, reproduction
from app.domain.attestation import Attestation
from app.domain.evidence import Cell, CellRun, Evidence, judge
from app.domain.reproduction import CellComparison, Reproduction
from app.domain.run import Ground, RunInput
from app.domain.values import CommitSha, RepoName, RunId, short
from app.errors import UserError
from app.git.command import GitError
from app.git.external_content import external_references
from app.git.mirror import Remote
from app.runs.requestless import requestless_run
from app.runs.services import READ_CODE, Services
from app.runs.steps import cells


@dataclass(frozen=True)
class Origin:
    """Where the commits come from. `is_github`: the App can read the repository there, so Git LFS
    files and submodules can be fetched too. `name` is for people."""

    remote: Remote
    name: str
    installation_id: int = 0

    @property
    def is_github(self) -> bool:
        return self.installation_id != 0


def local(path: Path) -> Origin:
    """A clone on this machine."""
    return Origin(Remote(url=path.absolute().as_uri()), str(path))


async def on_github(services: Services, attested: Attestation) -> Origin:
    """The repository on GitHub, read with the App's token. Raises UserError."""
    commit, github = attested.commit, services.github
    if commit.server != github.server_url:
        raise UserError(
            f"The attestation is for a repository on {commit.server}, and this Honk works on "
            f"{github.server_url}.",
            next_step="Give a local clone: --repository PATH.",
        )
    found = await github.installation_of(commit.repo)
    if found is None:
        raise UserError(
            f"The App is not installed on {commit.repository}.",
            next_step="Install it there, or give a local clone: --repository PATH.",
        )
    token = await github.token(found, commit.repo, READ_CODE)
    remote = Remote(url=services.git_url(commit.repo), token=token.get_secret_value())
    return Origin(remote, commit.repository, found)


async def reproduce(services: Services, attested: Attestation, origin: Origin) -> Reproduction:
    """Fetch the commits, measure the same cells as a run does, and compare the results.

    Raises UserError when the commits cannot be had or nothing can run here; a reason why one cell
    cannot be compared becomes part of the result.
    """
    if attested.how_to_run.ci is not None:
        return _by_ci(attested)
    run = _run_input(attested, origin)
    await _fetch(services, attested, origin)
    await _check_external_content(services, attested, origin)
    commit = attested.commit
    ground = Ground(commit=commit.base, branch=attested.surroundings.held_by)
    evidence = await cells.measure(services, run, ground, commit.head, commit.head_tree)
    # Only the Honk that signed knows other runs of these tests and the request.
    then = attested.evidence_with({})
    measured = evidence.measured.model_copy(update={"keyed": then.measured.keyed})
    evidence = evidence.model_copy(update={"known_flaky": then.known_flaky, "measured": measured})
    compared = tuple(
        reproduction.compare_cell(attested, cell, _unless_setup_failed(attested, evidence, cell))
        for cell in Cell
    )
    is_whole = all(each.answer != "unchecked" for each in compared)
    verdict = judge(evidence, attested.rules) if is_whole else None
    return reproduction.reproduction(attested, compared, verdict, await _notes(services, attested))


def _by_ci(attested: Attestation) -> Reproduction:
    """The repository's own CI ran the tests, which nothing here can."""
    compared = []
    for cell in Cell:
        found = attested.cell(cell).ci
        where = f" ({found.url}, attempt {found.attempt})" if found else ""
        why = f"The repository's own CI ran it{where}; Honk cannot run it again here."
        compared.append(CellComparison(cell=cell, answer="unchecked", why=why))
    return reproduction.reproduction(attested, tuple(compared), None, ())


def _unless_setup_failed(attested: Attestation, evidence: Evidence, cell: Cell) -> CellRun:
    """The cell's run. A setup that fails only here says nothing about the attestation."""
    run = attestation.run_of(evidence, cell)
    then = {each.verifier for each in attested.cell(cell).commands}
    for each in run.results.verifiers if run.results else ():
        if each.verifier == cells.SETUP and each.verifier not in then:
            return CellRun(why_not=f"Setup failed here: {each.tests[0].message}.")
    return run


async def _fetch(services: Services, attested: Attestation, origin: Origin) -> None:
    commit, held_by = attested.commit, attested.surroundings.held_by
    if held_by:
        # Fetching a branch also brings the tags that a build may derive its version from.
        await _fetched(services, commit.repo, origin, f"refs/heads/{held_by}")
    for sha in (commit.base, commit.head):
        if await _fetched(services, commit.repo, origin, sha) is None:
            raise UserError(
                f"{origin.name} does not have the commit {short(sha)} of {commit.repository}.",
                next_step="Fetch it there first. A branch that was deleted or force-pushed may "
                "have taken it away.",
            )


async def _fetched(
    services: Services, repo: RepoName, origin: Origin, ref: str
) -> CommitSha | None:
    try:
        return await services.mirrors.fetch(repo, origin.remote, ref)
    except GitError as problem:
        raise UserError(f"{origin.name} cannot be read: {problem.words}") from None
    except ValueError:
        return None


async def _check_external_content(
    services: Services, attested: Attestation, origin: Origin
) -> None:
    """Raises UserError when the commits need files that only GitHub has, and GitHub is not used."""
    if origin.is_github:
        return
    commit = attested.commit
    for sha in (commit.base, commit.head):
        found = await external_references(services.mirrors, commit.repo, sha)
        if found.pointers or found.submodules:
            raise UserError(
                f"{short(sha)} needs Git LFS files or submodules, which come from GitHub.",
                next_step="Leave out --repository, and set GITHUB_APP_ID and GITHUB_PRIVATE_KEY.",
            )


async def _notes(services: Services, attested: Attestation) -> tuple[str, ...]:
    """What differs between the two machines, as sentences."""
    then = attested.surroundings
    toolchains = await asyncio.to_thread(lambda: services.workspaces.toolchains.versions)
    notes = [
        f"{each.name} was {each.version} then; here it is {here}."
        for each in then.toolchains
        if (here := toolchains.get(each.name) or "missing") != each.version
    ]
    if then.honk != __version__:
        notes.insert(0, f"Honk {then.honk} made the attestation; this is {__version__}.")
    if then.sandbox != services.sandbox_kind:
        notes.append(f"The sandbox was {then.sandbox} then; here it is {services.sandbox_kind}.")
    return tuple(notes)


def _run_input(attested: Attestation, origin: Origin) -> RunInput:
    """A run that asks for nothing: what checkouts and setup need to know.

    Raises UserError when the recorded commands are none that a policy can have.
    """
    commit = attested.commit
    try:
        policy = attested.how_to_run.as_policy()
    except ValidationError:
        raise UserError("The recorded commands are not valid in this version of Honk.") from None
    return requestless_run(
        RunId("again"),
        commit.repo,
        policy,
        installation_id=origin.installation_id,
        repository_id=commit.repository_id,
        default_branch=attested.surroundings.held_by,
    )
