"""The color and description of each label that Honk puts on."""

from __future__ import annotations

from app.domain import labels
from app.domain.values import Value


class LabelLook(Value):
    """`color` is six hexadecimal digits without `#`; `description` at most 100 characters."""

    color: str
    description: str


LABELS = {
    labels.TRIGGER: LabelLook(color="e7b416", description="Honk works on this issue"),
    labels.QUEUED: LabelLook(color="cfd8dc", description="Honk has heard and waits for a slot"),
    labels.RUNNING: LabelLook(color="1f6feb", description="Honk is at work"),
    labels.NEEDS_YOU: LabelLook(color="d29922", description="Honk needs a person"),
    labels.HOLD: LabelLook(color="6e7781", description="Honk starts nothing here"),
    labels.MAX_MODEL: LabelLook(color="8250df", description="Honk uses its stronger model here"),
    labels.DONE: LabelLook(color="2da44e", description="Honk has done what was asked"),
    labels.FAILED: LabelLook(color="cf222e", description="Honk could not do it; see its comment"),
}
