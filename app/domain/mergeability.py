"""Whether a pull request can be merged now, and otherwise the one thing that is missing. Pure.

GitHub's own summary, `mergeStateStatus`, says BLOCKED without a reason, is computed in the
background and may be out of date. So the reason is computed from what GitHub says about rules,
reviews and checks. Nothing is merged unless GitHub's summary agrees.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Literal, get_args

from app.domain.check_names import REVIEW_CHECK, TESTS_CHECK
from app.domain.command import MergeMethod
from app.domain.values import CommitSha, Value

METHODS: tuple[MergeMethod, ...] = get_args(MergeMethod)
"""In the order in which GitHub offers them."""


class Lack(StrEnum):
    """What is missing, the most important first: what has to be done before anything else."""

    MERGED = "merged"
    CLOSED = "closed"
    IN_QUEUE = "in queue"
    UNMERGEABLE = "unmergeable"
    TOO_LARGE = "too large"
    VERDICT = "verdict"
    DRAFT = "draft"
    CONFLICT = "conflict"
    FROZEN = "frozen"
    METHOD = "method"
    CHANGES_REQUESTED = "changes requested"
    CHECK_FAILED = "check failed"
    BEHIND = "behind"
    APPROVALS = "approvals"
    CODE_OWNERS = "code owners"
    LAST_PUSH = "last push"
    HONK_REVIEW = "honk review"
    THREADS = "threads"
    SIGNATURES = "signatures"
    DEPLOYMENTS = "deployments"
    BYPASS = "bypass"
    CHECK_EXPECTED = "check expected"
    CHECK_RUNNING = "check running"
    OPTIONAL_RUNNING = "optional running"
    COMPUTING = "computing"
    RULE = "rule"
    BLOCKED = "blocked"


WAITING = frozenset({Lack.CHECK_EXPECTED, Lack.CHECK_RUNNING})
"""What comes by itself, so that GitHub's auto-merge can wait for it."""


class MissingForMerge(Value):
    """The one thing that is missing. `names` are the checks, people, methods, environments or rules
    that it is about; `count` how many of something are missing."""

    lack: Lack
    names: tuple[str, ...] = ()
    count: int = 0


class Mergeable(Value):
    """The pull request can be merged now: by this method, or through the merge queue. `failing` are
    failing checks that are not required."""

    method: MergeMethod
    queue: bool = False
    failing: tuple[str, ...] = ()


class CheckContext(Value):
    """The newest result of a check run or commit status on the head.

    `app_id` is None for a status. `required` is what GitHub says for this pull request, which
    includes classic branch protection.
    """

    name: str
    state: Literal["success", "failure", "pending"]
    app_id: int | None = None
    required: bool = False


class PullState(Value):
    """A pull request's state on GitHub, read at one moment.

    `mergeable`, `status` and `review_decision` are GitHub's values; `review_decision` is empty if
    no review is required. `approved_by` and `changes_requested_by` are people with write access,
    by their latest review; `code_owners` those whose review was requested as such. `queue_entry`
    is the state of its entry in the merge queue; empty if it is not in one. `may_bypass`: GitHub
    would let the App merge against the rules. `deployed_to` are the environments whose latest
    deployment of the head succeeded, and `unsigned` commits without a verified signature; both are
    read only where a rule asks for them. `is_complete`: everything could be read.
    """

    number: int
    node_id: str
    head_sha: CommitSha
    base_ref: str
    state: Literal["open", "closed", "merged"]
    merge_commit: CommitSha | None = None
    draft: bool = False
    mergeable: Literal["MERGEABLE", "CONFLICTING", "UNKNOWN"] = "MERGEABLE"
    status: str = "CLEAN"
    review_decision: str = ""
    approved_by: tuple[str, ...] = ()
    changes_requested_by: tuple[str, ...] = ()
    code_owners: tuple[str, ...] = ()
    open_threads: int = 0
    checks: tuple[CheckContext, ...] = ()
    methods: tuple[MergeMethod, ...] = METHODS
    allows_auto_merge: bool = False
    auto_merge: bool = False
    has_queue: bool = False
    queue_entry: str = ""
    may_bypass: bool = False
    deployed_to: tuple[str, ...] = ()
    unsigned: tuple[CommitSha, ...] = ()
    is_complete: bool = True


class RequiredContext(Value):
    """A check that a rule requires; without `app_id` any App may report it."""

    name: str
    app_id: int | None = None


class BaseRules(Value):
    """What the rulesets of a base branch require of a pull request.

    `unread` are kinds of rules whose result GitHub does not show to Apps.
    """

    approvals: int = 0
    code_owners: bool = False
    last_push: bool = False
    threads: bool = False
    methods: tuple[MergeMethod, ...] = METHODS
    checks: tuple[RequiredContext, ...] = ()
    has_queue: bool = False
    queue_method: MergeMethod | None = None
    environments: tuple[str, ...] = ()
    signatures: bool = False
    locked: bool = False
    unread: tuple[str, ...] = ()


_HARMLESS = frozenset({"creation", "deletion", "non_fast_forward", "copilot_code_review"})
"""Kinds of rules that a merge cannot break, or that only start a review."""


