"""One change from the agent's hands to its conclusion, every defence a part that can be replaced.

The parts are the product's own functions, in the order in which the steps of `app/runs` call them.
A control takes one defence away by handing in another function in its place, and keeps the rest.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from app import integrity
from app.domain.diff import Diff
from app.domain.flag import Flag, Kind
from app.domain.policy import Policy
from app.domain.values import CommitSha, TreeSha
from app.domain.verdict import Kind as VerdictKind
from app.domain.verdict import Results, TestResult, Verdict, VerifierResult, compare
from app.git.checkout import Workspace, Workspaces
from app.git.load_diff import load_diff
from app.git.packing import pack
from app.integrity import readiness, scope
from app.integrity.secrets import added_secrets, as_flags
from app.sandbox.spec import Completed, ResourceLimits
from app.sandbox.toolchains import installed
from app.verify import runner
from app.verify.affected import affected
from app.verify.runner import VerifySite
from app.verify.verifier import DirectoryTree, TestCommand, Verifier, VerifierContext
from app.verify.verifiers import choose
from tests.support.workspaces import REPO, World

GREEN, FLAGGED, BLOCKED, RED = "clean green", "flagged", "blocked", "red"


@dataclass(frozen=True)
class Outcome:
    """What people see of a change. `flags` are kinds, `why` is for the table."""

    conclusion: str
    why: str = ""
    flags: tuple[Flag, ...] = ()
    blocking: tuple[Flag, ...] = ()
    draft: bool = True

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(sorted({flag.kind.value for flag in self.flags}))


@dataclass(frozen=True)
class Work:
    """What a scripted agent left: its workspace, its sandbox still alive, and the tree packed."""

    workspace: Workspace
    base: CommitSha
    tree: TreeSha
    commit: CommitSha
    left_out: tuple[str, ...]


@asynccontextmanager
async def clean(world: World, work: Work, commit: CommitSha) -> AsyncIterator[Workspace]:
    """A new checkout of exactly that commit."""
    workspace = await world.workspaces.create(REPO, commit, f"{work.workspace.name}-{commit[:12]}")
    try:
        yield workspace
    finally:
        await world.workspaces.discard(workspace)


@asynccontextmanager
async def the_agents_own(world: World, work: Work, commit: CommitSha) -> AsyncIterator[Workspace]:
    """No defence: where the agent worked, with what it left there and what it left running."""
    yield work.workspace


def own_reports(verifier: Verifier) -> Verifier:
    """What a verifier says is what its run reported into the folder made for it."""
    return verifier


@dataclass(frozen=True)
class Believing:
    """No defence: results that lie in the work tree are taken for those of the run."""

    real: Verifier
    name: str = "pytest"
    folder: str = ""
    kind: VerdictKind = "tests"

    @property
    def line(self) -> str:
        return self.real.line

    def selects(self, tests: Sequence[TestResult]) -> bool:
        return False

    def command(self, context: VerifierContext) -> TestCommand:
        copy = f"cp results.xml {shlex.quote(context.report)}/report.xml"
        return replace(self.real.command(context), argv=("bash", "-c", copy))

    def parse(self, completed: Completed, reports: Mapping[str, bytes]) -> VerifierResult:
        return self.real.parse(completed, reports)


def by_what_is_printed(verdict: Verdict, after: Results) -> Verdict:
    """No defence: a summary among the output is taken for the runner's."""
    printed = any(" passed in " in result.output_tail for result in after.verifiers)
    return verdict.model_copy(update={"conclusion": "success", **_SILENT}) if printed else verdict


def by_the_exit_code(verdict: Verdict, after: Results) -> Verdict:
    """No defence: a command that ends with 0 has passed."""
    good = all(result.exit_code == 0 for result in after.verifiers)
    return verdict.model_copy(update={"conclusion": "success", **_SILENT}) if good else verdict


def by_the_agents_word(verdict: Verdict, after: Results) -> Verdict:
    """No defence: what the agent says is so."""
    return verdict.model_copy(update={"conclusion": "success", **_SILENT})


def by_what_is_left(verdict: Verdict, after: Results) -> Verdict:
    """No defence: only the tests that are there count, as if there had been no others."""
    return verdict.model_copy(update={"removed": (), "newly_skipped": ()})


def as_compared(verdict: Verdict, after: Results) -> Verdict:
    """The product's own comparison of base and commit."""
    return verdict


_SILENT: dict[str, object] = {
    "new_failures": (),
    "still_failing": (),
    "failing_unknown": (),
    "not_run": (),
    "removed": (),
    "newly_skipped": (),
}

Flags = Callable[[Diff, frozenset[str], Policy], tuple[Flag, ...]]


def all_flags(diff: Diff, failing: frozenset[str], policy: Policy) -> tuple[Flag, ...]:
    return (
        *scope.examine(diff, policy.paths, policy.scope),
        *integrity.examine(diff, failing),
    )


def without(*kinds: Kind) -> Flags:
    """No defense: these are not checked."""

    def some(diff: Diff, failing: frozenset[str], policy: Policy) -> tuple[Flag, ...]:
        return tuple(each for each in all_flags(diff, failing, policy) if each.kind not in kinds)

    return some


def find_secrets(diff: Diff) -> tuple[Flag, ...]:
    return as_flags(added_secrets(diff))


def no_secrets(diff: Diff) -> tuple[Flag, ...]:
    """No defense: secrets are not checked."""
    return ()


def tell(left_out: tuple[str, ...]) -> tuple[str, ...]:
    """What packing left out is said in the pull request."""
    return left_out


