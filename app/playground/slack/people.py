"""Acting as a person: write, reply, edit, delete, react, click, choose, submit, look."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from . import events, posting, response_urls, views
from .deliveries import SlackDelivery
from .refusals import SlackRefusal
from .shapes import message_shape, view_shape
from .typing import rich_text, typed
from .world import (
    Json,
    SlackChannel,
    SlackFile,
    SlackMessage,
    SlackUser,
    SlackView,
    SlackWorld,
)


class SlackPerson:
    """A person with Slack open. Everything raises SlackRefusal where Slack offers no way."""

    def __init__(self, world: SlackWorld, user: SlackUser) -> None:
        self.world = world
        self.user = user

    # -- messages

    async def write(
        self,
        channel: SlackChannel,
        text: str,
        *,
        thread: SlackMessage | None = None,
        files: Mapping[str, bytes] | None = None,
        verbatim: bool = False,
    ) -> SlackMessage:
        """Write in a conversation, or in the thread of a message.

        `@name`, `#channel` and links become what Slack makes of them, unless it is `verbatim`.
        """
        self._check(channel)
        text = text if verbatim else typed(self.world, self.user, text)
        uploaded = [self._upload(name, content) for name, content in (files or {}).items()]
        return posting.post(
            self.world,
            channel,
            self.user,
            text,
            blocks=rich_text(text),
            files=uploaded,
            subtype="file_share" if uploaded else None,
            client_msg_id=str(uuid.uuid4()),
            thread_ts=thread.thread if thread else None,
        )

    async def reply(self, message: SlackMessage, text: str, **more: Any) -> SlackMessage:
        """Answer in the thread of a message."""
        return await self.write(message.channel, text, thread=message, **more)

    async def tell_app(self, text: str, **more: Any) -> SlackMessage:
        """Write the App a direct message."""
        return await self.write(self.direct_message(), text, **more)

    def direct_message(self) -> SlackChannel:
        """The direct message with the App."""
        return self.world.direct_message(self.user, self._bot())

    async def edit(self, message: SlackMessage, text: str) -> None:
        """Change a message of one's own."""
        self._check_own(message)
        text = typed(self.world, self.user, text)
        posting.edit(self.world, message, self.user, {"text": text, "blocks": rich_text(text)})

    async def delete(self, message: SlackMessage) -> None:
        """Delete a message of one's own."""
        self._check_own(message)
        posting.delete(self.world, message)

    async def react(self, message: SlackMessage, name: str) -> None:
        """Add a reaction."""
        self._check(message.channel)
        users = message.reactions.setdefault(name, [])
        if self.user not in users:
            users.append(self.user)
            events.reaction(self.world, message, self.user, name)

    def sees(self, channel: SlackChannel) -> list[SlackMessage]:
        """All messages of a conversation and its threads, oldest first; ephemeral ones too."""
        own = [one for one in channel.ephemerals if one.ephemeral_to is self.user]
        there = [one for one in channel.messages if not one.is_deleted]
        return sorted((*there, *own), key=lambda one: one.ts)

    def sees_in_thread(self, message: SlackMessage) -> list[SlackMessage]:
        """The answers to a message, oldest first; ephemeral ones too."""
        return [one for one in self.sees(message.channel) if one.thread_ts == message.thread]

    def buttons(self, message: SlackMessage) -> list[Json]:
        """The buttons and menus that the person sees on a message."""
        return [each for _, each in self._elements(message.blocks) if self._is_shown(each)]

    # -- interactions

    async def click(
        self, message: SlackMessage, action_id: str, *, as_of: Json | None = None
    ) -> SlackDelivery:
        """Press a button; a confirm dialog is answered with yes.

        `as_of` is an earlier shape of the message, for a screen that was not reloaded.
        """
        return await self._act(message, action_id, {}, as_of)

    async def choose(
        self, message: SlackMessage, action_id: str, option: str | Json
    ) -> SlackDelivery:
        """Choose from a menu, by an option's value; of an external menu the option itself."""
        blocks = message_shape(self.world, message).get("blocks", [])
        _, element = self._element(blocks, action_id)
        chosen = option if isinstance(option, dict) else _option(element, option)
        return await self._act(message, action_id, {"selected_option": chosen}, None)

    async def options(self, message: SlackMessage, action_id: str, query: str) -> list[Json]:
        """What an external menu offers for what was typed."""
        block, element = self._element(message.blocks, action_id)
        payload = {
            **self._interaction("block_suggestion", message.channel),
            "container": _container(message),
            "message": message_shape(self.world, message),
            "value": query,
            "action_id": element["action_id"],
            "block_id": block["block_id"],
        }
        del payload["response_url"], payload["trigger_id"]
        delivery = await self.world.deliveries.ask("interactive", payload)
        answer = delivery.attempts[-1].answer
        if not delivery.is_delivered or not isinstance(answer, dict):
            return []
        groups = answer.get("option_groups", [])
        found: list[Json] = answer.get("options") or [
            option for group in groups for option in group["options"]
        ]
        return found

    async def command(self, channel: SlackChannel, command: str, text: str = "") -> SlackDelivery:
        """Use a slash command."""
        self._check(channel)
        world, user = self.world, self.user
        if command not in world.app.commands:
            raise SlackRefusal("unknown_command")
        payload = {
            "token": world.app.verification_token,
            "team_id": user.team.id,
            "team_domain": user.team.domain,
            "channel_id": channel.id,
            "channel_name": events.shape_in(channel, user)["name"],
            "user_id": user.id,
            "user_name": user.name,
            "command": command,
            "text": text,
            "api_app_id": world.app.id,
            "is_enterprise_install": "false",
            "response_url": world.new_response_url(user, channel, None),
            "trigger_id": world.new_trigger(user),
        }
        delivery = await world.deliveries.ask("slash_commands", payload)
        self._show_answer(channel, command, delivery)
        return delivery

    async def shortcut(self, message: SlackMessage, callback_id: str) -> SlackDelivery:
        """Use a message shortcut."""
        if callback_id not in self.world.app.shortcuts:
            raise SlackRefusal("unknown_shortcut")
        payload = {
            **self._interaction("message_action", message.channel, message),
            "callback_id": callback_id,
            "message_ts": message.ts,
            "message": message_shape(self.world, message),
        }
        return await self.world.deliveries.ask("interactive", payload)

    @property
    def view(self) -> SlackView | None:
        """The modal that is open, if there is one."""
        views_of = [one for one in self.world.views.values() if one.user is self.user]
        return next((one for one in reversed(views_of) if one.is_open), None)

    async def submit(self, values: Mapping[str, Any]) -> SlackDelivery:
        """Send the open modal; `values` are what was entered, by action id.

        An option of a menu is named by its value. Errors of the App keep the modal open; they are
        in the delivery's answer.
        """
        view = self._open_view()
        shape = view_shape(self.world, view)
        shape["state"] = {"values": _state(view.view["blocks"], values)}
        payload = self._interaction("view_submission", None) | {"view": shape, "response_urls": []}
        del payload["response_url"]
        delivery = await self.world.deliveries.ask("interactive", payload)
        if delivery.is_delivered:
            self._follow(view, delivery.attempts[-1].answer)
        return delivery

    async def cancel(self) -> None:
        """Close the open modal."""
        view = self._open_view()
        view.is_open = False
        if view.view.get("notify_on_close"):
            closed = {"view": view_shape(self.world, view), "is_cleared": False}
            payload = self._interaction("view_closed", None) | closed
            del payload["response_url"], payload["trigger_id"]
            await self.world.deliveries.ask("interactive", payload)

    async def click_in_view(self, action_id: str, view: SlackView | None = None) -> SlackDelivery:
        """Press a button in the open modal, or in another view such as the Home tab."""
        view = view or self._open_view()
        block, element = self._element(view.view["blocks"], action_id)
        payload = self._interaction("block_actions", None) | {
            "container": {"type": "view", "view_id": view.id},
            "view": view_shape(self.world, view),
            "actions": [self._action(block, element, {})],
        }
        del payload["response_url"]
        return await self.world.deliveries.ask("interactive", payload)

    async def open_home(self, tab: str = "home") -> None:
        """Open the App's Home, or its `messages`."""
        events.home_opened(self.world, self.user, tab)

    # -- the rest

    def _follow(self, view: SlackView, answer: Any) -> None:
        """Do what the App answered to a submission."""
        action = answer.get("response_action") if isinstance(answer, dict) else None
        if action == "errors":
            return
        if action in ("update", "push"):
            views.change(view, answer["view"])
            return
        view.is_open = False

    def _open_view(self) -> SlackView:
        view = self.view
        if view is None:
            raise SlackRefusal("no_view")
        return view

    async def _act(
        self, message: SlackMessage, action_id: str, chosen: Json, as_of: Json | None
    ) -> SlackDelivery:
        shape = as_of or message_shape(self.world, message)
        block, element = self._element(shape.get("blocks", []), action_id)
        if not self._is_shown(element):
            raise SlackRefusal("no_such_button")
        action = self._action(block, element, chosen)
        payload = {
            **self._interaction("block_actions", message.channel, message),
            "container": _container(message),
            "message": shape,
            "state": {"values": {}},
            "actions": [action],
        }
        if chosen:
            state = {"type": element["type"], **chosen}
            payload["state"] = {"values": {block["block_id"]: {element["action_id"]: state}}}
        if message.ephemeral_to is not None:
            del payload["message"]
        return await self.world.deliveries.ask("interactive", payload)

    def _interaction(
        self, kind: str, channel: SlackChannel | None, message: SlackMessage | None = None
    ) -> Json:
        """The fields that all interactions have."""
        world, user = self.world, self.user
        payload: Json = {
            "type": kind,
            "user": {"id": user.id, "username": user.name, "name": user.name},
            "api_app_id": world.app.id,
            "token": world.app.verification_token,
            "team": {"id": user.team.id, "domain": user.team.domain},
            "enterprise": None,
            "is_enterprise_install": False,
            "trigger_id": world.new_trigger(user),
            "response_url": "",
        }
        payload["user"]["team_id"] = user.team.id
        if channel is not None:
            self._check_reads(channel)
            payload["channel"] = events.shape_in(channel, user)
            payload["response_url"] = world.new_response_url(user, channel, message)
            payload["action_ts"] = world.new_ts()
        return payload

    def _action(self, block: Json, element: Json, chosen: Json) -> Json:
        names = ("type", "action_id", "text", "value", "style", "url", "confirm")
        kept = {name: element[name] for name in names if name in element}
        return kept | chosen | {"block_id": block["block_id"], "action_ts": self.world.new_ts()}

    def _element(self, blocks: list[Json], action_id: str) -> tuple[Json, Json]:
        for block, element in self._elements(blocks):
            if element.get("action_id") == action_id:
                return block, element
        raise SlackRefusal("no_such_button")

    def _elements(self, blocks: list[Json]) -> Iterator[tuple[Json, Json]]:
        """Every interactive element, with its block."""
        for block in blocks:
            inside = block.get("elements", []) if block["type"] == "actions" else []
            for element in (*inside, block.get("accessory"), block.get("element")):
                if isinstance(element, dict) and element["type"] != "image":
                    yield block, element

    def _is_shown(self, element: Json) -> bool:
        readers: Iterable[str] = element.get("visible_to_user_ids") or [self.user.id]
        return self.user.id in readers

    def _show_answer(self, channel: SlackChannel, command: str, delivery: SlackDelivery) -> None:
        """What the App answered to a command at once, or that it did not."""
        answer = delivery.attempts[-1].answer
        if not delivery.is_delivered:
            words = f"{command} failed because the app did not respond."
            self._ephemeral(channel, words)
        elif isinstance(answer, str) and answer:
            self._ephemeral(channel, answer)
        elif isinstance(answer, dict) and answer.get("text"):
            path = delivery.payload["response_url"].removeprefix(self.world.url)
            response_urls.show(self.world, self.world.response_urls[path], answer)

    def _ephemeral(self, channel: SlackChannel, words: str) -> None:
        message = SlackMessage(
            self.world.new_ts(), channel, self._bot(), words, ephemeral_to=self.user
        )
        channel.ephemerals.append(message)

    def _upload(self, name: str, content: bytes) -> SlackFile:
        world = self.world
        made = SlackFile(
            world.new_id("F"), name, name, self.user, len(content), int(world.now()), "", content
        )
        world.files[made.id] = made
        return made

    def _bot(self) -> SlackUser:
        installation = self.world.bot_in(self.user.team)
        if installation is None:
            raise SlackRefusal("app_not_installed")
        return installation.bot

    def _check_reads(self, channel: SlackChannel) -> None:
        if self.user.deleted:
            raise SlackRefusal("account_inactive")
        if channel.kind != "channel" and self.user not in channel.members:
            raise SlackRefusal("channel_not_found")

    def _check(self, channel: SlackChannel) -> None:
        self._check_reads(channel)
        if self.user not in channel.members:
            raise SlackRefusal("not_in_channel")
        if channel.is_archived:
            raise SlackRefusal("is_archived")

    def _check_own(self, message: SlackMessage) -> None:
        self._check(message.channel)
        if message.author is not self.user or message.is_deleted:
            raise SlackRefusal("cant_update_message")


