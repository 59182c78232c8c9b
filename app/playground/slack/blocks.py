"""What Slack accepts as blocks and views: types, required fields, and length limits.

Outside contract: https://docs.slack.dev/reference/block-kit
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .refusals import SlackRefusal, invalid_blocks

MESSAGE_BLOCKS, VIEW_BLOCKS = 50, 100
MARKDOWN_CHARACTERS = 12_000
"""Of all `markdown` blocks of a message."""
ALL_CHARACTERS = 13_200
"""Of all blocks of a message, measured: https://github.com/slackapi/bolt-js/issues/2509"""

Problems = list[str]
Check = Callable[[Any, str, Problems], None]


@dataclass(frozen=True)
class Shape:
    """An object: the checks of its fields, and those without which it is refused."""

    fields: Mapping[str, Check]
    required: tuple[str, ...] = ()

    def __call__(self, value: Any, where: str, problems: Problems) -> None:
        if not isinstance(value, dict):
            problems.append(f"must be an object [json-pointer:{where}]")
            return
        for name in self.required:
            if name not in value:
                problems.append(f"missing required field: {name} [json-pointer:{where}]")
        for name, found in value.items():
            check = self.fields.get(name)
            if check is None:
                problems.append(f"invalid additional property: {name} [json-pointer:{where}]")
            else:
                check(found, f"{where}/{name}", problems)


@dataclass(frozen=True)
class Typed:
    """An object whose `type` decides what else it has."""

    kinds: Mapping[str, Shape] = field(default_factory=dict)

    def __call__(self, value: Any, where: str, problems: Problems) -> None:
        kind = value.get("type") if isinstance(value, dict) else None
        shape = self.kinds.get(kind) if isinstance(kind, str) else None
        if shape is None:
            problems.append(f"unsupported type: {kind} [json-pointer:{where}]")
            return
        shape({name: each for name, each in value.items() if name != "type"}, where, problems)

    def only(self, *names: str) -> Typed:
        """The same for some of the types."""
        return Typed({name: self.kinds[name] for name in names})


def _string(longest: int, shortest: int = 1) -> Check:
    def check(value: Any, where: str, problems: Problems) -> None:
        if not isinstance(value, str):
            problems.append(f"must be a string [json-pointer:{where}]")
        elif len(value) < shortest:
            problems.append(f"must be more than {shortest - 1} characters [json-pointer:{where}]")
        elif len(value) > longest:
            problems.append(f"must be less than {longest + 1} characters [json-pointer:{where}]")

    return check


def _one_of(*values: str) -> Check:
    def check(value: Any, where: str, problems: Problems) -> None:
        if value not in values:
            problems.append(f"must be a valid enum value [json-pointer:{where}]")

    return check


def _items(check: Check, most: int, least: int = 1) -> Check:
    def check_all(value: Any, where: str, problems: Problems) -> None:
        if not isinstance(value, list):
            problems.append(f"must be an array [json-pointer:{where}]")
            return
        if len(value) < least:
            problems.append(f"no fewer than {least} items required [json-pointer:{where}]")
        if len(value) > most:
            problems.append(f"no more than {most} items allowed [json-pointer:{where}]")
        for number, each in enumerate(value[:most]):
            check(each, f"{where}/{number}", problems)

    return check_all


def _flag(value: Any, where: str, problems: Problems) -> None:
    if not isinstance(value, bool):
        problems.append(f"must be a boolean [json-pointer:{where}]")


def _number(value: Any, where: str, problems: Problems) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        problems.append(f"must be an integer [json-pointer:{where}]")


def _anything(_value: Any, _where: str, _problems: Problems) -> None:
    """What Slack checks elsewhere or not at all."""


def _text(longest: int) -> Check:
    plain = {"text": _string(longest), "emoji": _flag}
    mrkdwn = {"text": _string(longest), "verbatim": _flag}
    return Typed(
        {"plain_text": Shape(plain, ("text",)), "mrkdwn": Shape(mrkdwn, ("text",))},
    )


def _plain(longest: int) -> Check:
    return Typed({"plain_text": Shape({"text": _string(longest), "emoji": _flag}, ("text",))})


