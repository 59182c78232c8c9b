"""What Honk reads of GitHub's webhook events, and nothing more. Pure.

The names are those of https://docs.github.com/en/webhooks/webhook-events-and-payloads. Members that
are not named here are checked to be JSON and skipped, so that GitHub may add to its events.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from app.errors import HonkError

ACTED_ON = (("issues", "labeled"), ("issues", "unlabeled"), ("issue_comment", "created"))
"""The events that may start something, each with its action."""

# GitHub's own limit is 65,536 characters for a body and 256 for a title.
_Text = Annotated[str, Meta(max_length=1_000_000)]
_Word = Annotated[str, Meta(min_length=1, max_length=1_000)]
_Time = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
        r"(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})\Z"
    ),
]
_NodeId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_+/=-]{1,150}\Z")]
_Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class EventError(HonkError):
    """The body is not what GitHub sends under this event's name. The message tells where."""


class Account(msgspec.Struct, frozen=True):
    """A person, a bot or an organization."""

    login: _Word
    id: _Id
    type: _Word = "User"


class App(msgspec.Struct, frozen=True):
    id: _Id


class Installation(msgspec.Struct, frozen=True):
    id: _Id


class Repository(msgspec.Struct, frozen=True):
    id: _Id
    full_name: _Word
    default_branch: _Word
    private: bool
    archived: bool = False


class Label(msgspec.Struct, frozen=True):
    name: _Word


class PullRequest(msgspec.Struct, frozen=True):
    """Its presence is all that counts."""


class Issue(msgspec.Struct, frozen=True):
    """An issue, or a pull request seen as one: then `pull_request` is there."""

    number: _Id
    title: _Text
    html_url: _Word
    state: _Word
    created_at: _Time
    updated_at: _Time
    body: _Text | None = None
    user: Account | None = None
    labels: Annotated[list[Label], Meta(max_length=1_000)] = []
    pull_request: PullRequest | None = None


class Comment(msgspec.Struct, frozen=True):
    id: _Id
    node_id: _NodeId
    html_url: _Word
    created_at: _Time
    body: _Text | None = None
    performed_via_github_app: App | None = None


class OnIssue(msgspec.Struct, frozen=True, kw_only=True):
    """What the events about issues have in common."""

    action: _Word
    sender: Account
    repository: Repository
    issue: Issue
    installation: Installation | None = None


class Issues(OnIssue, frozen=True, kw_only=True):
    """`issues`; `label` is there for the actions about one."""

    label: Label | None = None


class IssueComment(OnIssue, frozen=True, kw_only=True):
    """`issue_comment`."""

    comment: Comment


class OtherEvent(msgspec.Struct, frozen=True):
    """Any event that Honk does not act on."""

    action: str | None = None


Event = Issues | IssueComment | OtherEvent
