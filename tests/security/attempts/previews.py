"""What an artifact, a reported address or a visitor tries through previews."""

from __future__ import annotations

import functools
import mimetypes
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import httpx
import msgspec
from pydantic import SecretStr
from starlette.applications import Starlette

from app.domain.build import INLINE, Build, kind_of
from app.domain.ci import WorkflowRun
from app.domain.preview import safe_url
from app.domain.values import CommitSha, RepoName, RunId
from app.github.actions import UploadedArtifact
from app.runs.build_files import read_build
from app.runs.builds import is_trusted
from app.store.builds import BuildStore
from app.store.database import Database
from app.store.previews import PreviewStore
from app.verify.archive import BadArchiveError
from app.web.builds import BuildPages, InstallTicket
from app.web.login import AuthMiddleware
from app.web.sessions import sealing_key
from tests.security.attempts.ci import unpacking
from tests.security.harness import Attempt, Outcome, got, outcome, stopped
from tests.support.apps import ipa, zipped
from tests.support.workflow_runs import workflow_run

_REPOSITORY, _FORK = 1, 2
_HEAD, _OTHER = CommitSha("a" * 40), CommitSha("b" * 40)
_PATH = ".github/workflows/build.yml"
_SECRET = "the-session-secret-of-this-installation"
_LARGE = 300 * 2**20
_HTML = b"<html><script>alert(document.cookie)</script>"

Trust = Callable[[UploadedArtifact, WorkflowRun, CommitSha, int], bool]
Read = Callable[[bytes, Path], object]


def _uploaded(run: WorkflowRun, sha: str = "") -> UploadedArtifact:
    return UploadedArtifact(
        id=1,
        name="app",
        size=1,
        expired=False,
        digest=None,
        run_id=run.id,
        head_sha=sha or run.head_sha,
        head_repository_id=run.head_repository_id,
    )


def by_name(
    artifact: UploadedArtifact, run: WorkflowRun, sha: CommitSha, repository_id: int
) -> bool:
    """No defense: the artifact of that name in a run that names the commit."""
    return artifact.name == "app"


async def _foreign(run: WorkflowRun, sha: str, trusts: Trust, folder: Path) -> Outcome:
    offered = trusts(_uploaded(run, sha), run, _HEAD, _REPOSITORY)
    return outcome(offered, "its app is offered", "not built by the repository from this commit")


def _foreign_attempt(name: str, run: WorkflowRun, sha: str = "") -> Attempt:
    return Attempt(
        name,
        "repository, commit, event and run of each artifact are compared",
        functools.partial(_foreign, run, sha, is_trusted),
        functools.partial(_foreign, run, sha, by_name),
    )


def carefully(archive: bytes, folder: Path) -> None:
    """The product's reader of builds."""
    for number, each in enumerate(read_build(archive)):
        (folder / str(number)).write_bytes(each.content)


async def _bomb(read: Read, folder: Path) -> Outcome:
    try:
        read(zipped({"app.apk": bytes(_LARGE)}), folder)
    except BadArchiveError as refused:
        return stopped(str(refused))
    size = sum(path.stat().st_size for path in folder.iterdir())
    return outcome(size >= _LARGE, f"{size // 2**20} MiB from 300 KiB", "nothing was stored")


async def _climbing(read: Read, folder: Path) -> Outcome:
    inner = folder / "unpacked"
    inner.mkdir()
    try:
        read(zipped({"../app.apk": b"x"}), inner)
    except BadArchiveError as refused:
        return stopped(str(refused))
    return outcome((folder / "app.apk").exists(), "wrote outside", "stayed inside")


def by_extension(name: str, content: bytes) -> tuple[str, str]:
    """No defense: what a file's name says it is."""
    guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
    kind = "image" if guessed.startswith(("image/", "text/html")) else "file"
    return kind, guessed


async def _page(name: str, kind: Callable[[str, bytes], tuple[str, str]], folder: Path) -> Outcome:
    found, media_type = kind(name, _HTML)
    return outcome(found in INLINE, f"shown as {media_type}", f"a download: {media_type}")


def any_address(url: str) -> str | None:
    """No defense: what was reported."""
    return url


async def _address(url: str, check: Callable[[str], str | None], folder: Path) -> Outcome:
    found = check(url)
    return outcome(found is not None, f"people are sent to {found}", "not shown")


