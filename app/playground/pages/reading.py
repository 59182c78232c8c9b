"""The data of the pages, as the current person may see it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from app.playground.github import GitHub
from app.playground.github.accounts import User
from app.playground.github.git import SimulatedCommit
from app.playground.github.records import CheckRun
from app.playground.github.shapes import node_id
from app.playground.github.world import (
    IssueEvent,
    Json,
    Reaction,
    Repository,
    ReviewThread,
    SimulatedComment,
    SimulatedIssue,
    SimulatedPullRequest,
    SimulatedReview,
    World,
)

from .diff import ShownFile, shown
from .writer import Writer

EMOJI = {
    "+1": "👍",
    "-1": "👎",
    "laugh": "😄",
    "hooray": "🎉",
    "confused": "😕",
    "heart": "❤️",
    "rocket": "🚀",
    "eyes": "👀",
}
"""Reactions in the order in which they are offered."""

_EVENTS = {
    "closed": "closed this",
    "reopened": "reopened this",
    "merged": "merged this",
    "convert_to_draft": "converted this to a draft",
    "converted_to_draft": "converted this to a draft",
    "ready_for_review": "marked this as ready for review",
    "head_ref_deleted": "deleted the branch",
    "locked": "locked the conversation",
    "unlocked": "unlocked the conversation",
}
_GOOD = ("success", "neutral", "skipped")


@dataclass(frozen=True)
class Count:
    """How often a reaction was given; `mine` when the person who acts is among them."""

    content: str
    emoji: str
    number: int
    mine: bool
    who: str


@dataclass(frozen=True)
class Said:
    """A text in a thread, with its author."""

    anchor: str
    target: str
    """What a form names it by: `issue`, or the comment's id."""
    author: User
    role: str
    at: datetime
    edited: bool
    html: Markup
    raw: str
    reactions: list[Count]
    editable: bool
    verdict: str = ""
    minimised: str = ""
    threads: list[LineThread] = field(default_factory=list)

    kind = "said"


@dataclass(frozen=True)
class Happened:
    """A line of the timeline."""

    anchor: str
    actor: User
    at: datetime
    words: str = ""
    put_on: tuple[Json, ...] = ()
    taken_off: tuple[Json, ...] = ()

    kind = "happened"

    def joined(self, later: Happened) -> Happened | None:
        """Both on one line, if they are labels that one account changed together."""
        if self.words or later.words or self.actor is not later.actor:
            return None
        return replace(
            self,
            put_on=(*self.put_on, *later.put_on),
            taken_off=(*self.taken_off, *later.taken_off),
        )


@dataclass(frozen=True)
class LineThread:
    """Review comments on one line; `line` is None if the line no longer exists."""

    id: int
    node: str
    path: str
    line: int | None
    side: str
    outdated: bool
    resolved_by: User | None
    comments: list[Said]
    review_id: int

    @property
    def reply_to(self) -> str:
        """The comment that a reply answers."""
        return self.comments[0].target

    @property
    def place(self) -> str:
        """Path and line as text."""
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True)
class Check:
    """A check run as the pages show it."""

    run: CheckRun
    mood: str
    words: str
    summary: Markup
    text: Markup
    annotations: list[dict[str, Any]]


@dataclass(frozen=True)
class ShownCommit:
    """A commit in a list."""

    sha: str
    title: str
    body: str
    author: str
    user: User | None
    at: datetime
    verified: bool


@dataclass
class Diffs:
    """A cache of diffs and commits between two SHAs, which never change."""

    files: dict[tuple[int, str, str], list[ShownFile]] = field(default_factory=dict)
    commits: dict[tuple[int, str, str], list[SimulatedCommit]] = field(default_factory=dict)


