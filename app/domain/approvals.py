"""Whose approvals of an agent's pull request are independent. Pure.

An approval counts only for the commit it was given on, from a person with write access who was not
involved in the change: who neither asked for it, nor opened it, nor wrote one of its commits. If
GitHub's records leave a doubt about a person, their approval does not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

from app.domain.author_kind import AuthorKind, author_kind
from app.domain.values import CommitSha, Value

# https://docs.github.com/en/account-and-profile/reference/email-addresses-reference
_NOREPLY = re.compile(
    r"(?:(?P<id>[0-9]{1,18})\+)?(?P<login>[A-Za-z0-9-]+(?:\[bot\])?)@users\.noreply\.[a-z0-9.-]+",
    re.IGNORECASE,
)
_GITHUB_ITSELF = "noreply@github.com"
"""The committer of merges and edits on GitHub's pages."""

_DECISIONS = frozenset({"APPROVED", "CHANGES_REQUESTED", "DISMISSED"})


class Why(StrEnum):
    """Why a person's review is not an independent approval, in the order they are checked."""

    NOT_A_PERSON = "not a person"
    DISMISSED = "dismissed"
    CHANGES_REQUESTED = "changes requested"
    OTHER_COMMIT = "other commit"
    OTHER_BASE = "other base"
    AUTHOR = "author"
    REQUESTER = "requester"
    CONTRIBUTOR = "contributor"
    NO_WRITE_ACCESS = "no write access"


class Doubt(StrEnum):
    """What prevents a pull request from being approved, however many people approve it."""

    REQUESTER_UNKNOWN = "requester unknown"
    COMMITS_UNREAD = "commits unread"


class Account(Value):
    """An account on GitHub."""

    login: str
    id: int


class GivenReview(Value):
    """A submitted review. `state` is GitHub's value; `commit` is the commit it was given on."""

    id: int
    reviewer: Account
    reviewer_type: str
    association: str = ""
    state: str
    commit: CommitSha | None
    submitted_at: datetime


class Contributor(Value):
    """Author, co-author or committer of a commit: what the commit says, and the account that
    GitHub found for it, if any."""

    name: str
    email: str
    account: Account | None = None

    @property
    def login(self) -> str:
        """The login, as far as it is known."""
        found = _NOREPLY.fullmatch(self.email)
        return self.account.login if self.account else found["login"] if found else ""

    def may_be(self, person: Account) -> bool:
        """Whether this is or may be the person.

        Without an account, only the commit's name and email address are known: anyone who matches
        them is not independent.
        """
        if self.account is not None:
            return self.account.id == person.id
        login = person.login.lower()
        found = _NOREPLY.fullmatch(self.email)
        if found is not None:
            return found["id"] == str(person.id) or found["login"].lower() == login
        return login in (self.name.strip().lower(), self.email.partition("@")[0].strip().lower())


class CommitPeople(Value):
    """Who made a commit; the co-authors are those its trailers name. `signed_by_github` is whether
    GitHub vouches that the author's account made it."""

    sha: CommitSha
    author: Contributor
    co_authors: tuple[Contributor, ...] = ()
    committer: Contributor | None = None
    signed_by_github: bool = False

    def is_honks(self, honk_login: str) -> bool:
        """Whether Honk made it. Anyone can write Honk's name, but not GitHub's signature."""
        return self.signed_by_github and self.author.login.lower() == honk_login.lower()

    def contributors(self, honk_login: str) -> tuple[Contributor, ...]:
        """Everyone who made it, except GitHub itself. Honk names its requesters as co-authors;
        they are not contributors."""
        if self.is_honks(honk_login):
            return ()
        makers = (self.author, *self.co_authors, *filter(None, [self.committer]))
        return tuple(each for each in makers if each.email.lower() != _GITHUB_ITSELF)


