"""Run git outside a sandbox: only on our own bare repositories, never on a work tree.

The environment is fixed and the flags disable everything a repository or a machine could bring in:
configuration, hooks, attributes, credentials, redirects and other protocols. Sources:
git-config(1), git(1) "Environment variables", gitprotocol-v2(5).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import os
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import structlog

from app.errors import HonkError, RetryableError, UserError
from app.git import fsck
from app.sandbox.inside import Bounded
from app.shielded import kill_group, shielded, start_process

log = structlog.get_logger()

GIT = "/usr/bin/git"
TIMEOUT_SECONDS = 600.0
MAX_OUTPUT_BYTES = 64 << 20
MAX_ERROR_BYTES = 1 << 16
_END_SECONDS = 5.0
_REF_SECONDS = 60.0

ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "GIT_NO_REPLACE_OBJECTS": "1",
}
"""Git's whole environment. Only a fetch or push adds a token to it."""

SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "core.quotePath=false",
    # Milliseconds. Runs of one repository write its refs concurrently; git's default is 100.
    "core.filesRefLockTimeout=5000",
    "core.packedRefsTimeout=5000",
    "protocol.allow=never",
    "http.followRedirects=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
    "credential.helper=",
    "transfer.fsckObjects=true",
    "commit.gpgSign=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "push.recurseSubmodules=no",
    "gc.auto=0",
    "maintenance.auto=false",
    "safe.bareRepository=explicit",
    "advice.detachedHead=false",
)

_TRANSPORTS = ("https", "http", "file")
_BAD_IN_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)|\.(?:/|$)")
_AWAY = re.compile(
    r"could not resolve host|failed to connect|connection (?:refused|reset|timed out)"
    r"|operation (?:timed out|too slow)|early eof|unexpected disconnect|hung up unexpectedly"
    r"|RPC failed|returned error: (?:5\d\d|429)|gnutls|ssl_|tls connect|empty reply"
    r"|could not resolve proxy|proxy after connect|connect tunnel failed",
    re.IGNORECASE,
)
_REF_WRITERS = ("update-ref", "fetch", "gc")
_LOCKED = re.compile(r"^(?!remote:).*Unable to create '(/.*\.lock)': File exists", re.MULTILINE)
_UNKNOWN_TOKEN = re.compile(
    r"authentication failed|could not read (?:username|password)|invalid (?:username|credentials)"
    r"|returned error: 401|terminal prompts disabled",
    re.IGNORECASE,
)
_UNTRUSTED = re.compile(
    r"certificate verification failed|SSL certificate problem|error setting certificate",
    re.IGNORECASE,
)
_DENIED = re.compile(r"returned error: 403", re.IGNORECASE)
_MOVED = re.compile(r"returned error: 30[18]")
_UNSOUND = re.compile(r"^error: (?:object|in \w+) ([0-9a-f]{40,64}): (\w+): ", re.MULTILINE)
_MISSING = re.compile(
    r"repository .*not found|returned error: 404|does not appear to be a git",
    re.IGNORECASE,
)


class GitLockedError(RetryableError):
    """Another git process is writing the ref, or was killed while it did.

    `lock` is the path from git's message. A fetch's stderr includes text of the remote, so check
    the path before using it.
    """

    def __init__(self, command: str, lock: str) -> None:
        super().__init__(f"git {command}: another git has {lock}.")
        self.lock = Path(lock)


class GitError(HonkError):
    """Git failed. `words` is its stderr with secrets redacted; `code` its exit code."""

    def __init__(self, command: str, code: int, words: str) -> None:
        super().__init__(f"git {command} failed ({code}): {words}")
        self.code = code
        self.words = words


class GitDeniedError(GitError, UserError):
    """The remote refuses the token: the App was uninstalled, or the repository is read-only."""

    def __init__(self, command: str, code: int, words: str) -> None:
        super().__init__(command, code, words)
        what = "push to" if command == "push" else "read"
        self.message = f"GitHub does not let Honk {what} this repository.{_remote_lines(words)}"
        self.next_step = "Check whether it is archived, and whether the App is installed on it."


class GitUnknownTokenError(GitDeniedError):
    """The remote does not recognize the token: it was revoked, or is too new to be known yet."""


class GitUntrustedError(GitError, UserError):
    """The remote's certificate is not signed by an authority that this machine trusts."""

    def __init__(self, command: str, code: int, words: str) -> None:
        super().__init__(command, code, words)
        self.message = "The certificate of GitHub's server is not trusted."
        self.next_step = (
            "Honk's operator can set HONK_CA_BUNDLE to a file with the authority's certificate."
        )


