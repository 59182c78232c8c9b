"""Commits signed by GitHub, and refs.

https://docs.github.com/en/rest/git
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, NoReturn

import msgspec

from app import retrying
from app.domain.values import CommitSha, TreeSha, Value, commit_sha, short, tree_sha
from app.errors import RetryableError, UserError
from app.github.client import RepositoryClient
from app.github.conversation import Author
from app.github.exchange import ApiRequest, ApiResponse
from app.github.refusals import UnknownOutcomeError, refused
from app.retrying import Retries

_REF = "/repos/{owner}/{repo}/git/ref/{ref}"
_REFS = "/repos/{owner}/{repo}/git/refs/{ref}"
_UPDATE_FAILED = "reference update failed"
"""GitHub's message when another ref blocks the name."""

_REF_PARTS = 3
"""`refs/heads/x`: a ref has at least three parts."""
_TRAILER = re.compile(r"([A-Za-z0-9-]+):[ \t]+(\S.*)")


class RefMoved(UserError):  # noqa: N818 - the name says what happened, to who reads the workflow
    """The ref is not where it was expected. `actual` is where it is, None if it is gone."""

    def __init__(self, ref: str, expected: CommitSha | None, actual: CommitSha | None) -> None:
        name = _short_name(ref)
        is_now = f"is at {short(actual)}" if actual else "is not there"
        was = f"was expected at {short(expected)}" if expected else "was expected to be new"
        super().__init__(f"{name} has moved: it {is_now} and {was}.")
        self.ref = ref
        self.expected = expected
        self.actual = actual


class RefConflict(UserError):  # noqa: N818 - the name says what happened, to who reads the workflow
    """Another ref blocks this name: `honk` blocks `honk/7-x`."""

    def __init__(self, other: str, ref: str) -> None:
        name, wanted = _short_name(other), _short_name(ref)
        super().__init__(
            f"The branch `{name}` is in the way of `{wanted}`: git allows only one of the two.",
            next_step=(
                f"Rename or delete `{name}`, or choose other names with `branch` in "
                "`.github/honk.yml`. Then comment `/honk continue`."
            ),
        )
        self.other = other


class SignedCommit(Value):
    """A commit created by GitHub. `reason` is GitHub's value for why it is verified or not."""

    sha: CommitSha
    verified: bool
    reason: str


class Commit(Value):
    """A commit as GitHub returns it."""

    sha: CommitSha
    tree: TreeSha
    parents: tuple[CommitSha, ...]
    message: str
    verified: bool
    reason: str


class ComparedCommit(Value):
    """A commit in a comparison.

    `author` is the account that GitHub finds for the email address, None if there is none;
    `trailers` are the `Name: value` lines of the last paragraph.
    """

    sha: CommitSha
    parents: tuple[CommitSha, ...]
    author: Author | None
    committer: Author | None
    message: str
    trailers: tuple[tuple[str, str], ...]
    verified: bool

    def trailer(self, name: str) -> str | None:
        """The value of the last trailer with this name, ignoring case."""
        for each, value in reversed(self.trailers):
            if each.lower() == name.lower():
                return value
        return None


class Comparison(Value):
    """`head` relative to `base`: it is `ahead` commits ahead and `behind` commits behind.

    `commits` are those in head but not in base, oldest first; the newest `left_out` were not read.
    """

    status: Literal["ahead", "behind", "diverged", "identical"]
    ahead: int
    behind: int
    merge_base: CommitSha
    commits: tuple[ComparedCommit, ...]
    left_out: int


class _ObjectWire(msgspec.Struct):
    sha: str


class _RefWire(msgspec.Struct):
    object: _ObjectWire


class _NamedRefWire(msgspec.Struct):
    ref: str


class _MatchingRefWire(msgspec.Struct):
    ref: str
    object: _ObjectWire


class _VerificationWire(msgspec.Struct):
    verified: bool = False
    reason: str = ""


class _CommitWire(msgspec.Struct):
    sha: str
    tree: _ObjectWire
    parents: list[_ObjectWire]
    message: str
    verification: _VerificationWire = msgspec.field(default_factory=_VerificationWire)


class _MessageWire(msgspec.Struct):
    message: str
    verification: _VerificationWire = msgspec.field(default_factory=_VerificationWire)


class _ListedWire(msgspec.Struct):
    sha: str
    commit: _MessageWire
    parents: list[_ObjectWire]
    # Without an account GitHub returns null, or in some cases an empty object.
    author: dict[str, Any] | None = None
    committer: dict[str, Any] | None = None


class _ComparisonWire(msgspec.Struct):
    status: Literal["ahead", "behind", "diverged", "identical"]
    ahead_by: int
    behind_by: int
    total_commits: int
    merge_base_commit: _ObjectWire
    commits: list[_ListedWire]


