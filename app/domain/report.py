"""The data of a run's reports, behind every text that people read. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.domain.budget import BudgetWarning
from app.domain.run import ContextItem, Mode, Outcome, Phase
from app.domain.setup import BlockedHost
from app.domain.setup_outcome import SetupOutcome
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
    """The agent's own account of its work; never trusted about test results."""

    ending: Literal["done", "question", "budget", "stuck", "stopped", "refused"]
    text: str = ""  # the summary, the question, the obstacle, or the reason for a refusal
    not_done: str = ""
    how_to_check: str = ""
    risks: str = ""
    look_first: str = ""  # where a reviewer should begin
    lacked: str = ""  # what the request or the guidance lacked
    spent: str = ""  # the exhausted part of the budget: money, time or turns
    left_out: tuple[str, ...] = ()  # files that no commit can include, each with the reason


class Publication(Value):
    """Where the change is on GitHub."""

    branch: str
    pull_number: int
    pull_url: str
    draft: bool
    titled_not_ready: bool = False  # the account's plan has no drafts, so the title says it
    check_url: str = ""
    own: bool = True  # the run opened it; otherwise it existed and got another commit
    review_requested: bool = False  # from the requester, whom GitHub notifies of that


class Report(Value):
    """How a run ended, with everything its final comment needs."""

    outcome: Outcome
    work: Work | None = None
    verdict: Verdict | None = None
    publication: Publication | None = None
    head_sha: str | None = None
    problem: str = ""
    next_step: str = ""
    details: str = ""  # trusted Markdown by Honk, for the status comment only
    kept_at: str = ""  # the branch or hidden ref that keeps the work when no pull request does
    mode: Mode = "work"
    check_url: str = ""
    patch: str = ""  # the patch, when the work is only shown
    trust: str = ""  # the commit of a fork that a person may trust
    tried: tuple[BlockedHost, ...] = ()  # hosts that setup was blocked from reaching
    flags: tuple[str, ...] = ()  # the kinds of flags that a reviewer sees on the change

    @property
    def review_requested(self) -> bool:
        """Whether GitHub notifies the requester of a request for a review."""
        return self.publication is not None and self.publication.review_requested


class StatusContext(Value):
    """The data of the status comment.

    `phases` are the run's phases so far with their start times, in seconds since 1970 like
    `now`. `page` is the URL of the run's page, or empty.
    """

    run: RunId
    requester: str
    asked: str = ""
    mode: Mode = "work"
    plan: tuple[PlanItem, ...] = ()
    usage: Usage | None = None
    kept_here: str = ""  # why the work exists only on the worker
    planned: str = ""  # the plan being carried out
    nearly: tuple[BudgetWarning, ...] = ()  # the parts of the budget that are nearly used up
    phases: tuple[tuple[Phase, float], ...] = ()
    now: float = 0.0
    manifest: tuple[ContextItem, ...] = ()
    tried: tuple[BlockedHost, ...] = ()
    setup: SetupOutcome | None = None  # the result of automatic setup
    policy_file: str = ""  # the same setup as a policy
    page: str = ""
