"""Git objects through the API: blobs, trees, commits.

Outside contract: https://docs.github.com/rest/git
"""

from __future__ import annotations

import base64
import re
from datetime import datetime
from urllib.parse import quote

from .api import Answer, ApiEndpoint, Call
from .commits import (
    git_commit_shape,
    git_person,
    stamp,
    web_flow_person,
    write_commit,
)
from .git import Entry, Git, GitCommandError, Person
from .refusals import Refusal, invalid_request, not_found
from .shapes import node_id, repository_url
from .world import Json

_MODES = {
    "100644": "blob",
    "100755": "blob",
    "120000": "blob",
    "040000": "tree",
    "160000": "commit",
}
_ENCODINGS = ("utf-8", "base64")


def _api(call: Call) -> str:
    return f"{repository_url(call.world, call.repository)}/git"


async def create_blob(call: Call) -> Answer:
    content = call.required("content", str)
    encoding = call.choice("encoding", _ENCODINGS) or "utf-8"
    data = content.encode()
    if encoding == "base64":
        try:
            data = base64.b64decode(content)
        except ValueError:
            raise Refusal(422, "content is not valid Base64") from None
    sha = await call.repository.git.write_blob(data)
    return Answer(201, {"sha": sha, "url": f"{_api(call)}/blobs/{sha}"})


async def get_blob(call: Call) -> Answer:
    sha, git = call.params["file_sha"], call.repository.git
    if await git.kind(sha) != "blob":
        raise not_found()
    data = await git.blob(sha)
    if "raw" in call.accept:
        return Answer(200, data, {"Content-Type": "application/vnd.github.raw"})
    return Answer(
        200,
        {
            "sha": sha,
            "node_id": node_id("B", sha),
            "size": len(data),
            "url": f"{_api(call)}/blobs/{sha}",
            "content": base64.encodebytes(data).decode(),
            "encoding": "base64",
        },
    )


# -- trees


def _entry_shape(call: Call, entry: Entry) -> Json:
    shape: Json = {
        "path": entry.path.encode(errors="surrogateescape").decode(errors="replace"),
        "mode": entry.mode,
        "type": entry.type,
        "sha": entry.sha,
    }
    if entry.size is not None:
        shape["size"] = entry.size
    if entry.type != "commit":
        shape["url"] = f"{_api(call)}/{entry.type}s/{entry.sha}"
    return shape


async def _tree_shape(call: Call, sha: str, *, recursive: bool = False) -> Json:
    entries = await call.repository.git.tree(sha, recursive=recursive)
    return {
        "sha": sha,
        "url": f"{_api(call)}/trees/{sha}",
        "tree": [_entry_shape(call, entry) for entry in entries],
        "truncated": False,
    }


async def get_tree(call: Call) -> Answer:
    name, git = call.params["tree_sha"], call.repository.git
    if await git.is_empty():
        raise Refusal(409, "Git Repository is empty.")
    sha = await git.verify(f"{name}^{{tree}}") or await git.verify(f"refs/heads/{name}^{{tree}}")
    if sha is None:
        raise not_found()
    recursive = "recursive" in call.query
    return Answer(200, await _tree_shape(call, sha, recursive=recursive))


async def create_tree(call: Call) -> Answer:
    entries, git = call.required("tree", list), call.repository.git
    base = call.optional("base_tree", str)
    if base is not None:
        base = await git.verify(f"{base}^{{tree}}")
        if base is None:
            raise Refusal(422, "base_tree is not a valid tree oid")
    if not entries:
        raise invalid_request("Invalid tree info")
    async with git.index() as env:
        if base is not None:
            await git.run("read-tree", base, env=env)
        for entry in entries:
            await put_entry(git, env, entry)
        sha = (await git.run("write-tree", env=env)).text()
    return Answer(201, await _tree_shape(call, sha))


async def put_entry(git: Git, env: dict[str, str], entry: Json) -> None:
    """Add a tree entry to an index; a null sha removes what is at its path."""
    path, mode = entry.get("path"), entry.get("mode")
    if not isinstance(path, str) or not _good_path(path):
        raise Refusal(422, "tree.path contains a malformed path component")
    if mode not in _MODES:
        raise Refusal(422, "Must supply a valid tree.mode")
    sha = entry.get("sha")
    if "content" in entry:
        if "sha" in entry:
            raise Refusal(422, "Must supply either tree.sha or tree.content, not both")
        sha = await git.write_blob(str(entry["content"]).encode())
    elif "sha" not in entry:
        raise Refusal(422, "Must supply either tree.sha or tree.content")
    await _remove(git, env, path)
    if sha is None:
        return
    if mode != "160000" and await git.kind(sha) != _MODES[mode]:
        raise Refusal(422, f"tree.sha {sha} is not a valid {_MODES[mode]}")
    if mode == "040000":
        await git.run("read-tree", f"--prefix={path}/", sha, env=env)
        return
    await _index(git, env, f"{mode} {sha}\t{path}\0".encode())


async def _remove(git: Git, env: dict[str, str], path: str) -> None:
    """Remove what is at a path: a file, or everything below a folder."""
    listed = (await git.run("ls-files", "-z", env=env)).out.split(b"\0")
    name = path.encode()
    gone = [one for one in listed if one == name or one.startswith(name + b"/")]
    if gone:
        await _index(git, env, b"".join(b"0 %s\t%s\0" % (b"0" * 40, one) for one in gone))


async def _index(git: Git, env: dict[str, str], lines: bytes) -> None:
    try:
        await git.run("update-index", "-z", "--index-info", data=lines, env=env)
    except GitCommandError:
        raise Refusal(422, "tree.path contains a malformed path component") from None


