"""Response URLs, with which the App answers an interaction without a token.

Outside contract:
https://docs.slack.dev/interactivity/handling-user-interaction#message_responses
"""

from __future__ import annotations

import json
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from . import posting
from .blocks import check_message_blocks
from .refusals import SlackRefusal
from .world import (
    RESPONSE_SECONDS,
    RESPONSE_USES,
    Json,
    ResponseUrl,
    SlackMessage,
    SlackRecord,
    SlackWorld,
)


def routes(world: SlackWorld, log: Callable[[SlackRecord], None]) -> list[Route]:
    """The routes of all response URLs."""

    async def answer(request: Request) -> Response:
        given: Json = {}
        status, body = 200, "ok"
        try:
            given = _read(await request.body())
            respond(world, request.url.path, given)
        except SlackRefusal as refusal:
            status = 404 if refusal.error in ("used_url", "expired_url") else 400
            body = refusal.error
        log(SlackRecord("response_url", given, status, body, world.app.bot_name, world.now()))
        if status == 200:
            return PlainTextResponse(body)
        return JSONResponse({"ok": False, "error": body}, status)

    paths = "/{team}/{number}/{secret}"
    return [Route(f"/{kind}{paths}", answer, methods=["POST"]) for kind in ("actions", "commands")]


def _read(body: bytes) -> Json:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise SlackRefusal("invalid_payload") from None
    if not isinstance(given, dict):
        raise SlackRefusal("invalid_payload")
    return given


def respond(world: SlackWorld, path: str, given: Json) -> None:
    """Do what was sent to a response URL. Raises SlackRefusal."""
    url = world.response_urls.get(path)
    if url is None or world.bot_in(url.user.team) is None:
        raise SlackRefusal("expired_url")
    if world.now() - url.at > RESPONSE_SECONDS:
        raise SlackRefusal("expired_url")
    if url.uses >= RESPONSE_USES:
        raise SlackRefusal("used_url")
    url.uses += 1
    show(world, url, given)


def show(world: SlackWorld, url: ResponseUrl, given: Json) -> None:
    """Show an answer to an interaction: a new message, or another text of the old one."""
    blocks = check_message_blocks(given.get("blocks") or [])
    text = str(given.get("text") or "")
    installation = world.bot_in(url.user.team)
    assert installation is not None
    if given.get("delete_original") and url.message is not None:
        _remove(world, url.message)
        return
    if not (text or blocks):
        raise SlackRefusal("no_text")
    if given.get("replace_original") and url.message is not None:
        _replace(world, url.message, text, blocks)
        return
    thread_ts = given.get("thread_ts")
    if thread_ts is None and url.message is not None:
        thread_ts = url.message.thread_ts
    if given.get("response_type") == "in_channel":
        posting.post(world, url.channel, installation.bot, text, blocks=blocks, thread_ts=thread_ts)
        return
    url.channel.ephemerals.append(
        SlackMessage(
            world.new_ts(),
            url.channel,
            installation.bot,
            text,
            blocks=posting.with_ids(blocks),
            thread_ts=thread_ts,
            ephemeral_to=url.user,
        )
    )


def _remove(world: SlackWorld, message: SlackMessage) -> None:
    if message.ephemeral_to is not None:
        message.channel.ephemerals.remove(message)
    else:
        posting.delete(world, message)


def _replace(world: SlackWorld, message: SlackMessage, text: str, blocks: list[Json]) -> None:
    if message.ephemeral_to is not None:
        message.text, message.blocks = text, posting.with_ids(blocks)
    else:
        posting.edit(world, message, message.author, {"text": text, "blocks": blocks})
