"""The web pages at GitHub's own paths, on the port of its API.

Server-rendered; a small script reloads the page's content and inserts changes. The acting person is
selected on the page, and the simulated GitHub decides what they may do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from app.playground.github import AppRegistration, GitHub, RefusedError
from app.playground.github.world import Repository, SimulatedIssue
from app.playground.slack import Slack

from . import doing, files
from .forms import HEADERS, RefusedFormError, form_of, not_modified, refuse_strangers
from .reading import mood_of
from .visit import NoSuchPageError, Site, Visit

_RESERVED = ("api", "apps", "assets", "login", "notifications", "organizations", "settings")

Page = Callable[[Visit], Awaitable[Response]]


def github_with_pages(
    root: Path, app: AppRegistration, slack: Slack | None = None, *, product_url: str = ""
) -> GitHub:
    """An empty GitHub as `GitHub.create` makes it, with pages for people.

    The first page links to `slack`, where there is one, and all link to the product's own pages
    at `product_url`, if it is given.
    """
    site = Site(slack=slack, product_url=product_url)
    site.github = GitHub.create(root, app, pages=page_routes(site))
    return site.github


def page_routes(site: Site) -> Sequence[BaseRoute]:
    """The routes of all pages."""

    def route(path: str, page: Page, *, posts: bool = False) -> Route:
        async def answer(request: Request) -> Response:
            return await _guarded(site, request, page)

        return Route(path, answer, methods=["GET", "POST"] if posts else ["GET"])

    repo, pull = "/{owner}/{repo}", "/{owner}/{repo}/pull/{number:int}"
    return [
        Mount("/assets", StaticFiles(directory=Path(__file__).parent / "assets")),
        route("/", _index),
        route("/act-as", _act_as, posts=True),
        route("/notifications", _notifications, posts=True),
        route(f"{repo}/issues/new", _new_issue, posts=True),
        route(f"{repo}/issues/{{number:int}}", _issue, posts=True),
        route(pull, _conversation, posts=True),
        route(f"{pull}/commits", _commits),
        route(f"{pull}/checks", _checks, posts=True),
        route(f"{pull}/files", _files, posts=True),
        route(f"{repo}/runs/{{run:int}}", _run, posts=True),
        route(f"{repo}/commit/{{sha}}", files.commit),
        route(f"{repo}/blob/{{path:path}}", files.blob),
        route(f"{repo}/tree/{{path:path}}", files.tree),
        *(route(f"{repo}/{kind}", _repository) for kind in ("issues", "pulls")),
        _NotReserved(repo, route(repo, _repository).endpoint),
        _NotReserved("/{owner}", route("/{owner}", _index).endpoint),
    ]


class _NotReserved(Route):
    """A route whose first part is an account, not one of GitHub's own words."""

    def matches(self, scope: Any) -> Any:
        match, child = super().matches(scope)
        first = scope["path"].split("/")[1]
        none = type(match).NONE
        return (none, {}) if first in _RESERVED else (match, child)


# -- the way of every page


async def _guarded(site: Site, request: Request, page: Page) -> Response:
    visit = Visit(site, request)
    try:
        refuse_strangers(request)
        if request.method == "POST":
            visit.form = await form_of(request)
        response = await page(visit)
    except NoSuchPageError:
        response = visit.show("missing.html", 404)
    except RefusedFormError as refused:
        words = f"{refused} ({refused.status})"
        response = visit.show("refused.html", refused.status, refusal=words)
    except RefusedError as refused:
        response = visit.show("refused.html", refused.status, refusal=words_of(refused))
    MutableHeaders(scope=None, raw=response.raw_headers).update(HEADERS)
    return not_modified(request, response)


def words_of(refused: RefusedError) -> str:
    """GitHub's message, on one line."""
    answer = refused.answer if isinstance(refused.answer, dict) else {}
    found = [str(answer.get("message", "")).strip()]
    for error in answer.get("errors") or []:
        if isinstance(error, dict):
            names = (str(error.get(name, "")) for name in ("field", "code"))
            found.append(error.get("message") or " ".join(filter(None, names)))
        else:
            found.append(str(error))
    return f"{' · '.join(filter(None, found))} ({refused.status})"


# -- pages of the whole place


async def _index(visit: Visit) -> Response:
    owner = visit.parameter("owner")
    repositories = [
        one
        for one in visit.visible_repositories()
        if not owner or one.owner.login.lower() == owner.lower()
    ]
    if owner and not repositories and owner.lower() not in visit.world.users:
        raise NoSuchPageError
    return visit.show("index.html", repositories=repositories, account=owner)


async def _act_as(visit: Visit) -> Response:
    login = visit.form.get("login", "")
    if login.lower() not in visit.world.users:
        raise NoSuchPageError
    back = urlsplit(visit.form.get("back", "/")).path
    response = RedirectResponse("/" + back.lstrip("/\\"), 303)
    response.set_cookie(visit.cookie, quote(login), httponly=True, samesite="strict")
    return response


async def _notifications(visit: Visit) -> Response:
    if visit.form.get("do") == "read":
        visit.mark_read()
        return RedirectResponse("/notifications", 303)
    return visit.show("notifications.html", notices=visit.notices())


