"""Images that people upload into their texts, and the signed URLs that serve them.

The address in the text is for people who are signed in; what an App can fetch is in `body_html`.
"""

from __future__ import annotations

import uuid

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from .actions import artifact_of, log_of
from .records import Attachment
from .signed import PRIVATE_SECONDS, image_path, is_good, signed_url
from .world import Repository, World

_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}


def attach(world: World, repository: Repository, content: bytes, name: str) -> str:
    """Store a picture; gives the Markdown that GitHub's editor writes for it."""
    kind = next((kind for magic, kind in _MAGIC.items() if content.startswith(magic)), None)
    made = Attachment(
        str(uuid.uuid4()), name, content, kind or "application/octet-stream", repository.private
    )
    world.attachments[made.id] = made
    return f"![{name}]({world.url}/user-attachments/assets/{made.id})"


def routes(world: World) -> list[Route]:
    """The addresses of pictures and logs."""

    async def in_text(request: Request) -> Response:
        found = world.attachments.get(request.path_params["asset"])
        if found is None or found.private:
            # This route has no session, so private attachments do not exist here.
            return _nothing()
        expires = world.clock.timestamp() + PRIVATE_SECONDS
        return RedirectResponse(signed_url(image_path(found.id), expires), 302)

    async def private_image(request: Request) -> Response:
        found = world.attachments.get(request.path_params["asset"])
        if found is None or not _allowed(request):
            return _nothing()
        return Response(found.content, media_type=found.media_type)

    async def log(request: Request) -> Response:
        parts = request.path_params
        text = log_of(world, f"{parts['owner']}/{parts['repo']}", parts["job"])
        if text is None or not _allowed(request):
            return _nothing()
        return Response(text, media_type="text/plain; charset=utf-8")

    async def artifact(request: Request) -> Response:
        parts = request.path_params
        found = artifact_of(world, f"{parts['owner']}/{parts['repo']}", parts["artifact"])
        if found is None or not _allowed(request):
            return _nothing()
        return Response(found.content, media_type="application/zip")

    def _allowed(request: Request) -> bool:
        permission = request.query_params.get("jwt", "")
        return is_good(request.url.path, permission, world.clock.timestamp())

    return [
        Route("/user-attachments/assets/{asset}", in_text),
        Route(image_path("{asset}"), private_image),
        Route("/_logs/{owner}/{repo}/{job}.txt", log),
        Route("/_artifacts/{owner}/{repo}/{artifact}.zip", artifact),
    ]


def _nothing() -> Response:
    return PlainTextResponse("Not Found", 404)
