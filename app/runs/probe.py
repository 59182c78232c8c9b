"""Probing a repository: what Honk finds, set up and run in the sandbox, without a model.

Nothing is written to GitHub or to the repository.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from app.domain import policy as policies
from app.domain.policy import Policy
from app.domain.probe import ProbeResult, probed
from app.domain.run import RunInput
from app.domain.setup_outcome import Prepared, SetupOutcome
from app.domain.setup_plan import Choices
from app.domain.values import CommitSha, RepoName, RunId, commit_sha
from app.domain.verdict import Results, executed
from app.errors import UserError
from app.git.checkout import Workspace
from app.git.command import GitError, git
from app.git.external_content import external_references
from app.git.mirror import Remote
from app.github import repositories
from app.recipes.policy_file import policy_text
from app.runs.checkouts import check_out
from app.runs.requestless import requestless_run
from app.runs.services import READ_CODE, Services
from app.runs.setup_plans import plan_setup, with_proposal
from app.runs.steps import cells
from app.runs.steps.run_setup import run_setup
from app.sandbox.removal import remove_tree
from app.verify import runner
from app.verify.runner import VerifySite

_ID = RunId("probe")
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_SECONDS = 900.0
_SECONDS_TO_REPEAT = 300.0
"""Tests that take longer run only once: a second run is not worth the wait."""


@dataclass(frozen=True)
class ProbeTarget:
    """A commit in the mirror of `run.trigger.repository`. `name` is for people."""

    name: str
    run: RunInput
    commit: CommitSha


@asynccontextmanager
async def local_target(services: Services, path: Path) -> AsyncIterator[ProbeTarget]:
    """The commit that is checked out at `path`; a folder without git is imported as it is.

    Raises UserError.
    """
    name = _NOT_IN_NAME.sub("-", path.resolve().name)[:90].strip("-.") or "folder"
    repo = RepoName(owner="local", name=name)
    services.scratch.mkdir(exist_ok=True, mode=0o700)
    folder = Path(tempfile.mkdtemp(dir=services.scratch, prefix="report-probe-"))
    try:
        source = path if (path / ".git").exists() else await _imported(path, folder)
        commit = await _committed(source)
        found = await services.mirrors.fetch(repo, Remote(url=source.resolve().as_uri()), commit)
        if found is None:
            raise UserError(f"{path} does not have its own commit {commit}; is it a partial clone?")
        await _check_external_content(services, repo, found, path)
        policy = await policy_at(services, repo, found)
        yield ProbeTarget(str(path), requestless_run(_ID, repo, policy), found)
    finally:
        await asyncio.to_thread(remove_tree, folder)


async def _imported(path: Path, folder: Path) -> Path:
    """A repository with one commit of the folder's files, without ignored ones."""
    git_folder = folder / ".git"
    try:
        await git(["init", "--quiet", "--template=", str(folder)])
        at = [f"--work-tree={path.resolve()}"]
        await git([*at, "add", "--all"], cwd=git_folder)
        tree = (await git(["write-tree"], cwd=git_folder)).decode().strip()
        made = await git(["commit-tree", tree, "-m", "Imported"], cwd=git_folder, environment=_WHO)
        head = made.decode().strip()
        await git(["update-ref", "HEAD", head], cwd=git_folder)
    except GitError as problem:
        raise UserError(f"{path} cannot be imported: {problem.words}") from None
    return folder


_WHO = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Honk"), ("EMAIL", "honk@localhost"), ("DATE", "@0 +0000"))
}


async def _committed(path: Path) -> CommitSha:
    try:
        # git runs in a different folder, where a relative path would not work.
        at = str(path.resolve())
        output = await git(["-C", at, "rev-parse", "--verify", "HEAD^{commit}"])
        return commit_sha(output.decode().strip())
    except (GitError, ValueError):
        raise UserError(
            f"{path} has no commit.", next_step="Commit its files; the probe reads only these."
        ) from None


async def github_target(services: Services, repo: RepoName) -> ProbeTarget:
    """The head of the default branch, read with the App's token. Raises UserError."""
    found = await services.github.installation_of(repo)
    if found is None:
        raise UserError(
            f"The App is not installed on {repo}.",
            next_step="Install it there, or probe a local clone: honk probe PATH.",
        )
    client = await services.github.repository(found, repo, READ_CODE)
    branch = (await repositories.repository(client)).default_branch
    token = await services.github.token(found, repo, READ_CODE)
    remote = Remote(url=services.git_url(repo), token=token.get_secret_value())
    commit = await services.mirrors.fetch(repo, remote, f"refs/heads/{branch}")
    if commit is None:
        raise UserError(f"{repo} is empty.", next_step="Push a commit first.")
    policy = await policy_at(services, repo, commit)
    run = requestless_run(_ID, repo, policy, installation_id=found, default_branch=branch)
    return ProbeTarget(str(repo), run, commit)


