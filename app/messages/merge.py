"""Answers to `/honk merge`: what happened, or the one thing that is missing and who can give it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from app.domain import sanitize
from app.domain.command import MergeMethod
from app.domain.mergeability import Lack, MissingForMerge
from app.domain.policy import POLICY_PATH
from app.domain.values import short
from app.messages.formatting import TITLE_LIMIT, branch_code, count, sentence, shown_login

_SHOWN = 5

_WRITER = "someone with write access"
_BY_METHOD: dict[MergeMethod, str] = {
    "merge": "with a merge commit",
    "squash": "as one squashed commit",
    "rebase": "by rebasing its commits",
}


def command(sha: str, method: MergeMethod | None = None) -> str:
    """The command that merges exactly this commit."""
    return f"`/honk merge {f'{method} ' if method else ''}{sha}`"


def marker(trigger: str, about: str) -> str:
    """The marker of a comment about the request with this id: what it is about, such as a SHA."""
    digest = hashlib.sha256(f"{trigger} {about}".encode()).hexdigest()[:32]
    return f"<!-- honk:merge={digest} -->"


# -- what happened


def merged(
    number: int,
    base: str,
    sha: str,
    commit: str,
    method: MergeMethod,
    login: str,
    failing: Sequence[str],
) -> str:
    """The pull request was merged; `commit` is on the base branch now."""
    at = f" as {short(commit)}" if commit else ""
    text = (
        f"Merged #{number} at {short(sha)} into {branch_code(base)}{at}, {_BY_METHOD[method]}. "
        f"Requested by {shown_login(login)}."
    )
    if failing:
        text += f" Failing checks that are not required: {_codes(failing)}."
    return text


def already_merged(number: int, commit: str) -> str:
    """There is nothing left to merge."""
    at = f" as {short(commit)}" if commit else ""
    return f"#{number} is already merged{at}."


def auto_merge(number: int, sha: str, waiting: MissingForMerge, login: str) -> str:
    """GitHub merges it once the checks have succeeded."""
    return (
        f"Auto-merge is on: GitHub merges #{number} at {short(sha)} once "
        f"{_codes(waiting.names)} {'has' if len(waiting.names) == 1 else 'have'} succeeded. "
        f"Requested by {shown_login(login)}. After a push, Honk turns it off."
    )


def already_auto(number: int, waiting: MissingForMerge) -> str:
    """Someone turned auto-merge on before, on GitHub or through Honk."""
    return f"Auto-merge is already on for #{number}, which waits for {_codes(waiting.names)}."


def queued(number: int, sha: str, base: str, login: str) -> str:
    """It is in the merge queue."""
    return (
        f"Added #{number} at {short(sha)} to the merge queue of {branch_code(base)}. "
        f"Requested by {shown_login(login)}."
    )


def already_queued(number: int, base: str) -> str:
    """It was in the merge queue before."""
    return f"#{number} is already in the merge queue of {branch_code(base)}."


def turned_off(number: int, before: str, now: str) -> str:
    """Auto-merge was for a commit that is no longer the head."""
    return (
        f"Auto-merge is off: it was for {short(before)}, and #{number} is at {short(now)} now. "
        f"Review the new commits, then comment {command(now)}."
    )


def merged_another(number: int, asked: str, head: str) -> str:
    """GitHub merged a head that no one had asked for, before Honk could turn auto-merge off."""
    return (
        f"GitHub's auto-merge merged #{number} at {short(head)}; the request was for "
        f"{short(asked)}. Someone pushed while auto-merge was on, and all requirements were met "
        "before Honk could turn it off. Review the commits in between."
    )


def left_queue(number: int, reason: str, sha: str) -> str:
    """The merge queue removed it without merging."""
    why = _QUEUE_REASONS.get(reason, f"GitHub's reason is {sanitize.code(reason, limit=60)}")
    return (
        f"The merge queue removed #{number} without merging it: {why}. "
        f"To fix failing checks, comment `/honk fix`; to try again, {command(sha)}."
    )


_QUEUE_REASONS = {
    "CI_FAILURE": "a required check failed on the queue's commit",
    "CI_TIMEOUT": "a required check did not finish in time",
    "MERGE_CONFLICT": "it conflicts with the base branch or with what is before it in the queue",
    "BRANCH_PROTECTIONS": "a rule of the base branch is not satisfied",
    "GIT_TREE_INVALID": "the merge would make an invalid tree",
    "INVALID_MERGE_COMMIT": "the merge commit is not valid",
    "QUEUE_CLEARED": "the queue was cleared",
    "MANUAL": "someone removed it",
    "ROLL_BACK": "the queue was rolled back",
}


# -- reverting


def revert_title(title: str) -> str:
    """The title of the pull request that reverts one with this title."""
    return sanitize.title(f'Revert "{title}"', limit=TITLE_LIMIT)


def revert_body(repository: str, number: int, login: str) -> str:
    """The text of the pull request that reverts another; `honk report` looks for its first line."""
    return f"Reverts {repository}#{number}\n\nRequested by {shown_login(login)}."


def reverted(number: int, by: int) -> str:
    """The pull request that reverts is open."""
    return f"#{by} reverts #{number}. Its tests are running; merge it like any other."


def nothing_to_revert(number: int) -> tuple[str, str]:
    """The pull request is not merged."""
    return (
        f"#{number} is not merged, so there is nothing to revert.",
        "To take back what Honk's last run committed, comment `/honk undo`.",
    )


def revert_refused(number: int, reason: str) -> tuple[str, str]:
    """GitHub cannot make the reverting commit."""
    quoted = sanitize.plain(reason, limit=600) or "It gave no reason."
    return (
        f"GitHub can't revert #{number}: {sentence(quoted)}",
        "If later changes conflict with the revert, open an issue that describes what to take back "
        "and label it `honk`.",
    )


# -- refusals: the problem and the next step


def never() -> tuple[str, str]:
    """The policy forbids it."""
    return (
        f"`merge: never` in `{POLICY_PATH}` keeps Honk from merging.",
        "Merge it on GitHub, or remove that line on the default branch.",
    )


def only_people(number: int) -> tuple[str, str]:
    """A bot asked."""
    return (f"Only a person can merge #{number} through Honk.", f"{_asks(None)}.")


def on_hold(number: int) -> tuple[str, str]:
    """The label `honk:hold` is set."""
    return (
        f"The label `honk:hold` on #{number} keeps Honk from merging.",
        "Remove it, then ask again.",
    )


def no_verdict(number: int, head: str) -> tuple[str, str]:
    """A bare command, and nothing that the person could have seen from Honk."""
    return (
        f"Honk has no verdict on #{number} that shows which commit you mean.",
        f"To merge its head, comment {command(head)}. To test it first, comment `/honk test`.",
    )


def newer_verdict(number: int, head: str) -> tuple[str, str]:
    """The verdict on the head was posted after the comment."""
    return (
        f"Honk posted a new verdict on #{number} after your comment.",
        f"Read it, then comment {command(head)}.",
    )


def head_moved(number: int, head: str, meant: str) -> tuple[str, str]:
    """The head is another commit than the one that the person has seen or named."""
    return (
        f"#{number} is at {short(head)} now, not at {short(meant)}.",
        f"Review the new commits, then comment {command(head)}.",
    )


def verdict_elsewhere(number: int, head: str, tested: str) -> tuple[str, str]:
    """Honk has tested an earlier commit, and not this one."""
    return (
        f"Honk's verdict on #{number} is about {short(tested)}, and its head is {short(head)}.",
        f"Comment `/honk test`, read the verdict, then comment {command(head)}.",
    )


def edited(number: int, head: str) -> tuple[str, str]:
    """The comment was edited or deleted since."""
    return (
        f"Your comment on #{number} was edited or deleted, so it does not count.",
        f"Comment {command(head)}.",
    )


def invalid(number: int, problem: str, head: str) -> tuple[str, str]:
    """The command names something else than a method and a full SHA."""
    return (problem, f"To merge #{number} as it is now, comment {command(head)}.")


def refused(number: int, sha: str, reason: str) -> tuple[str, str]:
    """GitHub refused, although nothing was missing by its own data."""
    quoted = sanitize.plain(reason, limit=600) or "It gave no reason."
    return (
        f"GitHub refused to merge #{number}: {sentence(quoted)}",
        f"When that is resolved, comment {command(sha)}.",
    )


def without_deliveries(number: int, waiting: MissingForMerge) -> tuple[str, str]:
    """Auto-merge is not turned on where Honk would not see a push in time."""
    return (
        f"#{number} waits for {_codes(waiting.names)}. This Honk receives no webhooks, so it could "
        "not turn auto-merge off after a push.",
        "Ask again when they have succeeded, or enable auto-merge on GitHub.",
    )


def missing(
    number: int, base: str, sha: str, what: MissingForMerge, method: MergeMethod | None
) -> tuple[str, str]:
    """The one thing that is missing, and who can give it."""
    problem, who = _missing(number, base, sha, what)
    again = "" if what.lack in _FINAL else f" Then comment {command(sha, method)}."
    return problem, f"{who}{again}"


_FINAL = frozenset(
    {
        *(Lack.MERGED, Lack.IN_QUEUE, Lack.BYPASS, Lack.TOO_LARGE),
        *(Lack.METHOD, Lack.VERDICT, Lack.CONFLICT, Lack.BEHIND),
    }
)
"""After these there is nothing to merge, or another commit, method or place is needed."""


def _missing(number: int, base: str, sha: str, what: MissingForMerge) -> tuple[str, str]:
    names, pull, branch = _codes(what.names), f"#{number}", branch_code(base)
    match what.lack:
        case Lack.MERGED:
            return already_merged(number, ""), ""
        case Lack.CLOSED:
            return f"{pull} is closed.", f"Reopen it: its author or {_WRITER} can."
        case Lack.IN_QUEUE:
            return already_queued(number, base), ""
        case Lack.UNMERGEABLE:
            return (
                f"The merge queue of {branch} marks {pull} as unmergeable.",
                f"Remove it from the queue on GitHub: {_WRITER} can.",
            )
        case Lack.TOO_LARGE:
            return (
                f"{pull} has more checks, reviews or conversations than Honk reads.",
                "Merge it on GitHub.",
            )
        case Lack.VERDICT:
            return (
                f"Honk's check {names} did not pass on {short(sha)}.",
                "Its page says what to do: comment `/honk fix`, or `/honk accept` for tests that "
                f"were changed on purpose ({_WRITER} can).",
            )
        case Lack.DRAFT:
            return (
                f"{pull} is a draft.",
                f"Mark it as ready for review: its author or {_WRITER} can. "
                "On a pull request by Honk, `/honk ready` does it.",
            )
        case Lack.CONFLICT:
            return (
                f"{pull} conflicts with {branch}.",
                "Resolve the conflicts, or comment `/honk rebase`; anyone who may push to its "
                "branch can.",
            )
        case Lack.FROZEN:
            return (
                f"A rule keeps {branch} from being changed.",
                "An administrator of the repository can lift it under *Settings*, *Rules*.",
            )
        case Lack.METHOD:
            return _method(branch, what.names)
        case Lack.CHANGES_REQUESTED:
            whom = names or "a reviewer"
            return (
                f"Changes were requested on {pull} by {whom}.",
                f"They can approve it, or {_WRITER} can dismiss that review.",
            )
        case Lack.CHECK_FAILED:
            return (
                f"{_checks('Required check', what.names)} failed on {short(sha)}.",
                "Push a fix, or comment `/honk fix`. If the failure is unrelated, re-run it on "
                f"GitHub: {_WRITER} can.",
            )
        case Lack.BEHIND:
            return (
                f"{pull} is behind {branch}, which requires branches to be up to date.",
                f"Comment `/honk rebase`, or update the branch on GitHub: {_WRITER} can.",
            )
        case Lack.APPROVALS:
            reviews = count(what.count, "more approving review") if what.count else "a review"
            requested = f" Requested from {names}." if names else ""
            return (
                f"{pull} needs {reviews}.",
                f"{_cap(_WRITER)} who did not open it can approve it.{requested}",
            )
        case Lack.CODE_OWNERS:
            owners = names or "the owners of the changed files in `CODEOWNERS`"
            return f"{pull} needs a review by a code owner.", f"{_cap(owners)} can approve it."
        case Lack.LAST_PUSH:
            return (
                f"The last push to {pull} needs an approval by someone who did not push it.",
                f"{_cap(_WRITER)} other than the person who pushed last can approve it.",
            )
        case Lack.HONK_REVIEW:
            return (
                f"The check {names} of {pull} waits for independent approvals.",
                "Its page says who can give them.",
            )
        case Lack.THREADS:
            return (
                f"{pull} has {count(what.count, 'unresolved conversation')}.",
                f"Resolve them on GitHub: its author or {_WRITER} can.",
            )
        case Lack.SIGNATURES:
            listed = _codes(tuple(each[:7] for each in what.names))
            return (
                f"{branch} requires verified signatures, and commits of {pull} have none: "
                f"{listed}.",
                "Their author can sign and push them again.",
            )
        case Lack.DEPLOYMENTS:
            return (
                f"{branch} requires a successful deployment of {short(sha)} to {names}.",
                "The workflow or person that deploys there has to do that first.",
            )
        case Lack.BYPASS:
            return (
                f"Honk's App may bypass the rules of {branch} and cannot see whether all of them "
                f"are satisfied ({names}), so it does not merge.",
                "Merge it on GitHub, or an administrator of the repository removes Honk from the "
                "bypass list.",
            )
        case Lack.CHECK_EXPECTED:
            return (
                f"{_checks('Required check', what.names)} did not report on {short(sha)} yet.",
                "The App or workflow behind it does that; if it never starts, see its "
                "configuration.",
            )
        case Lack.CHECK_RUNNING:
            still = _checks("Required check", what.names)
            return f"{still} did not finish on {short(sha)} yet.", "Wait until that has succeeded."
        case Lack.OPTIONAL_RUNNING:
            return (
                f"{_checks('Check', what.names)} did not finish on {short(sha)} yet.",
                "Wait until that is done. GitHub does not require it to succeed.",
            )
        case Lack.COMPUTING:
            return f"GitHub is still computing whether {pull} can be merged.", "Wait a minute."
        case Lack.RULE:
            return (
                f"{pull} is blocked by a rule of {branch} whose result Apps can't see ({names}).",
                "The box above GitHub's merge button says what is missing.",
            )
        case Lack.BLOCKED:
            return (
                f"GitHub blocks {pull} and does not say why. The usual reason is classic branch "
                f"protection of {branch}, which Apps do not see: a check that has not reported, "
                "an unresolved conversation or a limit on who may push.",
                "The box above GitHub's merge button says what is missing.",
            )


def _method(branch: str, allowed: Sequence[str]) -> tuple[str, str]:
    if not allowed:
        return (
            f"No merge method is allowed by both the rules of {branch} and the settings.",
            "An administrator of the repository can allow one under *Settings*, *General*, "
            "*Pull Requests*.",
        )
    methods = " or ".join(f"`/honk merge {each}`" for each in allowed)
    return f"{branch} does not allow this merge method.", f"Comment {methods}."


def _asks(sha: str | None) -> str:
    named = command(sha) if sha else "`/honk merge`"
    return f"{_cap(_WRITER)} can comment {named}"


def _checks(noun: str, names: Sequence[str]) -> str:
    return f"{noun}{'' if len(names) == 1 else 's'} {_codes(names)}"


def _codes(names: Sequence[str]) -> str:
    shown = ", ".join(sanitize.code(each, limit=100) for each in names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _cap(text: str) -> str:
    return text[:1].upper() + text[1:]
