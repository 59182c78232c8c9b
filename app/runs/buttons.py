"""The buttons on our completed check runs; each runs the command of that name.

GitHub allows three at most (https://docs.github.com/en/rest/checks/runs).
"""

from __future__ import annotations

from app.github.checks import Action

BUTTONS = (
    Action(label="Retry", description="A new run from the base branch", identifier="retry"),
    Action(label="Fix", description="Make the failing checks pass", identifier="fix"),
    Action(label="Continue", description="Go on from where it ended", identifier="continue"),
)
