"""Clone, fetch and push over HTTP: `git http-backend` as CGI behind GitHub's own checks.

Outside contract: gitprotocol-http(5), git-http-backend(1)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from .accounts import ApiCaller
from .api import covers, has_permission, sees
from .auth import actor_of
from .forks import open_to
from .git import ZERO
from .heads import Move, moved
from .refusals import Refusal
from .rules import push_order
from .world import Repository, World

_CHUNK = 64 * 1024
_REALM = {"WWW-Authenticate": 'Basic realm="GitHub"'}
_PUSH = "git-receive-pack"


@dataclass(frozen=True)
class GitRequest:
    """One request of a git client. `service` is git-upload-pack or git-receive-pack."""

    repository: Repository
    actor: ApiCaller
    service: str
    request: Request
    tail: str


async def answer_git(world: World, request: Request, actor: ApiCaller | None) -> Response:
    """Answer a git client; `actor` None is a credential that GitHub does not know."""
    try:
        call = _read(world, request, actor)
    except Refusal as refusal:
        headers = refusal.headers | (_REALM if refusal.status == 401 else {})
        return PlainTextResponse(refusal.message, refusal.status, headers)
    if call.service == _PUSH and request.method == "POST":
        return await _push(world, call)
    return await _stream(call, _environment(call))


def identify(world: World, request: Request) -> ApiCaller | None:
    """The actor of a git client; None if the credential is invalid."""
    try:
        return actor_of(world, request.headers.get("authorization", ""))
    except Refusal:
        return None


def _read(world: World, request: Request, actor: ApiCaller | None) -> GitRequest:
    owner, name = request.path_params["owner"], request.path_params["repo"]
    tail = request.path_params["tail"]
    service = request.query_params.get("service", tail) if tail == "info/refs" else tail
    if service not in ("git-upload-pack", _PUSH):
        raise Refusal(403, "Please upgrade your git client.")
    if actor is None:
        raise Refusal(401, "Invalid username or token. Password authentication is not supported.")
    full_name = f"{owner}/{name.removesuffix('.git')}".lower()
    former = world.renamed.get(full_name)
    repository = world.repositories.get(full_name, former)
    if repository is None or not sees(world, actor, repository):
        raise Refusal(401 if actor.kind == "anonymous" else 404, "Repository not found.")
    if repository is former and tail == "info/refs":
        # The client uses the new URL for everything that follows.
        place = f"{world.url}/{repository.full_name}.git/{tail}?{request.url.query}"
        raise Refusal(301, "Moved Permanently", Location=place)
    _check_rights(world, actor, repository, writes=service == _PUSH)
    return GitRequest(repository, actor, service, request, tail)


def _check_rights(world: World, actor: ApiCaller, repository: Repository, *, writes: bool) -> None:
    if not writes:
        installed = actor.kind == "installation" and repository.private
        if installed and not has_permission(actor, "contents:read"):
            raise Refusal(403, f"Read access to {repository.full_name} not granted.")
        return
    if actor.kind == "anonymous":
        raise Refusal(401, "Authentication required.")
    denied = f"Permission to {repository.full_name}.git denied to {actor.name}."
    if actor.kind == "installation":
        allowed = covers(world, actor, repository) and has_permission(actor, "contents:write")
    else:
        user = actor.user
        allowed = user is not None and (
            repository.allows(user, "write") or bool(open_to(world, user, repository))
        )
    if not allowed:
        raise Refusal(403, denied)
    if repository.archived:
        raise Refusal(403, "This repository was archived so it is read-only.")


def _environment(call: GitRequest) -> dict[str, str]:
    request, git = call.request, call.repository.git
    env = git.environment() | {
        "GIT_PROJECT_ROOT": str(git.path),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{call.tail}",
        "QUERY_STRING": request.url.query,
        "REQUEST_METHOD": request.method,
        "REMOTE_USER": call.actor.name,
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": request.headers.get("content-type", ""),
    }
    for header, variable in (
        ("content-length", "CONTENT_LENGTH"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
    ):
        if header in request.headers:
            env[variable] = request.headers[header]
    return env


# -- the CGI program


@dataclass
class _Backend:
    process: asyncio.subprocess.Process
    feeding: asyncio.Task[None]

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers, which the program writes first."""
        status, headers = 200, {}
        while line := (await self._out.readline()).decode("latin-1").strip():
            name, _, value = line.partition(": ")
            if name.lower() == "status":
                status = int(value.split()[0])
            else:
                headers[name] = value
        return status, headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in chunks. The process ends with it, or when the client stops reading."""
        try:
            while chunk := await self._out.read(_CHUNK):
                yield chunk
        finally:
            await self.end()

    async def end(self) -> None:
        """Wait for the program, or stop it if it still runs without a reader."""
        self.feeding.cancel()
        await asyncio.gather(self.feeding, return_exceptions=True)
        if not self._out.at_eof():
            _kill(self.process)
        await self.process.wait()

    @property
    def _out(self) -> asyncio.StreamReader:
        if self.process.stdout is None:
            raise RuntimeError("the program was started without a pipe")
        return self.process.stdout


async def _start(call: GitRequest, env: dict[str, str]) -> _Backend:
    process = await asyncio.create_subprocess_exec(
        "git",
        "http-backend",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=env,
        process_group=0,
    )
    return _Backend(process, asyncio.create_task(_feed(call.request, process)))


async def _feed(request: Request, process: asyncio.subprocess.Process) -> None:
    """Forward the body piece by piece, no faster than git reads it."""
    pipe = process.stdin
    if pipe is None:
        raise RuntimeError("the program was started without a pipe")
    whole = False
    try:
        async for chunk in request.stream():
            pipe.write(chunk)
            await pipe.drain()
        whole = True
    except ConnectionError:
        # The program has read enough, and ends by itself.
        whole = True
    except ClientDisconnect:
        pass
    finally:
        # `git http-backend` would read the early end of a body again and again, forever.
        if not whole:
            _kill(process)
        pipe.close()


def _kill(process: asyncio.subprocess.Process) -> None:
    """End the program and its children: `git` itself only wraps them."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


