"""Git outside a sandbox, and the mirrors made with it."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app import log_events
from app.domain.values import CommitSha
from app.errors import RetryableError
from app.git.command import (
    GitDeniedError,
    GitError,
    GitMissingError,
    GitMovedError,
    GitUnknownTokenError,
    check_ref,
    git,
    means_disk_full,
    token_environment,
)
from app.git.mirror import (
    Mirrors,
    PushMode,
    PushRefused,
    PushRefusedError,
    Remote,
)
from tests.support.processes import command_lines
from tests.support.workspaces import REPO, World, run_git

TOKEN = "ghs_" + "a1.b-c_" * 70


@pytest.mark.parametrize(
    "name",
    ["main", "feat/x@2#ü", "a@b", "refs/heads/x", "x!y$z&(1)';\"`|", "日本", "a.b", "a-", "HEAD"],
)
def test_names_that_git_allows(name: str, tmp_path: Path) -> None:
    assert check_ref(name) == name
    run_git(tmp_path, "check-ref-format", "--allow-onelevel", name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "@", "-x", "/x", "x/", "x//y", ".x", "a/.b", "x.", "x.lock", "a.lock/b", "a..b"),
        *("a b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "a@{1}", "a\nb", "a\0b"),
        *("a\x7f", "\udcff"),
    ],
)
def test_names_that_git_refuses(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        check_ref(name)


def test_a_remote_is_never_shown_with_its_token() -> None:
    assert TOKEN not in repr(Remote(url="https://example.com/x.git", token=TOKEN))


def test_the_token_is_for_its_host_alone() -> None:
    variables = token_environment("https://example.com:8443/octo/x.git", TOKEN)
    assert variables["GIT_CONFIG_KEY_0"] == "http.https://example.com:8443/.extraHeader"
    assert TOKEN not in str(variables)  # encoded, as HTTP wants it


class Refusing(http.server.BaseHTTPRequestHandler):
    """Answers every request with the status that the path names, and remembers what it saw."""

    seen: list[str | None]

    def do_GET(self) -> None:
        type(self).seen.append(self.headers.get("Authorization"))
        self.send_response(int(self.path.split("/")[1]))
        self.send_header("Content-Length", "0")
        self.send_header("Location", "/200/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[str]:
    Refusing.seen = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, GitUnknownTokenError),
        (403, GitDeniedError),
        (404, GitMissingError),
        (301, GitMovedError),
        (500, RetryableError),
        (503, RetryableError),
        (302, GitError),
    ],
)
async def test_failures_of_the_remote_have_kinds(
    refusing: str, status: int, kind: type[Exception], tmp_path: Path
) -> None:
    mirrors = Mirrors(tmp_path)
    remote = Remote(f"{refusing}/{status}/x.git", token=TOKEN)
    with pytest.raises(kind) as caught:
        await mirrors.fetch(REPO, remote, "main")
    assert type(caught.value) is kind
    assert TOKEN not in str(caught.value)
    assert len(set(Refusing.seen)) == 1
    assert Refusing.seen[0] is not None
    assert Refusing.seen[0].startswith("Basic ")


@pytest.mark.parametrize("status", [301, 401])
async def test_a_renamed_repository_or_an_old_token_can_be_retried(
    refusing: str, tmp_path: Path, status: int
) -> None:
    heard: list[str] = []
    remote = Remote(
        f"{refusing}/{status}/x.git", token=TOKEN, outdated=lambda: heard.append("outdated")
    )
    with pytest.raises(RetryableError):
        await Mirrors(tmp_path).fetch(REPO, remote, "main")
    assert heard == ["outdated"]


async def test_a_remote_that_is_away_is_tried_again_later(tmp_path: Path) -> None:
    with pytest.raises(RetryableError):
        await Mirrors(tmp_path).fetch(REPO, Remote("http://127.0.0.1:1/x.git"), "main")


@pytest.mark.parametrize("url", ["ext::sh -c id", "ssh://example.com/x", "git://x/y", "/tmp/x"])
async def test_other_transports_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ValueError, match="transport"):
        await Mirrors(tmp_path).fetch(REPO, Remote(url), "main")


async def test_git_is_ended_with_its_children_when_cancelled(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "-q", "--bare", "x.git")
    bare = tmp_path / "x.git"
    marker = "honk-test-4711"
    alias = f"alias.wait=!sleep 4711 # {marker}"
    task = asyncio.create_task(git(["-c", alias, "wait"], cwd=bare))
    await asyncio.sleep(0.3)
    assert _running("sleep 4711")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # The signal has been sent to all of them; each dies in its own time.
    async with asyncio.timeout(5):
        while _running("sleep 4711"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    with pytest.raises(RetryableError, match=r"took over 0\.2 seconds"):
        await git(["-c", alias, "wait"], cwd=bare, timeout=0.2)
    assert not _running("sleep 4711")


def _running(command: str) -> bool:
    return command in command_lines()


async def test_output_is_bounded(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "-q", "--bare", "x.git")
    endless = ["-c", "alias.yes=!yes", "yes"]
    with pytest.raises(GitError, match="more than 1000 bytes"):
        await git(endless, cwd=tmp_path / "x.git", max_output=1000)


@pytest.mark.parametrize("shell", ["yes", "setsid yes"])
async def test_output_past_its_bound_is_given_up_where_the_loop_is_late(
    tmp_path: Path, shell: str
) -> None:
    """Buffered output is never read, and a process that left the group still holds the pipes."""
    run_git(tmp_path, "init", "-q", "--bare", "x.git")
    endless = ["-c", f"alias.yes=!{shell}", "yes"]
    late = asyncio.create_task(_keep_late())
    try:
        output = await git(endless, cwd=tmp_path / "x.git", cut=1000, timeout=5)
    finally:
        late.cancel()
    assert len(output) > 1000


async def _keep_late() -> None:
    while True:
        time.sleep(0.02)  # noqa: ASYNC251 - to be late is what it is for
        await asyncio.sleep(0)


async def test_unread_input_does_not_keep_git_from_being_killed(tmp_path: Path) -> None:
    """A process that left the group holds the pipe for git's output and never reads it."""
    run_git(tmp_path, "init", "-q", "--bare", "x.git")
    holder = "exec 3<&0; setsid sleep 10 <&3 >/dev/null 2>&1 & exec 3<&-; sleep 10"
    before = time.monotonic()
    with pytest.raises(RetryableError, match="took over"):
        await git(
            ["-c", f"alias.deaf=!{holder}", "deaf"],
            cwd=tmp_path / "x.git",
            stdin=b"x" * 2_000_000,
            timeout=0.5,
        )
    assert time.monotonic() - before < 5