def _address_attempt(name: str, url: str) -> Attempt:
    return Attempt(
        name,
        "only HTTPS addresses with a plain host are shown",
        functools.partial(_address, url, safe_url),
        functools.partial(_address, url, any_address),
    )


async def _install(secret: str, seconds: float, folder: Path) -> Outcome:
    """Install an app with an address sealed with `secret`, that works for `seconds` from now."""
    database = Database(f"sqlite:///{folder}/honk.db")
    database.migrate()
    app = ipa()
    files = read_build(zipped({"a.ipa": app}))
    build = Build(
        id="a" * 32,
        repository=RepoName.parse("olivia/shop"),
        repository_id=_REPOSITORY,
        number=1,
        sha=_HEAD,
        run=RunId("r"),
        artifact="app",
        artifact_id=1,
        workflow_url="https://github.invalid/run",
        actor="olivia",
        files=tuple(each.file for each in files),
        created_at=time.time(),
        expires_at=time.time() + 1000,
    )
    builds = BuildStore(database)
    await builds.put(build, [app])
    # An installer's addresses take no sign-in.
    auth = cast("AuthMiddleware", _NoSignIn())
    secret_here, public = SecretStr(_SECRET), "https://honk.example"
    pages = BuildPages(auth, builds, PreviewStore(database), secret_here, public, public)
    ticket = InstallTicket(build.id, 0, time.time() + seconds)
    key = sealing_key(SecretStr(secret), "install")
    sealed = key.encrypt(msgspec.json.encode(ticket)).decode()
    transport = httpx.ASGITransport(Starlette(routes=pages.routes()))
    async with httpx.AsyncClient(transport=transport, base_url=public) as client:
        answer = await client.get(f"/install/{sealed}/app.ipa")
    database.engine.dispose()
    if answer.content == app:
        return got("downloaded the app")
    return stopped(f"{answer.status_code} {answer.text}")


class _NoSignIn:
    """Guards nothing and signs nobody in."""

    def guarded(self, handler: Callable[..., Awaitable[object]]) -> Callable[..., object]:
        return handler


def _run(event: str, *, fork: int = _REPOSITORY, sha: CommitSha = _HEAD) -> WorkflowRun:
    return workflow_run(sha, _PATH, event=event, repository_id=_REPOSITORY, head_repository_id=fork)


ATTEMPTS = (
    _foreign_attempt(
        "a fork uploads an app under the artifact's name", _run("pull_request", fork=_FORK)
    ),
    _foreign_attempt(
        "a workflow on someone else's data uploads an app (pull_request_target)",
        _run("pull_request_target"),
    ),
    _foreign_attempt("an app that was built from another commit", _run("push", sha=_OTHER)),
    _foreign_attempt("an app of another commit's artifact in this run", _run("push"), _OTHER),
    Attempt(
        "an app that is a zip bomb",
        "the output is counted and limited",
        functools.partial(_bomb, carefully),
        functools.partial(_bomb, unpacking),
    ),
    Attempt(
        "an app whose path escapes the archive",
        "nothing is unpacked to disk",
        functools.partial(_climbing, carefully),
        functools.partial(_climbing, unpacking),
    ),
    Attempt(
        "a page that is named like a picture",
        "the bytes decide what is shown",
        functools.partial(_page, "a.png", kind_of),
        functools.partial(_page, "a.png", by_extension),
    ),
    Attempt(
        "a page offered as a preview",
        "pages are only downloads",
        functools.partial(_page, "index.html", kind_of),
        functools.partial(_page, "index.html", by_extension),
    ),
    _address_attempt("a reported address that is a script", "javascript:alert(1)"),
    _address_attempt("a reported address that ends its link", "https://a.example/](https://evil"),
    _address_attempt(
        "a reported address that looks like another host", "https://github.com@evil.example/"
    ),
    Attempt(
        "an installer's address that was made up",
        "addresses are sealed with the session secret",
        functools.partial(_install, "a secret of mine", 60.0),
        functools.partial(_install, _SECRET, 60.0),
    ),
    Attempt(
        "an installer's address that was used yesterday",
        "addresses expire",
        functools.partial(_install, _SECRET, -86_400.0),
        functools.partial(_install, _SECRET, 60.0),
    ),
)
