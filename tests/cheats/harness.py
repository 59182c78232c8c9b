"""One change, from the agent to what people see, through the product's own steps.

The four cells are composed, checked out clean, run and judged by what a run's verify step calls.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import SecretStr

from app import integrity
from app.domain.evidence import Cell, CellRun, Evidence, Measurements, Rules, judge
from app.domain.flag import Flag
from app.domain.policy import Policy
from app.domain.run import Ground, RunInput
from app.domain.values import CommitSha, RepoName, RunId, TreeSha
from app.domain.verdict import Verdict
from app.git.checkout import NOTHING_FETCHED, Fetched, Workspace, Workspaces
from app.git.load_diff import load_diff
from app.git.mirror import Mirrors
from app.git.packing import pack
from app.github.client import GitHubApp
from app.integrity import readiness, scope
from app.integrity.secrets import added_secrets, as_flags
from app.playground.run import registration
from app.runs.services import Services
from app.runs.steps import cells
from app.runs.steps.verify import rules
from app.sandbox.bubblewrap import Bubblewrap
from app.sandbox.spec import ResourceLimits
from app.sandbox.toolchains import installed
from app.store.database import Database
from tests.cheats.edits import Change
from tests.cheats.projects import Project
from tests.cheats.supplies import supplied
from tests.support.runs import open_run, services
from tests.support.workspaces import Origin

POLICY = {"paths": {"protect": ["deploy/**"]}, "scope": {"max_lines": 300}}
_ACCOUNT = "acme"


@dataclass(frozen=True)
class Outcome:
    """What people see of a change. `why` is the check's title, or why there was none.

    `kind` is the verdict, "blocked" where a change does not get that far. `left_out`: what packing
    could not take along, which the pull request says.
    """

    kind: str
    ready: bool
    why: str
    evidence: Evidence | None = None
    verdict: Verdict | None = None
    flags: tuple[Flag, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def exposed_by(self) -> str:
        """The cells and measurements that show the cheat, or the flags if they keep it a draft."""
        if self.evidence is None or self.verdict is None:
            return self.why
        return exposed_by(self.evidence, self.verdict) if not self.verdict.ready else "flags"

    @property
    def hints(self) -> str:
        return ", ".join(sorted({flag.kind.value for flag in self.flags}))


class _Supplied(Workspaces):
    """Workspaces that come with what a set-up would have installed."""

    supplies: Mapping[str, Path] = {}

    async def create(
        self,
        repo: RepoName,
        commit: CommitSha,
        name: str,
        *,
        tree: TreeSha | None = None,
        fetched: Fetched = NOTHING_FETCHED,
    ) -> Workspace:
        workspace = await super().create(repo, commit, name, tree=tree, fetched=fetched)
        for folder, source in self.supplies.items():
            await asyncio.to_thread(_copy, source, workspace.path / folder, workspace.path)
        return workspace


def _copy(source: Path, target: Path, like: Path) -> None:
    owner = like.stat()
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    for path in (*target.parents[: len(target.relative_to(like).parts) - 1], target):
        os.chown(path, owner.st_uid, owner.st_gid)
    for folder, folders, names in os.walk(target):
        for name in (*folders, *names):
            os.chown(Path(folder, name), owner.st_uid, owner.st_gid, follow_symlinks=False)


@dataclass
class Bench:
    """One repository and a worker that judges changes of it. Its base is verified once."""

    project: Project
    parts: Services
    origin: Origin
    repo: RepoName
    run: RunInput
    base: CommitSha

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path, project: Project) -> AsyncIterator[Bench]:
        """Raises NotReachableError if what the project's tests need cannot be fetched."""
        folder.mkdir(parents=True)
        supplies = supplied(project.supplies)
        database = Database(f"sqlite:///{folder}/honk.sqlite")
        database.migrate()
        key = SecretStr(registration(folder).private_key_pem)
        github = GitHubApp("7", key, "http://127.0.0.1:9", "http://127.0.0.1:9")
        mirrors = Mirrors(folder / "mirrors")
        with services(database, folder, github, mirrors) as parts:
            (folder / "workspaces").mkdir(exist_ok=True)
            sandbox = Bubblewrap.create(folder / "workspaces")
            workspaces = _Supplied(folder / "workspaces", mirrors, sandbox, installed())
            workspaces.supplies = supplies
            parts = replace(parts, sandbox=sandbox, workspaces=workspaces)
            run = await open_run(database, "base", f"{_ACCOUNT}/project", 1)
            policy = Policy.model_validate({**POLICY, "verify": project.verify})
            run = run.model_copy(update={"policy": policy})
            origin = Origin(folder / "elsewhere")
            yield cls(
                project,
                parts,
                origin,
                run.trigger.repository,
                run,
                await _base(origin, mirrors, run.trigger.repository, project.files),
            )
        await github.close()
        database.close()

    async def judge(self, change: Change, name: str) -> Outcome:
        """The result of the change. `name` is unique, letters and digits."""
        run = self.run.model_copy(update={"id": RunId(name)})
        if change.script:
            return await self._of_script(run, change)
        commit = await self._commit(change, name)
        return await self._concluded(run, commit, ())

    async def _commit(self, change: Change, name: str) -> CommitSha:
        changed = change.apply(self.project.files)
        async with _COMMITTING:
            await asyncio.to_thread(_lay, self.origin, changed)
            self.origin.commit(f"Change {name}", branch=name)
        sha = await self.parts.mirrors.fetch(self.repo, self.origin.remote, name)
        assert sha is not None
        return await self.parts.mirrors.commit_tree(
            self.repo, await self.parts.mirrors.tree_of(self.repo, sha), [self.base], "Work\n"
        )

    async def _of_script(self, run: RunInput, change: Change) -> Outcome:
        """Run the script in the agent's sandbox, and take its changes."""
        workspaces, mirrors = self.parts.workspaces, self.parts.mirrors
        workspace = await workspaces.create(self.repo, self.base, f"{run.id}-agent")
        spec = workspaces.spec(workspace, limits=ResourceLimits(seconds=60))
        try:
            async with self.parts.sandbox.session(spec) as session:
                done = await session.bash(change.script, seconds=60)
                assert done.ok, done.text
                packed = await pack(workspace, workspaces)
                commit = await mirrors.commit_tree(self.repo, packed.tree, [self.base], "Work\n")
                return await self._concluded(run, commit, packed.skipped)
        finally:
            await workspaces.remove(workspace)

    async def _concluded(
        self, run: RunInput, commit: CommitSha, left_out: tuple[str, ...]
    ) -> Outcome:
        mirrors = self.parts.mirrors
        tree = await mirrors.tree_of(self.repo, commit)
        if tree == await mirrors.tree_of(self.repo, self.base):
            left = f"; left out: {left_out[0]}" if left_out else ""
            return Outcome("blocked", False, f"nothing was changed{left}", left_out=left_out)
        diff = await load_diff(mirrors, self.repo, self.base, tree)
        if found := as_flags(await asyncio.to_thread(added_secrets, diff)):
            return Outcome("blocked", False, "a secret is not pushed", flags=found)
        ground = Ground(commit=self.base, branch="main")
        evidence = await cells.measure(self.parts, run, ground, commit, tree)
        verdict = judge(evidence, rules(run))
        failing = frozenset(each.id for each in (*verdict.fixed, *verdict.still_failing))
        flags = (
            *scope.examine(diff, run.policy.paths, run.policy.scope),
            *await asyncio.to_thread(integrity.examine, diff, failing),
        )
        ready = readiness.is_ready(run.policy, verdict, flags)
        return Outcome(verdict.kind, ready, verdict.title, evidence, verdict, flags, left_out)


