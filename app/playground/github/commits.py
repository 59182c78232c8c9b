"""Creating commits, and their shapes in the API.

Outside contract: https://docs.github.com/rest/git/commits and https://docs.github.com/rest/commits
"""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime
from urllib.parse import quote

from .accounts import User
from .git import ChangedPath, Person, SimulatedCommit
from .shapes import html_url, moment, node_id, optional_user, repository_url
from .world import Json, Repository, World

_STATUS = {"A": "added", "D": "removed", "M": "modified", "R": "renamed", "C": "copied"}


def stamp(when: datetime) -> str:
    """A time as git writes it."""
    return f"{int(when.timestamp())} +0000"


def git_person(world: World, user: User) -> Person:
    """How an account signs its work."""
    return Person(user.name or user.login, user.email, stamp(world.clock.now()))


def web_flow_person(world: World) -> Person:
    """The committer of what GitHub itself commits."""
    return Person("GitHub", "noreply@github.com", stamp(world.clock.now()))


async def write_commit(
    repository: Repository,
    *,
    tree: str,
    parents: tuple[str, ...],
    message: str,
    author: Person,
    committer: Person,
    signed: bool,
) -> str:
    """Store a commit; `signed` puts GitHub's own signature on it."""
    head = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    head += [f"author {author.line()}", f"committer {committer.line()}"]
    if signed:
        head.append("gpgsig " + "\n ".join(_signature()))
    sha = await repository.git.write_commit("\n".join(head) + "\n\n" + message)
    if signed:
        repository.signed.add(sha)
    return sha


def _signature() -> list[str]:
    """A block in the form of a signature. Only GitHub has its key, so its status is what counts."""
    text = base64.b64encode(secrets.token_bytes(192)).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return ["-----BEGIN PGP SIGNATURE-----", "", *lines, "-----END PGP SIGNATURE-----", ""]


def user_of(world: World, person: Person) -> User | None:
    """The account of an email address in a commit."""
    if person.email == "noreply@github.com":
        return world.web_flow
    return next((user for user in world.users.values() if user.email == person.email), None)


def _moment(person: Person) -> str:
    seconds = int(person.stamp.split()[0])
    return moment(datetime.fromtimestamp(seconds, UTC)) or ""


def _person(person: Person) -> Json:
    return {"name": person.name, "email": person.email, "date": _moment(person)}


def _verification(repository: Repository, commit: SimulatedCommit) -> Json:
    if commit.sha in repository.signed:
        words: Json = {
            "verified": True,
            "reason": "valid",
            "verified_at": _moment(commit.committer),
        }
    else:
        reason = "unknown_key" if commit.signature else "unsigned"
        words = {"verified": False, "reason": reason, "verified_at": None}
    return words | {"signature": commit.signature, "payload": commit.payload}


def _parents(
    world: World, repository: Repository, commit: SimulatedCommit, kind: str
) -> list[Json]:
    url = f"{repository_url(world, repository)}/{kind}"
    return [
        {"sha": sha, "url": f"{url}/{sha}", "html_url": html_url(world, repository, "commit", sha)}
        for sha in commit.parents
    ]


def git_commit_shape(world: World, repository: Repository, commit: SimulatedCommit) -> Json:
    """A commit as an object (`git-commit`)."""
    api = f"{repository_url(world, repository)}/git"
    return {
        "sha": commit.sha,
        "node_id": node_id("C", commit.sha),
        "url": f"{api}/commits/{commit.sha}",
        "html_url": html_url(world, repository, "commit", commit.sha),
        "author": _person(commit.author),
        "committer": _person(commit.committer),
        "tree": {"sha": commit.tree, "url": f"{api}/trees/{commit.tree}"},
        "message": commit.message,
        "parents": _parents(world, repository, commit, "git/commits"),
        "verification": _verification(repository, commit),
    }


def commit_shape(world: World, repository: Repository, commit: SimulatedCommit) -> Json:
    """A commit in the history (`commit`)."""
    api = repository_url(world, repository)
    inner = git_commit_shape(world, repository, commit)
    kept = ("author", "committer", "message", "tree", "url", "verification")
    return {
        "sha": commit.sha,
        "node_id": inner["node_id"],
        "url": f"{api}/commits/{commit.sha}",
        "html_url": inner["html_url"],
        "comments_url": f"{api}/commits/{commit.sha}/comments",
        "commit": {name: inner[name] for name in kept} | {"comment_count": 0},
        "author": optional_user(world, user_of(world, commit.author)),
        "committer": optional_user(world, user_of(world, commit.committer)),
        "parents": _parents(world, repository, commit, "commits"),
    }


def file_shape(world: World, repository: Repository, head: str, change: ChangedPath) -> Json:
    """One file of a diff (`diff-entry`)."""
    path = quote(change.path, errors="surrogateescape")
    shape: Json = {
        "sha": change.sha,
        "filename": change.path.encode(errors="surrogateescape").decode(errors="replace"),
        "status": _STATUS.get(change.status, "changed"),
        "additions": change.additions,
        "deletions": change.deletions,
        "changes": change.additions + change.deletions,
        "blob_url": f"{html_url(world, repository, 'blob', head)}/{path}",
        "raw_url": f"{html_url(world, repository, 'raw', head)}/{path}",
        "contents_url": f"{repository_url(world, repository)}/contents/{path}?ref={head}",
    }
    if change.patch is not None:
        shape["patch"] = change.patch
    if change.previous is not None:
        shape["previous_filename"] = change.previous
    return shape


async def push_commit_shape(world: World, repository: Repository, sha: str) -> Json:
    """A commit in the `push` event."""
    commit = await repository.git.commit(sha)
    parent = commit.parents[0] if commit.parents else None
    changes = await repository.git.changed_names(parent, sha)
    return {
        "id": sha,
        "tree_id": commit.tree,
        "distinct": True,
        "message": commit.message,
        "timestamp": _moment(commit.committer),
        "url": html_url(world, repository, "commit", sha),
        "author": _push_person(world, commit.author),
        "committer": _push_person(world, commit.committer),
        "added": [path for status, path in changes if status == "A"],
        "removed": [path for status, path in changes if status == "D"],
        "modified": [path for status, path in changes if status not in "AD"],
    }


def _push_person(world: World, person: Person) -> Json:
    user = user_of(world, person)
    shape: Json = {"name": person.name, "email": person.email, "date": _moment(person)}
    return shape | ({"username": user.login} if user else {})
