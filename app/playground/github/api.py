"""Handling one API request: route, authentication, permissions, endpoint, response.

People on the pages and programs on the REST API both use `answer`. Outside contract:
https://docs.github.com/rest
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import unquote, urlencode

from .accounts import ApiCaller, User
from .refusals import Moved, Refusal, invalid_request, no_permission, not_found, validation
from .world import Json, Repository, SimulatedIssue, World

T = TypeVar("T")


@dataclass
class Answer:
    """An endpoint's response; `body` is JSON, or bytes for another media type."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Call:
    """One request on its way through an endpoint."""

    world: World
    actor: ApiCaller
    method: str
    path: str
    params: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    accept: str = ""
    found: Repository | None = None

    @property
    def user(self) -> User:
        """The account that acts."""
        if self.actor.user is None:
            raise Refusal(401, "Requires authentication")
        return self.actor.user

    @property
    def repository(self) -> Repository:
        """The repository of the path."""
        if self.found is None:
            raise not_found()
        return self.found

    def issue(self) -> SimulatedIssue:
        """The issue or pull request of the path, if the repository has issues."""
        self._not_gone(self.number("issue_number"))
        issue = self.repository.issue(self.number("issue_number"))
        if issue.pull is None and not self.repository.has_issues:
            raise Refusal(410, "Issues are disabled for this repo")
        return issue

    def _not_gone(self, number: int) -> None:
        """Refuse deleted (410) and transferred ones (301, with the new URL)."""
        if number not in self.repository.gone:
            return
        place = self.repository.gone[number]
        if place is None:
            raise Refusal(410, "This issue was deleted")
        repository, new = place
        if not sees(self.world, self.actor, repository):
            raise not_found()
        tail = self.path.partition(f"/issues/{number}")[2]
        url = f"{self.world.api_url}/repositories/{repository.id}/issues/{new}{tail}"
        raise Moved(url)

    def number(self, name: str) -> int:
        """A number of the path. Refuses with 404."""
        if not self.params[name].isdecimal():
            raise not_found()
        return int(self.params[name])

    def can(self, level: str) -> bool:
        """Whether the actor has this level here; an installation has the level that the endpoint
        required.
        """
        return self.actor.kind == "installation" or self.repository.allows(self.user, level)

    # -- the body

    def given(self, name: str) -> bool:
        """Whether the body has this property."""
        return name in self.fields()

    def fields(self) -> Json:
        """The body, an object. Refuses with 400."""
        if self.body is None:
            return {}
        if not isinstance(self.body, dict):
            raise Refusal(400, "Body should be a JSON object")
        return self.body

    def value(self, name: str, kind: type[T], default: T) -> T:
        """A property of this type, or the default where it is absent or null."""
        value = self.fields().get(name)
        if value is None:
            return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise invalid_request(f"For 'properties/{name}', {value!r} is not a {_word(kind)}.")
        return value

    def required(self, name: str, kind: type[T]) -> T:
        """A property that must be there. Refuses with 422."""
        if self.fields().get(name) is None:
            raise invalid_request(f'"{name}" wasn\'t supplied.')
        return self.value(name, kind, kind())

    def optional(self, name: str, kind: type[T]) -> T | None:
        """A property that may be absent or null."""
        return None if self.fields().get(name) is None else self.required(name, kind)

    def strings(self, name: str) -> list[str]:
        """A list of strings, empty where it is absent."""
        values = self.value(name, list, [])
        if not all(isinstance(value, str) for value in values):
            raise invalid_request(f"For 'properties/{name}', {values!r} is not all strings.")
        return values

    def choice(self, name: str, choices: Sequence[str]) -> str | None:
        """One of these words, or None where it is absent."""
        value = self.optional(name, str)
        if value is not None and value not in choices:
            raise invalid_request(
                f"For 'properties/{name}', {value!r} is not a member of the enum."
            )
        return value

    def page(
        self, items: Sequence[T], shape: Callable[[T], Json], *, under: str | None = None
    ) -> Answer:
        """One page of a list, with the Link header for the others."""
        size = min(max(_integer(self.query.get("per_page"), 30), 1), 100)
        page = max(_integer(self.query.get("page"), 1), 1)
        last = max((len(items) + size - 1) // size, 1)
        rows: Any = [shape(item) for item in items[(page - 1) * size : page * size]]
        body = rows if under is None else {"total_count": len(items), under: rows}
        targets = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
        wanted = {"prev", "first"} if page > 1 else set()
        if page < last:
            wanted |= {"next", "last"}
        links = [
            f'<{self._link(targets[name])}>; rel="{name}"' for name in targets if name in wanted
        ]
        return Answer(200, body, {"Link": ", ".join(links)} if links else {})

    def _link(self, page: int) -> str:
        query = urlencode(self.query | {"page": str(page)})
        return f"{self.world.api_url}{self.path}?{query}"


Handler = Callable[[Call], Awaitable[Answer]]

_LONG = {"path", "ref", "branch", "basehead"}
"""Parameters that may hold slashes."""


class ApiEndpoint:
    """An operation of the API.

    `need` is the permission of installations (`issues:write`, alternatives after `|` count for
    pull requests), or `app` (JWT), `installation` (its token), `any`. `role` is what a person
    needs in the repository.
    """

    def __init__(
        self, method: str, template: str, handler: Handler, need: str, role: str = "read"
    ) -> None:
        self.method = method
        self.template = template
        self.handler = handler
        self.need = need
        self.role = role
        pattern = re.sub(r"\{(\w+)\}", _group, re.sub(r"[.]", r"\\.", template))
        self.pattern = re.compile(pattern)


class Router:
    """Finds the endpoint of a path; earlier ones win."""

    def __init__(self, *tables: Sequence[ApiEndpoint]) -> None:
        self.endpoints = [endpoint for table in tables for endpoint in table]

    def find(self, method: str, path: str) -> tuple[ApiEndpoint, dict[str, str]]:
        """The endpoint and its parameters, decoded. Refuses with 404."""
        for endpoint in self.endpoints:
            match = endpoint.pattern.fullmatch(path) if endpoint.method == method else None
            if match:
                return endpoint, {k: unquote(v) for k, v in match.groupdict().items()}
        raise not_found()


async def answer(router: Router, call: Call) -> tuple[str, Answer]:
    """Answer one request: the endpoint's template (empty if none matches) and the response."""
    template = ""
    try:
        endpoint, call.params = router.find(call.method, _by_name(call))
        template = endpoint.template
        _check(call, endpoint)
        result = await endpoint.handler(call)
        if call.method != "GET":
            await call.world.settle()
    except Refusal as refusal:
        result = Answer(refusal.status, refusal.body(), refusal.headers)
    return template, result


def _by_name(call: Call) -> str:
    """The path with the repository's name instead of its id, as in redirects."""
    match = re.match(r"/repositories/(\d+)(?=/|$)", call.path)
    if match is None:
        return call.path
    for repository in call.world.repositories.values():
        if repository.id == int(match[1]):
            return f"/repos/{repository.full_name}{call.path[match.end() :]}"
    raise not_found()


def _check(call: Call, endpoint: ApiEndpoint) -> None:
    kind = call.actor.kind
    if endpoint.need == "any":
        return
    if endpoint.need == "app":
        if kind != "app":
            raise Refusal(401, "A JSON web token could not be decoded")
    elif endpoint.need == "installation":
        if kind != "installation":
            raise Refusal(403, "You must authenticate with an installation access token")
    elif kind == "app":
        raise no_permission()
    else:
        _check_repository(call, endpoint)


def _check_repository(call: Call, endpoint: ApiEndpoint) -> None:
    full_name = f"{call.params['owner']}/{call.params['repo']}"
    former = call.world.renamed.get(full_name.lower())
    known = call.world.repositories.get(full_name.lower(), former)
    if known is None:
        raise not_found()
    repository = call.found = known
    writes = call.method != "GET"
    if not sees(call.world, call.actor, repository):
        raise not_found()
    if repository is former:
        tail = "/".join(call.path.split("/")[4:])
        url = f"{call.world.api_url}/repositories/{repository.id}/{tail}".rstrip("/")
        raise Moved(url, 307 if writes else 301)
    if call.actor.kind == "anonymous" and writes:
        raise Refusal(401, "Requires authentication")
    if call.actor.kind == "installation":
        _check_permission(call, endpoint, writes)
    elif call.actor.kind == "person":
        _check_person(call, endpoint, writes)
    settings = call.method in ("PATCH", "DELETE") and endpoint.template == "/repos/{owner}/{repo}"
    if repository.archived and writes and not settings:
        raise Refusal(403, "Repository was archived so is read-only.")


def _check_person(call: Call, endpoint: ApiEndpoint, writes: bool) -> None:
    token = call.actor.token
    if token is not None and token.via_app:
        # A token by way of the App can do what both the person and the App may.
        installation = call.world.installation_of(call.repository)
        granted = (installation.permissions or {}) if installation else {}
        name, _, level = endpoint.need.partition("|")[0].partition(":")
        enough = ("write", "admin") if level == "write" else ("read", "write", "admin")
        public = not call.repository.private and not writes
        if name != "metadata" and granted.get(name) not in enough and not public:
            raise no_permission()
    if not call.repository.allows(call.user, endpoint.role):
        raise Refusal(403, "Must have more rights to Repository.")


def sees(world: World, actor: ApiCaller, repository: Repository) -> bool:
    """Whether the actor may see a repository."""
    if not repository.private:
        return True
    if actor.kind == "installation":
        return covers(world, actor, repository)
    return actor.user is not None and repository.allows(actor.user, "read")


def covers(world: World, actor: ApiCaller, repository: Repository) -> bool:
    """Whether a repository is among those of an installation's token."""
    token = actor.token
    if token is None or token.installation is None:
        return False
    mine = world.installation_of(repository) is token.installation
    return mine and (token.repositories is None or repository.id in token.repositories)


def has_permission(actor: ApiCaller, need: str) -> bool:
    """Whether an installation's token has `name:read` or `name:write`."""
    name, _, level = need.partition(":")
    if name == "metadata":
        return True
    token = actor.token
    given = [token.permissions] if token else [{}]
    if token and token.installation and token.installation.permissions is not None:
        # Permissions that were withdrawn later also apply to existing tokens.
        given.append(token.installation.permissions)
    enough = ("write", "admin") if level == "write" else ("read", "write", "admin")
    return all(one.get(name) in enough for one in given)


def _check_permission(call: Call, endpoint: ApiEndpoint, writes: bool) -> None:
    if not covers(call.world, call.actor, call.repository):
        if writes:
            raise no_permission()
        return
    need, *others = endpoint.need.split("|")
    if _is_pull(call) and any(has_permission(call.actor, other) for other in others):
        return
    if not has_permission(call.actor, need):
        raise no_permission()


def _is_pull(call: Call) -> bool:
    number = call.params.get("issue_number", "")
    comment = call.params.get("comment_id", "")
    for issue in call.repository.issues.values():
        if number == str(issue.number) or comment in {str(c.id) for c in issue.comments}:
            return issue.pull is not None
    return False


def limited(resource: str, name: str, text: str | None, limit: int) -> str | None:
    """A text with GitHub's length limit. Refuses with 422."""
    if text is not None and len(text) > limit:
        words = f"{name} is too long (maximum is {limit} characters)"
        raise validation(resource, name, "custom", message=words)
    return text


def _group(match: re.Match[str]) -> str:
    name = match[1]
    return f"(?P<{name}>.+)" if name in _LONG else f"(?P<{name}>[^/]+)"


def _integer(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() else default


def _word(kind: type) -> str:
    return {str: "string", int: "integer", bool: "boolean", list: "array", dict: "object"}[kind]
