"""The buttons on our completed check runs; each runs the command of that name.

GitHub allows three at most (https://docs.github.com/en/rest/checks/runs).
"""

from __future__ import annotations

from collections.abc import Mapping

from app.domain.run import Outcome
from app.domain.verdict import Verdict
from app.github.checks import MAX_ACTIONS, Action
from app.messages.verdict import ACCEPTABLE

_ACCEPT = Action(label="Accept", description="The changed tests are right", identifier="accept")
_RETRY = Action(label="Retry", description="Start over from the base branch", identifier="retry")
_FIX = Action(label="Fix", description="Fix the failing checks", identifier="fix")
_CONTINUE = Action(
    label="Continue", description="Resume from where it ended", identifier="continue"
)
TEST = Action(label="Run the tests", description="Verify this commit now", identifier="test")

_ENDED: Mapping[Outcome, tuple[Action, ...]] = {
    Outcome.NOT_READY: (_FIX, _RETRY),
    Outcome.QUESTION: (_CONTINUE, _RETRY),
    Outcome.BUDGET: (_CONTINUE, _RETRY),
    Outcome.STUCK: (_CONTINUE, _RETRY),
    Outcome.STOPPED: (_CONTINUE, _RETRY),
    Outcome.ERROR: (_CONTINUE, _RETRY),
    Outcome.NOTHING: (_RETRY,),
}


def of_outcome(outcome: Outcome) -> tuple[Action, ...]:
    """The buttons on `honk / run`: what can be done next. None where all is done."""
    return _ENDED.get(outcome, ())


def of_verdict(
    verdict: Verdict, *, agent: bool = True, unfinished: bool = False
) -> tuple[Action, ...]:
    """The buttons below a verdict, only those that have something to do.

    `agent`: a run of the agent made the commit; otherwise there is no run to start over.
    `unfinished`: that run can continue.
    """
    waits = verdict.kind in ACCEPTABLE and not verdict.ready
    offered = [_ACCEPT] if waits else []
    offered += [_CONTINUE] if unfinished else []
    offered += [] if agent else [TEST]
    offered += [_FIX] if verdict.conclusion == "failure" or waits else []
    offered += [_RETRY] if agent and not verdict.ready else []
    return tuple(offered[:MAX_ACTIONS])


UNPUBLISHED = (_RETRY,)
"""On the check of a commit that is on no branch."""