@pytest.mark.slow
async def test_a_git_that_cannot_be_killed_is_left_to_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_git(tmp_path, "init", "-q", "--bare", "x.git")
    asked = git(["-c", "alias.wait=!sleep 4712", "wait"], cwd=tmp_path / "x.git", timeout=0.2)
    with capture_logs() as lines:
        async with kernel_that_does_not_let_go(monkeypatch):
            with pytest.raises(RetryableError, match="took over"):
                async with asyncio.timeout(15):
                    await asked
    assert [line["event"] for line in lines] == [log_events.PROCESS_SURVIVED_KILL]
    assert not _running("sleep 4712")


@contextlib.asynccontextmanager
async def kernel_that_does_not_let_go(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Inside, the end of a child is not reported: its pidfd is a pipe that stays silent."""
    silent, held_open = os.pipe()
    watched: list[int] = []

    def pidfd_open(_pid: int, _flags: int = 0) -> int:
        watched.append(os.dup(silent))
        return watched[-1]

    monkeypatch.setattr(os, "pidfd_open", pidfd_open)
    with _pidfd_watcher():
        yield
        os.close(held_open)
        async with asyncio.timeout(10):
            while any(Path(f"/proc/self/fd/{each}").exists() for each in watched):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    os.close(silent)


@contextlib.contextmanager
def _pidfd_watcher() -> Iterator[None]:
    """Children are watched through a pidfd, which later versions of Python do by themselves."""
    if sys.version_info >= (3, 12):
        yield
    else:
        watcher, before = asyncio.PidfdChildWatcher(), asyncio.get_child_watcher()
        watcher.attach_loop(asyncio.get_running_loop())
        asyncio.set_child_watcher(watcher)
        yield
        asyncio.set_child_watcher(before)


async def test_fetch_of_branches_refs_and_shas(world: World) -> None:
    fetch, remote = world.mirrors.fetch, world.origin.remote
    assert await fetch(REPO, remote, "main") is None  # an empty repository
    world.origin.write("a", "1\n")
    first = world.origin.commit(branch="feat/x@2#ü")
    second = world.origin.commit("Second")
    assert await fetch(REPO, remote, "feat/x@2#ü") == first
    assert await fetch(REPO, remote, "refs/heads/main") == second
    assert await fetch(REPO, remote, second) == second
    assert await fetch(REPO, remote, "missing") is None
    assert await fetch(REPO, remote, "0" * 39 + "1") is None
    run_git(world.origin.bare, "update-ref", "-d", "refs/heads/feat/x@2#ü")
    run_git(world.origin.bare, "update-ref", "refs/heads/feat", first)  # was a directory of refs
    assert await fetch(REPO, remote, "feat") == first
    with pytest.raises(ValueError, match="not a name"):
        await fetch(REPO, remote, "--upload-pack=x")


async def test_fetches_at_once_share_and_see_the_newest(world: World) -> None:
    world.origin.write("a", "1\n")
    sha = world.origin.commit()
    other = Mirrors(world.mirrors.path(REPO).parent.parent)  # as a second process would
    asked = [one.fetch(REPO, world.origin.remote, "main") for one in [world.mirrors, other] * 4]
    assert set(await asyncio.gather(*asked)) == {sha}
    new = world.origin.commit("Newer")
    assert await world.fetched() == new


async def test_a_cancelled_caller_does_not_take_the_fetch_from_others(world: World) -> None:
    world.origin.write("a", "1\n")
    sha = world.origin.commit()
    first = asyncio.create_task(world.mirrors.fetch(REPO, world.origin.remote, "main"))
    second = asyncio.create_task(world.mirrors.fetch(REPO, world.origin.remote, "main"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == sha


async def test_pushing_creates_moves_and_leases(world: World) -> None:
    world.origin.write("a", "1\n")
    base = world.origin.commit()
    await world.fetched()
    mirrors, remote = world.mirrors, world.origin.remote
    tree = await mirrors.tree_of(REPO, base)
    one = await mirrors.commit_tree(REPO, tree, [base], "One\n\nBody ü")
    two = await mirrors.commit_tree(REPO, tree, [base], "Two")
    assert one == await mirrors.commit_tree(REPO, tree, [base], "One\n\nBody ü")
    ref = "refs/honk/run-1"
    await mirrors.push(REPO, remote, one, ref, expected=None)
    await mirrors.push(REPO, remote, one, ref)
    with pytest.raises(PushRefused) as moved:
        await mirrors.push(REPO, remote, two, ref)
    assert moved.value.moved
    with pytest.raises(PushRefused):
        await mirrors.push(REPO, remote, two, ref, expected=None)
    with pytest.raises(PushRefused):
        await mirrors.push(REPO, remote, two, ref, expected=two)
    assert world.origin.at(ref) == one
    await mirrors.push(REPO, remote, two, ref, expected=one)
    assert world.origin.at(ref) == two
    with pytest.raises(PushRefused):
        await mirrors.delete_remote_ref(REPO, remote, ref, expected=one)
    await mirrors.delete_remote_ref(REPO, remote, ref, expected=two)
    await mirrors.delete_remote_ref(REPO, remote, ref)
    with pytest.raises(AssertionError):
        world.origin.at(ref)
    await mirrors.push(REPO, remote, one, "feat/x@2#ü")
    assert world.origin.at("refs/heads/feat/x@2#ü") == one
    assert await mirrors.is_ancestor(REPO, base, one)
    assert not await mirrors.is_ancestor(REPO, one, two)


async def test_a_rule_of_the_remote_is_reported_with_its_path(world: World) -> None:
    world.origin.write("a", "1\n")
    sha = world.origin.commit()
    await world.fetched()
    hook = world.origin.bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        "#!/bin/sh\necho 'error: GH013: Repository rule violations found.' >&2\n"
        "echo 'refusing to allow a GitHub App to create or update workflow "
        "`.github/workflows/ci.yml` without `workflows` permission' >&2\nexit 1\n"
    )
    hook.chmod(0o755)
    with pytest.raises(PushRefused) as refused:
        await world.mirrors.push(REPO, world.origin.remote, sha, "refs/honk/x")
    assert not refused.value.moved
    assert refused.value.paths == (".github/workflows/ci.yml",)
    assert "GH013" in refused.value.rule
    assert "remote:" not in refused.value.rule


async def test_two_concurrent_pushes_of_ours_are_recognized(world: World) -> None:
    """A push that was given up here may still be running on the server and hold the ref's lock."""
    commit = await _something(world)
    await world.mirrors.push(
        REPO, world.origin.remote, commit, "refs/honk/x", expected=PushMode.ANY
    )
    lock = world.origin.bare / "refs/honk/x.lock"
    lock.touch()
    tree = await world.mirrors.tree_of(REPO, commit)
    next_one = await world.mirrors.commit_tree(REPO, tree, [commit], "Next")
    remote = world.origin.remote
    with pytest.raises(RetryableError, match="under way"):
        await world.mirrors.push(REPO, remote, next_one, "refs/honk/x", expected=PushMode.ANY)
    lock.unlink()
    await world.mirrors.push(REPO, remote, next_one, "refs/honk/x", expected=PushMode.ANY)
    assert world.origin.at("refs/honk/x") == next_one


async def test_a_patch_is_cut_where_it_is_too_long(world: World) -> None:
    world.origin.write("a", "1\n")
    old = world.origin.commit()
    world.origin.write("a", "line\n" * 10_000)
    new = world.origin.commit()
    await world.fetched()
    short = await world.mirrors.diff(REPO, old, new, 500)
    assert short.startswith("diff --git a/a b/a")
    assert short.endswith("left out ...]\n")
    assert len(short) < 600
    assert "left out" not in await world.mirrors.diff(REPO, old, new, 1_000_000)


async def test_many_packs_become_few_and_nothing_is_lost(world: World) -> None:
    world.origin.write("a", "1\n")
    first = world.origin.commit()
    await world.fetched()
    path = world.mirrors.path(REPO)
    for number in range(45):
        made = run_git(path, "hash-object", "-w", "--stdin", stdin=str(number).encode())
        run_git(path, "pack-objects", "-q", "objects/pack/pack", stdin=made.encode() + b"\n")
    world.origin.commit("Second")
    second = await world.fetched()
    assert len(list((path / "objects" / "pack").glob("*.pack"))) < 10
    assert await world.mirrors.is_ancestor(REPO, first, second)


@pytest.mark.parametrize(
    ("words", "is_ours"),
    [
        ("fatal: write error: No space left on device", True),
        ("error: unable to write file x: Disk quota exceeded", True),
        ("remote: fatal: write error: No space left on device", False),
    ],
)
def test_whose_disk_is_full(words: str, *, is_ours: bool) -> None:
    assert means_disk_full(words) is is_ours


_REF = "refs/honk-held/work"


def _lock_of_main(world: World) -> Path:
    """Of the only ref that there is, the one that a fetch of `main` moves."""
    path = world.mirrors.path(REPO)
    return path / f"{run_git(path, 'for-each-ref', '--format=%(refname)')}.lock"


async def _something(world: World) -> CommitSha:
    """A commit in the mirror."""
    world.origin.write("a.txt", "a")
    world.origin.commit()
    return await world.fetched()


async def test_a_ref_that_another_git_is_writing_is_waited_for(world: World) -> None:
    await _something(world)
    lock = _lock_of_main(world)
    lock.touch()
    threading.Timer(1.0, lock.unlink).start()
    commit = world.origin.commit()
    assert await world.fetched() == commit


async def test_a_ref_update_is_never_interrupted(world: World) -> None:
    commit = await _something(world)
    path = world.mirrors.path(REPO)
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as words, os.fdopen(writer, "wb", buffering=0) as told:
        giving = git(["update-ref", "--stdin"], cwd=path, stdin=words)
        task = asyncio.create_task(giving)
        told.write(f"start\ncreate {_REF} {commit}\nprepare\n".encode())
        while not (path / f"{_REF}.lock").exists():  # noqa: ASYNC110 - git sends no signal
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.1)
        told.write(b"commit\n")
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not (path / f"{_REF}.lock").exists()
    assert run_git(path, "rev-parse", _REF) == commit


