"""The simulated Slack through Slack's own Python client, as an App sees it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import httpx
import jwt
import pytest
import pytest_asyncio
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.playground.serving import serve_app
from app.playground.slack import SlackMessage, SlackRefusal, SlackSignInError
from tests.support.slack import SlackScene, open_slack

BUTTON = {
    "type": "button",
    "text": {"type": "plain_text", "text": "Merge"},
    "action_id": "merge",
    "value": "1",
}


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[SlackScene]:
    async with open_slack(requests=False) as scene:
        yield scene


@pytest_asyncio.fixture
async def bot(scene: SlackScene) -> AsyncIterator[AsyncWebClient]:
    async with aiohttp.ClientSession() as session:
        yield AsyncWebClient(scene.token, base_url=scene.slack.api_url, session=session)


@dataclass
class HttpApp:
    """An App behind a request URL; `reply` decides what it answers."""

    secret: str
    got: list[tuple[dict[str, str], Any]] = field(default_factory=list)
    reply: Callable[[], Response] = Response

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        body = await request.body()
        stamp = request.headers["x-slack-request-timestamp"].encode()
        digest = hmac.new(self.secret.encode(), b"v0:" + stamp + b":" + body, hashlib.sha256)
        assert request.headers["x-slack-signature"] == f"v0={digest.hexdigest()}"
        if request.headers["content-type"] == "application/json":
            payload: Any = json.loads(body)
        else:
            payload = dict(httpx.QueryParams(body.decode()))
            payload = json.loads(payload["payload"]) if "payload" in payload else payload
        if payload.get("type") == "url_verification":
            await JSONResponse({"challenge": payload["challenge"]})(scope, receive, send)
            return
        self.got.append((dict(request.headers), payload))
        await self.reply()(scope, receive, send)


@pytest_asyncio.fixture
async def app(scene: SlackScene) -> AsyncIterator[HttpApp]:
    app = HttpApp(scene.slack.app.signing_secret)
    async with serve_app(app) as url:
        await scene.slack.use_http(f"{url}/webhooks/slack")
        yield app


@dataclass
class SocketApp:
    """An App over Socket Mode that acknowledges everything unless it is `silent`."""

    client: SocketModeClient
    got: list[SocketModeRequest] = field(default_factory=list)
    silent: bool = False
    answer: dict[str, Any] | None = None

    async def hear(self, client: Any, request: SocketModeRequest) -> None:
        self.got.append(request)
        if not self.silent:
            response = SocketModeResponse(request.envelope_id, self.answer)
            await client.send_socket_mode_response(response)


@pytest_asyncio.fixture
async def socket_app(scene: SlackScene) -> AsyncIterator[SocketApp]:
    client = SocketModeClient(
        app_token=scene.slack.app.app_token,
        web_client=AsyncWebClient(base_url=scene.slack.api_url),
        ping_interval=0.05,
    )
    app = SocketApp(client)
    client.socket_mode_request_listeners.append(app.hear)
    await client.connect()
    await scene.slack.sockets.connected()
    yield app
    await client.close()


async def until(happened: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


async def refusal(call: Any) -> SlackApiError:
    with pytest.raises(SlackApiError) as caught:
        await call
    return caught.value


# -- messages


async def test_a_message_is_posted_and_edited(scene: SlackScene, bot: AsyncWebClient) -> None:
    blocks = [{"type": "actions", "elements": [BUTTON]}]
    posted = await bot.chat_postMessage(channel=scene.dev.id, text="At work", blocks=blocks)
    (seen,) = scene.olivia.sees(scene.dev)
    assert (seen.ts, seen.text) == (posted["ts"], "At work")
    assert [one["action_id"] for one in scene.olivia.buttons(seen)] == ["merge"]
    await bot.chat_update(channel=scene.dev.id, ts=posted["ts"], text="Done", blocks=[])
    assert (seen.text, seen.blocks) == ("Done", [])
    reply = await bot.chat_postMessage(channel=scene.dev.id, text="Ping", thread_ts=posted["ts"])
    assert [one.ts for one in scene.olivia.sees_in_thread(seen)] == [reply["ts"]]
    link = await bot.chat_getPermalink(channel=scene.dev.id, message_ts=reply["ts"])
    assert link["permalink"].endswith(f"?thread_ts={posted['ts']}&cid={scene.dev.id}")
    whole = await bot.conversations_replies(channel=scene.dev.id, ts=posted["ts"])
    assert [one["text"] for one in whole["messages"]] == ["Done", "Ping"]
    assert whole["messages"][0]["reply_count"] == 1


@pytest.mark.parametrize(
    ("method", "arguments", "error"),
    [
        ("chat.postMessage", {"channel": "C1", "text": "x"}, "channel_not_found"),
        ("chat.postMessage", {"channel": "{other}", "text": "x"}, "not_in_channel"),
        ("chat.postMessage", {"channel": "{secret}", "text": "x"}, "channel_not_found"),
        ("chat.postMessage", {"channel": "{old}", "text": "x"}, "is_archived"),
        ("chat.postMessage", {"channel": "{dev}"}, "no_text"),
        ("chat.postMessage", {"channel": "{dev}", "blocks": "["}, "invalid_blocks_format"),
        (
            "chat.postMessage",
            {"channel": "{dev}", "text": "x", "thread_ts": "1.2"},
            "thread_not_found",
        ),
        (
            "chat.postMessage",
            {"channel": "{dev}", "text": "x", "username": "olivia"},
            "missing_scope",
        ),
        ("chat.update", {"channel": "{dev}", "ts": "{hers}", "text": "x"}, "cant_update_message"),
        ("chat.update", {"channel": "{dev}", "ts": "1.2", "text": "x"}, "message_not_found"),
        ("chat.update", {"channel": "{dev}", "ts": "{own}", "text": "x" * 4001}, "msg_too_long"),
        ("chat.delete", {"channel": "{dev}", "ts": "{hers}"}, "cant_delete_message"),
        (
            "chat.postEphemeral",
            {"channel": "{dev}", "user": "{bob}", "text": "x"},
            "user_not_in_channel",
        ),
        ("conversations.info", {"channel": "{secret}"}, "channel_not_found"),
        ("conversations.history", {"channel": "{other}"}, "not_in_channel"),
        ("conversations.replies", {"channel": "{dev}", "ts": "1.2"}, "thread_not_found"),
        ("conversations.members", {"channel": "{dev}", "cursor": "?"}, "invalid_cursor"),
        ("users.info", {"user": "U1"}, "user_not_found"),
        ("reactions.add", {"channel": "{dev}", "timestamp": "{own}", "name": "?"}, "invalid_name"),
        (
            "reactions.remove",
            {"channel": "{dev}", "timestamp": "{own}", "name": "x"},
            "no_reaction",
        ),
        ("files.completeUploadExternal", {"files": '[{"id": "F1"}]'}, "file_not_found"),
        ("views.open", {"trigger_id": "1.2", "view": "{}"}, "invalid_arguments"),
        ("conversations.join", {"channel": "{other}"}, "missing_scope"),
        ("apps.connections.open", {}, "not_allowed_token_type"),
        ("chat.nothing", {}, "unknown_method"),
    ],
)
async def test_refusals(
    scene: SlackScene, bot: AsyncWebClient, method: str, arguments: dict[str, str], error: str
) -> None:
    slack, olivia = scene.slack, scene.olivia
    bob = slack.add_person("bob", scene.team)
    old = slack.add_channel("old", olivia, app=True)
    slack.archive(old)
    names = {
        "dev": scene.dev.id,
        "other": slack.add_channel("other", olivia).id,
        "secret": slack.add_channel("secret", olivia, private=True).id,
        "old": old.id,
        "bob": bob.user.id,
        "hers": (await olivia.write(scene.dev, "hello")).ts,
        "own": (await bot.chat_postMessage(channel=scene.dev.id, text="x"))["ts"],
    }
    given = {
        name: names.get(value.strip("{}"), value) if "{" in value else value
        for name, value in arguments.items()
    }
    refused = await refusal(bot.api_call(method, params=given))
    assert refused.response["error"] == error, refused.response


async def test_tokens(scene: SlackScene, bot: AsyncWebClient) -> None:
    told = await bot.auth_test()
    assert (told["team_id"], told["user_id"]) == (scene.team.id, scene.bot.id)
    for token, error in ((None, "not_authed"), ("xoxb-1", "invalid_auth")):
        other = AsyncWebClient(token, base_url=scene.slack.api_url)
        assert (await refusal(other.auth_test())).response["error"] == error
    scene.slack.grant(scene.team, "chat:write")
    refused = await refusal(bot.users_info(user=scene.olivia.user.id))
    assert refused.response["needed"] == "users:read"
    before = scene.token
    scene.slack.install(scene.team)
    scene.slack.revoke(before)
    assert (await refusal(bot.auth_test())).response["error"] == "token_revoked"
    bot.token = scene.token
    await bot.auth_test()
    scene.slack.uninstall(scene.team)
    assert (await refusal(bot.auth_test())).response["error"] == "token_revoked"


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"type": "nothing"}, "unsupported type: nothing [json-pointer:/blocks/0]"),
        (
            {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}},
            "must be less than 3001 characters [json-pointer:/blocks/0/text/text]",
        ),
        ({"type": "section"}, "missing required field: text"),
        ({"type": "header", "text": {"type": "mrkdwn", "text": "x"}}, "unsupported type: mrkdwn"),
        ({"type": "actions", "elements": [BUTTON] * 26}, "no more than 25 items allowed"),
        ({"type": "actions", "elements": [BUTTON] * 2}, "action_id must be unique"),
        ({"type": "actions", "elements": [BUTTON | {"style": "loud"}]}, "valid enum value"),
        ({"type": "actions", "elements": [BUTTON | {"extra": 1}]}, "additional property: extra"),
        ({"type": "divider", "block_id": "x" * 256}, "less than 256"),
        (7, "unsupported type: None"),
    ],
)
async def test_blocks_that_slack_does_not_show(
    scene: SlackScene, bot: AsyncWebClient, block: Any, words: str
) -> None:
    refused = await refusal(bot.chat_postMessage(channel=scene.dev.id, text="x", blocks=[block]))
    assert refused.response["error"] == "invalid_blocks"
    assert words in str(refused.response["response_metadata"]["messages"])
    assert scene.olivia.sees(scene.dev) == []


async def test_all_blocks_together_are_limited(scene: SlackScene, bot: AsyncWebClient) -> None:
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3000}}
    await bot.chat_postMessage(channel=scene.dev.id, text="x", blocks=[section] * 4)
    refused = await refusal(
        bot.chat_postMessage(channel=scene.dev.id, text="x", blocks=[section] * 5)
    )
    assert refused.response["error"] == "msg_blocks_too_long"
    cut = await bot.chat_postMessage(channel=scene.dev.id, text="x" * 40_001)
    assert (cut["warning"], len(cut["message"]["text"])) == ("message_truncated", 40_000)


async def test_rate_limits(scene: SlackScene, bot: AsyncWebClient) -> None:
    async def post() -> None:
        await bot.chat_postMessage(channel=scene.dev.id, text="x")

    for _ in range(5):
        await post()
    refused = await refusal(post())
    assert (refused.response.status_code, refused.response["error"]) == (429, "ratelimited")
    scene.slack.clock.advance(float(refused.response.headers["Retry-After"]))
    await post()
    for _ in range(50):
        await bot.conversations_info(channel=scene.dev.id)
    assert "ratelimited" in str(await refusal(bot.conversations_info(channel=scene.dev.id)))
    assert scene.slack.limits.refused == {"chat.postMessage": 1, "conversations.info": 1}


async def test_who_is_who(scene: SlackScene, bot: AsyncWebClient) -> None:
    slack = scene.slack
    guest = slack.add_person("guest", scene.team, guest="single")
    stranger = slack.add_person("stranger", slack.add_workspace("elsewhere"))
    gone = slack.add_person("gone", scene.team)
    slack.deactivate(gone)

    async def told(user_id: str) -> Any:
        return (await bot.users_info(user=user_id))["user"]

    assert (await told(guest.user.id))["is_ultra_restricted"]
    assert (await told(gone.user.id))["deleted"]
    assert (await told(scene.bot.id))["is_bot"]
    assert "email" not in (await told(scene.olivia.user.id))["profile"]
    refused = await refusal(bot.users_info(user=stranger.user.id))
    assert refused.response["error"] == "user_not_found"
    slack.share(scene.dev, stranger.user.team, stranger)
    assert (await told(stranger.user.id))["is_stranger"]
    info = (await bot.conversations_info(channel=scene.dev.id))["channel"]
    assert info["is_ext_shared"]
    members = (await bot.conversations_members(channel=scene.dev.id, limit=2))["members"]
    assert len(members) == 2


async def test_a_long_thread_comes_in_pages(scene: SlackScene, bot: AsyncWebClient) -> None:
    first = await scene.olivia.write(scene.dev, "0")
    for number in range(1, 11):
        await scene.olivia.reply(first, str(number))
    seen: list[str] = []
    cursor: str | None = None
    while cursor != "":
        page = await bot.conversations_replies(
            channel=scene.dev.id, ts=first.ts, limit=4, cursor=cursor
        )
        seen += [one["text"] for one in page["messages"]]
        told: Any = page.get("response_metadata")
        cursor = told["next_cursor"] if told else ""
    assert seen == [str(number) for number in range(11)]


async def test_files(scene: SlackScene, bot: AsyncWebClient) -> None:
    content = b"\x89PNG\r\n\x1a\n"
    asked = await bot.files_getUploadURLExternal(filename="shot.png", length=len(content))
    async with httpx.AsyncClient() as client:
        assert (await client.post(asked["upload_url"], content=b"x")).status_code == 400
        assert (await client.post(asked["upload_url"], content=content)).text == "OK - 8"
    await bot.files_completeUploadExternal(
        files=[{"id": asked["file_id"], "title": "After"}], channel_id=scene.dev.id
    )
    (seen,) = scene.olivia.sees(scene.dev)
    assert seen.files[0].title == "After"
    message = await scene.olivia.write(scene.dev, "look", files={"a.png": content})
    info = await bot.conversations_history(channel=scene.dev.id, limit=1)
    url = info["messages"][0]["files"][0]["url_private"]
    async with httpx.AsyncClient() as client:
        with_token = {"Authorization": f"Bearer {scene.token}"}
        assert (await client.get(url, headers=with_token)).content == content
        assert "Sign in" in (await client.get(url)).text
    assert message.files[0].content == content


# -- what the App is told


async def test_a_mention_is_told_twice_over_http(scene: SlackScene, app: HttpApp) -> None:
    message = await scene.olivia.write(scene.dev, "@honk fix <b> in https://x.test/a. #dev")
    await until(lambda: len(app.got) == 2)
    events = {payload["event"]["type"]: payload for _, payload in app.got}
    assert set(events) == {"message", "app_mention"}
    assert message.text == (
        f"<@{scene.bot.id}> fix &lt;b&gt; in <https://x.test/a>. <#{scene.dev.id}|dev>"
    )
    mention = events["app_mention"]
    assert mention["event"]["user"] == scene.olivia.user.id
    assert mention["authorizations"][0]["user_id"] == scene.bot.id
    assert not mention["is_ext_shared_channel"]
    assert len({payload["event_id"] for payload in events.values()}) == 2


async def test_a_failed_event_is_sent_again(scene: SlackScene, app: HttpApp) -> None:
    app.reply = lambda: Response(status_code=500)
    await scene.olivia.write(scene.dev, "hello")
    await until(lambda: len(app.got) == 4)
    heads = [headers for headers, _ in app.got]
    assert [one.get("x-slack-retry-num") for one in heads] == [None, "1", "2", "3"]
    assert heads[1]["x-slack-retry-reason"] == "http_error"
    assert len({payload["event_id"] for _, payload in app.got}) == 1
    app.reply = lambda: Response(status_code=500, headers={"X-Slack-No-Retry": "1"})
    app.got.clear()
    await scene.olivia.write(scene.dev, "hello")
    await until(lambda: scene.slack.deliveries[-1].attempts)
    assert scene.slack.deliveries[-1].attempts[0].is_final


async def test_edits_deletions_and_order(scene: SlackScene, app: HttpApp) -> None:
    message = await scene.olivia.write(scene.dev, "one")
    await scene.olivia.edit(message, "two")
    await scene.olivia.delete(message)
    await until(lambda: len(app.got) == 3)
    found = [payload["event"].get("subtype") for _, payload in app.got]
    assert found == [None, "message_changed", "message_deleted"]
    assert app.got[1][1]["event"]["previous_message"]["text"] == "one"
    held = scene.slack.hold()
    await scene.olivia.write(scene.dev, "three")
    await scene.olivia.write(scene.dev, "four")
    held.reverse()
    scene.slack.release()
    await until(lambda: len(app.got) == 5)
    assert [payload["event"]["text"] for _, payload in app.got[3:]] == ["four", "three"]


async def test_over_a_socket_nothing_is_lost_between_connections(
    scene: SlackScene, socket_app: SocketApp
) -> None:
    await scene.olivia.write(scene.dev, "one")
    await until(lambda: len(socket_app.got) == 1)
    assert socket_app.got[0].payload["event"]["text"] == "one"
    await scene.slack.sockets.refresh()
    await scene.olivia.write(scene.dev, "two")
    await until(lambda: len(socket_app.got) == 2)
    assert socket_app.got[1].retry_attempt
    await scene.slack.drained()
    assert all(one.is_delivered for one in scene.slack.deliveries)


async def test_an_envelope_without_acknowledgment_is_sent_again(
    scene: SlackScene, socket_app: SocketApp
) -> None:
    scene.slack.world.deliveries.ack_seconds = 0.1
    socket_app.silent = True
    await scene.olivia.write(scene.dev, "one")
    await until(lambda: len(socket_app.got) == 2)
    assert [one.retry_attempt for one in socket_app.got[:2]] == [0, 1]
    assert socket_app.got[1].retry_reason == "timeout"
    assert len({one.payload["event_id"] for one in socket_app.got}) == 1


async def test_each_event_goes_through_one_of_several_sockets(
    scene: SlackScene, socket_app: SocketApp
) -> None:
    second = SocketModeClient(
        app_token=scene.slack.app.app_token,
        web_client=AsyncWebClient(base_url=scene.slack.api_url),
    )
    other = SocketApp(second)
    second.socket_mode_request_listeners.append(other.hear)
    await second.connect()
    await scene.slack.sockets.connected(2)
    for number in range(4):
        await scene.olivia.write(scene.dev, str(number))
    await until(lambda: len(socket_app.got) + len(other.got) == 4)
    assert (len(socket_app.got), len(other.got)) == (2, 2)
    await second.close()


async def test_a_ticket_opens_one_connection(scene: SlackScene) -> None:
    client = AsyncWebClient(base_url=scene.slack.api_url)
    opened = await client.apps_connections_open(app_token=scene.slack.app.app_token)
    async with aiohttp.ClientSession() as session, session.ws_connect(opened["url"]) as socket:
        assert (await socket.receive_json())["type"] == "hello"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(opened["url"])


# -- interactions


async def test_a_click(scene: SlackScene, bot: AsyncWebClient, app: HttpApp) -> None:
    blocks = [{"type": "actions", "elements": [BUTTON]}]
    await bot.chat_postMessage(channel=scene.dev.id, text="Done", blocks=blocks)
    (seen,) = scene.olivia.sees(scene.dev)
    done = await scene.olivia.click(seen, "merge")
    assert done.is_delivered
    payload = next(payload for _, payload in app.got if payload["type"] == "block_actions")
    assert payload["user"]["id"] == scene.olivia.user.id
    assert payload["message"]["ts"] == seen.ts
    assert payload["actions"][0]["value"] == "1"
    async with httpx.AsyncClient() as client:
        changed = {"text": "Merged", "replace_original": True}
        assert (await client.post(payload["response_url"], json=changed)).text == "ok"
        for _ in range(4):
            await client.post(payload["response_url"], json={"text": "for you"})
        assert (await client.post(payload["response_url"], json=changed)).status_code == 404
    assert seen.text == "Merged"
    assert [one.text for one in scene.olivia.sees(scene.dev)[1:]] == ["for you"] * 4
    with pytest.raises(SlackRefusal, match="no_such_button"):
        await scene.olivia.click(seen, "merge")


async def test_buttons_of_others_are_not_shown(scene: SlackScene, bot: AsyncWebClient) -> None:
    bob = scene.slack.add_person("bob", scene.team)
    scene.slack.invite(scene.dev, bob.user, scene.olivia)
    hers = BUTTON | {"visible_to_user_ids": [scene.olivia.user.id]}
    blocks = [{"type": "actions", "elements": [hers]}]
    await bot.chat_postMessage(channel=scene.dev.id, text="Done", blocks=blocks)
    (seen,) = bob.sees(scene.dev)
    assert not bob.buttons(seen)
    with pytest.raises(SlackRefusal, match="no_such_button"):
        await bob.click(seen, "merge")


async def test_a_command_and_its_answer(scene: SlackScene, app: HttpApp) -> None:
    app.reply = lambda: JSONResponse({"text": "On it"})
    await scene.olivia.command(scene.dev, "/honk", "fix the sum")
    assert app.got[0][1]["text"] == "fix the sum"
    assert [one.text for one in scene.olivia.sees(scene.dev)] == ["On it"]
    app.reply = lambda: Response(status_code=500)
    await scene.olivia.command(scene.dev, "/honk", "fix the sum")
    assert "did not respond" in scene.olivia.sees(scene.dev)[-1].text


async def test_a_modal_from_a_shortcut(
    scene: SlackScene, bot: AsyncWebClient, socket_app: SocketApp
) -> None:
    message = await scene.olivia.write(scene.dev, "the sum is wrong")
    await scene.olivia.shortcut(message, "ask_honk")
    payload = next(one.payload for one in socket_app.got if one.type == "interactive")
    assert payload["message"]["text"] == "the sum is wrong"
    view = {
        "type": "modal",
        "callback_id": "ask",
        "title": {"type": "plain_text", "text": "Ask Honk"},
        "submit": {"type": "plain_text", "text": "Ask"},
        "blocks": [
            {
                "type": "input",
                "label": {"type": "plain_text", "text": "What?"},
                "element": {"type": "plain_text_input", "action_id": "what"},
            }
        ],
    }
    await bot.views_open(trigger_id=payload["trigger_id"], view=view)
    refused = await refusal(bot.views_open(trigger_id=payload["trigger_id"], view=view))
    assert refused.response["error"] == "exchanged_trigger_id"
    socket_app.answer = {"response_action": "errors", "errors": {"x": "Too short."}}
    await scene.olivia.submit({"what": "x"})
    assert [one.is_open for one in scene.slack.world.views.values()] == [True]
    socket_app.answer = None
    await scene.olivia.submit({"what": "fix it"})
    assert [one.is_open for one in scene.slack.world.views.values()] == [False]
    (values,) = socket_app.got[-1].payload["view"]["state"]["values"].values()
    assert values["what"]["value"] == "fix it"
    late = await scene.olivia.shortcut(message, "ask_honk")
    scene.slack.clock.advance(4)
    refused = await refusal(bot.views_open(trigger_id=late.payload["trigger_id"], view=view))
    assert refused.response["error"] == "expired_trigger_id"


# -- signing in, faults, previews


async def test_sign_in(scene: SlackScene) -> None:
    app = scene.slack.app
    asked = {
        "client_id": app.client_id,
        "response_type": "code",
        "scope": "openid profile",
        "redirect_uri": "http://127.0.0.1/back",
        "state": "s",
        "nonce": "n",
    }
    back = httpx.URL(scene.slack.agree(scene.olivia, asked))
    assert back.params["state"] == "s"
    with pytest.raises(SlackSignInError):
        scene.slack.agree(scene.olivia, asked | {"client_id": "1"})
    given = {"code": back.params["code"], "redirect_uri": asked["redirect_uri"]}
    async with httpx.AsyncClient(base_url=scene.slack.api_url) as client:
        secret = (app.client_id, app.client_secret)
        token = (await client.post("openid.connect.token", data=given, auth=secret)).json()
        again = (await client.post("openid.connect.token", data=given, auth=secret)).json()
    assert again["error"] == "invalid_code"
    public = scene.slack.world.signing_key.public_key()
    claims = jwt.decode(token["id_token"], public, ["RS256"], audience=app.client_id)
    assert claims["nonce"] == "n"
    web = AsyncWebClient(token["access_token"], base_url=scene.slack.api_url)
    who = await web.openid_connect_userInfo()
    assert who["https://slack.com/user_id"] == scene.olivia.user.id
    assert who["https://slack.com/team_id"] == scene.team.id


async def test_faults(scene: SlackScene, bot: AsyncWebClient) -> None:
    scene.slack.faults.ratelimited("chat.*", 7)
    refused = await refusal(bot.chat_postMessage(channel=scene.dev.id, text="x"))
    assert refused.response.headers["Retry-After"] == "7"
    scene.slack.faults.answer("chat.*", 500, "oops", after=True)
    with pytest.raises(SlackApiError):
        await bot.chat_postMessage(channel=scene.dev.id, text="it took effect")
    assert [one.text for one in scene.olivia.sees(scene.dev)] == ["it took effect"]
    scene.slack.faults.is_away = True
    with pytest.raises(SlackApiError):
        await bot.auth_test()
    scene.slack.faults.clear()
    await bot.auth_test()


async def test_links_are_read_before_anybody_clicks(scene: SlackScene, bot: AsyncWebClient) -> None:
    got: list[str] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        got.append(scope["method"])
        await Response("x")(scope, receive, send)

    async with serve_app(page) as url:
        button = BUTTON | {"url": f"{url}/link?a=1&b=2"}
        blocks = [{"type": "actions", "elements": [button]}]
        await bot.chat_postMessage(channel=scene.dev.id, text=f"<{url}/a|A>", blocks=blocks)
        await until(lambda: len(scene.slack.previews) == 2)
    assert dict(scene.slack.previews) == {f"{url}/a": 200, f"{url}/link?a=1&b=2": 200}
    assert got == ["GET", "GET"]


async def test_a_mention_of_everybody_is_noticed(scene: SlackScene) -> None:
    def bombs(message: SlackMessage) -> list[str]:
        return scene.slack.broadcasts(message)

    assert bombs(await scene.olivia.write(scene.dev, "@channel look")) == ["channel"]
    assert bombs(await scene.olivia.write(scene.dev, "<!channel> look")) == []
    spoof = await scene.olivia.write(scene.dev, "<!here>", verbatim=True)
    assert bombs(spoof) == ["here"]
