"""What code of a fork or a run tries to leave in other checkouts: one row for each cache.

docs/security.md, "What is kept", explains whose code may affect whom.
"""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.domain import setup
from app.domain.evidence import TestName
from app.domain.values import CommitSha, RepoName, TreeSha
from app.egress.package_clients import ask
from app.git.external_cache import ExternalCache
from app.git.setup_snapshots import SetupSnapshots
from app.private_files import close_home
from app.sandbox.spec import Mount
from app.store.database import Database
from app.store.flaky_tests import FlakyTests, noted_as
from app.store.results import ResultStore
from app.verify.bundled_tools import bundle_pytest
from tests.security.attempts.inside import Parts
from tests.security.harness import Attempt, Outcome, outcome, root
from tests.support.workspaces import REPO, World

FORGED = "forged-51d2"
OTHER = RepoName(owner="octo", name="Other")

Whose = Callable[..., tuple[str, ...]]


def by_base_branch(
    repo: RepoName, tree: str, *, branch: str = "", run: str = ""
) -> tuple[str, ...]:
    """No defense: every result is stored for the branch that the work is meant for."""
    return ("branch", str(repo), "main")


async def _set_up_of_a_fork(path: str, whose: Whose, folder: Path) -> Outcome:
    """A fork's setup leaves a file; then main is checked out, with the same dependencies."""
    world = World.make(folder)
    world.origin.write("README", "Read me.\n")
    main = world.origin.commit()
    await world.fetched()
    world.origin.write("prepare.py", "forge()\n")
    world.origin.commit("Prepare more", branch="fork")
    fork = await world.fetched("fork")
    snapshots = SetupSnapshots(folder / "setups", world.workspaces)
    theirs = await world.workspaces.create(REPO, fork, "theirs")
    await world.inside(theirs, f"mkdir -p $(dirname {path}); echo {FORGED} > {path}")
    key = setup.key([whose(REPO, await world.mirrors.tree_of(REPO, fork))])
    assert await snapshots.keep(key, theirs) is not None
    ours = await world.workspaces.create(REPO, main, "ours")
    tree = await world.mirrors.tree_of(REPO, main)
    found = snapshots.find(setup.key([whose(REPO, tree, branch="main")]))
    if found is not None:
        assert await snapshots.apply(found, ours)
    seen = await world.inside(ours, f"cat {path} 2>/dev/null || true")
    return outcome(
        FORGED in seen, f"{path} in main's checkout", "the key includes whose code it was"
    )


class ByEnvironment(ResultStore):
    """No defense: results are kept for a repository and its environment, whatever the commit."""

    async def get(self, repo: RepoName, commit: CommitSha | TreeSha, environment: str) -> Any:
        return await super().get(repo, CommitSha("0" * 40), environment)

    async def put(
        self, repo: RepoName, commit: CommitSha | TreeSha, environment: str, value: Any
    ) -> None:
        await super().put(repo, CommitSha("0" * 40), environment, value)


async def _results_of_a_fork(store: type[ResultStore], folder: Path) -> Outcome:
    """A fork's commit is verified; then the base branch's results are requested."""
    database = Database(f"sqlite:///{folder / 'honk.db'}")
    database.migrate()
    try:
        results = store(database)
        await results.put(REPO, CommitSha("f" * 40), "same", {"told": FORGED})
        found = await results.get(REPO, CommitSha("a" * 40), "same")
    finally:
        database.close()
    return outcome(found is not None, "the fork's results for main", "results are keyed by commit")


Noted = Callable[..., int | None]


def by_number(number: int, *, is_base: bool, on_branch: bool, fork: bool) -> int | None:
    """No defense: whatever a pull request's head shows is known from then on."""
    return number


async def _flaky_tests_of_forks(noted: Noted, folder: Path) -> Outcome:
    """Two pull requests of forks make a test flaky. Then a change breaks that test."""
    database = Database(f"sqlite:///{folder / 'honk.db'}")
    database.migrate()
    store, test = FlakyTests(database), TestName(verifier="pytest", id="test_calc.py::test_add")
    try:
        for theirs in (8, 9):
            number = noted(theirs, is_base=False, on_branch=True, fork=True)
            if number is not None:
                await store.note(REPO, number, CommitSha("f" * 40), {test})
        excused = test in await store.known(REPO, but=10)
    finally:
        database.close()
    return outcome(excused, "the broken test counts as flaky", "no fork says what is flaky")


def as_it_is(mount: Mount) -> Mount:
    return mount


def writable(mount: Mount) -> Mount:
    """No defense: readers of a cache may write to it."""
    return replace(mount, writable=True)


async def _writes_into(
    make: Callable[[Path], Path], way: Callable[[Mount], Mount], folder: Path
) -> Outcome:
    """Hostile code writes over a file of a cache that is shown to it."""
    shown = make(folder / "cache")
    target = next(path for path in [shown, *sorted(shown.rglob("*"))] if path.is_file())
    mount = way(Mount(shown, "/run/honk/shown"))
    sandbox, spec = Parts(mounts=(mount,), own_users=False).made(folder)
    within = "/run/honk/shown" + (f"/{target.relative_to(shown)}" if shown.is_dir() else "")
    script = f"chmod u+w {within}; echo {FORGED} > {within}"
    done = await sandbox.run(spec, ["bash", "-c", script])
    through = FORGED in target.read_text(errors="replace")
    return outcome(through, "the file in the cache is its own", done.text or "nothing was written")