_ACTION_ID = _string(255)
_CONFIRM = Shape(
    {
        "title": _plain(100),
        "text": _text(300),
        "confirm": _plain(30),
        "deny": _plain(30),
        "style": _one_of("primary", "danger"),
    },
)
_OPTION = Shape(
    {"text": _text(75), "value": _string(150), "description": _text(75), "url": _string(3000)},
    ("text",),
)
_GROUP = Shape({"label": _plain(75), "options": _items(_OPTION, 100)}, ("label", "options"))
_IMAGE: Mapping[str, Check] = {
    "image_url": _string(3000),
    "slack_file": _anything,
    "alt_text": _string(2000, 0),
}
_SELECT: Mapping[str, Check] = {
    "action_id": _ACTION_ID,
    "placeholder": _plain(150),
    "confirm": _CONFIRM,
    "focus_on_load": _flag,
}
_MULTI = {**_SELECT, "max_selected_items": _number}
_STATIC: Mapping[str, Check] = {
    "options": _items(_OPTION, 100),
    "option_groups": _items(_GROUP, 100),
}
_CHOICE: Mapping[str, Check] = {
    "action_id": _ACTION_ID,
    "confirm": _CONFIRM,
    "focus_on_load": _flag,
}
_INPUT: Mapping[str, Check] = {
    "action_id": _ACTION_ID,
    "placeholder": _plain(150),
    "focus_on_load": _flag,
    "dispatch_action_config": _anything,
}

ELEMENTS = Typed(
    {
        "button": Shape(
            {
                "text": _plain(75),
                "action_id": _ACTION_ID,
                "url": _string(3000),
                "value": _string(2000, 0),
                "style": _one_of("primary", "danger"),
                "confirm": _CONFIRM,
                "accessibility_label": _string(75),
                "visible_to_user_ids": _items(_string(30), 10),
            },
            ("text",),
        ),
        "static_select": Shape({**_SELECT, **_STATIC, "initial_option": _OPTION}),
        "external_select": Shape(
            {**_SELECT, "initial_option": _OPTION, "min_query_length": _number}
        ),
        "users_select": Shape({**_SELECT, "initial_user": _string(30)}),
        "channels_select": Shape({**_SELECT, "initial_channel": _string(30)}),
        "conversations_select": Shape({**_SELECT, "initial_conversation": _string(30)}),
        "multi_static_select": Shape({**_MULTI, **_STATIC, "initial_options": _anything}),
        "multi_external_select": Shape({**_MULTI, "initial_options": _anything}),
        "multi_users_select": Shape({**_MULTI, "initial_users": _anything}),
        "overflow": Shape(
            {"action_id": _ACTION_ID, "options": _items(_OPTION, 5), "confirm": _CONFIRM},
            ("options",),
        ),
        "checkboxes": Shape(
            {**_CHOICE, "options": _items(_OPTION, 10), "initial_options": _anything}, ("options",)
        ),
        "radio_buttons": Shape(
            {**_CHOICE, "options": _items(_OPTION, 10), "initial_option": _OPTION}, ("options",)
        ),
        "plain_text_input": Shape(
            {
                **_INPUT,
                "initial_value": _string(3000, 0),
                "multiline": _flag,
                "min_length": _number,
                "max_length": _number,
            }
        ),
        "datepicker": Shape({**_SELECT, "initial_date": _string(10)}),
        "image": Shape(_IMAGE, ("alt_text",)),
    }
)
"""Interactive elements, and the small image of a section or a context."""

_IN_A_SECTION = tuple(name for name in ELEMENTS.kinds if name != "plain_text_input")
_IN_ACTIONS = tuple(name for name in _IN_A_SECTION if name != "image")
_IN_AN_INPUT = tuple(name for name in ELEMENTS.kinds if name not in ("button", "image", "overflow"))
_CONTEXT = Typed(
    {
        **ELEMENTS.only("image").kinds,
        "plain_text": Shape({"text": _string(3000), "emoji": _flag}, ("text",)),
        "mrkdwn": Shape({"text": _string(3000), "verbatim": _flag}, ("text",)),
    }
)
_RICH = _items(_anything, 1000)
_RICH_TEXT = Typed({"rich_text": Shape({"elements": _RICH, "block_id": _ACTION_ID}, ("elements",))})
_TASK: Mapping[str, Check] = {
    "task_id": _string(255),
    "title": _string(3000),
    "details": _RICH_TEXT,
    "output": _RICH_TEXT,
    "sources": _items(_anything, 100),
    "status": _one_of("pending", "in_progress", "complete", "error"),
}
_TASK_CARD = Shape({**_TASK, "block_id": _ACTION_ID}, ("task_id", "title", "status"))


def _block(required: Sequence[str] = (), **fields: Check) -> Shape:
    return Shape({"block_id": _ACTION_ID, **fields}, tuple(required))