async def test_a_git_whose_time_is_over_takes_its_lock_with_it(world: World) -> None:
    commit = await _something(world)
    path = world.mirrors.path(REPO)
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as words, os.fdopen(writer, "wb", buffering=0) as told:
        told.write(f"start\ncreate {_REF} {commit}\nprepare\n".encode())
        with pytest.raises(RetryableError, match="took over"):
            await git(["update-ref", "--stdin"], cwd=path, stdin=words, timeout=0.5)

    assert not (path / f"{_REF}.lock").exists()


@pytest.mark.slow
async def test_the_lock_of_a_dead_git_blocks_nothing(world: World) -> None:
    await _something(world)
    lock = _lock_of_main(world)
    lock.touch()
    commit = world.origin.commit()
    with pytest.raises(RetryableError, match=re.escape(lock.name)):
        await world.fetched()
    long_ago = time.time() - 3600
    os.utime(lock, (long_ago, long_ago))
    assert await world.fetched() == commit


async def test_what_a_remote_says_of_locks_moves_no_file_here(tmp_path: Path, world: World) -> None:
    """The output is the server's: a path in it is not one of our locks."""
    precious = tmp_path / "precious.lock"
    precious.touch()
    os.utime(precious, (0, 0))
    said = f"fatal: Unable to create '{precious}': File exists."
    hook = world.origin.bare / "hooks" / "pre-receive"
    commit = await _something(world)
    hook.write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 1\n')
    hook.chmod(0o755)
    with pytest.raises(PushRefusedError, match="Unable to create"):
        await world.mirrors.push(REPO, world.origin.remote, commit, "another")
    assert precious.exists()


