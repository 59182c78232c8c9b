"""The interface for tests: create people and repositories, act as a person, inspect the result.

gh = await GitHub.create(root, app)
gh.add_user("alice")
await gh.add_repository("octo/sample", files={"a.py": b""}, permissions={"alice": "write"})
async with serve(gh) as url:
    gh.webhook_url = "http://127.0.0.1:8000/webhooks/github"
    issue = await gh.open_issue("octo/sample", "alice", "It breaks", "Steps ...")
    await gh.add_label("octo/sample", issue.number, "honk", "alice")
    await gh.drained()
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.routing import BaseRoute

from app.playground.clock import Clock

from . import actions, attachments, auth, checks, graphql, installations, lfs, merging, sign_in
from .accounts import ApiCaller, AppRegistration, SimulatedInstallation, User
from .api import Call, answer
from .app import ROUTER, Front, Observer
from .deliveries import SimulatedDelivery
from .faults import Faults
from .git import Git
from .people import PlaygroundPeople, RefusedError
from .records import CheckRun, OtherCi
from .refusals import Refusal
from .request_log import RequestRecord
from .world import LEVELS, Repository, SimulatedComment, SimulatedIssue, World


class GitHub(PlaygroundPeople):
    """A simulated GitHub with one App registered."""

    def __init__(self, world: World, pages: Sequence[BaseRoute] = ()) -> None:
        self.world = world
        world.followers.append(lambda: merging.settle(world))
        self._front = Front(world, pages)

    @classmethod
    def create(cls, root: Path, app: AppRegistration, pages: Sequence[BaseRoute] = ()) -> GitHub:
        """An empty GitHub whose git repositories go below `root`.

        `pages` are routes that come before its own.
        """
        root.mkdir(parents=True, exist_ok=True)
        return cls(World(root, app), pages)

    # -- what tests and the command line inspect

    @property
    def asgi(self) -> Any:
        """The application, for a server."""
        return self._front

    @property
    def url(self) -> str:
        """Where it is served; set by `serve`. The API is at `api_url`."""
        return self.world.url

    @url.setter
    def url(self, url: str) -> None:
        self.world.url = url.rstrip("/")

    @property
    def api_url(self) -> str:
        """The value for GITHUB_API_URL."""
        return self.world.api_url

    @property
    def clock(self) -> Clock:
        """The time here; `advance` lets tokens expire."""
        return self.world.clock

    @property
    def faults(self) -> Faults:
        """The faults to inject."""
        return self.world.faults

    @property
    def requests(self) -> list[RequestRecord]:
        """Every request to API and git, in order of their answers; people in tests leave none."""
        return self.world.requests

    @property
    def observers(self) -> list[Observer]:
        """Called with each RequestRecord."""
        return self._front.observers

    @property
    def webhook_observers(self) -> list[Callable[[SimulatedDelivery], None]]:
        """Called with each Delivery that is to be sent, before it is."""
        return self.world.webhooks.observers

    @property
    def deliveries(self) -> list[SimulatedDelivery]:
        """Every delivery that was tried, in order."""
        return self.world.webhooks.log

    @property
    def webhook_url(self) -> str | None:
        """The webhook URL; None: deliveries fail, which the delivery log shows."""
        return self.world.webhooks.url

    @webhook_url.setter
    def webhook_url(self, url: str | None) -> None:
        self.world.webhooks.url = url

    @property
    def webhook_content_type(self) -> Literal["json", "form"]:
        """The format of events."""
        return self.world.webhooks.content_type

    @webhook_content_type.setter
    def webhook_content_type(self, kind: Literal["json", "form"]) -> None:
        self.world.webhooks.content_type = kind

    async def drained(self) -> None:
        """Let pending effects happen; wait until every event was delivered or given up."""
        await self.world.settle()
        await self.world.webhooks.drained()

    async def close(self) -> None:
        """Stop delivering."""
        await self.world.webhooks.close()

    # -- creating people and repositories

    def add_user(self, login: str) -> User:
        """Create a person's account, or return the existing one."""
        return self.world.add_user(login)

    def add_organization(self, login: str, owners: Sequence[str]) -> User:
        """Create an organization; `owners` are those who may create Apps for it."""
        owned = {self.add_user(owner).login.lower() for owner in owners}
        self.world.desk.organizations[login.lower()] = owned
        return self.world.add_user(login)

    def token_for(self, login: str) -> str:
        """A person's own token, for the API and for git."""
        return auth.new_person_token(self.world, self.world.user(login))

    async def add_repository(
        self,
        name: str,
        source: Path | None = None,
        *,
        files: Mapping[str, bytes] | None = None,
        default_branch: str = "main",
        private: bool = False,
        permissions: Mapping[str, str] | None = None,
        installed: bool = True,
    ) -> Repository:
        """Make `owner/name`, with the App installed on it.

        From a local git repository (branches, tags; its HEAD becomes the default branch), from
        files, or empty. The owner is made where unknown, as are people in `permissions`
        (login to one of none, read, triage, write, maintain, admin).
        """
        world = self.world
        owner_login, _, short = name.partition("/")
        owner = world.add_user(owner_login)
        git = Git(world.root / "repositories" / owner.login / f"{short}.git", world.root)
        await git.create(default_branch)
        if source is not None:
            await git.copy_from(source, default_branch)
        elif files:
            when = int(world.clock.timestamp())
            await git.write_first_commit(default_branch, files, when)
        repository = Repository(
            world.new_id(), owner, short, git, default_branch, world.clock.now(), private
        )
        repository.installed = installed
        world.repositories[name.lower()] = repository
        for login, level in (permissions or {}).items():
            self.set_permission(name, login, level)
        if owner.login.lower() not in world.installations:
            installation = SimulatedInstallation(world.new_id(), owner, world.clock.now())
            installation.permissions = dict(world.app.permissions)
            world.installations[owner.login.lower()] = installation
        return repository

    def set_permission(self, repo: str, login: str, level: str, *, role: str | None = None) -> None:
        """Give a person a level; `role` is the name of a custom role with that level."""
        if level not in LEVELS:
            raise ValueError(f"{level!r} is not one of {', '.join(LEVELS)}")
        repository = self.world.repository(repo)
        login = self.add_user(login).login.lower()
        repository.permissions[login] = level
        repository.role_names.pop(login, None)
        if role:
            repository.role_names[login] = role

    # -- acting as a person

    async def act(self, login: str, method: str, path: str, body: Any = None) -> Any:
        """Do what a person does with one request of the API, below `/api/v3`; gives its JSON.

        Leaves no line in `requests` and meets no fault. Raises RefusedError.
        """
        path, _, query = path.partition("?")
        actor = ApiCaller("person", self.world.user(login))
        call = Call(self.world, actor, method, path, body=body)
        call.query = dict(pair.split("=", 1) for pair in query.split("&") if pair)
        _, result = await answer(ROUTER, call)
        if result.status >= 400:
            raise RefusedError(result.status, result.body)
        return result.body

    async def graphql(self, login: str, query: str, variables: dict[str, Any]) -> Any:
        """Do what a person does with one GraphQL document; gives its data. Raises RefusedError."""
        body = {"query": query, "variables": variables}
        actor = ApiCaller("person", self.world.user(login))
        answer = await graphql.run(Call(self.world, actor, "POST", "/graphql", body=body))
        if answer.status >= 400 or answer.body.get("errors"):
            words = answer.body.get("errors", [answer.body])[0]
            raise RefusedError(answer.status, words)
        return answer.body["data"]

    async def open_issue(
        self, repo: str, author: str, title: str, body: str | None = "", labels: Sequence[str] = ()
    ) -> SimulatedIssue:
        """A person opens an issue."""
        wanted = {"title": title, "body": body, "labels": list(labels)}
        answer = await self.act(author, "POST", f"/repos/{repo}/issues", wanted)
        return self.issue(repo, answer["number"])

    async def close_issue(self, repo: str, number: int, actor: str) -> None:
        """A person closes an issue or a pull request."""
        await self.act(actor, "PATCH", f"/repos/{repo}/issues/{number}", {"state": "closed"})

    async def add_label(self, repo: str, number: int, label: str, actor: str) -> None:
        """A person adds a label to an issue or pull request."""
        path = f"/repos/{repo}/issues/{number}/labels"
        await self.act(actor, "POST", path, {"labels": [label]})

    async def remove_label(self, repo: str, number: int, label: str, actor: str) -> None:
        """A person removes a label."""
        name = quote(label, safe="")
        await self.act(actor, "DELETE", f"/repos/{repo}/issues/{number}/labels/{name}")

    async def comment(self, repo: str, number: int, actor: str, body: str) -> SimulatedComment:
        """A person comments on an issue or pull request."""
        path = f"/repos/{repo}/issues/{number}/comments"
        made = await self.act(actor, "POST", path, {"body": body})
        comments = self.issue(repo, number).comments
        return next(comment for comment in comments if comment.id == made["id"])

    async def edit_comment(self, repo: str, comment_id: int, actor: str, body: str) -> None:
        """A person edits a comment."""
        path = f"/repos/{repo}/issues/comments/{comment_id}"
        await self.act(actor, "PATCH", path, {"body": body})

    async def delete_comment(self, repo: str, comment_id: int, actor: str) -> None:
        """A person deletes a comment."""
        await self.act(actor, "DELETE", f"/repos/{repo}/issues/comments/{comment_id}")

    async def merge(
        self, repo: str, number: int, actor: str, *, sha: str | None = None, method: str = "merge"
    ) -> str:
        """A person merges a pull request; gives the commit on the base branch."""
        body = {"merge_method": method} | ({"sha": sha} if sha else {})
        made = await self.act(actor, "PUT", f"/repos/{repo}/pulls/{number}/merge", body)
        return str(made["sha"])

    async def press(self, repo: str, check_run_id: int, identifier: str, actor: str) -> None:
        """A person presses a button of a completed check run. Raises RefusedError."""
        repository = self.world.repository(repo)
        run = next(one for one in repository.check_runs() if one.id == check_run_id)
        try:
            checks.press(self.world, repository, run, identifier, self.world.user(actor))
        except Refusal as refusal:
            raise RefusedError(refusal.status, refusal.body()) from None

    async def rerequest(self, repo: str, check_run_id: int, actor: str) -> None:
        """A person presses "Re-run" on a check run."""
        await self.act(actor, "POST", f"/repos/{repo}/check-runs/{check_run_id}/rerequest")

    async def rerequest_all(self, repo: str, check_run_id: int, actor: str) -> None:
        """A person presses "Re-run all checks" on the suite of a check run."""
        runs = self.world.repository(repo).check_runs()
        suite = next(one for one in runs if one.id == check_run_id).suite
        await self.act(actor, "POST", f"/repos/{repo}/check-suites/{suite.id}/rerequest")

    # -- the App on accounts

    def install(self, account: str, by: str | None = None) -> SimulatedInstallation:
        """A person installs the App on an account, with all requested permissions."""
        world = self.world
        return installations.install(world, self.add_user(account), world.user(by or account))

    def uninstall(self, account: str, by: str | None = None) -> None:
        """A person uninstalls the App from an account; its tokens answer 401 from now on."""
        world = self.world
        installations.uninstall(world, self._installation(account), world.user(by or account))

    def suspend(self, account: str, by: str | None = None) -> None:
        """A person suspends the App on an account; its tokens answer 403."""
        world = self.world
        installations.suspend(world, self._installation(account), world.user(by or account))

    def unsuspend(self, account: str, by: str | None = None) -> None:
        """A person unsuspends the App."""
        world = self.world
        installations.unsuspend(world, self._installation(account), world.user(by or account))

    def grant(self, account: str, permissions: Mapping[str, str], by: str | None = None) -> None:
        """A person accepts these permissions, and no others."""
        world, sender = self.world, self.world.user(by or account)
        installations.accept(world, self._installation(account), dict(permissions), sender)

    def cover(self, repo: str, *, covered: bool = True, by: str | None = None) -> None:
        """A person adds a repository to the installation of its owner, or removes it."""
        repository = self.world.repository(repo)
        sender = self.world.user(by) if by else repository.owner
        installations.choose(self.world, repository, sender, covered=covered)

    def _installation(self, account: str) -> SimulatedInstallation:
        return self.world.installations[account.lower()]

    def sign_in(self, login: str, url: str) -> str:
        """A person agrees at `/login/oauth/authorize?...`; gives where they are sent.

        Raises SignInError.
        """
        asked = dict(parse_qsl(urlsplit(url).query))
        return sign_in.agree(self.world, self.world.user(login), asked)

    # -- pictures, and the CI of another App

    def attach_image(self, repo: str, content: bytes, name: str = "image.png") -> str:
        """A person attaches an image to a text; returns its Markdown."""
        return attachments.attach(self.world, self.world.repository(repo), content, name)

    def keep_in_lfs(self, repo: str, content: bytes) -> bytes:
        """A person pushes a content with Git LFS; returns the pointer to commit."""
        return lfs.keep(self.world.repository(repo), content)

    def use_ci(self, repo: str, ci: OtherCi | None) -> None:
        """Let GitHub Actions react to each push to a branch as `ci` says; None turns it off."""
        self.world.repository(repo).ci = ci

    def finish_ci(self, repo: str, sha: str, conclusion: str) -> None:
        """Finish a commit's running workflow runs. Raises RefusedError if there are none."""
        repository = self.world.repository(repo)
        runs = [run for run in repository.workflow_runs.values() if run.suite.head_sha == sha]
        busy = [run for run in runs if run.status != "completed"]
        if not busy:
            raise RefusedError(409, {"message": "No run is in progress."})
        for run in busy:
            actions.finish(self.world, repository, run, conclusion)

    # -- inspecting

    def repository(self, repo: str) -> Repository:
        """A repository with its switches: private, archived, has_issues, protected, ..."""
        return self.world.repository(repo)

    def issue(self, repo: str, number: int) -> SimulatedIssue:
        """An issue or pull request with labels, comments, reactions, events."""
        return self.world.repository(repo).issue(number)

    def pulls(self, repo: str) -> list[SimulatedIssue]:
        """The pull requests, oldest first; each is an issue whose `pull` is set."""
        issues = self.world.repository(repo).issues
        return [issues[number] for number in sorted(issues) if issues[number].pull]

    def check_runs(self, repo: str, sha: str | None = None) -> list[CheckRun]:
        """The check runs, oldest first, of one commit where it is given."""
        runs = self.world.repository(repo).check_runs()
        return [run for run in runs if sha in (None, run.head_sha)]

    async def branch(self, repo: str, name: str) -> str | None:
        """The commit at the head of a branch."""
        return await self.world.repository(repo).git.ref(f"refs/heads/{name}")

    async def refs(self, repo: str, prefix: str = "refs") -> dict[str, str]:
        """All refs below a prefix, hidden ones too."""
        return await self.world.repository(repo).git.refs(prefix)

    async def file(self, repo: str, ref: str, path: str) -> bytes | None:
        """The content of a file at a branch, tag or commit."""
        git = self.world.repository(repo).git
        commit = await git.commit_of(ref)
        entry = await git.entry(commit, path) if commit else None
        return await git.blob(entry.sha) if entry else None
