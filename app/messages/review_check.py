"""Title and summary of the check run `honk / review`."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain import sanitize
from app.domain.approvals import Doubt, NotCounted, Standing, Why
from app.domain.check_names import REVIEW_CHECK as REVIEW_CHECK
from app.domain.values import CommitSha, short
from app.messages.formatting import sentence

_SHOWN = 20
"""People listed in each list."""

_WHY = {
    Why.NOT_A_PERSON: "not a person's account",
    Why.DISMISSED: "the review was dismissed",
    Why.CHANGES_REQUESTED: "requested changes",
    Why.OTHER_COMMIT: "approved an earlier commit",
    Why.OTHER_BASE: "approved before the base branch changed",
    Why.AUTHOR: "opened this pull request",
    Why.REQUESTER: "asked Honk for this change",
    Why.CONTRIBUTOR: "is an author or co-author of a commit, or may be",
    Why.NO_WRITE_ACCESS: "has no write access to this repository",
}

_DOUBTS = {
    Doubt.REQUESTER_UNKNOWN: (
        "Honk doesn't know who asked for this change: it has no record of the run, and no commit "
        "of Honk's names them. Close this pull request and ask again."
    ),
    Doubt.COMMITS_UNREAD: (
        "This pull request has more commits or co-authors than GitHub lists, so an approval could "
        "be an author's own. Split it up, or squash its commits."
    ),
}

_REQUIRE = (
    "To require this check, open *Settings* → *Rules* → *Rulesets*, turn on *Require status checks "
    f"to pass*, and add `{REVIEW_CHECK}` with this App as its source."
)


def waiting(sha: CommitSha, standings: Sequence[Standing]) -> tuple[str, str]:
    """Title and summary while approvals are missing or something is in doubt."""
    doubtful = next((each for each in standings if each.doubts), None)
    if doubtful is not None:
        return f"Cannot be approved: see the summary for #{doubtful.number}", _page(sha, standings)
    missing = max(each.needed - len(each.approved) for each in standings)
    return f"Waiting for {_approvals(missing)} of {short(sha)}", _page(sha, standings)


def approved(sha: CommitSha, standings: Sequence[Standing]) -> tuple[str, str]:
    """Title and summary when every agent's pull request with this head is approved."""
    people = sorted({account.login for each in standings for account in each.approved})
    return f"Approved by {', '.join(people[:_SHOWN])}", _page(sha, standings)


def not_needed(sha: CommitSha) -> tuple[str, str]:
    """Title and summary when no agent was involved in the change."""
    return (
        "Not needed: no agent wrote this",
        f"A person opened this pull request, and no commit up to {_code(sha)} is an agent's. "
        "The policy's `approvals` is about changes by agents.",
    )


def unknown(problem: str, next_step: str) -> tuple[str, str]:
    """Title and summary when it is unknown who approved."""
    reason = " ".join(sanitize.plain(each, limit=500) for each in (problem, next_step) if each)
    return (
        "Approvals unknown",
        f"Honk could not find out who approved this commit. {sentence(reason)} "
        "*Re-run* this check to try again.",
    )


def _page(sha: CommitSha, standings: Sequence[Standing]) -> str:
    parts = [_of_pull(sha, each) for each in standings]
    if len(standings) > 1:
        several = ", ".join(f"#{each.number}" for each in standings)
        parts.append(
            f"A check belongs to a commit, and {several} share this one: it succeeds when each of "
            "them is approved."
        )
    parts.append(
        "An approval counts for exactly this commit; after a push or a change of the base branch, "
        "people approve again. It counts from people with write access who didn't ask for the "
        "change, open the pull request or write a commit. Commits say themselves who wrote them: "
        "to leave out the person who pushed last, turn on GitHub's *Require approval of the most "
        "recent reviewable push*."
    )
    return "\n\n".join([*parts, _REQUIRE])


def _of_pull(sha: CommitSha, standing: Standing) -> str:
    who = ", ".join(_code(each.login) for each in standing.approved[:_SHOWN]) or "no one yet"
    lines = [
        f"**#{standing.number}** needs {_approvals(standing.needed)} of {_code(sha)}.",
        *(_DOUBTS[each] for each in standing.doubts),
        f"Approved by: {who}.",
    ]
    if standing.not_counted:
        lines.append(_not_counted(standing.not_counted))
    return "\n\n".join(lines)


def _not_counted(people: Sequence[NotCounted]) -> str:
    lines = [f"- {_code(each.login)}: {_WHY[each.why]}" for each in people[:_SHOWN]]
    if len(people) > _SHOWN:
        lines.append(f"- and {len(people) - _SHOWN:,} more")
    return "\n".join(["Not counted:", "", *lines])


def _approvals(number: int) -> str:
    return f"{number} independent approval{'' if number == 1 else 's'}"


def _code(text: str) -> str:
    return sanitize.code(text, limit=100)
