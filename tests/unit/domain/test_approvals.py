"""Whose approvals of an agent's pull request are independent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.approvals import (
    Account,
    CommitPeople,
    Contributor,
    Doubt,
    GivenReview,
    Involved,
    Standing,
    Why,
    sort_out,
)
from app.domain.author_kind import AuthorKind, author_kind
from app.domain.values import CommitSha

HONK = "honk[bot]"
HEAD, OLD = CommitSha("a" * 40), CommitSha("b" * 40)
OLIVIA, WALTER = Account(login="olivia", id=1), Account(login="walter", id=2)
BOT = Contributor(name="honk", email="9+honk[bot]@users.noreply.github.com")
START = datetime(2026, 1, 1, tzinfo=UTC)


def address(account: Account) -> Contributor:
    email = f"{account.id}+{account.login}@users.noreply.github.com"
    return Contributor(name=account.login, email=email)


def commit(author: Contributor, *co_authors: Contributor, signed: bool = True) -> CommitPeople:
    return CommitPeople(sha=HEAD, author=author, co_authors=co_authors, signed_by_github=signed)


def involved(*commits: CommitPeople, requesters: tuple[Account, ...] = (OLIVIA,)) -> Involved:
    author = Account(login=HONK, id=9)
    return Involved(author=author, author_type="Bot", requesters=requesters, commits=commits)


def reviews(*states: str, by: Account = WALTER, at: CommitSha = HEAD) -> list[GivenReview]:
    return [
        GivenReview(
            id=number,
            reviewer=by,
            reviewer_type="User",
            state=state,
            commit=at,
            submitted_at=START + timedelta(minutes=number),
        )
        for number, state in enumerate(states, 1)
    ]


def outcome(
    given: list[GivenReview], change: Involved, *, requester_counts: bool = False
) -> Why | None:
    """Why the only reviewer does not count; None when they do."""
    counted, others = sort_out(given, HEAD, change, HONK, requester_counts=requester_counts)
    assert len(counted) + len(others) <= 1
    return others[0].why if others else None


OURS = involved(commit(BOT, address(OLIVIA)))


@pytest.mark.parametrize(
    ("states", "why"),
    [
        (["APPROVED"], None),
        (["APPROVED", "COMMENTED"], None),
        (["CHANGES_REQUESTED", "APPROVED"], None),
        (["DISMISSED", "APPROVED"], None),
        (["APPROVED", "CHANGES_REQUESTED"], Why.CHANGES_REQUESTED),
        (["APPROVED", "DISMISSED"], Why.DISMISSED),
        (["DISMISSED"], Why.DISMISSED),
    ],
)
def test_the_latest_decision_counts(states: list[str], why: Why | None) -> None:
    assert outcome(reviews(*states), OURS) is why
    # GitHub's order does not matter.
    assert outcome(reviews(*states)[::-1], OURS) is why


def test_a_comment_is_no_decision() -> None:
    assert sort_out(reviews("COMMENTED"), HEAD, OURS, HONK, requester_counts=False) == ((), ())


def test_only_this_commit_counts() -> None:
    assert outcome(reviews("APPROVED", at=OLD), OURS) is Why.OTHER_COMMIT


def test_the_requester_counts_only_if_the_policy_says_so() -> None:
    given = reviews("APPROVED", by=OLIVIA)
    assert outcome(given, OURS) is Why.REQUESTER
    # Also when the run is forgotten, because Honk's commit names them.
    assert outcome(given, involved(commit(BOT, address(OLIVIA)), requesters=())) is Why.REQUESTER
    assert outcome(given, OURS, requester_counts=True) is None
    # Only GitHub's signature makes a commit Honk's: anyone can write its name.
    forged = involved(commit(BOT, address(OLIVIA), signed=False))
    assert outcome(given, forged, requester_counts=True) is Why.CONTRIBUTOR
    wrote = involved(commit(BOT), commit(address(OLIVIA)))
    assert outcome(given, wrote, requester_counts=True) is Why.CONTRIBUTOR


def test_the_approval_of_someone_who_instructed_honk_does_not_count() -> None:
    steered = OURS.model_copy(update={"instructors": ("Walter",)})
    assert outcome(reviews("APPROVED"), steered) is Why.REQUESTER
    assert outcome(reviews("APPROVED"), steered, requester_counts=True) is None


@pytest.mark.parametrize(
    "maker",
    [
        Contributor(name="W", email="w@example.com", account=WALTER),
        Contributor(name="W", email="2+old-name@users.noreply.github.com"),
        Contributor(name="W", email="walter@users.noreply.github.com"),
        Contributor(name="W", email="2+walter@users.noreply.example.com"),
        Contributor(name="Walter", email="private@example.com"),
        Contributor(name="W", email="Walter@example.com"),
    ],
)
def test_authors_and_co_authors_do_not_count(maker: Contributor) -> None:
    for made in (commit(maker, signed=False), commit(address(OLIVIA), maker)):
        assert outcome(reviews("APPROVED"), involved(commit(BOT), made)) is Why.CONTRIBUTOR


def test_others_with_an_account_count_whatever_their_name() -> None:
    other = Contributor(name="walter", email="x@example.com", account=Account(login="w2", id=7))
    assert outcome(reviews("APPROVED"), involved(commit(BOT), commit(other))) is None


def test_bots_and_deleted_accounts_do_not_count() -> None:
    ghost = Account(login="ghost", id=0)
    assert outcome(reviews("APPROVED", by=ghost), OURS) is Why.NOT_A_PERSON
    copilot = Account(login="Copilot", id=8)
    assert outcome(reviews("APPROVED", by=copilot), OURS) is Why.NOT_A_PERSON


def test_a_pull_request_of_honk_s_without_a_known_requester_is_in_doubt() -> None:
    nobody = involved(commit(BOT), requesters=())
    assert nobody.doubts(HONK) == (Doubt.REQUESTER_UNKNOWN,)
    assert OURS.doubts(HONK) == ()
    cut = OURS.model_copy(update={"all_commits": False})
    assert cut.doubts(HONK) == (Doubt.COMMITS_UNREAD,)
    standing = Standing(number=1, needed=1, approved=(WALTER,), doubts=cut.doubts(HONK))
    assert not standing.satisfied


def test_an_agent_s_commits_stay_an_agent_s_under_a_person_s_name() -> None:
    mine = Involved(author=OLIVIA, author_type="User", requesters=(), commits=())
    assert not mine.is_agents(HONK)
    by_hand = mine.model_copy(update={"commits": (commit(address(OLIVIA)),)})
    assert not by_hand.is_agents(HONK)
    copied = mine.model_copy(update={"commits": (commit(BOT),)})
    assert copied.is_agents(HONK)
    assert outcome(reviews("APPROVED", by=OLIVIA), copied) is Why.AUTHOR


@pytest.mark.parametrize(
    ("login", "account_type", "kind"),
    [
        ("olivia", "User", AuthorKind.PERSON),
        ("Honk[bot]", "Bot", AuthorKind.HONK),
        ("honk", "User", AuthorKind.PERSON),
        ("devin-ai-integration[bot]", "Bot", AuthorKind.OTHER_AGENT),
        ("Copilot", "Bot", AuthorKind.OTHER_AGENT),
        ("renovate-bot", "User", AuthorKind.OTHER_AGENT),
        ("somebody's-app[bot]", "", AuthorKind.OTHER_AGENT),
    ],
)
def test_kinds_of_authors(login: str, account_type: str, kind: AuthorKind) -> None:
    assert author_kind(login, account_type, HONK) is kind


@pytest.mark.parametrize(("minutes", "why"), [(0, None), (1, Why.OTHER_BASE), (2, Why.OTHER_BASE)])
def test_an_approval_is_of_the_changes_compared_with_one_base_branch(
    minutes: int, why: Why | None
) -> None:
    """The approval is of the minute after START. The same second is in doubt."""
    change = OURS.model_copy(update={"base_changed_at": START + timedelta(minutes=minutes)})
    assert outcome(reviews("APPROVED"), change) is why