# -- pages of a repository


async def _repository(visit: Visit) -> Response:
    repository = visit.repository()
    issues = sorted(repository.issues.values(), key=lambda one: -one.number)
    path = visit.request.url.path
    tab = path.rsplit("/", 1)[-1] if path.count("/") > 2 else ""
    return visit.show(
        "repository.html",
        repository=repository,
        issues=[one for one in issues if one.pull is None],
        pulls=[one for one in issues if one.pull is not None],
        tab=tab,
        look=None if tab else await files.at_a_glance(visit, repository),
    )


async def _new_issue(visit: Visit) -> Response:
    repository = visit.repository()
    if visit.request.method == "GET":
        return visit.show("new_issue.html", repository=repository)
    try:
        made = await visit.github.open_issue(
            repository.full_name,
            visit.person.login,
            visit.form.get("title", ""),
            visit.form.get("body", "").replace("\r\n", "\n"),
        )
    except RefusedError as refused:
        return visit.show(
            "new_issue.html", refused.status, repository=repository, refusal=words_of(refused)
        )
    return RedirectResponse(f"/{repository.full_name}/issues/{made.number}", 303)


# -- threads


async def _issue(visit: Visit) -> Response:
    repository, issue = _find(visit)
    if issue.pull is not None:
        return RedirectResponse(f"/{repository.full_name}/pull/{issue.number}", 303)
    return await _thread(visit, repository, issue, "issue.html", {})


async def _conversation(visit: Visit) -> Response:
    return await _pull_page(visit, "conversation")


async def _commits(visit: Visit) -> Response:
    return await _pull_page(visit, "commits")


async def _checks(visit: Visit) -> Response:
    return await _pull_page(visit, "checks")


async def _files(visit: Visit) -> Response:
    return await _pull_page(visit, "files")


async def _pull_page(visit: Visit, tab: str) -> Response:
    repository, issue = _find(visit)
    if issue.pull is None:
        return RedirectResponse(f"/{repository.full_name}/issues/{issue.number}", 303)
    return await _thread(visit, repository, issue, f"pull_{tab}.html", {"tab": tab})


def _find(visit: Visit) -> tuple[Repository, SimulatedIssue]:
    repository = visit.repository()
    issue = repository.issues.get(int(visit.request.path_params["number"]))
    if issue is None:
        raise NoSuchPageError
    return repository, issue


async def _thread(
    visit: Visit, repository: Repository, issue: SimulatedIssue, template: str, more: dict[str, Any]
) -> Response:
    """Carry out the form's action, then show the page; a refusal is shown on it."""
    status, refusal = 200, ""
    if visit.request.method == "POST":
        deed = doing.Deed(visit.github, visit.person.login, repository.full_name, issue, visit.form)
        try:
            anchor = await doing.do(deed)
            return RedirectResponse(f"{visit.request.url.path}#{anchor}".rstrip("#"), 303)
        except RefusedError as refused:
            status, refusal = refused.status, words_of(refused)
    context = {"repository": repository, "issue": issue, "refusal": refusal, **more}
    context |= await _parts(visit, repository, issue, more.get("tab", ""))
    return visit.show(template, status, **context)


async def _parts(
    visit: Visit, repository: Repository, issue: SimulatedIssue, tab: str
) -> dict[str, Any]:
    """What the tab of a thread shows besides its head."""
    reader, pull = visit.reader(repository), issue.pull
    if pull is None:
        return {"thread": await reader.thread(issue)}
    checks = await reader.checks(pull.head_sha)
    parts: dict[str, Any] = {"pull": pull, "checks": checks, "mood": mood_of(checks)}
    if tab == "conversation":
        parts["thread"] = await reader.thread(issue)
        parts["mergeable"] = issue.state == "open" and await reader.can_merge(pull)
    elif tab == "commits":
        parts["commits"] = await reader.commits(pull)
    elif tab == "files":
        parts["files"] = await reader.files(pull)
        parts["threads"] = await reader.line_threads(pull)
        parts["wanted"] = visit.request.query_params
    return parts


async def _run(visit: Visit) -> Response:
    repository = visit.repository()
    number = int(visit.request.path_params["run"])
    run = next((one for one in repository.check_runs() if one.id == number), None)
    if run is None:
        raise NoSuchPageError
    pulls = [issue for issue, pull in repository.pulls() if pull.head_sha == run.head_sha]
    status, refusal = 200, ""
    if visit.request.method == "POST":
        try:
            await _press(visit, repository, number)
            return RedirectResponse(visit.request.url.path, 303)
        except RefusedError as refused:
            status, refusal = refused.status, words_of(refused)
    check = await visit.reader(repository).check(run)
    return visit.show(
        "run.html", status, repository=repository, check=check, pulls=pulls, refusal=refusal
    )


async def _press(visit: Visit, repository: Repository, number: int) -> None:
    github, login = visit.github, visit.person.login
    if visit.form.get("do") == "rerun":
        await github.rerequest(repository.full_name, number, login)
    else:
        identifier = visit.form.get("identifier", "")
        await github.press(repository.full_name, number, identifier, login)
