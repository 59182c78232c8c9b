"""A run: its phases, outcomes and budget, and the names derived from it. Pure."""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from enum import StrEnum
from typing import Literal

from app.domain import labels
from app.domain.policy import Policy
from app.domain.trigger import Actor, MergeGroup, Trigger
from app.domain.values import CommitSha, RepoName, RunId, Value

_BRANCHES_TRIED = 20

ID_LENGTH = 10
"""Letters of a run's id."""


class Phase(StrEnum):
    """The phases of a run, as shown in the status comment, in order."""

    QUEUED = "queued"  # accepted, waiting for a slot
    PREPARING = "preparing"  # mirror, workspace, setup
    WORKING = "working"  # the agent's turns
    SEALING = "sealing"  # the signed commit is created
    VERIFYING = "verifying"  # the tests run on that commit
    PUBLISHING = "publishing"  # branch, checks, pull request
    FINISHED = "finished"  # finished; see the outcome


class Outcome(StrEnum):
    """How a run ended."""

    DONE = "done"  # a pull request whose tests pass
    NOT_READY = "not-ready"  # a draft: tests fail, or none ran
    QUESTION = "question"  # the agent needs an answer
    ANSWERED = "answered"  # the requested plan or answer is posted
    SHOWN = "shown"  # a patch for a fork; a person must trust its code first
    NOTHING = "nothing"  # the agent changed no file and explained why
    BUDGET = "budget"  # out of money, time or turns; the work is saved
    STUCK = "stuck"  # the agent kept repeating one call; the work is saved
    STOPPED = "stopped"  # a person stopped it; the work is saved
    ERROR = "error"  # failed; the status comment says why


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


RESUMABLE = frozenset(Outcome) - {Outcome.DONE, Outcome.ANSWERED}
"""The outcomes after which a run can be continued."""

Mode = Literal["work", "plan", "ask", "test", "rebase", "setup"]
"""What a run is for. "plan" and "ask" change nothing, "test" only verifies, "rebase" moves, "setup"
proposes a policy file."""


class ContextText(Value):
    """One piece of context besides the subject: a comment, a thread, a failing check.

    `access` is the author's permission in the repository, empty without an author.
    """

    about: str
    text: str
    author: str = ""
    access: str = ""


class ContextItem(Value):
    """One piece of available context: a line of the manifest."""

    what: str
    author: str = ""
    at: str = ""  # when it was written or last edited, as reported by GitHub
    why_not: str = ""  # why it was left out; empty when it was read
    note: str = ""  # how it was changed: hidden text removed, truncated


class RunInput(Value):
    """The request that started a run, as in the webhook."""

    id: RunId
    trigger: Trigger
    policy: Policy
    mode: Mode = "work"
    carries_out: int = 0  # the attempt that starts carrying out the plan
    planned: str = ""  # the plan being carried out, from the attempt that made it
    request: str = ""  # the person's own instructions; empty when there are only the issue's
    base_branch: str
    model: str
    stronger: bool = False  # `honk:max` or `model=max`: the model also works with more effort
    engine: str = "anthropic"  # it stays for the whole run: a transcript is in its engine's format
    context: tuple[ContextText, ...] = ()
    manifest: tuple[ContextItem, ...] = ()
    trusted: CommitSha | None = None  # the commit of a fork that a person has trusted
    quiet: bool = False  # reported only by the check run
    background: bool = False  # starts only when no run waits that a person asked for
    resumed_by: tuple[Actor, ...] = ()  # people who asked for one of its later attempts

    @property
    def requesters(self) -> tuple[Actor, ...]:
        """Everyone who asked for one of its attempts."""
        return (self.trigger.actor, *self.resumed_by)

    @property
    def request_text(self) -> str:
        """All that people asked for: the issue's title and text, then their own instructions."""
        parts = (self.trigger.title, self.trigger.body, self.request)
        return "\n\n".join(part for part in parts if part)


