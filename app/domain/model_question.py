"""One question to a model outside of any conversation, independent of the API. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

from app.domain.safe_json import json_value
from app.domain.values import Value


class AnswerForm(Value):
    """The form that an answer fills in. `fields` is a JSON Schema, which the model may break."""

    name: str
    description: str
    fields: dict[str, Any]


class ModelAnswer(Value):
    """A model's answer: the JSON of every form that it filled in, and its text.

    Both are untrusted. `usd` is the cost in US dollars, including tries that failed.
    """

    forms: tuple[Any, ...] = ()
    text: str = ""
    usd: float = 0.0


class AskModel(Protocol):
    """Puts one question to a model."""

    async def ask(self, system: str, question: str, form: AnswerForm) -> ModelAnswer:
        """Ask in a new conversation. Raises HonkError when the model cannot be reached."""
        ...


def filled_in(answer: ModelAnswer) -> Sequence[object]:
    """The filled-in form; several could contradict each other, so they count as none.

    A text answer counts only if it is JSON and nothing else.
    """
    if answer.forms:
        return answer.forms if len(answer.forms) == 1 else ()
    plain = re.sub(r"^\s*```(?:json)?|```\s*$", "", answer.text)
    try:
        return [json_value(plain)]
    except ValueError:
        return ()


def fenced(title: str, text: str, limit: int, boundary: str) -> str:
    """A part of a question between boundary lines that its text cannot forge.

    `limit`: characters; a cut is marked. Raises ValueError unless `boundary` is at least 16
    hexadecimal digits; it must be random, and new for each question.
    """
    if not re.fullmatch(r"[0-9a-f]{16,}", boundary):
        raise ValueError("the boundary must be at least 16 hexadecimal digits")
    plain = re.sub(re.escape(boundary), "[removed]", text, flags=re.IGNORECASE)
    left_out = len(plain) - limit
    if left_out > 0:
        plain = f"{plain[:limit]}\n[{left_out:,} more characters are not shown]"
    return f"{title}\n<<{boundary}\n{plain}\n{boundary}>>"
