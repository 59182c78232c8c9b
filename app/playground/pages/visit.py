"""One page request: the person, the page, and how it is rendered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.playground.github import GitHub
from app.playground.github.accounts import User
from app.playground.github.world import Repository, World
from app.playground.slack import Slack

from .feed import Notice, notices
from .reading import EMOJI, Diffs, Reader, role_of, state_of
from .rendering import acting_cookie, templates
from .writer import Writer

_UNITS = ((365 * 86400, "year"), (86400, "day"), (3600, "hour"), (60, "minute"))


class NoSuchPageError(Exception):
    """404: there is nothing here that this person may see."""


@dataclass
class Site:
    """Shared by all pages; `github` is set before the first request."""

    product_url: str = ""
    """Where the product shows its own pages, if people can open them."""
    github: GitHub = field(init=False)
    slack: Slack | None = None
    diffs: Diffs = field(default_factory=Diffs)
    read: dict[str, int] = field(default_factory=dict)
    """The newest notice that each person has read."""

    @cached_property
    def writer(self) -> Writer:
        """Renders texts, with a cache."""
        return Writer(self.github.world)

    @cached_property
    def templates(self) -> Environment:
        """The templates and their helper functions."""
        environment = templates()
        environment.globals |= {"EMOJI": EMOJI, "role_of": role_of, "state_of": state_of}
        environment.filters |= {"ago": self.ago, "stamp": datetime.isoformat}
        return environment

    def ago(self, when: datetime) -> str:
        """How long ago something happened, as text."""
        seconds = int((self.github.clock.now() - when.astimezone(UTC)).total_seconds())
        for size, unit in _UNITS:
            if seconds >= size:
                count = seconds // size
                return f"{count} {unit}{'' if count == 1 else 's'} ago"
        return "just now"


@dataclass
class Visit:
    """A page request by the acting person."""

    site: Site
    request: Request
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def github(self) -> GitHub:
        """The simulated GitHub."""
        return self.site.github

    @property
    def world(self) -> World:
        """Its state."""
        return self.github.world

    @property
    def cookie(self) -> str:
        """The name of the cookie with the acting person."""
        return acting_cookie(self.world.url)

    @cached_property
    def person(self) -> User:
        """The acting person: as selected, or else the owner of the first repository."""
        login = unquote(self.request.cookies.get(self.cookie, "")).lower()
        people = self.people()
        owners = [one.owner for one in self.world.repositories.values()]
        chosen = [user for user in people if user.login.lower() == login]
        found = [*chosen, *(user for user in owners if user in people), *people]
        if not found:
            raise NoSuchPageError
        return found[0]

    def people(self) -> list[User]:
        """All people that can be selected as the acting person."""
        return [user for user in self.world.users.values() if user.type == "User"]

    def parameter(self, name: str) -> str:
        """A part of the URL; empty if it has no such part."""
        return str(self.request.path_params.get(name, ""))

    def visible_repositories(self) -> list[Repository]:
        """What the person may see."""
        all_of_them = self.world.repositories.values()
        return [one for one in all_of_them if one.allows(self.person, "read")]

    def repository(self) -> Repository:
        """The repository of the address. Raises NoSuchPageError."""
        name = f"{self.parameter('owner')}/{self.parameter('repo')}".lower()
        found = self.world.repositories.get(name)
        if found is None or not found.allows(self.person, "read"):
            raise NoSuchPageError
        return found

    def reader(self, repository: Repository) -> Reader:
        """Reads a repository as the person."""
        return Reader(self.github, self.site.writer, self.site.diffs, self.person, repository)

    # -- notifications

    def notices(self) -> list[Notice]:
        """The notifications, newest first."""
        return notices(self.world, self.person)

    def unread(self) -> int:
        """How many of them are new."""
        seen = self.site.read.get(self.person.login, 0)
        return sum(notice.id > seen for notice in self.notices())

    def is_new(self, notice: Notice) -> bool:
        """Whether the person has not marked it as read."""
        return notice.id > self.site.read.get(self.person.login, 0)

    def mark_read(self) -> None:
        """Mark everything as read."""
        newest = max((notice.id for notice in self.notices()), default=0)
        self.site.read[self.person.login] = newest

    # -- showing

    def show(self, template: str, status: int = 200, **context: Any) -> Response:
        """A page from its template."""
        blank: dict[str, Any] = {"repository": None, "refusal": "", "visit": self}
        html = self.site.templates.get_template(template).render(blank | context)
        return HTMLResponse(html, status)