class Target(Value):
    """Where the work is published.

    `branch` moves forward from `at` to the new commit; if empty, a new name follows the policy's
    pattern. `pull` is the pull request that the run is about, if any. `fork`: it comes from
    another repository, so the work is shown but not pushed. `ours`: this App opened it.
    """

    base_branch: str
    branch: str = ""
    at: CommitSha | None = None
    pull: int | None = None
    fork: bool = False
    ours: bool = False


class Ground(Value):
    """A commit whose code prepares checkouts. `branch`: the base branch, if it contains the
    commit.

    Only code on the base branch is trusted. The head of a pull request may be anyone's, and on
    Honk's branches the model's: then `branch` is empty.
    """

    commit: CommitSha
    branch: str = ""


class Preparation(Value):
    """The result of `prepare`: the commit that the work starts from, and its target.

    `held_by`: the base branch if it contained `base` at that time, otherwise empty.
    """

    base: CommitSha
    held_by: str = ""
    compared: CommitSha | None = (
        None  # the merge base with the target branch; None: the base itself
    )
    compared_held: bool = True  # whether the target branch contains that commit
    parent: CommitSha  # the next commit's parent: the base, or the published head
    rules: CommitSha  # the default branch's head, from which agent instructions are read
    target: Target
    merged: CommitSha | None = None  # a second parent: the other branch was merged into the work
    forced: bool = False  # the branch is force-pushed, from exactly `target.at`
    conflicts: tuple[str, ...] = ()  # files with merge conflicts for the agent to resolve

    @property
    def ground(self) -> Ground:
        """The base, for setting up the agent's checkout."""
        return Ground(commit=self.base, branch=self.held_by)

    @property
    def comparison(self) -> Ground:
        """The commit that the verdict compares with: where the work left the target branch.

        On a pull request's branch this is not the base of the work, or a later run would take its
        own earlier tests for the base's.
        """
        if self.compared is None:
            return self.ground
        branch = self.target.base_branch if self.compared_held else ""
        return Ground(commit=self.compared, branch=branch)


def run_id(trigger_id: str) -> RunId:
    """Derive the run's id from its trigger, so that the same trigger is always the same run."""
    digest = hashlib.sha256(trigger_id.encode()).digest()
    return RunId(base64.b32encode(digest)[:ID_LENGTH].decode().lower())


def attempt_id(run: RunId, number: int) -> str:
    """The workflow id of one attempt, `<run id>.<n>`."""
    return f"{run}.{number}"


def hidden_ref(run: RunId) -> str:
    """The hidden ref that holds the work on GitHub before it is published."""
    return f"refs/honk/{run}"


def work_pin(run: RunId) -> str:
    """The mirror's ref that protects the run's latest work from garbage collection."""
    return f"{run}-work"


def subject_key(repo: RepoName, number: int) -> str:
    """The queue partition key: one run at a time for each."""
    return f"{repo}#{number}".lower()


def subject_of(trigger: Trigger) -> str:
    """The queue partition key of a trigger; each entry of a merge queue has its own."""
    if trigger.merge_group is not None:
        return subject_of_group(trigger.repository, trigger.merge_group)
    return subject_key(trigger.repository, trigger.number)


def subject_of_group(repo: RepoName, group: MergeGroup) -> str:
    """The queue partition key of a merge queue's entry."""
    return f"{repo}@{group.head_sha}".lower()


def slug(title: str, *, words: int = 6) -> str:
    """The title's first words, reduced to what a branch name allows; `change` if nothing is
    left."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    parts = [part for part in re.split(r"[^a-z0-9]+", plain) if part][:words]
    return "-".join(parts)[:50].strip("-") or "change"


def branch_names(run: RunInput) -> tuple[str, ...]:
    """Candidate branch names for a run, in order of preference."""
    trigger = run.trigger
    return tuple(
        branch_name(run.policy, trigger.number, trigger.title, nth=nth)
        for nth in range(1, _BRANCHES_TRIED + 1)
    )


def branch_name(policy: Policy, number: int, title: str, *, nth: int = 1) -> str:
    """The branch that a run publishes to; later runs of the same issue append a number."""
    name = policy.branch.format(number=number, slug=slug(title))
    return name if nth == 1 else f"{name}-{nth}"
