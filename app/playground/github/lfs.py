"""Git LFS: contents that a repository stores outside git, and the URLs to download them.

Outside contract: https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md. Reading only.
"""

from __future__ import annotations

import hashlib

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from .accounts import ApiCaller
from .api import has_permission, sees
from .git_http import identify
from .signed import PRIVATE_SECONDS, is_good, signed_url
from .world import Repository, World

_MEDIA = "application/vnd.git-lfs+json"
_STORE = "/_lfs/{owner}/{repo}/{oid}"


def pointer(content: bytes) -> bytes:
    """The pointer that is committed instead of the content."""
    lines = [
        "version https://git-lfs.github.com/spec/v1",
        f"oid sha256:{_oid(content)}",
        f"size {len(content)}",
    ]
    return ("\n".join(lines) + "\n").encode()


def keep(repository: Repository, content: bytes) -> bytes:
    """Store a content as `git lfs push` does; return its pointer."""
    repository.lfs[_oid(content)] = content
    return pointer(content)


def routes(world: World) -> list[Route]:
    """The batch API, and the store that it leads to."""

    async def batch(request: Request) -> Response:
        parts = request.path_params
        repository = world.repositories.get(f"{parts['owner']}/{parts['repo']}".lower())
        actor = identify(world, request)
        if actor is None:
            return _said(401, "Credentials needed")
        if repository is None or not _may_read(world, actor, repository):
            return _said(404, "Not Found")
        if request.headers.get("accept", "").split(";")[0] != _MEDIA:
            return _said(406, "Not Acceptable")
        asked = await request.json()
        if asked.get("operation") != "download":
            return _said(403, "You must have push access to upload.")
        expires = world.clock.timestamp() + PRIVATE_SECONDS
        objects = [_object(world, repository, each, expires) for each in asked["objects"]]
        return JSONResponse({"transfer": "basic", "objects": objects}, media_type=_MEDIA)

    async def stored(request: Request) -> Response:
        parts = request.path_params
        repository = world.repositories.get(f"{parts['owner']}/{parts['repo']}".lower())
        permission = request.query_params.get("jwt", "")
        # Like other stores of signed addresses it takes no second credential.
        allowed = is_good(request.url.path, permission, world.clock.timestamp())
        if repository is None or not allowed or "authorization" in request.headers:
            return PlainTextResponse("Forbidden", 403)
        return Response(repository.lfs[parts["oid"]], media_type="application/octet-stream")

    return [
        Route("/{owner}/{repo}.git/info/lfs/objects/batch", batch, methods=["POST"]),
        Route(_STORE, stored),
    ]


def _oid(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _may_read(world: World, actor: ApiCaller, repository: Repository) -> bool:
    installed = actor.kind == "installation" and repository.private
    return sees(world, actor, repository) and (
        not installed or has_permission(actor, "contents:read")
    )


def _object(
    world: World, repository: Repository, asked: dict[str, object], expires: float
) -> dict[str, object]:
    oid = str(asked["oid"])
    if oid not in repository.lfs:
        return {**asked, "error": {"code": 404, "message": "Object does not exist on the server"}}
    path = _STORE.format(owner=repository.owner.login, repo=repository.name, oid=oid)
    href = world.url + signed_url(path, expires)
    return {**asked, "authenticated": True, "actions": {"download": {"href": href}}}


def _said(status: int, message: str) -> Response:
    return JSONResponse({"message": message}, status, media_type=_MEDIA)