async def _stream(call: GitRequest, env: dict[str, str]) -> Response:
    backend = await _start(call, env)
    status, headers = await backend.head()
    return StreamingResponse(backend.chunks(), status, headers)


async def _push(world: World, call: GitRequest) -> Response:
    """Receive a push; its effects are applied before the client gets the success."""
    repository, user = call.repository, call.actor.user
    if user is None:
        raise Refusal(401, "Authentication required.")
    with tempfile.TemporaryDirectory(dir=repository.git.home) as folder:
        used = Path(folder) / "used"
        env = _environment(call) | _rules(world, call, used)
        async with repository.lock:
            before = await repository.git.refs("refs/heads", "refs/tags")
            backend = await _start(call, env)
            status, headers = await backend.head()
            body = b"".join([chunk async for chunk in backend.chunks()])
            after = await repository.git.refs("refs/heads", "refs/tags")
            await moved(world, repository, user, _moves(before, after))
        for ref in used.read_text().splitlines() if used.exists() else []:
            world.faults.push_refusal(ref)
    await world.settle()
    return Response(body, status, headers)


def _rules(world: World, call: GitRequest, used: Path) -> dict[str, str]:
    order = push_order(world, call.repository, call.actor)
    return {"HONK_PUSH_RULES": order, "HONK_PUSH_USED": str(used)}


def _moves(before: dict[str, str], after: dict[str, str]) -> list[Move]:
    names = sorted(before.keys() | after.keys())
    moves = [(name, before.get(name, ZERO), after.get(name, ZERO)) for name in names]
    return [move for move in moves if move[1] != move[2]]
