"""Clippy: https://doc.rust-lang.org/clippy/configuration.html

Its messages are cargo's: https://doc.rust-lang.org/cargo/reference/external-tools.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from app.domain.file_tree import FileTree, folders_with, outermost
from app.verify.lenient import json_bytes
from app.verify.verifiers.checks import LintCheck, LintFinding, UnreadableError
from app.verify.verifiers.gofmt import is_named


class _Span(msgspec.Struct):
    file_name: str = ""
    line_start: int | None = None
    is_primary: bool = False


class _ClippyCode(msgspec.Struct):
    code: str = ""


class _ClippyMessage(msgspec.Struct):
    message: str = ""
    level: str = ""
    code: _ClippyCode | None = None
    spans: list[_Span] = []


class _Line(msgspec.Struct):
    reason: str = ""
    message: _ClippyMessage | None = None


_LINE = msgspec.json.Decoder(_Line)


@dataclass(frozen=True)
class Clippy(LintCheck):
    """All of Clippy's findings, since most of its rules are only warnings; of the compiler's,
    only errors."""

    line: str = "cargo clippy"
    name: ClassVar[str] = "clippy"
    argv: ClassVar[tuple[str, ...]] = (
        *("cargo", "clippy", "--workspace", "--all-targets", "--keep-going"),
        "--message-format=json",
    )
    found_codes: ClassVar[tuple[int, ...]] = (101,)
    environment: ClassVar[Mapping[str, str]] = {
        "CARGO_NET_OFFLINE": "true",
        "CARGO_TERM_COLOR": "never",
    }
    configuration: ClassVar[tuple[tuple[str, str], ...]] = (
        ("clippy.toml", ""),
        (".clippy.toml", ""),
        ("Cargo.toml", r"^\[(?:workspace\.)?lints\.clippy\]"),
    )

    @classmethod
    def detect(cls, tree: FileTree) -> Iterator[Clippy]:
        """Where it is configured, or everywhere if make, hooks or workflows mention it."""
        packages = folders_with(tree, "Cargo.toml")
        if packages and is_named(tree, r"\bclippy\b"):
            yield from (cls(folder=folder) for folder in outermost(packages))
        else:
            yield from (each for each in super().detect(tree) if each.folder in packages)

    def findings(self, report: bytes) -> Iterator[LintFinding]:
        known = set()  # a file in several targets is reported for each
        for line in json_bytes(report).splitlines():
            found = _read(line)
            if found is not None and found not in known:
                known.add(found)
                yield found


def _read(line: bytes) -> LintFinding | None:
    if not line.startswith(b"{"):
        return None
    try:
        message = _LINE.decode(line).message
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UnreadableError("its report is truncated or not JSON") from None
    code = message.code.code if message is not None and message.code is not None else ""
    if message is None or not (code.startswith("clippy::") or message.level == "error"):
        return None
    for span in message.spans:
        if span.is_primary:
            return LintFinding(span.file_name, span.line_start, code, message.message)
    return None