def _container(message: SlackMessage) -> Json:
    container: Json = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": message.channel.id,
        "is_ephemeral": message.ephemeral_to is not None,
    }
    return container | ({"thread_ts": message.thread_ts} if message.thread_ts else {})


def _option(element: Json, value: str) -> Json:
    """The option of a menu that has this value."""
    groups = element.get("option_groups", [])
    options = [*element.get("options", []), *(one for group in groups for one in group["options"])]
    for option in options:
        if option.get("value") == value:
            found: Json = option
            return found
    raise SlackRefusal("no_such_option")


def _state(blocks: list[Json], values: Mapping[str, Any]) -> Json:
    """What was entered in the inputs of a view, as a submission has it."""
    state: Json = {}
    for block in blocks:
        element = block.get("element") or block.get("accessory")
        if not isinstance(element, dict) or "action_id" not in element:
            continue
        given = values.get(element["action_id"])
        entered: Json = {"type": element["type"]}
        if element["type"].endswith("select") or element["type"] == "radio_buttons":
            chosen = element.get("initial_option") if given is None else given
            if isinstance(chosen, str):
                chosen = _option(element, chosen)
            entered["selected_option"] = chosen
        elif element["type"] == "checkboxes":
            names = given or []
            entered["selected_options"] = [_option(element, name) for name in names]
        else:
            entered["value"] = element.get("initial_value") if given is None else given
        state[block["block_id"]] = {element["action_id"]: entered}
    return state