def _packed(world: World) -> bytes:
    command = ["git", "pack-objects", "-q", "--revs", "--stdout"]
    return subprocess.run(
        command, cwd=world.origin.clone, input=b"HEAD\n", capture_output=True, check=True
    ).stdout


async def test_a_repository_cannot_name_a_file_to_delete(world: World) -> None:
    """Git quotes what it finds in a pack, line breaks included."""
    await _something(world)
    path = world.mirrors.path(REPO)
    ours = path / "honk.lock"
    os.utime(ours, (0, 0))
    words = f"fatal: Unable to create '{ours}': File exists."
    world.origin.write(".gitmodules", f'[submodule "x"]\n\tpath = x\n\turl = "-\\n{words}"\n')
    world.origin.commit()
    with tempfile.TemporaryFile() as pack:
        pack.write(_packed(world))
        pack.seek(0)
        with pytest.raises(GitError, match="Unable to create"):
            await world.mirrors.add_pack(REPO, pack, 1_000_000)
    assert ours.exists()
    # A fetch prints the same message and is retried.
    with pytest.raises(RetryableError):
        await world.fetched()
    assert ours.exists()


async def test_a_git_cancelled_during_its_output_ends_at_once(world: World) -> None:
    commit = await _something(world)
    path = world.mirrors.path(REPO)
    blob = run_git(path, "rev-parse", f"{commit}:a.txt")
    asked = (f"{blob}\n" * 200_000).encode()
    task = asyncio.create_task(git(["cat-file", "--batch"], cwd=path, stdin=asked))
    await asyncio.sleep(0.1)
    task.cancel()
    async with asyncio.timeout(4):
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.slow
async def test_a_lock_that_was_left_does_not_keep_a_mirror_from_being_tidied(world: World) -> None:
    await _something(world)
    lock = world.mirrors.path(REPO) / "packed-refs.lock"
    lock.touch()
    os.utime(lock, (0, 0))
    await world.mirrors.collect_garbage(REPO, lambda _: True)
    assert not lock.exists()