async def create_signed_commit(
    client: RepositoryClient, tree: TreeSha, parents: Sequence[CommitSha], message: str
) -> SignedCommit:
    """Create a commit for a tree that GitHub has. No branch contains it until a ref is moved.

    Author, committer and signature are omitted on purpose: GitHub then uses the App's bot and signs
    the commit. A custom author would lose the signature. Repeating is safe: an extra commit is
    unreachable.
    https://docs.github.com/en/rest/git/commits#create-a-commit
    """
    answer = await client.send(
        ApiRequest(
            "POST",
            "/repos/{owner}/{repo}/git/commits",
            body={"message": message, "tree": tree, "parents": list(parents)},
            repeatable=True,
        )
    )
    made = _commit(answer.read(_CommitWire))
    return SignedCommit(sha=made.sha, verified=made.verified, reason=made.reason)


async def get_commit(
    client: RepositoryClient, sha: CommitSha, *, just_created: bool = False
) -> Commit:
    """https://docs.github.com/en/rest/git/commits#get-a-commit-object"""
    answer = await client.get(
        "/repos/{owner}/{repo}/git/commits/{commit_sha}",
        path={"commit_sha": sha},
        just_created=just_created,
    )
    return _commit(answer.read(_CommitWire))


async def compare(
    client: RepositoryClient, base: str, head: str, most: int = 300
) -> Comparison | None:
    """Compare two commits or branches; None if one is missing or the histories are unrelated.

    https://docs.github.com/en/rest/commits/commits#compare-two-commits
    """
    found: list[ComparedCommit] = []
    first: _ComparisonWire | None = None
    page: int | None = 1
    while page is not None and len(found) < most:
        answer = await client.get(
            "/repos/{owner}/{repo}/compare/{basehead}",
            path={"basehead": f"{base}...{head}"},
            query={"per_page": 100, "page": page},
            accept={404},
        )
        if answer.status == 404:
            return None
        wire = answer.read(_ComparisonWire)
        first = first or wire
        found.extend(_compared(one) for one in wire.commits)
        page = answer.page("next")
    assert first is not None
    kept = tuple(found[:most])
    return Comparison(
        status=first.status,
        ahead=first.ahead_by,
        behind=first.behind_by,
        merge_base=commit_sha(first.merge_base_commit.sha),
        commits=kept,
        left_out=max(0, first.total_commits - len(kept)),
    )


async def ensure_ref(
    client: RepositoryClient,
    ref: str,
    sha: CommitSha,
    *,
    expected: CommitSha | None,
    force: bool = False,
) -> None:
    """Point a ref (`refs/...`) at a commit. Does nothing if it already is.

    `expected` is its current commit, None if it must not exist. Raises RefMoved if it is anywhere
    else. GitHub has no compare-and-swap: without `force` it refuses non-descendants, which closes
    the race; with `force` a concurrent push would be lost, so force only refs that only Honk
    writes.
    """
    retries = Retries(retrying.GITHUB_WRITE, client.github.sleep)
    while retries.left:
        # Create a new ref without looking first: GitHub refuses if it exists.
        first = expected is None and not retries.used
        actual = None if first else await read_ref(client, ref)
        if actual == sha:
            return
        if actual != expected:
            raise RefMoved(ref, expected, actual)
        try:
            answer = await _write_ref(client, ref, sha, exists=actual is not None, force=force)
        except UnknownOutcomeError:
            await retries.pause()
            continue
        if answer.status < 300:
            return
        if not _is_transient(answer):
            await _explain(client, ref, expected, answer)
        await retries.pause()
    await _resolve_write(client, ref, sha, expected)


async def move_ref(client: RepositoryClient, ref: str, sha: CommitSha) -> None:
    """Force an existing ref (`refs/...`) to a commit; only for refs that only Honk writes.

    https://docs.github.com/en/rest/git/refs#update-a-reference
    """
    await client.send(
        ApiRequest(
            "PATCH",
            _REFS,
            path={"ref": _below_refs(ref)},
            body={"sha": sha, "force": True},
            repeatable=True,
            just_created=True,
        )
    )


async def read_ref(client: RepositoryClient, ref: str) -> CommitSha | None:
    """The commit that a ref (`refs/...`) points at; None without it or in an empty repository."""
    answer = await client.get(_REF, path={"ref": _below_refs(ref)}, accept={404, 409})
    if answer.status in (404, 409):
        return None
    return commit_sha(answer.read(_RefWire).object.sha)


async def refs_below(client: RepositoryClient, prefix: str) -> dict[str, CommitSha]:
    """The refs whose names start with `prefix` (`refs/...`), with their commits.

    https://docs.github.com/en/rest/git/refs#list-matching-references
    """
    template = "/repos/{owner}/{repo}/git/matching-refs/{ref}"
    answer = await client.get(template, path={"ref": _below_refs(prefix)})
    found = answer.read(list[_MatchingRefWire])
    return {wire.ref: commit_sha(wire.object.sha) for wire in found}


