"""One question to a model beside any conversation, in no API's own terms. Pure."""

from __future__ import annotations

from typing import Any

from app.domain.values import Value


class AnswerForm(Value):
    """The form that an answer fills in. `fields` is a JSON Schema, which the model may break."""

    name: str
    description: str
    fields: dict[str, Any]


class ModelAnswer(Value):
    """A model's answer: the JSON of every form that it filled in, and the text beside them.

    Both are untrusted. `usd` is the cost in US dollars, including tries that failed.
    """

    forms: tuple[Any, ...] = ()
    text: str = ""
    usd: float = 0.0