class Reader:
    """Reads for one person in one repository."""

    def __init__(
        self, github: GitHub, writer: Writer, diffs: Diffs, person: User, repository: Repository
    ) -> None:
        self.github = github
        self.world: World = github.world
        self.person = person
        self.repository = repository
        self._writer = writer
        self._diffs = diffs

    async def html(self, text: str | None) -> Markup:
        """A text of this repository as the person sees it."""
        return await self._writer.html(self.repository, text, self.person)

    # -- threads

    async def thread(self, issue: SimulatedIssue) -> list[Said | Happened]:
        """The opening text, then all comments and events, in order."""
        rows: list[tuple[datetime, int, Said | Happened]] = []
        for comment in issue.comments:
            said = await self._said(comment, comment.author, f"issuecomment-{comment.id}")
            rows.append((comment.created_at, comment.id, said))
        for event in issue.events:
            rows.append((event.created_at, event.id, _line(event)))
        if issue.pull:
            rows += await self._reviews(issue.pull)
        rows.sort(key=lambda row: row[:2])
        return [await self.opening(issue), *_in_few_lines(row for _, _, row in rows)]

    async def opening(self, issue: SimulatedIssue) -> Said:
        """The thread's opening text."""
        return Said(
            anchor=f"issue-{issue.id}",
            target="issue",
            author=issue.author,
            role=role_of(self.repository, issue.author),
            at=issue.created_at,
            edited=False,
            html=await self.html(issue.body),
            raw=issue.body or "",
            reactions=self._counts(issue.reactions),
            editable=False,
        )

    async def _said(self, comment: SimulatedComment, author: User, anchor: str) -> Said:
        return Said(
            anchor=anchor,
            target=str(comment.id),
            author=author,
            role=role_of(self.repository, author),
            at=comment.created_at,
            edited=comment.updated_at != comment.created_at,
            html=await self.html(comment.body),
            raw=comment.body,
            reactions=self._counts(comment.reactions),
            editable=author is self.person,
            minimised=_hidden(comment),
        )

    def _counts(self, reactions: Sequence[Reaction]) -> list[Count]:
        found = []
        for content, emoji in EMOJI.items():
            given = [one.user for one in reactions if one.content == content]
            if given:
                who = ", ".join(user.login for user in given)
                found.append(Count(content, emoji, len(given), self.person in given, who))
        return found

    # -- pull requests

    async def _reviews(
        self, pull: SimulatedPullRequest
    ) -> list[tuple[datetime, int, Said | Happened]]:
        words = {
            "APPROVED": "approved these changes",
            "CHANGES_REQUESTED": "requested changes",
            "COMMENTED": "reviewed",
            "DISMISSED": "had a review dismissed",
        }
        threads = await self.line_threads(pull)
        rows: list[tuple[datetime, int, Said | Happened]] = []
        for review in pull.reviews:
            if review.submitted_at is None:
                continue
            said = Said(
                anchor=f"pullrequestreview-{review.id}",
                target=str(review.id),
                author=review.author,
                role=role_of(self.repository, review.author),
                at=review.submitted_at,
                edited=False,
                html=await self.html(review.body),
                raw=review.body,
                reactions=[],
                editable=False,
                verdict=words.get(review.state, review.state.lower()),
                threads=[thread for thread in threads if thread.review_id == review.id],
                minimised=_hidden(review),
            )
            if said.raw or said.threads or review.state != "COMMENTED":
                rows.append((review.submitted_at, review.id, said))
        return rows

    async def line_threads(self, pull: SimulatedPullRequest) -> list[LineThread]:
        """The threads on lines, in the order in which they were begun."""
        return [await self._line_thread(thread) for thread in pull.threads if thread.comments]

    async def _line_thread(self, thread: ReviewThread) -> LineThread:
        return LineThread(
            id=thread.id,
            node=node_id("PRRT", thread.id),
            path=thread.path,
            line=thread.line,
            side=thread.side,
            outdated=thread.outdated,
            resolved_by=thread.resolved_by,
            comments=[
                await self._said(comment, comment.author, f"discussion_r{comment.id}")
                for comment in thread.comments
            ],
            review_id=thread.comments[0].review_id,
        )

    async def files(self, pull: SimulatedPullRequest) -> list[ShownFile]:
        """What a pull request changes."""
        git, key = self.repository.git, (self.repository.id, pull.base_sha, pull.head_sha)
        if key not in self._diffs.files:
            start = await git.merge_base(pull.base_sha, pull.head_sha) or pull.base_sha
            changes = await git.changes(start, pull.head_sha)
            self._diffs.files[key] = [shown(change) for change in changes]
        return self._diffs.files[key]

    async def commits(self, pull: SimulatedPullRequest) -> list[ShownCommit]:
        """The commits of a pull request, oldest first."""
        git, key = self.repository.git, (self.repository.id, pull.base_sha, pull.head_sha)
        if key not in self._diffs.commits:
            shas = await git.range(pull.base_sha, pull.head_sha)
            self._diffs.commits[key] = [await git.commit(sha) for sha in shas]
        return [self.shown_commit(commit) for commit in self._diffs.commits[key]]

    async def can_merge(self, pull: SimulatedPullRequest) -> bool:
        """Whether head and base can be merged."""
        git = self.repository.git
        base = await git.verify(f"refs/heads/{pull.base}")
        return base is not None and await git.merged_tree(base, pull.head_sha) is not None

    def shown_commit(self, commit: SimulatedCommit) -> ShownCommit:
        """A commit as lists show it."""
        title, _, body = commit.message.partition("\n")
        users = self.world.users.values()
        user = next((one for one in users if one.email == commit.author.email), None)
        seconds = int(commit.author.stamp.split()[0])
        return ShownCommit(
            sha=commit.sha,
            title=title,
            body=body.strip(),
            author=user.login if user else commit.author.name,
            user=user,
            at=datetime.fromtimestamp(seconds, UTC),
            verified=commit.sha in self.repository.signed,
        )

    # -- checks

    async def checks(self, sha: str) -> list[Check]:
        """The latest run of each name on a commit."""
        runs = self.github.check_runs(self.repository.full_name, sha)
        latest = {run.name: run for run in runs}
        return [await self.check(run) for run in latest.values()]

    async def check(self, run: CheckRun) -> Check:
        """A check run with its texts as HTML."""
        mood, words = state_of(run)
        summary, text = await self.html(run.summary), await self.html(run.text)
        blank: Json = {"title": None, "raw_details": None}
        annotations = [blank | annotation for annotation in run.annotations]
        return Check(run, mood, words, summary, text, annotations)


