"""Repositories: settings, permissions, rules and files."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from app.domain.values import CommitSha, Value, commit_sha
from app.errors import UserError
from app.github.client import RepositoryClient

_MOST_IN_JSON = 1_000_000
"""Bytes. GitHub omits the content of larger files from its JSON.
https://docs.github.com/en/rest/repos/contents#get-repository-content"""


class Permission(StrEnum):
    """An account's permission in a repository, in ascending order."""

    NONE = "none"
    READ = "read"
    TRIAGE = "triage"
    WRITE = "write"
    MAINTAIN = "maintain"
    ADMIN = "admin"

    def at_least(self, other: Permission) -> bool:
        """Whether this includes everything the other allows."""
        ladder = list(Permission)
        return ladder.index(self) >= ladder.index(other)


class RepositoryInfo(Value):
    """A repository. `has_issues` is whether issues are enabled.

    `full_name` is its current name; a renamed repository is also found under its old name.
    `disabled` is set by GitHub, `archived` by the owner; neither can be written to.
    """

    id: int
    node_id: str
    full_name: str
    default_branch: str
    private: bool
    archived: bool
    disabled: bool
    has_issues: bool


class BranchRule(Value):
    """A ruleset's rule that applies to a branch.

    `type` is GitHub's name, such as `non_fast_forward`; `parameters` are GitHub's.
    """

    type: str
    parameters: Mapping[str, Any]
    ruleset_id: int
    source: str


class _RepositoryWire(msgspec.Struct):
    id: int
    node_id: str
    full_name: str
    default_branch: str
    private: bool
    archived: bool = False
    disabled: bool = False
    has_issues: bool = True


class _PermissionUserWire(msgspec.Struct):
    id: int | None = None
    permissions: dict[str, bool] | None = None


class _PermissionWire(msgspec.Struct):
    permission: str
    role_name: str = ""
    user: _PermissionUserWire | None = None


class _RuleWire(msgspec.Struct):
    type: str
    parameters: dict[str, Any] = {}
    ruleset_id: int = 0
    ruleset_source: str = ""


class _FileWire(msgspec.Struct):
    type: str
    size: int = 0
    encoding: str = ""
    content: str = ""


class _BranchObjectWire(msgspec.Struct):
    sha: str


class _BranchRefWire(msgspec.Struct):
    object: _BranchObjectWire


async def repository(client: RepositoryClient) -> RepositoryInfo:
    """https://docs.github.com/en/rest/repos/repos#get-a-repository

    Raises UserError if it does not exist or the App has no access to it.
    """
    wire = (await client.get("/repos/{owner}/{repo}")).read(_RepositoryWire)
    return RepositoryInfo(**msgspec.structs.asdict(wire))


async def permission(client: RepositoryClient, login: str) -> Permission:
    """An account's permission; NONE for Apps and for accounts that do not exist.

    https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user
    """
    wire = await _permission_of(client, login)
    return Permission.NONE if wire is None else _permission(wire)


async def permission_by_account(
    client: RepositoryClient, login: str, account_id: int
) -> Permission:
    """The permission of the account with this id; NONE if another account has the login now.

    GitHub looks permissions up by login, and anyone can take over an abandoned login. The id is
    from the signed delivery.
    """
    wire = await _permission_of(client, login)
    if wire is None or wire.user is None or wire.user.id != account_id:
        return Permission.NONE
    return _permission(wire)


async def rules_for_branch(client: RepositoryClient, branch: str) -> tuple[BranchRule, ...]:
    """The ruleset rules that apply to a branch, which need not exist.

    Does not include classic branch protection, nor who may bypass a rule.
    https://docs.github.com/en/rest/repos/rules#get-rules-for-a-branch
    """
    listing = client.pages("/repos/{owner}/{repo}/rules/branches/{branch}", path={"branch": branch})
    return tuple(
        [
            BranchRule(
                type=wire.type,
                parameters=wire.parameters,
                ruleset_id=wire.ruleset_id,
                source=wire.ruleset_source,
            )
            async for answer in listing
            for wire in answer.read(list[_RuleWire])
        ]
    )


async def branch_head(client: RepositoryClient, branch: str) -> CommitSha | None:
    """The commit at the tip of a branch; None if there is no such branch.

    https://docs.github.com/en/rest/git/refs#get-a-reference
    """
    answer = await client.get(
        "/repos/{owner}/{repo}/git/ref/{ref}",
        path={"ref": f"heads/{branch}"},
        accept={404, 409},
    )
    if answer.status in (404, 409):
        return None
    return commit_sha(answer.read(_BranchRefWire).object.sha)


async def read_file(
    client: RepositoryClient, path: str, ref: str, max_bytes: int = _MOST_IN_JSON
) -> bytes | None:
    """A file's content at a branch or commit, None if it does not exist.

    Raises UserError for a file larger than `max_bytes` or something that is not a file; ValueError
    if `max_bytes` is over a million, which this API does not serve.
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


async def _permission_of(client: RepositoryClient, login: str) -> _PermissionWire | None:
    answer = await client.get(
        "/repos/{owner}/{repo}/collaborators/{username}/permission",
        path={"username": login},
        # A replica may not know a new collaborator yet, whose command would then be ignored.
        just_created=True,
        accept={404},
    )
    return None if answer.status == 404 else answer.read(_PermissionWire)


def _permission(wire: _PermissionWire) -> Permission:
    """Use the flags if GitHub sends them.

    `permission` reports maintain as write and triage as read, and `role_name` may be an
    organization's custom role.
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