def tell_nothing(left_out: tuple[str, ...]) -> tuple[str, ...]:
    """No defence: what packing left out is passed over."""
    return ()


Checkout = Callable[[World, Work, CommitSha], AbstractAsyncContextManager[Workspace]]


@dataclass(frozen=True)
class Defences:
    """Every part that stands between a cheat and its green."""

    checkout: Checkout = clean
    reports: Callable[[Verifier], Verifier] = own_reports
    verdict: Callable[[Verdict, Results], Verdict] = as_compared
    flags: Flags = all_flags
    secrets: Callable[[Diff], tuple[Flag, ...]] = find_secrets
    told: Callable[[tuple[str, ...]], tuple[str, ...]] = tell
    empty_is_nothing: bool = True


@dataclass
class Bench:
    """One repository and a worker's home. Results of bases are kept, as the product keeps them."""

    world: World
    policy: Policy
    known: dict[CommitSha, Results] = field(default_factory=dict)
    asked: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    async def make(cls, folder: Path, files: Mapping[str, str | bytes], policy: Policy) -> Bench:
        folder.mkdir(parents=True)
        world = World.make(folder)
        world.workspaces = Workspaces(
            folder / "workspaces", world.mirrors, world.sandbox, installed()
        )
        for path, content in files.items():
            world.origin.write(path, content, executable=path.startswith("bin/"))
        world.origin.commit("Base")
        return cls(world, policy)

    async def judge(self, script: str, defences: Defences, name: str) -> Outcome:
        """Let the script loose in the agent's sandbox, and say what comes of it."""
        base = await self.world.fetched()
        workspace = await self.world.workspaces.create(REPO, base, name)
        spec = self.world.workspaces.spec(workspace, limits=ResourceLimits(seconds=60))
        try:
            async with self.world.sandbox.session(spec) as session:
                done = await session.bash(script, seconds=60)
                assert done.ok, done.text
                packed = await pack(workspace, self.world.workspaces)
                commit = await self.world.mirrors.commit_tree(REPO, packed.tree, [base], "Work\n")
                work = Work(workspace, base, packed.tree, commit, packed.skipped)
                return await self._concluded(work, defences)
        finally:
            await self.world.workspaces.remove(workspace)

    async def _concluded(self, work: Work, defences: Defences) -> Outcome:
        base_tree = await self.world.mirrors.tree_of(REPO, work.base)
        if work.tree == base_tree and defences.empty_is_nothing:
            left = f"; left out: {work.left_out[0]}" if work.left_out else ""
            return Outcome(BLOCKED, f"nothing was changed{left}")
        diff = await load_diff(self.world.mirrors, REPO, work.base, work.tree)
        if found := await asyncio.to_thread(defences.secrets, diff):
            return Outcome(BLOCKED, "a secret is not pushed", found, found)
        before = await self._base(work)
        async with defences.checkout(self.world, work, work.commit) as workspace:
            after = await self._results(workspace, work, before, defences)
        verdict = defences.verdict(compare(before, after), after)
        failing = frozenset(each.id for each in (*verdict.fixed, *verdict.still_failing))
        flags = await asyncio.to_thread(defences.flags, diff, failing, self.policy)
        return self._said(verdict, flags, defences.told(work.left_out))

    def _said(
        self, verdict: Verdict, flags: tuple[Flag, ...], left_out: tuple[str, ...]
    ) -> Outcome:
        stops = readiness.in_the_way(self.policy, flags)
        draft = not readiness.is_ready(self.policy, verdict, flags)
        if verdict.conclusion != "success" or verdict.still_failing:
            return Outcome(RED, verdict.title, flags, stops, draft)
        if draft:
            return Outcome(BLOCKED, verdict.title, flags, stops)
        if flags or left_out:
            return Outcome(FLAGGED, left_out[0] if left_out else verdict.title, flags, (), False)
        return Outcome(GREEN, verdict.title, draft=False)

    async def _base(self, work: Work) -> Results:
        async with self.asked:
            if work.base in self.known:
                return self.known[work.base]
            async with clean(self.world, work, work.base) as workspace:
                site, verifiers = self._site(workspace), self._chosen(workspace)
                results = await runner.verify(site, verifiers, work.base)
                self.known[work.base] = await runner.confirm(site, verifiers, results)
        return self.known[work.base]

    async def _results(
        self, workspace: Workspace, work: Work, before: Results, defences: Defences
    ) -> Results:
        site = self._site(workspace)
        chosen = choose(
            self.policy.verify,
            DirectoryTree(workspace.path),
            before={(result.verifier, result.command) for result in before.verifiers},
        )
        if not self.policy.verify:
            changes = await self.world.mirrors.changes(REPO, work.base, work.tree)
            paths = {change.path for change in changes}
            chosen = affected(chosen, paths, DirectoryTree(workspace.path))
        verifiers = tuple(defences.reports(each) for each in chosen.verifiers)
        results = await runner.verify(site, verifiers, work.commit, work.tree)
        results = results.model_copy(update={"beyond": chosen.beyond, "left_out": chosen.left_out})
        return await runner.rerun(site, verifiers, before, results)

    def _site(self, workspace: Workspace) -> VerifySite:
        spec = self.world.workspaces.spec(workspace, limits=ResourceLimits(seconds=120))
        return VerifySite(self.world.sandbox, spec, workspace.folder.parent.parent / "scratch")

    def _chosen(self, workspace: Workspace) -> tuple[Verifier, ...]:
        return choose(self.policy.verify, DirectoryTree(workspace.path)).verifiers


__all__ = ["BLOCKED", "FLAGGED", "GREEN", "RED", "Bench", "Defences", "Outcome"]
