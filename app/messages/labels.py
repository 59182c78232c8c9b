"""The color and description of each label that Honk adds."""

from __future__ import annotations

from app.domain import labels
from app.domain.values import Value


class LabelLook(Value):
    """`color` is six hexadecimal digits without `#`; `description` at most 100 characters."""

    color: str
    description: str


LABELS = {
    labels.TRIGGER: LabelLook(color="e7b416", description="Ask Honk to work on this issue"),
    labels.QUEUED: LabelLook(color="cfd8dc", description="Honk has queued this"),
    labels.RUNNING: LabelLook(color="1f6feb", description="Honk is working on this"),
    labels.NEEDS_YOU: LabelLook(color="d29922", description="Honk needs your input"),
    labels.HOLD: LabelLook(color="6e7781", description="Honk does not start here"),
    labels.MAX_MODEL: LabelLook(color="8250df", description="Honk uses its stronger model here"),
    labels.DONE: LabelLook(color="2da44e", description="Honk is done"),
    labels.FAILED: LabelLook(color="cf222e", description="Honk failed; see its comment"),
}