BLOCKS = Typed(
    {
        "actions": _block(["elements"], elements=_items(ELEMENTS.only(*_IN_ACTIONS), 25)),
        "alert": _block(["text"], text=_text(200), level=_anything),
        "context": _block(["elements"], elements=_items(_CONTEXT, 10)),
        "divider": _block(),
        "header": _block(["text"], text=_plain(150)),
        "image": _block(["alt_text"], **_IMAGE, title=_plain(2000)),
        "input": _block(
            ["label", "element"],
            label=_plain(2000),
            hint=_plain(2000),
            optional=_flag,
            dispatch_action=_flag,
            element=ELEMENTS.only(*_IN_AN_INPUT),
        ),
        "markdown": _block(["text"], text=_string(MARKDOWN_CHARACTERS)),
        "plan": _block(
            ["title"], title=_string(3000), tasks=_items(Typed({"task_card": _TASK_CARD}), 50, 0)
        ),
        "rich_text": _block(["elements"], elements=_RICH),
        "section": _block(
            text=_text(3000),
            fields=_items(_text(2000), 10),
            accessory=ELEMENTS.only(*_IN_A_SECTION),
            expand=_flag,
        ),
        "table": _block(
            ["rows"],
            rows=_items(_items(_anything, 20), 100),
            column_settings=_items(_anything, 20),
        ),
        "task_card": _TASK_CARD,
    }
)
"""The blocks that the playground shows; Slack has a few more."""


def check_message_blocks(blocks: Any) -> list[dict[str, Any]]:
    """The blocks of a message. Raises SlackRefusal."""
    problems: Problems = []
    _items(BLOCKS, MESSAGE_BLOCKS, 0)(blocks, "/blocks", problems)
    _check_ids(blocks, problems)
    _check_sections(blocks, problems)
    if problems:
        raise invalid_blocks(*problems)
    if (
        _characters(blocks, "markdown") > MARKDOWN_CHARACTERS
        or _characters(blocks) > ALL_CHARACTERS
    ):
        raise SlackRefusal("msg_blocks_too_long")
    found: list[dict[str, Any]] = blocks
    return found


_VIEW = Shape(
    {
        "type": _one_of("modal", "home"),
        "title": _plain(24),
        "submit": _plain(24),
        "close": _plain(24),
        "blocks": _items(BLOCKS, VIEW_BLOCKS, 0),
        "private_metadata": _string(3000, 0),
        "callback_id": _string(255, 0),
        "external_id": _string(255, 0),
        "clear_on_close": _flag,
        "notify_on_close": _flag,
        "submit_disabled": _flag,
    },
    ("type", "blocks"),
)


def check_view(view: Any, kind: str) -> dict[str, Any]:
    """A modal or Home tab. Raises SlackRefusal."""
    problems: Problems = []
    _VIEW(view, "/view", problems)
    if not problems:
        _check_ids(view["blocks"], problems)
        if view["type"] != kind:
            problems.append(f"must be a {kind} [json-pointer:/view/type]")
        if kind == "modal" and "title" not in view:
            problems.append("missing required field: title [json-pointer:/view]")
        inputs = any(block["type"] == "input" for block in view["blocks"])
        if kind == "modal" and inputs and "submit" not in view:
            problems.append("missing required field: submit [json-pointer:/view]")
    if problems:
        found = [f"[ERROR] {each}" for each in problems]
        raise SlackRefusal("invalid_arguments", response_metadata={"messages": found})
    checked: dict[str, Any] = view
    return checked


def _check_ids(blocks: Any, problems: Problems) -> None:
    """Block ids are unique in a message, and action ids in a block."""
    if problems:
        return
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    if len(ids) != len(set(ids)):
        problems.append("block_id must be unique [json-pointer:/blocks]")
    for number, block in enumerate(blocks):
        elements = block.get("elements", []) if block["type"] == "actions" else []
        found = [each["action_id"] for each in elements if "action_id" in each]
        if len(found) != len(set(found)):
            problems.append(f"action_id must be unique [json-pointer:/blocks/{number}/elements]")


def _check_sections(blocks: Any, problems: Problems) -> None:
    """A section without text and fields shows nothing."""
    if problems:
        return
    for number, block in enumerate(blocks):
        if block["type"] == "section" and not block.keys() & {"text", "fields"}:
            problems.append(f"missing required field: text [json-pointer:/blocks/{number}]")
        if block["type"] == "image" and not block.keys() & {"image_url", "slack_file"}:
            problems.append(f"missing required field: image_url [json-pointer:/blocks/{number}]")
        if block["type"] == "input":
            problems.append(f"unsupported type: input [json-pointer:/blocks/{number}]")


def _characters(blocks: list[dict[str, Any]], kind: str | None = None) -> int:
    return sum(_length(each) for each in blocks if kind is None or each["type"] == kind)


def _length(value: Any) -> int:
    """The characters of everything that is called `text` or `title` in a value."""
    if isinstance(value, list):
        return sum(_length(each) for each in value)
    if not isinstance(value, dict):
        return 0
    own = sum(len(value[name]) for name in ("text", "title") if isinstance(value.get(name), str))
    return own + sum(_length(each) for each in value.values() if isinstance(each, dict | list))