def state_of(run: CheckRun) -> tuple[str, str]:
    """A run's icon (good, bad, gray, busy) and its text."""
    if run.conclusion is None:
        return "busy", run.status.replace("_", " ")
    mood = "good" if run.conclusion == "success" else "grey"
    return mood if run.conclusion in _GOOD else "bad", run.conclusion.replace("_", " ")


def mood_of(checks: Iterable[Check]) -> str:
    """Their combined state; empty if there is none."""
    moods = {check.mood for check in checks}
    return next((mood for mood in ("bad", "busy", "good", "grey") if mood in moods), "")


def role_of(repository: Repository, user: User) -> str:
    """A person's association with a repository, in one word."""
    if user.type == "Bot":
        return "app"
    if user is repository.owner:
        return "owner"
    if not repository.is_collaborator(user):
        return "stranger"
    level = repository.level(user)
    name = repository.role_names.get(user.login.lower())
    words = {"read": "reader", "write": "writer", "maintain": "maintainer", "none": "stranger"}
    return name or words.get(level, level)


def _line(event: IssueEvent) -> Happened:
    """A line of the timeline as text."""
    more = event.more
    words = _EVENTS.get(event.event)
    if event.event in ("labeled", "unlabeled"):
        side = "put_on" if event.event == "labeled" else "taken_off"
        labels: Any = {side: (more.get("label") or {},)}
        return Happened(f"event-{event.id}", event.actor, event.created_at, **labels)
    if event.event in ("assigned", "unassigned"):
        words = f"{event.event} {_login(more.get('assignee'))}"
    elif event.event == "review_requested":
        words = f"requested a review from {_login(more.get('requested_reviewer'))}"
    elif event.event == "renamed":
        words = "changed the title to “{to}”".format(**more["rename"])
    words = words or event.event.replace("_", " ")
    return Happened(f"event-{event.id}", event.actor, event.created_at, words)


def _in_few_lines(rows: Iterable[Said | Happened]) -> list[Said | Happened]:
    """The rows, with the labels that were changed in one go on one line."""
    found: list[Said | Happened] = []
    for row in rows:
        last = found[-1] if found else None
        both = None
        if isinstance(last, Happened) and isinstance(row, Happened):
            both = last.joined(row)
        if both is None:
            found.append(row)
        else:
            found[-1] = both
    return found


def _hidden(said: SimulatedComment | SimulatedReview) -> str:
    """Why a text is hidden; empty if it is not."""
    return (said.minimised or "").replace("_", "-").lower()


def _login(shape: Any) -> str:
    return str(shape["login"]) if isinstance(shape, dict) else "somebody"
