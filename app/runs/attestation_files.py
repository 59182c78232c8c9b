"""Reading an attestation and the keys to check it with, from files, URLs or the database."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import httpx

from app import __version__, github_urls
from app.domain import attestation, dsse
from app.domain.attestation import Attestation, AttestationError
from app.domain.dsse import MAX_ENVELOPE_BYTES, Envelope, EnvelopeError, PublicKey, UnknownKeyError
from app.domain.values import RepoName, commit_sha
from app.errors import UserError
from app.outgoing import Outgoing
from app.store.attestations import Attestations
from app.store.database import Database

_KEY_SET_BYTES = 4 << 20
_SECONDS = 30.0
_WELL_KNOWN = "/.well-known/honk-attestation-keys.json"


async def read_file(path: Path) -> Envelope:
    """A downloaded attestation. Raises UserError."""
    try:
        text = await asyncio.to_thread(_start_of, path, MAX_ENVELOPE_BYTES + 1)
    except OSError as problem:
        raise UserError(f"{path} cannot be read ({problem.strerror}).") from None
    try:
        return Envelope.from_json(text)
    except EnvelopeError as problem:
        raise UserError(
            f"{path} is not an attestation. {problem}",
            next_step="Download it again from the link in the check or the pull request.",
        ) from None


async def stored(database: Database | None, repository: str, sha: str) -> Envelope:
    """The newest attestation of a commit in this installation's database. Raises UserError."""
    try:
        repo, sha = RepoName.parse(repository), commit_sha(sha.lower())
    except ValueError as problem:
        raise UserError(
            f"{problem}.",
            next_step="Write it like: honk verify octocat/hello-world "
            "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d",
        ) from None
    found = None if database is None else await Attestations(database).latest(repo, sha)
    if found is None:
        raise UserError(
            f"This Honk's database has no attestation of {repo} at {sha}.",
            next_step="Check the commit, or download the attestation from the link in its check "
            "and run `honk verify FILE --keys URL`. Old ones are deleted after "
            "HONK_KEEP_ATTESTATIONS_DAYS.",
        )
    return found.envelope


async def keys(
    given: str | None, database: Database | None, outgoing: Outgoing
) -> tuple[Mapping[str, PublicKey], str]:
    """The trusted keys, and a description of where they come from. Raises UserError.

    `given` is a URL or a file with a JWK set; without it, the keys of this installation. Keys are
    never taken from a location in the attestation itself, which a forger could choose.
    """
    if given is None:
        found = {} if database is None else await Attestations(database).keys()
        return found, "this Honk's database"
    is_url = given.startswith(("https://", "http://"))
    text = await (_download(given, outgoing) if is_url else _key_file(Path(given)))
    try:
        return dsse.key_set(text), given
    except ValueError as problem:
        raise UserError(f"{given} holds no keys: {problem}.") from None


def check(envelope: Envelope, trusted: Mapping[str, PublicKey]) -> tuple[Attestation, str]:
    """The attestation in an envelope that one of the keys signed, and that key's id.

    Raises UserError.
    """
    try:
        key_id = envelope.signer(trusted)
        return attestation.read(envelope), key_id
    except UnknownKeyError as problem:
        named = ", ".join(problem.key_ids)[:200] or "no key"
        raise UserError(
            f"The signature cannot be checked: it names the key {named}, which is not trusted.",
            next_step="If another Honk signed it, and you trust that Honk, give its keys: "
            f"--keys https://its-address{_WELL_KNOWN}",
        ) from None
    except EnvelopeError as problem:
        raise UserError(f"Don't trust this attestation. {problem}") from None
    except AttestationError as problem:
        raise UserError(f"This is signed, but not an attestation. {problem}") from None


async def _key_file(path: Path) -> bytes:
    try:
        return await asyncio.to_thread(_start_of, path, _KEY_SET_BYTES)
    except OSError as problem:
        raise UserError(f"{path} cannot be read ({problem.strerror}).") from None


def _start_of(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most)


async def _download(url: str, outgoing: Outgoing) -> bytes:
    """At most `_KEY_SET_BYTES` of a URL. Raises UserError."""
    try:
        is_safe = url.startswith("https://") or github_urls.is_this_machine(url)
    except ValueError:
        raise UserError(f"{url} is not a URL.") from None
    if not is_safe:
        raise UserError(
            f"Keys from {url} could be replaced in transit.", next_step="Use an https:// URL."
        )
    content = b""
    headers = {"user-agent": f"honk/{__version__}"}
    try:
        async with (
            httpx.AsyncClient(
                transport=outgoing.transport(), timeout=_SECONDS, headers=headers
            ) as client,
            client.stream("GET", url) as answer,
        ):
            if answer.status_code != 200:
                raise UserError(f"{url} answers with {answer.status_code} instead of keys.")
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > _KEY_SET_BYTES:
                    raise UserError(f"{url} is too long for a set of keys.")
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        raise UserError(f"{url} cannot be read ({type(problem).__name__}).") from None
    return content