async def policy_at(services: Services, repo: RepoName, commit: CommitSha) -> Policy:
    """The policy in a commit of the mirror. Raises UserError for a broken one."""
    paths = (policies.POLICY_PATH, policies.OTHER_POLICY_PATH)
    most = policies.POLICY_MAX_BYTES + 1
    yml, yaml = [await services.mirrors.read_blob(repo, commit, path, most) for path in paths]
    return policies.read(*policies.choose(yml, yaml))


async def _check_external_content(
    services: Services, repo: RepoName, commit: CommitSha, path: Path
) -> None:
    found = await external_references(services.mirrors, repo, commit)
    if found.pointers or found.submodules:
        raise UserError(
            f"{path} needs Git LFS files or submodules, which come from GitHub.",
            next_step="Probe it there: honk probe OWNER/REPO.",
        )


async def probe(
    services: Services, target: ProbeTarget, choices: tuple[Choices, ...] = ()
) -> ProbeResult:
    """Set up the commit by its policy or automatically, and run its tests once.

    `choices` adjust automatic setup. Whatever the repository's commands do becomes part of the
    result. Raises ProposalRefusedError for choices outside the vocabulary, and UserError when no
    sandbox can be made.
    """
    began = time.monotonic()
    outcome, results = await run_tests(services, target, choices, times=2)
    return ProbeResult(
        repository=target.name,
        commit=target.commit,
        by_policy=target.run.policy.setup is not None,
        outcome=outcome,
        tests=tuple(map(probed, results.verifiers)),
        seconds=round(time.monotonic() - began, 1),
    )


async def run_tests(
    services: Services,
    target: ProbeTarget,
    choices: tuple[Choices, ...] = (),
    *,
    times: int = 1,
    files: Sequence[str] | None = None,
) -> tuple[SetupOutcome, Results]:
    """Set up the commit and run its tests, `files` or all, `times` times. A test whose result
    varies is flaky.

    Raises the errors of `probe`.
    """
    run = target.run
    workspace = await check_out(services, run, target.commit, f"{run.id}-probe")
    try:
        outcome = await _set_up(services, target, workspace, choices)
        ready = replace(workspace, prepared=Prepared.by(outcome.plan))
        results = await _test(services, run, ready, target.commit, times, files)
    finally:
        await services.workspaces.remove(workspace)
    return outcome, results


async def _test(
    services: Services,
    run: RunInput,
    ready: Workspace,
    commit: CommitSha,
    times: int,
    files: Sequence[str] | None,
) -> Results:
    """Run the tests `times` times; a test whose result varies is flaky."""
    spec = services.workspaces.spec(ready, image=run.policy.image)
    spec = replace(spec, limits=replace(spec.limits, seconds=_SECONDS))
    stop = services.stops.of(run.id)
    site = VerifySite(services.sandbox, spec, services.scratch, stop)
    chosen = await asyncio.to_thread(cells.verifiers, run, ready)
    tests = tuple(each for each in chosen.verifiers if each.kind == "tests")
    results = await runner.verify(site, tests, commit, files=files)
    if times == 1:
        return results
    ran = {
        (each.verifier, each.command): each.tests
        for each in results.verifiers
        if executed(each.tests) and each.seconds <= _SECONDS_TO_REPEAT
    }
    return await runner.repeat(site, tests, results, ran, times=times)


async def _set_up(
    services: Services, target: ProbeTarget, workspace: Workspace, choices: tuple[Choices, ...]
) -> SetupOutcome:
    run = target.run
    tree = await services.mirrors.tree_of(run.trigger.repository, target.commit)
    planned, _ = await plan_setup(services, run, workspace, tree, tree)
    if choices:
        planned = with_proposal(services, run, planned, choices)
    mode = "fetch-only" if planned.discovered else run.policy.network.mode
    outcome, _ = await run_setup(services, run, workspace, planned, mode, repair=planned.discovered)
    return outcome


def check_no_policy(path: Path) -> None:
    """Raises UserError if a policy file would be overwritten."""
    for name in (policies.POLICY_PATH, policies.OTHER_POLICY_PATH):
        if (path / name).exists():
            raise UserError(
                f"{path / name} exists already, and it is not overwritten.",
                next_step="Probe without --write to see what Honk would use, or move it away.",
            )


def write_policy(path: Path, result: ProbeResult) -> Path:
    """Write the working commands as the policy file of the checkout at `path`. Raises UserError."""
    if not result.outcome.ran:
        raise UserError(f"No setup command worked, so {policies.POLICY_PATH} was not written.")
    text = policy_text(result.outcome.plan, result.outcome.taken)
    target = path / policies.POLICY_PATH
    try:
        target.parent.mkdir(exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as problem:
        raise UserError(f"{target} cannot be written ({problem.strerror}).") from None
    return target