class Involved(Value):
    """Who was involved in a pull request. `requesters` asked Honk for it, according to its runs,
    and `instructors` are the logins of people whose messages the runs read while they worked;
    `all_commits` is whether every commit and co-author could be read. `base_changed_at` is when the
    pull request last got another base branch, or that branch another history: then it proposes
    other changes than before, with the same head."""

    author: Account
    author_type: str
    requesters: tuple[Account, ...]
    instructors: tuple[str, ...] = ()
    commits: tuple[CommitPeople, ...]
    all_commits: bool = True
    base_changed_at: datetime | None = None

    def is_agents(self, honk_login: str) -> bool:
        """Whether an agent opened it or made one of its commits.

        Otherwise, a person could open the same commits again under their own name.
        """
        opened = author_kind(self.author.login, self.author_type, honk_login)
        made = (author_kind(each.author.login, "", honk_login) for each in self.commits)
        return {opened, *made} != {AuthorKind.PERSON}

    def doubts(self, honk_login: str) -> tuple[Doubt, ...]:
        """What is unknown about the people involved."""
        is_honks = author_kind(self.author.login, self.author_type, honk_login) is AuthorKind.HONK
        found = []
        if is_honks and not self._asked(honk_login):
            found.append(Doubt.REQUESTER_UNKNOWN)
        if not self.all_commits:
            found.append(Doubt.COMMITS_UNREAD)
        return tuple(found)

    def part_of(self, person: Account, honk_login: str, *, requester_counts: bool) -> Why | None:
        """How the person was involved in the change; None if they were not."""
        if person.id == self.author.id:
            return Why.AUTHOR
        asked = any(each.may_be(person) for each in self._asked(honk_login))
        if asked and not requester_counts:
            return Why.REQUESTER
        makers = (maker for each in self.commits for maker in each.contributors(honk_login))
        return Why.CONTRIBUTOR if any(each.may_be(person) for each in makers) else None

    def _asked(self, honk_login: str) -> list[Contributor]:
        """Who asked Honk: by its runs, and by its commits, which outlive them."""
        by_commits = [
            person
            for each in self.commits
            if each.is_honks(honk_login)
            for person in each.co_authors
        ]
        by_runs = [Contributor(name="", email="", account=each) for each in self.requesters]
        by_messages = [Contributor(name=login, email="") for login in self.instructors]
        return by_runs + by_commits + by_messages


class NotCounted(Value):
    """A person whose review is not an independent approval, and why."""

    login: str
    why: Why


class Standing(Value):
    """The state of a pull request's approvals: who approved, whose reviews do not count, what is in
    doubt.
    """

    number: int
    needed: int
    approved: tuple[Account, ...] = ()
    not_counted: tuple[NotCounted, ...] = ()
    doubts: tuple[Doubt, ...] = ()

    @property
    def satisfied(self) -> bool:
        """Whether enough people approved and nothing is in doubt."""
        return not self.doubts and len({each.id for each in self.approved}) >= self.needed


def sort_out(
    reviews: Iterable[GivenReview],
    head: CommitSha,
    involved: Involved,
    honk_login: str,
    *,
    requester_counts: bool,
) -> tuple[tuple[Account, ...], tuple[NotCounted, ...]]:
    """The people whose approval of `head` counts if they have write access, members first; and the
    people whose review does not count.

    Only each person's latest decision counts: a comment is not one, and a dismissed review approves
    nothing.
    """
    candidates: list[GivenReview] = []
    others: list[NotCounted] = []
    for review in _latest(reviews):
        why = _why_not(review, head, involved, honk_login, requester_counts=requester_counts)
        if why is None:
            candidates.append(review)
        else:
            others.append(NotCounted(login=review.reviewer.login, why=why))
    candidates.sort(key=lambda each: each.association not in ("OWNER", "MEMBER", "COLLABORATOR"))
    return tuple(each.reviewer for each in candidates), tuple(others)


def _latest(reviews: Iterable[GivenReview]) -> Sequence[GivenReview]:
    """The latest decision of each account, oldest first."""
    latest: dict[int, GivenReview] = {}
    for review in sorted(reviews, key=lambda each: (each.submitted_at, each.id)):
        if review.state in _DECISIONS:
            latest.pop(review.reviewer.id, None)
            latest[review.reviewer.id] = review
    return list(latest.values())


def _why_not(
    review: GivenReview,
    head: CommitSha,
    involved: Involved,
    honk_login: str,
    *,
    requester_counts: bool,
) -> Why | None:
    who = review.reviewer
    kind = author_kind(who.login, review.reviewer_type, honk_login)
    if review.reviewer_type != "User" or who.id <= 0 or kind is not AuthorKind.PERSON:
        return Why.NOT_A_PERSON
    if review.state == "DISMISSED":
        return Why.DISMISSED
    if review.state != "APPROVED":
        return Why.CHANGES_REQUESTED
    if review.commit != head:
        return Why.OTHER_COMMIT
    # GitHub's times are whole seconds: a review in the same second may be of the former changes.
    if involved.base_changed_at is not None and review.submitted_at <= involved.base_changed_at:
        return Why.OTHER_BASE
    return involved.part_of(who, honk_login, requester_counts=requester_counts)