async def delete_ref(client: RepositoryClient, ref: str) -> None:
    """Delete a ref (`refs/...`), if it exists.

    https://docs.github.com/en/rest/git/refs#delete-a-reference
    """
    answer = await client.send(
        ApiRequest(
            "DELETE",
            _REFS,
            path={"ref": _below_refs(ref)},
            repeatable=True,
            accept={404, 409, 422},
        )
    )
    if answer.status in (409, 422) and await read_ref(client, ref) is not None:
        raise refused(f"GitHub does not let {ref} in {client.repo} be deleted.", answer)


async def _write_ref(
    client: RepositoryClient, ref: str, sha: CommitSha, *, exists: bool, force: bool
) -> ApiResponse:
    if exists:
        request = ApiRequest(
            "PATCH",
            _REFS,
            path={"ref": _below_refs(ref)},
            body={"sha": sha, "force": force},
            accept={404, 409, 422},
        )
    else:
        request = ApiRequest(
            "POST",
            "/repos/{owner}/{repo}/git/refs",
            body={"ref": ref, "sha": sha},
            accept={404, 409, 422},
        )
    return await client.send(request)


async def _resolve_write(
    client: RepositoryClient, ref: str, sha: CommitSha, expected: CommitSha | None
) -> None:
    """Check the final state after all attempts had an unknown outcome or lost a race."""
    actual = await read_ref(client, ref)
    if actual == sha:
        return
    if actual != expected:
        raise RefMoved(ref, expected, actual)
    raise RetryableError(f"GitHub did not move {ref}.")


async def _explain(
    client: RepositoryClient, ref: str, expected: CommitSha | None, answer: ApiResponse
) -> NoReturn:
    """Raise for a refused update: a concurrent push, a blocking ref, or a repository rule."""
    actual = await read_ref(client, ref)
    if actual != expected:
        raise RefMoved(ref, expected, actual)
    if _UPDATE_FAILED in answer.reason.lower() and (other := await _conflicting_ref(client, ref)):
        raise RefConflict(other, ref)
    raise refused(f"GitHub does not let {ref} in {client.repo} be moved.", answer)


async def _conflicting_ref(client: RepositoryClient, ref: str) -> str:
    """A ref whose name is a path prefix of this one, or the other way around.

    Git stores refs like files in directories, so two such refs cannot coexist.
    """
    parts = ref.split("/")
    for length in range(_REF_PARTS, len(parts)):
        above = "/".join(parts[:length])
        if await read_ref(client, above) is not None:
            return above
    template = "/repos/{owner}/{repo}/git/matching-refs/{ref}"
    answer = await client.get(template, path={"ref": _below_refs(ref)})
    matching = (found.ref for found in answer.read(list[_NamedRefWire]))
    return next((name for name in matching if name.startswith(f"{ref}/")), "")


def _is_transient(answer: ApiResponse) -> bool:
    """A race that another read resolves, or a commit unknown to GitHub's replicas so far."""
    words = answer.reason.lower()
    return answer.status in (404, 409) or any(
        hint in words
        for hint in (
            "already exists",
            "object does not exist",
            "reference does not exist",
        )
    )


def _short_name(ref: str) -> str:
    return ref.removeprefix("refs/heads/").removeprefix("refs/")


def _below_refs(ref: str) -> str:
    """GitHub's paths omit `refs/`. Raises ValueError for a ref that does not start with it."""
    if not ref.startswith("refs/"):
        raise ValueError(f"{ref!r} is not a full ref")
    return ref.removeprefix("refs/")


def _compared(wire: _ListedWire) -> ComparedCommit:
    return ComparedCommit(
        sha=commit_sha(wire.sha),
        parents=tuple(commit_sha(parent.sha) for parent in wire.parents),
        author=_account(wire.author),
        committer=_account(wire.committer),
        message=wire.commit.message,
        trailers=_trailers(wire.commit.message),
        verified=wire.commit.verification.verified,
    )


def _account(wire: dict[str, Any] | None) -> Author | None:
    if not wire:
        return None
    return Author(login=wire["login"], id=wire["id"], type=wire.get("type", "User"))


def _trailers(message: str) -> tuple[tuple[str, str], ...]:
    """https://git-scm.com/docs/git-interpret-trailers: a title alone has none."""
    paragraphs = message.replace("\r\n", "\n").rstrip().split("\n\n")
    lines = paragraphs[-1].split("\n") if len(paragraphs) > 1 else []
    return tuple((found[1], found[2].strip()) for one in lines if (found := _TRAILER.match(one)))


def _commit(wire: _CommitWire) -> Commit:
    return Commit(
        sha=commit_sha(wire.sha),
        tree=tree_sha(wire.tree.sha),
        parents=tuple(commit_sha(parent.sha) for parent in wire.parents),
        message=wire.message,
        verified=wire.verification.verified,
        reason=wire.verification.reason,
    )
