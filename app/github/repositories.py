"""The repository itself: who may do what, and what is on its branches."""

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
    """What is known of a repository. `has_issues` is whether its issues are switched on.

    `full_name` is what it is called now; a repository that was renamed answers to its old name
    too. `disabled` is GitHub's doing, `archived` its owner's; nothing can be written in either.
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
    """A rule of a ruleset that holds for a branch. `type` is GitHub's name for it, such as
    `non_fast_forward`; `parameters` are as GitHub has them.
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

    Raises UserError when it does not exist or the App was not given access to it.
    """
    wire = (await client.get("/repos/{owner}/{repo}")).read(_RepositoryWire)
    return RepositoryInfo(**msgspec.structs.asdict(wire))


async def permission(client: RepositoryClient, login: str) -> Permission:
    """What this account may do; NONE for Apps and for accounts that are not there.

    https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user
    """
    wire = await _permission_of(client, login)
    return Permission.NONE if wire is None else _permission(wire)


async def permission_by_account(
    client: RepositoryClient, login: str, account_id: int
) -> Permission:
    """What the account with this id may do; NONE when the login belongs to another by now.

    GitHub asks for a login, and a login that was given up can be taken by anybody. The id is what
    the signed delivery told.
    """
    wire = await _permission_of(client, login)
    if wire is None or wire.user is None or wire.user.id != account_id:
        return Permission.NONE
    return _permission(wire)


async def rules_for_branch(client: RepositoryClient, branch: str) -> tuple[BranchRule, ...]:
    """The rules of rulesets that hold for a branch, which need not exist.

    Classic branch protection is not told here, and who may bypass a rule isn't either.
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
    return commit_sha(answer.read(_BranchRefWire).object.sha)


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


async def _permission_of(client: RepositoryClient, login: str) -> _PermissionWire | None:
    answer = await client.get(
        "/repos/{owner}/{repo}/collaborators/{username}/permission",
        path={"username": login},
        # Who is not known yet would be taken for a stranger, and not be heard.
        just_created=True,
        accept={404},
    )
    return None if answer.status == 404 else answer.read(_PermissionWire)


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
