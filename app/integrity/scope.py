"""Whether the change stays within the policy's limits and can be reviewed. Pure.

`examine` returns flags; `refused` are those that the policy does not allow at all. Honk does not
guess what a request is about from its text: that is left to the judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from app.domain.diff import EXECUTABLE, LINK, NO_FILE, SUBMODULE, Diff, FileDiff
from app.domain.flag import Flag, Kind, snippet
from app.domain.policy import PathsPolicy, ScopePolicy
from app.ecosystems import ECOSYSTEMS

MAX_BINARY_BYTES = 1_000_000
"""A larger file that is not text is flagged as large: it stays in the history forever."""

MAX_FLAGS = 100
"""More flags than these are counted and not listed."""

REFUSED = frozenset({Kind.PROTECTED_PATH, Kind.OUTSIDE_PATHS})
"""What the policy forbids: a change with one of these is not published as it is."""

_VENDORED = re.compile(
    r"(?:^|/)(?:vendor|third[_-]party|node_modules|bower_components|site-packages|Godeps|_vendor"
    r"|\.venv|\.yarn/(?:cache|releases))/"
)
_GENERATED_NAME = re.compile(
    r"\.(?:min\.(?:js|css)|pb\.go|pb\.cc|pb\.h|g\.dart|designer\.cs|map)$|_pb2(?:_grpc)?\.pyi?$"
    r"|(?:^|/)(?:dist|build|out|target|__pycache__|\.next|coverage|htmlcov)/|\.py[co]$|\.class$"
    r"|_generated\.\w+$|\.generated\.\w+$|(?:^|/)zz_generated"
)
# https://go.dev/s/generatedcode, and what other generators write.
_GENERATED_MARK = re.compile(
    rb"(?i)code generated .{0,200} do not edit|@generated\b"
    rb"|auto-?generated.{0,80}do not (?:edit|modify)"
)
_MANIFESTS = {
    lock_file: manifests
    for ecosystem in ECOSYSTEMS
    for lock_file, manifests in ecosystem.lock_files.items()
}
_HIDES = re.compile(rb"linguist-(?:generated|vendored)|(?:^|\s)-diff\b|(?:^|\s)binary\b|filter=")


def examine(
    diff: Diff, paths: PathsPolicy | None = None, scope: ScopePolicy | None = None
) -> tuple[Flag, ...]:
    """All flags on the touched files. Never raises for file contents."""
    allowed = paths or PathsPolicy()
    flags = [
        *_forbidden(diff, allowed),
        *_size(diff, scope or ScopePolicy()),
        *(flag for file in diff.files for flag in _file(diff.before_rename(file))),
        *_locks(diff),
    ]
    if len(flags) > MAX_FLAGS:
        flags.sort(key=lambda flag: flag.kind not in REFUSED)
        reason = f"{len(flags) - MAX_FLAGS:,} more such flags are not listed."
        return (*flags[:MAX_FLAGS], Flag(kind=Kind.NOT_EXAMINED, file="", reason=reason))
    return tuple(flags)


def refused(flags: Iterable[Flag]) -> tuple[Flag, ...]:
    """Those that the policy does not allow: protected paths, and paths outside of `only`."""
    return tuple(flag for flag in flags if flag.kind in REFUSED)


def changed_lines(diff: Diff) -> int:
    """Added and removed lines in text files; a moved file counts only with its changed lines."""
    sources = set(diff.renames.values())
    return sum(
        len(file.added_lines) + len(file.removed_lines)
        for file in (diff.before_rename(each) for each in diff.files)
        if file.is_text and not (file.is_deleted and file.path in sources)
    )


def matches(path: str, globs: Sequence[str]) -> str:
    """The first glob that the path matches, or nothing.

    `*` and `?` stay within a folder, `**` goes through folders, a pattern that ends in `/` means
    all below it, one without a slash any file of that name. As in `.gitignore`, case counts.
    """
    return next((glob for glob in globs if _pattern(glob).fullmatch(path)), "")


@cache
def _pattern(glob: str) -> re.Pattern[str]:
    whole = f"{glob}**" if glob.endswith("/") else glob
    rooted = whole.removeprefix("/")
    if "/" not in whole:
        rooted = f"**/{rooted}"
    rooted = re.sub(r"(?:\*\*/)+", "**/", rooted)
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", rooted)
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]", "": ""}
    return re.compile("".join(words.get(part, re.escape(part)) for part in parts), re.DOTALL)


def _forbidden(diff: Diff, paths: PathsPolicy) -> Iterator[Flag]:
    for file in diff.files:
        found = matches(file.path, paths.protect)
        if found:
            reason = f"The policy protects `{found}`."
            yield _flag(file, Kind.PROTECTED_PATH, reason)
        elif paths.only and not matches(file.path, paths.only):
            reason = "The policy allows changes only to " + ", ".join(
                f"`{glob}`" for glob in paths.only[:5]
            )
            yield _flag(file, Kind.OUTSIDE_PATHS, f"{reason}.")


def _size(diff: Diff, scope: ScopePolicy) -> Iterator[Flag]:
    if scope.max_lines is None:
        return
    lines = changed_lines(diff)
    if lines > scope.max_lines:
        reason = f"{lines:,} lines are changed; the policy's limit is {scope.max_lines:,}."
        yield Flag(kind=Kind.TOO_LARGE, file="", reason=reason)


def _file(file: FileDiff) -> Iterator[Flag]:
    """What one file is."""
    if SUBMODULE in (file.old_mode, file.new_mode):
        yield _flag(file, Kind.SUBMODULE, "This changes the commit of a submodule.")
        return
    if file.is_deleted:
        return
    if file.path.rpartition("/")[2] == ".gitmodules":
        yield _flag(file, Kind.SUBMODULE, "This changes where submodules come from.")
    if file.new_mode == LINK:
        yield from _link(file)
        return
    if file.new_mode == EXECUTABLE and file.old_mode != EXECUTABLE:
        yield from _executable(file)
    if _VENDORED.search(file.path):
        yield _flag(file, Kind.VENDORED, "This file is vendored from another project.")
    elif _is_generated(file):
        yield _flag(file, Kind.GENERATED, "This file is generated by a tool.")
    if not file.is_text or file.new is None:
        yield from _binary(file)
    elif file.path.rpartition("/")[2] == ".gitattributes":
        yield from _attributes(file)


def _link(file: FileDiff) -> Iterator[Flag]:
    target = (file.new or b"").decode("utf-8", "replace")
    if leads_outside(file.path, target):
        reason = "This link points outside the repository."
    elif file.old_mode not in (NO_FILE, LINK):
        reason = "This file is now a link to another file."
    else:
        reason = "This link points to another file in the repository."
    yield _flag(file, Kind.LINK, reason, after=target)


def leads_outside(path: str, target: str) -> bool:
    """Would a link at `path` leave the repository? `..` after a name could lead anywhere."""
    if target.startswith(("/", "\\")) or ".git" in target.lower().split("/"):
        return True
    parts = [part for part in target.split("/") if part not in ("", ".")]
    climbs = next((at for at, part in enumerate(parts) if part != ".."), len(parts))
    return climbs > path.count("/") or ".." in parts[climbs:]


def _executable(file: FileDiff) -> Iterator[Flag]:
    """A script has a first line that marks it as one; anything else is flagged."""
    if file.old_mode != NO_FILE:
        yield _flag(file, Kind.EXECUTABLE, "This file is now executable.")
    elif not (file.new or b"").startswith(b"#!"):
        yield _flag(file, Kind.EXECUTABLE, "This new file is executable.")


def _is_generated(file: FileDiff) -> bool:
    if _GENERATED_NAME.search(file.path):
        return True
    return bool(_GENERATED_MARK.search((file.new or b"")[:2_000]))


def _binary(file: FileDiff) -> Iterator[Flag]:
    large = file.new_size > MAX_BINARY_BYTES
    size = f"{file.new_size:,} bytes"
    if large:
        reason = f"This file is large ({size}) and stays in the Git history."
        yield _flag(file, Kind.BINARY, reason)
    elif not file.is_text:
        was = "changed" if file.old_mode != NO_FILE else "new"
        reason = f"The contents of this {was} binary file ({size}) cannot be reviewed."
        yield _flag(file, Kind.BINARY, reason)


def _attributes(file: FileDiff) -> Iterator[Flag]:
    for number, line in file.added_lines:
        if _HIDES.search(line):
            text = line.decode("utf-8", "replace")
            reason = "This hides or alters files in diffs."
            yield _flag(file, Kind.HIDDEN_FROM_REVIEW, reason, line=number, after=text)


def _locks(diff: Diff) -> Iterator[Flag]:
    """Lock files without the file that they are made from."""
    for file in diff.files:
        folder, slash, name = file.path.rpartition("/")
        manifests = _MANIFESTS.get(name, ())
        if file.is_deleted or not manifests:
            continue
        # In a workspace one lock file serves the manifests of all folders below it.
        near = f"{folder}{slash}"
        if not any(
            other.path.startswith(near) and other.path.rpartition("/")[2] in manifests
            for other in diff.files
        ):
            reason = f"This lock file changed, but `{manifests[0]}` did not."
            yield _flag(file, Kind.LOCK_ONLY, reason)


def _flag(
    file: FileDiff, kind: Kind, reason: str, *, line: int | None = None, after: str = ""
) -> Flag:
    return Flag(kind=kind, file=file.path, line=line, reason=reason, after=snippet(after))
