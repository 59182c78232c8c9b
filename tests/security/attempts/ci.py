"""What a pull request, a fork or a CI job tries so that forged test results count."""

from __future__ import annotations

import functools
import hashlib
import io
import stat
import zipfile
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from app.domain.ci import Wanted, WorkflowRun, select
from app.domain.values import CommitSha
from app.github.actions import UploadedArtifact
from app.runs.ci_artifacts import is_of
from app.verify.archive import BadArchiveError, check_digest, read_archive
from tests.security.harness import Attempt, Outcome, got, outcome, stopped
from tests.support.workflow_runs import workflow_run

_REPOSITORY, _FORK, _OTHER_FORK = 1, 2, 3
_PATH = ".github/workflows/ci.yml"
_BASE, _HEAD = CommitSha("b" * 40), CommitSha("a" * 40)
_LARGE = 100 * 2**20
_SECRET = "canary-2d10c7"

Select = Callable[[Iterable[WorkflowRun], Wanted], WorkflowRun | None]
Unpack = Callable[[bytes, Path], None]


def _run(sha: CommitSha, *, fork: int, event: str, path: str = _PATH) -> WorkflowRun:
    return workflow_run(sha, path, event=event, repository_id=_REPOSITORY, head_repository_id=fork)


def newest(runs: Iterable[WorkflowRun], wanted: Wanted) -> WorkflowRun | None:
    """No defense: the newest run that names the commit."""
    return max((run for run in runs if run.head_sha == wanted.sha), key=lambda run: run.id)


async def _forged(run: WorkflowRun, wanted: Wanted, chosen: Select, folder: Path) -> Outcome:
    found = chosen([run], wanted)
    return outcome(found is not None, "its results count", "no run of the commit")


_OF_BASE = Wanted(repository_id=_REPOSITORY, workflow=_PATH, sha=_BASE)
_OF_HEAD = Wanted(repository_id=_REPOSITORY, workflow=_PATH, sha=_HEAD, is_head=True)
_OF_FORK = _OF_HEAD.model_copy(update={"fork_id": _FORK})


def _forgery(name: str, defense: str, run: WorkflowRun, wanted: Wanted) -> Attempt:
    return Attempt(
        name,
        defense,
        functools.partial(_forged, run, wanted, select),
        functools.partial(_forged, run, wanted, newest),
    )


def any_artifact(artifact: UploadedArtifact, run: WorkflowRun) -> bool:
    """No defense: whatever is listed."""
    return True


async def _of_another_sha(
    belongs: Callable[[UploadedArtifact, WorkflowRun], bool], folder: Path
) -> Outcome:
    artifact = UploadedArtifact(
        id=1,
        name="junit",
        size=1,
        expired=False,
        digest=None,
        run_id=99,
        head_sha=_BASE,
        head_repository_id=_REPOSITORY,
    )
    run = _run(_HEAD, fork=_REPOSITORY, event="push")
    return outcome(belongs(artifact, run), "its reports count", "it is of another commit")


def _zip(name: str, content: bytes, mode: int = stat.S_IFREG) -> bytes:
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, (mode | 0o644) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(entry, content)
    return made.getvalue()


def carefully(archive: bytes, folder: Path) -> None:
    """The product's reader; what it gives is written below the folder by its number."""
    for number, file in enumerate(read_archive(archive, lambda name: True)):
        (folder / str(number)).write_bytes(file.content)


def unpacking(archive: bytes, folder: Path) -> None:
    """No defense: each entry is written where its name says, links as links."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        for entry in opened.infolist():
            path = folder / entry.filename
            if stat.S_ISLNK(entry.external_attr >> 16):
                path.symlink_to(opened.read(entry).decode())
            else:
                path.write_bytes(opened.read(entry))


async def _bomb(unpack: Unpack, folder: Path) -> Outcome:
    try:
        unpack(_zip("junit.xml", bytes(_LARGE)), folder)
    except BadArchiveError as refused:
        return stopped(str(refused))
    size = sum(path.stat().st_size for path in folder.iterdir())
    return outcome(size >= _LARGE, f"{size // 2**20} MiB from 100 KiB", "nothing was unpacked")


async def _climbing(unpack: Unpack, folder: Path) -> Outcome:
    inner = folder / "unpacked"
    inner.mkdir()
    try:
        unpack(_zip("../junit.xml", b"x"), inner)
    except BadArchiveError as refused:
        return stopped(str(refused))
    return outcome((folder / "junit.xml").exists(), "wrote outside", "stayed inside")


async def _linked(unpack: Unpack, folder: Path) -> Outcome:
    secret = folder / "secret"
    secret.write_text(_SECRET)
    inner = folder / "unpacked"
    inner.mkdir()
    try:
        unpack(_zip("junit.xml", str(secret).encode(), stat.S_IFLNK), inner)
    except BadArchiveError as refused:
        return stopped(str(refused))
    read = [path.read_text() for path in inner.iterdir()]
    return outcome(_SECRET in read, "read the secret", "no link was followed")


def unchecked(archive: bytes, digest: str | None) -> None:
    """No defense: whatever was downloaded."""


async def _exchanged(check: Callable[[bytes, str | None], None], folder: Path) -> Outcome:
    uploaded, downloaded = _zip("junit.xml", b"<testsuite/>"), _zip("junit.xml", b"<forged/>")
    try:
        check(downloaded, f"sha256:{hashlib.sha256(uploaded).hexdigest()}")
    except BadArchiveError as refused:
        return stopped(str(refused))
    return got("forged reports are read")


def _archive(
    name: str, defense: str, attempt: Callable[[Unpack, Path], Awaitable[Outcome]]
) -> Attempt:
    return Attempt(
        name,
        defense,
        functools.partial(attempt, carefully),
        functools.partial(attempt, unpacking),
    )


_OWN_HEAD = "a fork's run counts only for that fork's own head"
ATTEMPTS = (
    _forgery(
        "a fork's pull request whose head is the base commit uploads results for it",
        _OWN_HEAD,
        _run(_BASE, fork=_FORK, event="pull_request"),
        _OF_BASE,
    ),
    _forgery(
        "a fork uploads results for another pull request's head",
        _OWN_HEAD,
        _run(_HEAD, fork=_FORK, event="pull_request"),
        _OF_HEAD,
    ),
    _forgery(
        "a second fork with the same commit uploads results for it",
        _OWN_HEAD,
        _run(_HEAD, fork=_OTHER_FORK, event="pull_request"),
        _OF_FORK,
    ),
    _forgery(
        "a workflow triggered by someone else's data names the base commit (workflow_run)",
        "only events whose runs check out the commit itself",
        _run(_BASE, fork=_REPOSITORY, event="workflow_run"),
        _OF_BASE,
    ),
    _forgery(
        "another workflow of the repository uploads results",
        "the workflow file is compared",
        _run(_HEAD, fork=_REPOSITORY, event="push", path=".github/workflows/docs.yml"),
        _OF_HEAD,
    ),
    Attempt(
        "an artifact of another commit's run",
        "run, commit and repository of each artifact are compared",
        functools.partial(_of_another_sha, is_of),
        functools.partial(_of_another_sha, any_artifact),
    ),
    _archive("an artifact that is a zip bomb", "the output is counted and limited", _bomb),
    _archive(
        "an artifact whose paths escape the archive", "nothing is unpacked to disk", _climbing
    ),
    _archive("an artifact with a link to a secret", "links are refused", _linked),
    Attempt(
        "an artifact that is replaced in transit",
        "the digest is verified",
        functools.partial(_exchanged, check_digest),
        functools.partial(_exchanged, unchecked),
    ),
)
