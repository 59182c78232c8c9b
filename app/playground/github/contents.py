"""The contents API: each write of a file is a commit on a branch.

Outside contract: https://docs.github.com/rest/repos/contents
"""

from __future__ import annotations

import base64

from .api import Answer, ApiEndpoint, Call
from .commits import git_commit_shape, git_person, web_flow_person, write_commit
from .git import ZERO
from .heads import move_ref
from .objects import commit_person, content_links, put_entry
from .refs import check_rules
from .refusals import Refusal, invalid_request, not_found
from .world import Json


async def put(call: Call) -> Answer:
    path, branch = _path(call), _branch(call)
    message, content = call.required("message", str), _content(call)
    head, known = await _standing(call, branch, path)
    if known is not None:
        _check_sha(call, path, known, call.optional("sha", str))
    elif call.optional("sha", str) is not None and head is not None:
        raise Refusal(409, f"{path} does not match {call.required('sha', str)}")
    blob = await call.repository.git.write_blob(content)
    commit = await _commit(
        call, branch, head, {"path": path, "mode": "100644", "sha": blob}, message
    )
    entry = await call.repository.git.entry(commit, path)
    assert entry is not None
    shape = {"content": content_links(call, entry, path, branch)}
    return Answer(200 if known else 201, shape | await _told(call, commit))


async def delete(call: Call) -> Answer:
    path, branch = _path(call), _branch(call)
    message, sha = call.required("message", str), call.required("sha", str)
    head, known = await _standing(call, branch, path)
    if known is None:
        raise not_found()
    _check_sha(call, path, known, sha)
    entry = {"path": path, "mode": "100644", "sha": None}
    commit = await _commit(call, branch, head, entry, message)
    return Answer(200, {"content": None} | await _told(call, commit))


async def _told(call: Call, commit: str) -> Json:
    found = await call.repository.git.commit(commit)
    return {"commit": git_commit_shape(call.world, call.repository, found)}


def _path(call: Call) -> str:
    return call.params["path"].strip("/")


def _branch(call: Call) -> str:
    branch = call.value("branch", str, call.repository.default_branch)
    return branch.removeprefix("refs/heads/")


def _content(call: Call) -> bytes:
    if not isinstance(call.fields().get("content"), str):
        raise invalid_request('"content" wasn\'t supplied.')
    try:
        return base64.b64decode(call.fields()["content"])
    except ValueError:
        raise Refusal(422, "content is not valid Base64") from None


async def _standing(call: Call, branch: str, path: str) -> tuple[str | None, str | None]:
    """The head of the branch, and the blob that is at the path now."""
    git = call.repository.git
    head = await git.ref(f"refs/heads/{branch}")
    if head is None:
        if await git.is_empty():
            return None, None
        raise Refusal(404, f"Branch {branch} not found")
    entry = await git.entry(head, path)
    if entry is not None and entry.type != "blob":
        raise Refusal(422, f"{path} is not a file")
    return head, entry.sha if entry else None


def _check_sha(call: Call, path: str, known: str, given: str | None) -> None:
    """A request that replaces a file must name the version that it replaces."""
    if given is None:
        raise invalid_request('"sha" wasn\'t supplied.')
    if given != known:
        raise Refusal(409, f"{path} does not match {given}")


async def _commit(call: Call, branch: str, head: str | None, entry: Json, message: str) -> str:
    git, ref = call.repository.git, f"refs/heads/{branch}"
    async with git.index() as env:
        if head is not None:
            await git.run("read-tree", head, env=env)
        await put_entry(git, env, entry)
        tree = (await git.run("write-tree", env=env)).text()
    named = call.given("author") or call.given("committer")
    committer = commit_person(call, call.optional("committer", dict))
    author = commit_person(call, call.optional("author", dict)) or committer
    # Without an author it is GitHub's own commit, and signed.
    sha = await write_commit(
        call.repository,
        tree=tree,
        parents=(head,) if head else (),
        message=message,
        author=author or git_person(call.world, call.user),
        committer=committer or web_flow_person(call.world),
        signed=not named,
    )
    await check_rules(call, ref, head or ZERO, sha)
    await move_ref(call.world, call.repository, call.user, ref, head or ZERO, sha)
    return sha


_PATH = "/repos/{owner}/{repo}/contents/{path}"

ENDPOINTS = [
    ApiEndpoint("PUT", _PATH, put, "contents:write", "write"),
    ApiEndpoint("DELETE", _PATH, delete, "contents:write", "write"),
]
