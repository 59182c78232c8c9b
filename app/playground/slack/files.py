"""`files.*`: uploads in three steps, and downloads with the token.

Outside contract: https://docs.slack.dev/messaging/working-with-files
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from . import posting
from .calls import SlackCall, SlackMethod
from .refusals import SlackRefusal, invalid_arguments
from .shapes import MIME_TYPES, file_shape
from .world import Json, SlackFile, SlackWorld

_MOST_BYTES = 1 << 30


async def upload_url(call: SlackCall) -> Json:
    name, size = call.required("filename"), call.number("length", 0)
    if not size:
        raise invalid_arguments("missing required field: length")
    if size > _MOST_BYTES:
        raise SlackRefusal("file_upload_size_restricted")
    file = SlackFile(
        call.world.new_id("F"),
        name,
        name,
        call.user,
        size,
        int(call.world.now()),
        alt_text=call.text("alt_txt"),
    )
    call.world.files[file.id] = file
    return {"upload_url": f"{call.world.url}/upload/v1/{file.id}", "file_id": file.id}


async def complete(call: SlackCall) -> Json:
    given = call.structure("files")
    if not isinstance(given, list) or not given:
        raise invalid_arguments("missing required field: files")
    files = [_uploaded(call, one) for one in given]
    if channel_id := call.text("channel_id") or call.text("channels"):
        channel = call.channel(channel_id, joined=True, active=True)
        thread_ts = posting.check_thread(channel, call.text("thread_ts") or None)
        comment, world, user = call.text("initial_comment"), call.world, call.user
        # Slack answers first; the message comes once the file is processed.
        call.later.append(
            lambda: posting.post(
                world,
                channel,
                user,
                comment,
                files=files,
                subtype="file_share",
                thread_ts=thread_ts,
            )
        )
    return {"files": [file_shape(call.world, one) for one in files]}


def _uploaded(call: SlackCall, given: object) -> SlackFile:
    """A file of this App whose bytes are there. Raises SlackRefusal."""
    if not isinstance(given, dict) or not isinstance(given.get("id"), str):
        raise invalid_arguments("missing required field: id")
    file = call.world.files.get(given["id"])
    if file is None or file.owner is not call.user or file.content is None:
        raise SlackRefusal("file_not_found")
    file.title = str(given.get("title") or file.title)
    return file


async def info(call: SlackCall) -> Json:
    file = call.world.files.get(call.required("file"))
    if file is None or file.owner.team is not call.team:
        raise SlackRefusal("file_not_found")
    return {"file": file_shape(call.world, file), "comments": []}


def routes(world: SlackWorld) -> list[Route]:
    """Where bytes are sent and read."""

    async def upload(request: Request) -> Response:
        file = world.files.get(request.path_params["file_id"])
        content = await request.body()
        if file is None or file.content is not None or world.faults.is_away:
            return PlainTextResponse("not found", 404)
        if len(content) != file.size:
            return PlainTextResponse("length mismatch", 400)
        file.content = content
        return PlainTextResponse(f"OK - {len(content)}")

    async def download(request: Request) -> Response:
        file = world.files.get(request.path_params["name"].partition("-")[2])
        text = request.headers.get("authorization", "").removeprefix("Bearer ")
        token = world.tokens.get(text)
        if file is None or file.content is None:
            return PlainTextResponse("not found", 404)
        # Slack shows its sign-in page, with status 200, to those who may not read the file.
        if token is None or token.is_revoked or "files:read" not in token.scopes:
            return HTMLResponse("<!DOCTYPE html><title>Sign in | Slack</title>")
        if not any(token.user in channel.members for channel, _ in file.shares):
            return HTMLResponse("<!DOCTYPE html><title>Sign in | Slack</title>")
        kind = file.name.rpartition(".")[2].lower()
        return Response(file.content, media_type=MIME_TYPES.get(kind, "application/octet-stream"))

    return [
        Route("/upload/v1/{file_id}", upload, methods=["POST"]),
        Route("/files-pri/{name}/{path:path}", download),
    ]


METHODS = [
    SlackMethod("files.getUploadURLExternal", upload_url, ("files:write",)),
    SlackMethod("files.completeUploadExternal", complete, ("files:write",)),
    SlackMethod("files.info", info, ("files:read",)),
]
