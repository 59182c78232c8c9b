"""What can be pressed below a completed check run of ours; each is the command of that name.

Three at most, shown on the check's page (https://docs.github.com/en/rest/checks/runs).
"""

from __future__ import annotations

from app.github.checks import Action

BUTTONS = (
    Action(label="Retry", description="A new run from the base branch", identifier="retry"),
    Action(label="Fix", description="Make the failing checks pass", identifier="fix"),
    Action(label="Continue", description="Go on from where it ended", identifier="continue"),
)