class GitMissingError(GitError, UserError):
    """The remote has no such repository, or hides it from this token."""

    def __init__(self, command: str, code: int, words: str) -> None:
        super().__init__(command, code, words)
        self.message = f"GitHub no longer finds this repository.{_remote_lines(words)}"
        self.next_step = "Check whether it was moved, and whether the App is installed on it."


class GitUnsoundError(GitError, UserError):
    """The remote sent a malformed object that a fetch refuses (see `app.git.fsck`)."""

    def __init__(self, command: str, code: int, words: str, *, sha: str, kind: str) -> None:
        super().__init__(command, code, words)
        why = fsck.why_refused(kind)
        defect = f"`{kind}`: {why}" if why else f"`{kind}`"
        self.message = f"Object `{sha}` in this repository's history is malformed ({defect})."
        self.next_step = (
            f"`git cat-file -p {sha}` shows it. Take it out of the history that this branch leads "
            "to, or work from a branch without it."
        )


class GitMovedError(GitMissingError):
    """The repository has a new name. Git does not follow redirects by itself here."""


def _remote_lines(words: str) -> str:
    """The remote's own lines of the message, if there are any."""
    lines = [line.removeprefix("remote:").strip() for line in words.splitlines()]
    remote_lines = [
        line for line, raw in zip(lines, words.splitlines(), strict=True) if "remote:" in raw
    ]
    return f" It said: {' '.join(remote_lines)}" if remote_lines else ""


def check_ref(name: str) -> str:
    """Validate a branch name or full ref name by git's rules (git-check-ref-format(1)).

    `feat/x@2#ü` is valid. Raises ValueError for everything that git refuses, and for a leading
    dash, which git would read as an option.
    """
    if (
        not name
        or len(name.encode("utf-8", "surrogatepass")) > 1000
        or name == "@"
        or name[0] in "-/."
        or name[-1] in "/."
        or _BAD_IN_REF.search(name)
        or any("\ud800" <= letter <= "\udfff" for letter in name)
    ):
        raise ValueError(f"{name[:120]!r} is not a name that git allows")
    return name


def token_environment(url: str, token: str) -> dict[str, str]:
    """Pass the token for one remote by environment, not on the command line or on disk."""
    parts = urlsplit(url)
    pair = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{parts.scheme}://{parts.netloc}/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {pair}",
    }


def inside_environment() -> dict[str, str]:
    """The same environment and flags as variables, for git on a work tree inside a sandbox.

    Nothing is converted between the work tree and the objects, and no global or system file that
    could change this is read.
    """
    settings = (*SETTINGS, "core.autocrlf=false", "core.safecrlf=false", "core.compression=1")
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, setting in enumerate(settings):
        key, _, value = setting.partition("=")
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return {**ENVIRONMENT, **variables}


async def git(
    args: Sequence[str],
    *,
    cwd: Path | None = None,
    stdin: bytes | BinaryIO = b"",
    url: str | None = None,
    token: str | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT_SECONDS,
    max_output: int = MAX_OUTPUT_BYTES,
    cut: int | None = None,
    ok_codes: Sequence[int] = (),
) -> bytes:
    """Run git in the bare repository `cwd` and return its stdout.

    `url` is the remote of a fetch or push; only its transport is allowed. `timeout` is in seconds,
    `max_output` in bytes. With `cut`, git is killed once it has written more than that many bytes,
    and the output so far is returned. Exit codes in `also` count as success. Raises GitError (or a
    subclass), RetryableError when the remote is unreachable, the time limit is reached or another
    git holds the lock (GitLockedError), and OSError when the disk is full.
    """
    command = [GIT, *_flags(url), *([f"--git-dir={cwd}"] if cwd else []), *args]
    outer = {**ENVIRONMENT, **(environment or {})}
    if url is not None and token is not None:
        outer |= token_environment(url, token)
    most = max_output if cut is None else cut
    writes_a_ref = args[0] == "update-ref"
    seconds = min(timeout, _REF_SECONDS) if writes_a_ref else timeout
    executed = _execute(command, cwd, outer, stdin, seconds, most)
    # A ref update killed at the wrong moment leaves its lock file; it is fast, so let it finish.
    code, output, errors = await (shielded(executed) if writes_a_ref else executed)
    if len(output) > most and cut is None:
        raise GitError(args[0], 0, f"more than {most} bytes of output")
    if code == 0 or code in ok_codes or len(output) > most:
        return output
    words = _redacted(errors.decode("utf-8", "replace").strip(), token)
    said = _redacted(output[:4000].decode("utf-8", "replace"), token) if args[0] == "push" else ""
    raise _failure(args[0], code, f"{said}\n{words}".strip())


def _flags(url: str | None) -> list[str]:
    settings = list(SETTINGS)
    if url is not None:
        scheme = urlsplit(url).scheme
        if scheme not in _TRANSPORTS:
            raise ValueError(f"{scheme!r} is no transport for git here")
        settings.append(f"protocol.{scheme}.allow=always")
        settings += fsck.FETCH_SETTINGS
    return [word for setting in settings for word in ("-c", setting)]