def read_rules(rules: Iterable[tuple[str, Mapping[str, Any]]]) -> BaseRules:
    """The requirements of all rules together; each is GitHub's `type` with its `parameters`.

    https://docs.github.com/en/rest/repos/rules#get-rules-for-a-branch
    """
    found = BaseRules()
    for kind, parameters in rules:
        found = found.model_copy(update=_rule(found, kind, parameters))
    return found


def _rule(so_far: BaseRules, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    match kind:
        case "pull_request":
            reviewers = given.get("required_reviewers") or ()
            count = int(given.get("required_approving_review_count") or 0)
            return {
                "approvals": max(so_far.approvals, count),
                "code_owners": so_far.code_owners or bool(given.get("require_code_owner_review")),
                "last_push": so_far.last_push or bool(given.get("require_last_push_approval")),
                "threads": so_far.threads or bool(given.get("required_review_thread_resolution")),
                "methods": _both(so_far.methods, given.get("allowed_merge_methods")),
                "unread": (*so_far.unread, *(["required_reviewers"] if reviewers else [])),
            }
        case "required_status_checks":
            listed = given.get("required_status_checks") or ()
            return {"checks": (*so_far.checks, *map(_required, listed))}
        case "merge_queue":
            method = str(given.get("merge_method") or "").lower()
            return {"has_queue": True, "queue_method": method if method in METHODS else None}
        case "required_deployments":
            names = map(str, given.get("required_deployment_environments") or ())
            return {"environments": (*so_far.environments, *names)}
        case "required_signatures":
            # GitHub does not sign the commits of a rebase.
            return {"signatures": True, "methods": _both(so_far.methods, ["merge", "squash"])}
        case "required_linear_history":
            return {"methods": _both(so_far.methods, ["squash", "rebase"])}
        case "update":
            return {"locked": True}
    return {} if kind in _HARMLESS else {"unread": (*so_far.unread, kind)}


def _required(given: Mapping[str, Any]) -> RequiredContext:
    app_id = given.get("integration_id")
    return RequiredContext(
        name=str(given.get("context")), app_id=None if app_id in (None, -1) else int(app_id)
    )


def _both(methods: Sequence[MergeMethod], allowed: Iterable[str] | None) -> tuple[MergeMethod, ...]:
    names = frozenset(METHODS if allowed is None else (str(each).lower() for each in allowed))
    return tuple(each for each in methods if each in names)


def decide(
    pull: PullState,
    rules: BaseRules,
    *,
    method: MergeMethod | None,
    honk_app_id: int,
    needs_honk_review: bool,
) -> Mergeable | MissingForMerge:
    """Whether the pull request can be merged, and otherwise what is missing.

    `method` is the one that the person named, `needs_honk_review` whether the policy asks for the
    check `honk / review`. Checks of Honk count whether GitHub requires them or not.
    """
    allowed = _allowed_methods(pull, rules)
    missing = next(
        (
            found
            for part in (
                _state(pull),
                _honks(pull, honk_app_id, TESTS_CHECK, Lack.VERDICT),
                _shape(pull, rules),
                _method(pull, rules, allowed, method),
                _reviews_and_checks(pull, rules, honk_app_id, needs=needs_honk_review),
                _other_rules(pull, rules),
                _waiting(pull, rules, honk_app_id, needs=needs_honk_review),
                _summary(pull, rules),
            )
            for found in part
        ),
        None,
    )
    if missing is not None:
        return missing
    queued = pull.has_queue or rules.has_queue
    return Mergeable(
        method=chosen_method(pull, rules, method),
        queue=queued,
        failing=tuple(each.name for each in pull.checks if each.state == "failure"),
    )


def chosen_method(pull: PullState, rules: BaseRules, method: MergeMethod | None) -> MergeMethod:
    """The method that was asked for, or GitHub's first one that is allowed."""
    allowed = _allowed_methods(pull, rules)
    return method or (allowed[0] if allowed else "merge")


def _state(pull: PullState) -> Iterator[MissingForMerge]:
    if pull.state != "open":
        yield MissingForMerge(lack=Lack.MERGED if pull.state == "merged" else Lack.CLOSED)
    if pull.queue_entry == "UNMERGEABLE":
        yield MissingForMerge(lack=Lack.UNMERGEABLE)
    elif pull.queue_entry:
        yield MissingForMerge(lack=Lack.IN_QUEUE)
    if not pull.is_complete:
        yield MissingForMerge(lack=Lack.TOO_LARGE)


def _honks(pull: PullState, app_id: int, name: str, lack: Lack) -> Iterator[MissingForMerge]:
    """Honk's own check has failed. Another App can take its name, but not its id."""
    if any(each.state == "failure" for each in _own(pull, app_id, name)):
        yield MissingForMerge(lack=lack, names=(name,))


def _own(pull: PullState, app_id: int, name: str) -> list[CheckContext]:
    return [each for each in pull.checks if each.name == name and each.app_id == app_id]


def _shape(pull: PullState, rules: BaseRules) -> Iterator[MissingForMerge]:
    if pull.draft:
        yield MissingForMerge(lack=Lack.DRAFT)
    if pull.mergeable == "CONFLICTING" or pull.status == "DIRTY":
        yield MissingForMerge(lack=Lack.CONFLICT)
    if rules.locked:
        yield MissingForMerge(lack=Lack.FROZEN)


def _allowed_methods(pull: PullState, rules: BaseRules) -> tuple[MergeMethod, ...]:
    if rules.queue_method is not None:
        return (rules.queue_method,)
    return _both(pull.methods, rules.methods)


def _method(
    pull: PullState,
    rules: BaseRules,
    allowed: tuple[MergeMethod, ...],
    method: MergeMethod | None,
) -> Iterator[MissingForMerge]:
    if pull.has_queue and not rules.has_queue:
        return  # a queue of classic branch protection, whose method GitHub does not show
    if not allowed or (method is not None and method not in allowed):
        yield MissingForMerge(lack=Lack.METHOD, names=allowed)


def _reviews_and_checks(
    pull: PullState, rules: BaseRules, app_id: int, *, needs: bool
) -> Iterator[MissingForMerge]:
    if pull.review_decision == "CHANGES_REQUESTED" or pull.changes_requested_by:
        yield MissingForMerge(lack=Lack.CHANGES_REQUESTED, names=pull.changes_requested_by)
    failed = _names(pull, rules, "failure")
    if failed:
        yield MissingForMerge(lack=Lack.CHECK_FAILED, names=failed)
    if pull.status == "BEHIND":
        yield MissingForMerge(lack=Lack.BEHIND)
    left = rules.approvals - len(pull.approved_by)
    if left > 0:
        yield MissingForMerge(lack=Lack.APPROVALS, count=left, names=pull.code_owners)
    if pull.review_decision == "REVIEW_REQUIRED":
        yield _why_not_enough(pull, rules)
    if needs:
        yield from _honks(pull, app_id, REVIEW_CHECK, Lack.HONK_REVIEW)


def _why_not_enough(pull: PullState, rules: BaseRules) -> MissingForMerge:
    """Enough people approved by the rules that are known, and GitHub still asks for a review."""
    if rules.code_owners and (pull.code_owners or not rules.last_push):
        return MissingForMerge(lack=Lack.CODE_OWNERS, names=pull.code_owners)
    if rules.last_push:
        return MissingForMerge(lack=Lack.LAST_PUSH, names=pull.approved_by)
    return MissingForMerge(lack=Lack.APPROVALS, names=pull.code_owners)


def _other_rules(pull: PullState, rules: BaseRules) -> Iterator[MissingForMerge]:
    if rules.threads and pull.open_threads:
        yield MissingForMerge(lack=Lack.THREADS, count=pull.open_threads)
    if rules.signatures and pull.unsigned:
        yield MissingForMerge(lack=Lack.SIGNATURES, names=pull.unsigned, count=len(pull.unsigned))
    environments = tuple(each for each in rules.environments if each not in pull.deployed_to)
    if environments:
        yield MissingForMerge(lack=Lack.DEPLOYMENTS, names=environments)
    if rules.unread and pull.may_bypass:
        yield MissingForMerge(lack=Lack.BYPASS, names=rules.unread)


def _waiting(
    pull: PullState, rules: BaseRules, app_id: int, *, needs: bool
) -> Iterator[MissingForMerge]:
    named = {REVIEW_CHECK} if needs else set()
    unreported = [
        each.name for each in rules.checks if not any(_fits(one, each) for one in pull.checks)
    ]
    unreported += [name for name in named if not _own(pull, app_id, name)]
    if unreported:
        yield MissingForMerge(lack=Lack.CHECK_EXPECTED, names=tuple(dict.fromkeys(unreported)))
    running = _names(pull, rules, "pending")
    if running:
        yield MissingForMerge(lack=Lack.CHECK_RUNNING, names=running)
    # GitHub would merge, and its auto-merge would not wait.
    others = tuple(each.name for each in pull.checks if each.state == "pending")
    if others:
        yield MissingForMerge(lack=Lack.OPTIONAL_RUNNING, names=others)


def _names(pull: PullState, rules: BaseRules, state: str) -> tuple[str, ...]:
    """The required checks in this state."""
    return tuple(
        dict.fromkeys(
            each.name
            for each in pull.checks
            if each.state == state
            and (each.required or any(_fits(each, wanted) for wanted in rules.checks))
        )
    )


def _fits(check: CheckContext, wanted: RequiredContext) -> bool:
    return check.name == wanted.name and wanted.app_id in (None, check.app_id)


def _summary(pull: PullState, rules: BaseRules) -> Iterator[MissingForMerge]:
    """What GitHub's own summary adds: a reason that the rules do not show."""
    if pull.mergeable == "UNKNOWN" or pull.status == "UNKNOWN":
        yield MissingForMerge(lack=Lack.COMPUTING)
    if pull.status not in ("CLEAN", "UNSTABLE", "HAS_HOOKS"):
        if rules.unread:
            yield MissingForMerge(lack=Lack.RULE, names=rules.unread)
        yield MissingForMerge(lack=Lack.BLOCKED)
