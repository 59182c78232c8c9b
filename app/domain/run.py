"""What a run is: its phases, outcomes, budget, and the names that are made from it. Pure."""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from enum import StrEnum
from typing import Literal

from app.domain import labels
from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.domain.values import CommitSha, RepoName, RunId, Value

_BRANCHES_TRIED = 20

ID_LENGTH = 10
"""Letters of a run's id."""


class Phase(StrEnum):
    """Where a run is; shown in the status comment, one after the other."""

    QUEUED = "queued"  # heard, waiting for a slot
    PREPARING = "preparing"  # mirror, workspace, set-up
    WORKING = "working"  # the agent's turns
    SEALING = "sealing"  # the signed commit is made
    VERIFYING = "verifying"  # the tests run on that commit
    PUBLISHING = "publishing"  # branch, checks, pull request
    FINISHED = "finished"  # settled; the outcome tells how


class Outcome(StrEnum):
    """How a run ended."""

    DONE = "done"  # a pull request, with tests that are good
    NOT_READY = "not-ready"  # a draft: the tests say no, or say nothing
    QUESTION = "question"  # the agent needs an answer
    ANSWERED = "answered"  # a plan or an answer was asked for, and is given
    SHOWN = "shown"  # a patch for a fork; a person has to vouch for its code first
    NOTHING = "nothing"  # the agent changed no file, and said why
    BUDGET = "budget"  # money, time or turns are spent; the work is kept
    STUCK = "stuck"  # the agent repeated one call and got nowhere; the work is kept
    STOPPED = "stopped"  # a person stopped it; the work is kept
    ERROR = "error"  # something failed; the status comment says what


OUTCOME_LABELS: dict[Outcome, str] = {
    Outcome.DONE: labels.DONE,
    Outcome.NOT_READY: labels.NEEDS_YOU,
    Outcome.QUESTION: labels.NEEDS_YOU,
    Outcome.ANSWERED: labels.DONE,
    Outcome.SHOWN: labels.NEEDS_YOU,
    Outcome.NOTHING: labels.NEEDS_YOU,
    Outcome.BUDGET: labels.NEEDS_YOU,
    Outcome.STUCK: labels.NEEDS_YOU,
    Outcome.STOPPED: labels.NEEDS_YOU,
    Outcome.ERROR: labels.FAILED,
}


Mode = Literal["work", "plan", "ask", "test", "rebase"]
"""What a run is for. "plan" and "ask" change nothing, "test" only verifies, "rebase" moves."""


class ContextText(Value):
    """One piece of what a run was told beside its subject: a comment, a thread, a failing check.

    `access` is what its author may do in the repository, empty where nobody is the author.
    """

    about: str
    text: str
    author: str = ""
    access: str = ""


class ContextItem(Value):
    """One thing that was there to read: a line of the manifest."""

    what: str
    author: str = ""
    at: str = ""  # when it was written or last edited, as GitHub tells it
    why_not: str = ""  # why it was left out; empty when it was read
    note: str = ""  # what was done to it on the way in: hidden text removed, cut


class RunInput(Value):
    """What a run was asked, as it was when it was asked: the webhook's own snapshot."""

    id: RunId
    trigger: Trigger
    policy: Policy
    mode: Mode = "work"
    carries_out: int = 0  # the attempt that begins to do what the run's plan says
    planned: str = ""  # the plan that is carried out, as its attempt made it
    request: str = ""  # words of the person's own; empty when the issue says it all
    base_branch: str
    model: str
    context: tuple[ContextText, ...] = ()
    manifest: tuple[ContextItem, ...] = ()
    trusted: CommitSha | None = None  # the commit of a fork that a person has vouched for
    quiet: bool = False  # nobody asked: only the check run tells of it


class Target(Value):
    """Where the work goes.

    `branch` is moved forward from `at` to the new commit; without a name, a new one of the
    policy's pattern is taken. `pull` is the pull request that the run is about, if it is about one.
    `fork`: that pull request comes from another repository, so the work is shown and not pushed.
    `ours`: this App opened it.
    """

    base_branch: str
    branch: str = ""
    at: CommitSha | None = None
    pull: int | None = None
    fork: bool = False
    ours: bool = False


class Ground(Value):
    """A commit whose code prepares checkouts. `branch`: the base branch, where that holds it.

    Only what is on the base branch is the repository's word on itself. The head of a pull request
    may be anybody's, and on a branch of ours the model's: then `branch` is empty.
    """

    commit: CommitSha
    branch: str = ""


class Preparation(Value):
    """What `prepare` found: the commit that the work starts from, and where it goes.

    `held_by`: the base branch, where that held `base` when we looked; otherwise empty.
    """

    base: CommitSha
    held_by: str = ""
    parent: CommitSha  # what the next commit goes on top of: the base, or what is published already
    rules: CommitSha  # the default branch's head: guidance for agents is read from it
    target: Target
    merged: CommitSha | None = None  # a second parent: the other branch was merged into the work
    forced: bool = False  # the branch is rewritten, from exactly `target.at`
    conflicts: tuple[str, ...] = ()  # files whose two sides the agent has to bring together

    @property
    def ground(self) -> Ground:
        """The base, as set-up and the base's results need it."""
        return Ground(commit=self.base, branch=self.held_by)


def run_id(trigger_id: str) -> RunId:
    """The run's name follows from its trigger, so that the same trigger is always the same run."""
    digest = hashlib.sha256(trigger_id.encode()).digest()
    return RunId(base64.b32encode(digest)[:ID_LENGTH].decode().lower())


def attempt_id(run: RunId, number: int) -> str:
    """The engine's name for one attempt, `<run id>.<n>`."""
    return f"{run}.{number}"


def hidden_ref(run: RunId) -> str:
    """Where the work is kept on GitHub before it is published."""
    return f"refs/honk/{run}"


def work_pin(run: RunId) -> str:
    """The mirror's pin that keeps the run's latest work from being collected."""
    return f"{run}-work"


def subject_key(repo: RepoName, number: int) -> str:
    """One run at a time for each of these."""
    return f"{repo}#{number}".lower()


def slug(title: str, *, words: int = 6) -> str:
    """The title's first words as they may stand in a branch name; `change` when none may."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    parts = [part for part in re.split(r"[^a-z0-9]+", plain) if part][:words]
    return "-".join(parts)[:50].strip("-") or "change"


def branch_names(run: RunInput) -> tuple[str, ...]:
    """The branches that a run may publish to, the first free one first."""
    trigger = run.trigger
    return tuple(
        branch_name(run.policy, trigger.number, trigger.title, nth=nth)
        for nth in range(1, _BRANCHES_TRIED + 1)
    )


def branch_name(policy: Policy, number: int, title: str, *, nth: int = 1) -> str:
    """The branch that a run publishes to; later runs of the same issue get a number at the end."""
    name = policy.branch.format(number=number, slug=slug(title))
    return name if nth == 1 else f"{name}-{nth}"