def _good_path(path: str) -> bool:
    parts = path.split("/")
    return "\0" not in path and not any(p.lower() in ("", ".", "..", ".git") for p in parts)


# -- commits


async def create_commit(call: Call) -> Answer:
    message, tree = call.required("message", str), call.required("tree", str)
    parents, git = call.strings("parents"), call.repository.git
    if await git.kind(tree) != "tree":
        raise Refusal(422, "Tree SHA does not exist")
    for parent in parents:
        if await git.kind(parent) != "commit":
            raise Refusal(422, "Parent SHA does not exist or is not a commit object")
    given = [call.optional(name, dict) for name in ("author", "committer")]
    # Without an author, GitHub signs an installation's commits as the App.
    signed = call.actor.kind == "installation" and not any(
        call.given(name) for name in ("author", "committer", "signature")
    )
    author = commit_person(call, given[0]) or git_person(call.world, call.user)
    committer = commit_person(call, given[1]) or (web_flow_person(call.world) if signed else author)
    sha = await write_commit(
        call.repository,
        tree=tree,
        parents=tuple(parents),
        message=message,
        author=author,
        committer=committer,
        signed=signed,
    )
    return Answer(201, git_commit_shape(call.world, call.repository, await git.commit(sha)))


def commit_person(call: Call, given: Json | None) -> Person | None:
    """An author or committer as a body names one. Refuses with 422."""
    if given is None:
        return None
    for name in ("name", "email"):
        if not isinstance(given.get(name), str) or not re.fullmatch(r"[^<>\n]+", given[name]):
            raise invalid_request(f'"{name}" wasn\'t supplied.')
    when = call.world.clock.now()
    if date := given.get("date"):
        try:
            when = datetime.fromisoformat(str(date))
        except ValueError:
            raise invalid_request(f"{date!r} is not a valid date-time.") from None
    return Person(given["name"], given["email"], stamp(when))


async def get_commit(call: Call) -> Answer:
    sha, git = call.params["commit_sha"], call.repository.git
    if await git.kind(sha) != "commit":
        raise not_found()
    return Answer(200, git_commit_shape(call.world, call.repository, await git.commit(sha)))


# -- contents


async def get_contents(call: Call) -> Answer:
    git = call.repository.git
    path = call.params.get("path", "").strip("/")
    if await git.is_empty():
        raise Refusal(404, "This repository is empty.")
    ref = call.query.get("ref") or call.repository.default_branch
    commit = await git.commit_of(ref.removeprefix("refs/heads/"))
    if commit is None:
        raise Refusal(404, f"No commit found for the ref {ref}")
    if not path:
        return await _listing(call, commit, "", ref)
    entry = await git.entry(commit, path)
    if entry is None:
        raise not_found()
    if entry.type == "tree":
        return await _listing(call, entry.sha, path + "/", ref)
    if "raw" in call.accept:
        return Answer(200, await git.blob(entry.sha), {"Content-Type": "application/octet-stream"})
    return Answer(200, await _content_shape(call, entry, path, ref))


async def _listing(call: Call, tree: str, folder: str, ref: str) -> Answer:
    entries = await call.repository.git.tree(tree)
    rows = [content_links(call, one, folder + one.path, ref) for one in entries]
    return Answer(200, rows)


def content_links(call: Call, entry: Entry, path: str, ref: str) -> Json:
    """A file or folder, without its content."""
    api = repository_url(call.world, call.repository)
    quoted, mark = quote(path, errors="surrogateescape"), quote(ref)
    page = f"{call.world.url}/{call.repository.full_name}"
    kind = {"tree": "dir", "commit": "submodule"}.get(entry.type, "file")
    url = f"{api}/contents/{quoted}?ref={mark}"
    links = {
        "git": f"{api}/git/{entry.type}s/{entry.sha}",
        "html": f"{page}/{entry.type}/{mark}/{quoted}",
        "self": url,
    }
    return {
        "name": path.rpartition("/")[2],
        "path": path,
        "sha": entry.sha,
        "size": entry.size or 0,
        "type": kind,
        "url": url,
        "git_url": links["git"],
        "html_url": links["html"],
        "download_url": f"{page}/raw/{mark}/{quoted}" if kind == "file" else None,
        "_links": links,
    }


async def _content_shape(call: Call, entry: Entry, path: str, ref: str) -> Json:
    shape = content_links(call, entry, path, ref)
    data = await call.repository.git.blob(entry.sha)
    if entry.mode == "120000":
        return shape | {"type": "symlink", "target": data.decode(errors="replace")}
    return shape | {"content": base64.encodebytes(data).decode(), "encoding": "base64"}


_REPO = "/repos/{owner}/{repo}"

ENDPOINTS = [
    ApiEndpoint("POST", f"{_REPO}/git/blobs", create_blob, "contents:write", "write"),
    ApiEndpoint("GET", f"{_REPO}/git/blobs/{{file_sha}}", get_blob, "contents:read"),
    ApiEndpoint("POST", f"{_REPO}/git/trees", create_tree, "contents:write", "write"),
    ApiEndpoint("GET", f"{_REPO}/git/trees/{{tree_sha}}", get_tree, "contents:read"),
    ApiEndpoint("POST", f"{_REPO}/git/commits", create_commit, "contents:write", "write"),
    ApiEndpoint("GET", f"{_REPO}/git/commits/{{commit_sha}}", get_commit, "contents:read"),
    ApiEndpoint("GET", f"{_REPO}/contents/{{path}}", get_contents, "contents:read"),
    ApiEndpoint("GET", f"{_REPO}/contents/", get_contents, "contents:read"),
    ApiEndpoint("GET", f"{_REPO}/contents", get_contents, "contents:read"),
]
