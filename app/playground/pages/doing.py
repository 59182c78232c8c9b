"""The actions of the forms: each makes the API request of a click."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from app.playground.github import GitHub, RefusedError
from app.playground.github.world import Reaction, SimulatedIssue


@dataclass(frozen=True)
class Deed:
    """A form that somebody sent from the page of an issue or pull request."""

    github: GitHub
    login: str
    repository: str
    issue: SimulatedIssue
    form: Mapping[str, str]

    @property
    def base(self) -> str:
        """The repository's address in the API."""
        return f"/repos/{self.repository}"

    @property
    def thread(self) -> str:
        """The issue's address in the API."""
        return f"{self.base}/issues/{self.issue.number}"

    @property
    def pull(self) -> str:
        """The pull request's address in the API."""
        return f"{self.base}/pulls/{self.issue.number}"

    def field(self, name: str) -> str:
        """A field of the form, empty where it is absent; lines end as they do in git."""
        return self.form.get(name, "").replace("\r\n", "\n")

    async def act(self, method: str, path: str, body: object = None) -> dict[str, object]:
        """Do it as the person. Raises RefusedError."""
        answer = await self.github.act(self.login, method, path, body)
        return answer if isinstance(answer, dict) else {}


async def do(deed: Deed) -> str:
    """Carry out a form's action; return the anchor of its result on the page.

    Raises RefusedError, also for an unknown action.
    """
    action = _ACTIONS.get(deed.field("do"))
    if action is None:
        raise RefusedError(400, {"message": "No button does that."})
    return await action(deed) or ""


async def _comment(deed: Deed) -> str | None:
    made = None
    if deed.field("body").strip() or "state" not in deed.form:
        made = await deed.act("POST", f"{deed.thread}/comments", {"body": deed.field("body")})
    if state := deed.field("state"):
        await _set_state(deed, state)
    return f"issuecomment-{made['id']}" if made else None


async def _set_state(deed: Deed, state: str) -> None:
    state, _, reason = state.partition(" ")
    body = {"state": state} | ({"state_reason": reason} if reason else {})
    await deed.act("PATCH", deed.thread, body)


async def _edit(deed: Deed) -> str:
    number = _number(deed.field("comment"))
    path = f"{deed.base}/issues/comments/{number}"
    await deed.act("PATCH", path, {"body": deed.field("body")})
    return f"issuecomment-{number}"


async def _label(deed: Deed) -> None:
    await deed.act("POST", f"{deed.thread}/labels", {"labels": [deed.field("label").strip()]})


async def _unlabel(deed: Deed) -> None:
    await deed.act("DELETE", f"{deed.thread}/labels/{quote(deed.field('label'), safe='')}")


async def _react(deed: Deed) -> None:
    """Add a reaction, or remove an existing one."""
    content, path, reactions = deed.field("content"), deed.thread, deed.issue.reactions
    if (target := deed.field("target")) != "issue":
        number = _number(target)
        path = f"{deed.base}/issues/comments/{number}"
        found: list[list[Reaction]] = [c.reactions for c in deed.issue.comments if c.id == number]
        reactions = found[0] if found else []
    for one in reactions:
        if one.user.login == deed.login and one.content == content:
            await deed.act("DELETE", f"{path}/reactions/{one.id}")
            return
    await deed.act("POST", f"{path}/reactions", {"content": content})


async def _review(deed: Deed) -> None:
    body = {"event": deed.field("event"), "body": deed.field("body")}
    await deed.act("POST", f"{deed.pull}/reviews", body)


async def _comment_on_line(deed: Deed) -> str:
    body = {
        "body": deed.field("body"),
        "commit_id": deed.field("commit"),
        "path": deed.field("path"),
        "line": _number(deed.field("line")),
        "side": deed.field("side"),
    }
    made = await deed.act("POST", f"{deed.pull}/comments", body)
    return f"discussion_r{made['id']}"


async def _reply(deed: Deed) -> str:
    number = _number(deed.field("thread"))
    path = f"{deed.pull}/comments/{number}/replies"
    made = await deed.act("POST", path, {"body": deed.field("body")})
    return f"discussion_r{made['id']}"


async def _merge(deed: Deed) -> None:
    body = {"merge_method": deed.field("method"), "sha": deed.field("sha")}
    await deed.act("PUT", f"{deed.pull}/merge", body)


async def _ready(deed: Deed) -> None:
    await _set_draft(deed, "markPullRequestReadyForReview")


async def _draft(deed: Deed) -> None:
    await _set_draft(deed, "convertPullRequestToDraft")


async def _set_draft(deed: Deed, mutation: str) -> None:
    shape = await deed.act("GET", deed.pull)
    pull = "(input: {pullRequestId: $id}) { pullRequest { id } }"
    query = f"mutation($id: ID!) {{ {mutation}{pull} }}"
    await deed.github.graphql(deed.login, query, {"id": shape["node_id"]})


async def _resolve(deed: Deed) -> None:
    await _set_resolved(deed, "resolveReviewThread")


async def _unresolve(deed: Deed) -> None:
    await _set_resolved(deed, "unresolveReviewThread")


async def _set_resolved(deed: Deed, mutation: str) -> None:
    thread = "(input: {threadId: $id}) { thread { id } }"
    query = f"mutation($id: ID!) {{ {mutation}{thread} }}"
    await deed.github.graphql(deed.login, query, {"id": deed.field("thread")})


async def _press(deed: Deed) -> None:
    number = _number(deed.field("run"))
    await deed.github.press(deed.repository, number, deed.field("identifier"), deed.login)


async def _rerun(deed: Deed) -> None:
    await deed.github.rerequest(deed.repository, _number(deed.field("run")), deed.login)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise RefusedError(422, {"message": f"{text!r} is not a number."})
    return int(text)


_ACTIONS: dict[str, Callable[[Deed], Awaitable[str | None]]] = {
    "comment": _comment,
    "edit": _edit,
    "label": _label,
    "unlabel": _unlabel,
    "react": _react,
    "review": _review,
    "comment-on-line": _comment_on_line,
    "reply": _reply,
    "resolve": _resolve,
    "unresolve": _unresolve,
    "merge": _merge,
    "ready": _ready,
    "draft": _draft,
    "press": _press,
    "rerun": _rerun,
}