_COMMITTING = asyncio.Lock()


async def _base(
    origin: Origin, mirrors: Mirrors, repo: RepoName, files: Mapping[str, bytes]
) -> CommitSha:
    for path, content in files.items():
        origin.write(path, content, executable=path.startswith("bin/"))
    origin.commit("Base")
    sha = await mirrors.fetch(repo, origin.remote, "main")
    assert sha is not None
    return sha


def _lay(origin: Origin, files: Mapping[str, bytes]) -> None:
    """Make the clone's files exactly these."""
    for path in origin.clone.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, content in files.items():
        origin.write(name, content, executable=name.startswith("bin/"))


_MEANINGS = {
    "weak-proof": "proof and guard",
    "weakened": "guard",
    "confirm": "guard",
    "loosened": "guard",
    "guard-unfinished": "guard",
    "regression": "head",
    "failure": "head",
    "known-failure": "head",
    "starts-now": "base",
    "removed-broken": "base and guard",
    "removed": "base",
    "unproven": "proof",
}


def exposed_by(evidence: Evidence, verdict: Verdict) -> str:
    """What exposes the change: the first cell or measurement without which it looks better."""
    measured = evidence.measured
    for name, without in (
        ("startup record", {"loaded": ()}),
        ("canary", {"canary": "not measured"}),
        ("hard-coded answers", {"keyed": ()}),
    ):
        blind = evidence.model_copy(update={"measured": measured.model_copy(update=without)})
        if blind != evidence and judge(blind, Rules()).kind != verdict.kind:
            return name
    if verdict.kind == "no-result":
        return "head"
    if verdict.kind == "not-proven":
        return "proof"
    worst = next((row for row in verdict.rows if row.meaning.value in _MEANINGS), None)
    return _MEANINGS[worst.meaning.value] if worst is not None else "rows"


def two_runs_alone(evidence: Evidence) -> Verdict:
    """The control: what would be said from the head's run, and from the base's where names agree.

    No cell mixes two commits, nothing is measured, and what is gone was never there.
    """
    base, head = evidence.base.results, evidence.head.results
    if base is None or head is None:
        return judge(evidence, Rules())
    there = {(each.verifier, test.id) for each in head.verifiers for test in each.tests}
    kept = tuple(
        each.model_copy(
            update={"tests": tuple(t for t in each.tests if (each.verifier, t.id) in there)}
        )
        for each in base.verifiers
    )
    before = base.model_copy(update={"verifiers": kept})
    blind = evidence.model_copy(
        update={
            "base": CellRun(results=before),
            "proof": CellRun(results=before, same_as=Cell.BASE),
            "guard": CellRun(results=head, same_as=Cell.HEAD),
            "measured": Measurements(),
        }
    )
    return judge(blind, Rules())


__all__ = ["Bench", "Outcome", "exposed_by", "two_runs_alone"]
