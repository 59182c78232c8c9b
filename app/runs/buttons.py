"""The buttons on our completed check runs; each runs the command of that name.

GitHub allows three at most (https://docs.github.com/en/rest/checks/runs).
"""

from __future__ import annotations

from app.domain.verdict import Verdict
from app.github.checks import Action
from app.messages.verdict import ACCEPTABLE

_ACCEPT = Action(label="Accept", description="The changed tests are right", identifier="accept")
_RETRY = Action(label="Retry", description="Start over from the base branch", identifier="retry")
_FIX = Action(label="Fix", description="Fix the failing checks", identifier="fix")
_CONTINUE = Action(
    label="Continue", description="Resume from where it ended", identifier="continue"
)
TEST = Action(label="Run the tests", description="Verify this commit now", identifier="test")

BUTTONS = (_RETRY, _FIX, _CONTINUE)


def of_verdict(verdict: Verdict, *, agent: bool = True) -> tuple[Action, ...]:
    """The buttons below a verdict; if a person has to accept it, *Accept* replaces *Retry*.

    `agent`: a run of the agent made the commit. Otherwise there is no run to continue.
    """
    waits = verdict.kind in ACCEPTABLE and not verdict.ready
    if not agent:
        return (_ACCEPT, TEST, _FIX) if waits else (TEST, _FIX)
    return (_ACCEPT, _FIX, _CONTINUE) if waits else BUTTONS