async def _execute(
    command: Sequence[str],
    cwd: Path | None,
    environment: Mapping[str, str],
    stdin: bytes | BinaryIO,
    timeout: float,
    max_output: int,
) -> tuple[int, bytes, bytes]:
    process = await start_process(
        *command,
        cwd=cwd or "/",
        env=dict(environment),
        stdin=asyncio.subprocess.PIPE if isinstance(stdin, bytes) else stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(timeout):
            given = stdin if isinstance(stdin, bytes) else None
            return await _communicate(process, given, max_output)
    except TimeoutError as error:
        raise RetryableError(f"git took over {timeout:g} seconds.") from error
    finally:
        _close_pipes(process)
        if process.returncode is None:
            await _terminate(process)
        process._transport.close()  # type: ignore[attr-defined]


async def _terminate(process: asyncio.subprocess.Process) -> None:
    """Terminate git and its children: the transport helpers, index-pack.

    Git removes its lock files on SIGTERM; after SIGKILL they stay behind.
    """
    try:
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            os.killpg(process.pid, signal.SIGTERM)
            async with asyncio.timeout(_END_SECONDS):
                await process.wait()
    finally:
        if process.returncode is None:
            await kill_group(process)


def _close_pipes(process: asyncio.subprocess.Process) -> None:
    """Close the child's pipes, since asyncio reports the exit only once they are closed.

    A full stdin, or a stdout inherited by a process that left the group, would block that forever.
    """
    transport = process._transport  # type: ignore[attr-defined]
    given = transport.get_pipe_transport(0)
    if given is not None and given.get_write_buffer_size():
        # close() would first wait for the child to read what is still buffered.
        given.abort()
    for pipe in filter(None, map(transport.get_pipe_transport, range(3))):
        pipe.close()


async def _communicate(
    process: asyncio.subprocess.Process,
    given: bytes | None,
    max_output: int,
) -> tuple[int, bytes, bytes]:
    assert process.stdout is not None and process.stderr is not None
    errors = Bounded(MAX_ERROR_BYTES)
    output, _, _ = await asyncio.gather(
        _read_up_to(process, process.stdout, max_output),
        _read_bounded(process.stderr, errors),
        _feed(process, given),
    )
    return await process.wait(), output, errors.value()


async def _read_up_to(
    process: asyncio.subprocess.Process, stream: asyncio.StreamReader, most: int
) -> bytes:
    """Read everything, or a little more than `most` bytes; then kill git."""
    parts = bytearray()
    while data := await stream.read(1 << 16):
        parts += data
        if len(parts) > most:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            _close_pipes(process)
            break
    return bytes(parts)


async def _read_bounded(stream: asyncio.StreamReader, kept: Bounded) -> None:
    while data := await stream.read(1 << 16):
        kept.add(data)


async def _feed(process: asyncio.subprocess.Process, given: bytes | None) -> None:
    if given is None or process.stdin is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(given)
        await process.stdin.drain()
    process.stdin.close()


def means_disk_full(words: str) -> bool:
    """Whether git on this machine (not the remote) reports a full disk."""
    full = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))
    own = [line for line in words.splitlines() if "remote:" not in line]
    return any(each in line for line in own for each in full)


def _failure(command: str, code: int, words: str) -> HonkError | OSError:
    if "rejected]" in words:
        # The remote answered and refused; its text may match any of the patterns below.
        return GitError(command, code, words)
    if command in _REF_WRITERS and (locked := _LOCKED.search(words)) is not None:
        return GitLockedError(command, locked[1])
    if means_disk_full(words):
        return OSError(errno.ENOSPC, f"git {command}: {words[-300:]}")
    if _UNTRUSTED.search(words):
        return GitUntrustedError(command, code, words)
    if _UNKNOWN_TOKEN.search(words):
        return GitUnknownTokenError(command, code, words)
    if _DENIED.search(words):
        return GitDeniedError(command, code, words)
    if _MOVED.search(words):
        return GitMovedError(command, code, words)
    if _MISSING.search(words):
        return GitMissingError(command, code, words)
    unsound = _UNSOUND.search(words) if command == "fetch" and "fsck error" in words else None
    if unsound is not None:
        return GitUnsoundError(command, code, words, sha=unsound[1], kind=unsound[2])
    if _AWAY.search(words):
        return RetryableError(f"git {command}: the remote is away: {words[-300:]}")
    return GitError(command, code, words)


def _redacted(words: str, token: str | None) -> str:
    if not token:
        return words
    pair = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    return words.replace(token, "***").replace(pair, "***")
