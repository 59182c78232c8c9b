"""What a run reports: the data behind every text that people read. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.domain.budget import BudgetWarning
from app.domain.run import ContextItem, Mode, Outcome, Phase
from app.domain.setup import BlockedHost
from app.domain.values import RunId, Value
from app.domain.verdict import Verdict


class PlanItem(Value):
    """One step of the agent's plan."""

    text: str = Field(min_length=1, max_length=500)
    done: bool = False


class Usage(Value):
    """What a run has used so far."""

    cost_usd: float
    model_turns: int
    seconds: float


class Work(Value):
    """What the agent says it did, in its own words; never taken for the truth about the tests."""

    ending: Literal["done", "question", "budget", "stuck", "stopped", "refused"]
    text: str = ""  # the summary, the question, what it was stuck at, or why the model refused
    not_done: str = ""
    how_to_check: str = ""
    spent: str = ""  # which part of the budget is spent: money, time or turns
    left_out: tuple[str, ...] = ()  # what no commit takes in of the work, each with the reason


class Publication(Value):
    """Where the change stands on GitHub."""

    branch: str
    pull_number: int
    pull_url: str
    draft: bool
    titled_not_ready: bool = False  # drafts are refused by the plan, so the title says it
    check_url: str = ""
    own: bool = True  # the run opened it; else it was there, and has one commit more


class Report(Value):
    """How a run ended, with all that the last words are made of."""

    outcome: Outcome
    work: Work | None = None
    verdict: Verdict | None = None
    publication: Publication | None = None
    head_sha: str | None = None
    problem: str = ""
    next_step: str = ""
    details: str = ""  # Markdown of Honk's own, for the status comment alone
    kept_at: str = ""  # the branch or hidden ref that keeps the work when no pull request does
    mode: Mode = "work"
    check_url: str = ""
    patch: str = ""  # what the work changes, where it is only shown
    trust: str = ""  # the commit of a fork that a person may vouch for
    tried: tuple[BlockedHost, ...] = ()  # what set-up was not let through to


class Told(Value):
    """What the status comment is made of, besides the moment that it tells of.

    `phases` are the run's phases so far, each with its beginning in seconds since 1970; `now`
    likewise. `page` is where the run can be followed, empty where there is no such place.
    """

    run: RunId
    requester: str
    asked: str = ""
    mode: Mode = "work"
    plan: tuple[PlanItem, ...] = ()
    usage: Usage | None = None
    calls: int = 0  # to GitHub's API
    kept_here: str = ""  # why the work is on Honk's machine alone
    planned: str = ""  # the plan that is carried out
    nearly: tuple[BudgetWarning, ...] = ()  # what of the budget is nearly used up
    phases: tuple[tuple[Phase, float], ...] = ()
    now: float = 0.0
    manifest: tuple[ContextItem, ...] = ()
    tried: tuple[BlockedHost, ...] = ()
    page: str = ""