def _mirror(folder: Path) -> Path:
    folder.mkdir()
    world = World.make(folder)
    world.origin.write("README", "Read me.\n")
    world.origin.commit()
    return world.origin.bare / "objects"


def _archive(folder: Path) -> Path:
    folder.mkdir()
    archive = folder / "made.tar"
    archive.write_bytes(b"made")
    return archive


def _contents(folder: Path) -> Path:
    found = ExternalCache(folder).contents(REPO)
    (found / ("a" * 64)).write_bytes(b"content")
    return found


def _lent(folder: Path) -> Path:
    return bundle_pytest(folder)


def _outputs(folder: Path) -> Path:
    (folder / "aa").mkdir(parents=True)
    (folder / "aa" / "std-d").write_bytes(b"compiled")
    return folder


def of_each(repo: RepoName) -> RepoName:
    return repo


def of_all(repo: RepoName) -> RepoName:
    """No defense: one mirror of a submodule for every repository that names it."""
    return REPO


async def _submodule_of_another(for_whom: Callable[[RepoName], RepoName], folder: Path) -> Outcome:
    """One repository's token could read a submodule; another repository names the same commit."""
    world = World.make(folder)
    world.origin.write("secret", "private\n")
    commit = world.origin.commit()
    supply = ExternalCache(folder / "supply")
    sub = RepoName(owner="octo", name="Private")
    await supply.mirrors(for_whom(REPO)).fetch(sub, world.origin.remote, commit)
    there = await supply.mirrors(for_whom(OTHER)).has_commit(sub, commit)
    return outcome(there, "a commit that its own token cannot read", "each has its own mirrors")


async def _names_a_registry(where: Callable[[Path], str], folder: Path) -> Outcome:
    """A repository brings a client's configuration that names another registry."""
    (folder / ".npmrc").write_text(f"registry=https://{FORGED}.example/\n")
    (folder / "package.json").write_text('{"name": "x", "version": "1.0.0"}')
    told = await ask(["npm", "config", "get", "registry"], folder=where(folder))
    return outcome(FORGED in told, told, "clients are queried outside any project")


def away(folder: Path) -> str:
    return "/"


def inside(folder: Path) -> str:
    """No defense: the client is asked where the repository's files are."""
    return str(folder)


def left_open(home: Path) -> None:
    """No defense: as an older version left it, readable for every user of the machine."""
    for path in (home, *home.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))


async def _another_user_reads(close: Callable[[Path], None], folder: Path) -> Outcome:
    """Another user of the machine looks for a private repository's files."""
    with tempfile.TemporaryDirectory(prefix="honk-home-") as name:
        Path(name).chmod(0o711)
        home = Path(name, "home")
        home.mkdir()
        world = World.make(home)
        world.origin.write("README", "private\n")
        world.origin.commit()
        await world.fetched()
        before = os.umask(0o022)
        close(home)
        os.umask(before)
        found = await asyncio.to_thread(_seen_by_another, world.mirrors.path(REPO))
    return outcome(
        bool(found), f"{len(found)} files of the mirror", "the home is private to its owner"
    )


def _seen_by_another(folder: Path) -> list[str]:
    words = ["find", str(folder), "-type", "f", "-readable"]
    done = subprocess.run(words, user=65534, group=65534, capture_output=True, check=False)
    return done.stdout.decode().splitlines()


def _kept(name: str, path: str) -> Attempt:
    run = functools.partial(_set_up_of_a_fork, path)
    return Attempt(
        name,
        "setup snapshots are keyed by whose code made them",
        functools.partial(run, setup.made_by),
        functools.partial(run, by_base_branch),
    )


def _shown(name: str, make: Callable[[Path], Path]) -> Attempt:
    run = functools.partial(_writes_into, make)
    return Attempt(
        name,
        "caches are mounted read-only",
        functools.partial(run, as_it_is),
        functools.partial(run, writable),
    )


ATTEMPTS = (
    _kept("a fork's setup is copied into main's checkouts", "conftest.py"),
    _kept("a fork's setup fills the tool caches of main", ".git/honk/python/bin/pytest"),
    Attempt(
        "a fork's results are used as main's",
        "base results are keyed by commit",
        functools.partial(_results_of_a_fork, ResultStore),
        functools.partial(_results_of_a_fork, ByEnvironment),
    ),
    Attempt(
        "forks make a test flaky so that another pull request may break it",
        "only the repository's own branches can mark a test as flaky",
        functools.partial(_flaky_tests_of_forks, noted_as),
        functools.partial(_flaky_tests_of_forks, by_number),
    ),
    _shown("writes into a cached setup", _archive),
    _shown("writes into the mirror's objects", _mirror),
    _shown("writes into the Git LFS cache", _contents),
    _shown("writes into the pytest that Honk provides", _lent),
    _shown("writes into the standard library that all checkouts link to", _outputs),
    Attempt(
        "reads a submodule that another repository could read",
        "submodule mirrors are separate for each parent repository",
        functools.partial(_submodule_of_another, of_each),
        functools.partial(_submodule_of_another, of_all),
    ),
    Attempt(
        "another user of this machine reads a private mirror",
        "HONK_HOME is private to its owner",
        functools.partial(_another_user_reads, close_home),
        functools.partial(_another_user_reads, left_open),
        needs=root,
    ),
    Attempt(
        "sets the registry that others install from",
        "clients are queried with only the operator's configuration",
        functools.partial(_names_a_registry, away),
        functools.partial(_names_a_registry, inside),
    ),
)
