"""The repository itself: who may do what, and what is on its branches."""

from __future__ import annotations

import base64
from enum import StrEnum

import msgspec

from app.domain.values import CommitSha, Value, commit_sha
from app.errors import UserError
from app.github.client import RepositoryClient

_MOST_IN_JSON = 1_000_000
"""Bytes. GitHub leaves the content of larger files out of its JSON.
https://docs.github.com/en/rest/repos/contents#get-repository-content
"""


class Permission(StrEnum):
    """What somebody may do in a repository, from nothing to everything."""

    NONE = "none"
    READ = "read"
    TRIAGE = "triage"
    WRITE = "write"
    MAINTAIN = "maintain"
    ADMIN = "admin"

    def at_least(self, other: Permission) -> bool:
        """Whether this includes all that the other allows."""
        ladder = list(Permission)
        return ladder.index(self) >= ladder.index(other)


class RepositoryInfo(Value):
    """What is known of a repository. `has_issues` is whether its issues are switched on."""

    id: int
    node_id: str
    default_branch: str
    private: bool
    archived: bool
    has_issues: bool


class _RepositoryWire(msgspec.Struct):
    id: int
    node_id: str
    default_branch: str
    private: bool
    archived: bool = False
    has_issues: bool = True


class _PermissionUserWire(msgspec.Struct):
    permissions: dict[str, bool] | None = None


class _PermissionWire(msgspec.Struct):
    permission: str
    role_name: str = ""
    user: _PermissionUserWire | None = None


class _FileWire(msgspec.Struct):
    type: str
    size: int = 0
    encoding: str = ""
    content: str = ""


class _ObjectWire(msgspec.Struct):
    sha: str


class _RefWire(msgspec.Struct):
    object: _ObjectWire


async def repository(client: RepositoryClient) -> RepositoryInfo:
    """https://docs.github.com/en/rest/repos/repos#get-a-repository

    Raises UserError when it does not exist or the App was not given access to it.
    """
    wire = (await client.get("/repos/{owner}/{repo}")).read(_RepositoryWire)
    return RepositoryInfo(**msgspec.structs.asdict(wire))


async def permission(client: RepositoryClient, login: str) -> Permission:
    """What this account may do; NONE for Apps and for accounts that are not there.

    https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user
    """
    answer = await client.get(
        "/repos/{owner}/{repo}/collaborators/{username}/permission",
        path={"username": login},
        accept={404},
    )
    if answer.status == 404:
        return Permission.NONE
    return _permission(answer.read(_PermissionWire))


async def branch_head(client: RepositoryClient, branch: str) -> CommitSha | None:
    """The commit at the tip of a branch; None without such a branch or in an empty repository.

    https://docs.github.com/en/rest/git/refs#get-a-reference
    """
    answer = await client.get(
        "/repos/{owner}/{repo}/git/ref/{ref}",
        path={"ref": f"heads/{branch}"},
        accept={404, 409},
    )
    if answer.status in (404, 409):
        return None
    return commit_sha(answer.read(_RefWire).object.sha)


async def read_file(
    client: RepositoryClient, path: str, ref: str, max_bytes: int = _MOST_IN_JSON
) -> bytes | None:
    """The content of one file at a branch or commit, None when there is none.

    Raises UserError for a file of more than `max_bytes` or for what is no file; ValueError for a
    `max_bytes` over a million, which GitHub does not serve in this way.
    """
    if max_bytes > _MOST_IN_JSON:
        raise ValueError(f"at most {_MOST_IN_JSON} bytes can be read through the contents API")
    answer = await client.get(
        "/repos/{owner}/{repo}/contents/{path}",
        path={"path": path},
        query={"ref": ref},
        accept={404},
    )
    if answer.status == 404:
        return None
    if answer.content.lstrip().startswith(b"["):
        raise UserError(f"{path} in {client.repo} is a directory where a file is expected.")
    wire = answer.read(_FileWire)
    if wire.type != "file":
        raise UserError(f"{path} in {client.repo} is a {wire.type} where a file is expected.")
    if wire.size > max_bytes:
        raise UserError(f"{path} in {client.repo} has {wire.size} bytes; {max_bytes} are read.")
    return base64.b64decode(wire.content)


def _permission(wire: _PermissionWire) -> Permission:
    """The flags decide wherever GitHub sends them.

    `permission` folds maintain into write and triage into read, and `role_name` may be a name of
    the organisation's own making.
    """
    flags = wire.user.permissions if wire.user else None
    if flags is not None:
        for flag, meaning in _FLAGS:
            if flags.get(flag):
                return meaning
        return Permission.NONE
    for name in (wire.role_name, wire.permission):
        if name in set(Permission):
            return Permission(name)
    return Permission.NONE


_FLAGS = (
    ("admin", Permission.ADMIN),
    ("maintain", Permission.MAINTAIN),
    ("push", Permission.WRITE),
    ("triage", Permission.TRIAGE),
    ("pull", Permission.READ),
)
