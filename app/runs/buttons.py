"""The buttons on our completed check runs; each runs the command of that name.

GitHub allows three at most (https://docs.github.com/en/rest/checks/runs).
"""

from __future__ import annotations

from app.github.checks import Action

BUTTONS = (
    Action(label="Retry", description="Start over from the base branch", identifier="retry"),
    Action(label="Fix", description="Fix the failing checks", identifier="fix"),
    Action(label="Continue", description="Resume from where it ended", identifier="continue"),
)
