"""Every reader of foreign input, with what is thrown at it and what it may answer.

Whatever else it raises is a defect, and so is an example that takes too long or breaks what the
reader promises.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin
from pydantic import SecretStr
from starlette.requests import Request

from app import integrity, messages
from app.agent.engines.anthropic import tools
from app.agent.engines.anthropic.tools import ToolCall
from app.domain import (
    attestation,
    command,
    image_info,
    policy,
    sanitize,
    setup,
)
from app.domain.attestation import PAYLOAD_TYPE, AttestationError
from app.domain.comment_text import authored_lines
from app.domain.diff import EXECUTABLE, LINK, NO_FILE, PLAIN, SUBMODULE, Diff, FileDiff
from app.domain.dsse import Envelope, EnvelopeError
from app.domain.event import EventError
from app.domain.evidence import ChangedSides
from app.domain.model_question import ModelAnswer
from app.domain.policy import PathsPolicy, PolicyError, UnreadablePolicyError
from app.domain.rendered_markdown import see
from app.domain.trigger import AppIdentity, from_event
from app.domain.values import CommitSha, RepoName, is_branch_name
from app.domain.verdict import Results, TestOutcome, TestResult, VerifierResult, compare
from app.ecosystems.node import ECOSYSTEM as NODE
from app.egress import rules
from app.egress.addresses import Addresses
from app.egress.certificate_authority import Authority
from app.egress.client_hello import ClientHello
from app.egress.proxy import EgressLimits, Proxy, UpstreamClient
from app.egress.rules import BlockedRequestError, HostRule, host_rule
from app.errors import UserError
from app.github import webhooks
from app.integrity import scope, secrets
from app.integrity.deleted_code import removed_with_code
from app.integrity.mixed import SPLITTERS
from app.sandbox.spec import Completed
from app.verify import judge
from app.verify.affected import affected
from app.verify.junit import BadReportError, read_junit
from app.verify.reports import for_agent
from app.verify.verifier import STDOUT, Verifier, VerifierContext, label
from app.verify.verifiers import choose, of_ecosystem
from app.verify.verifiers.ava import Ava, Tap, Tape
from app.verify.verifiers.cargo import Cargo, Nextest
from app.verify.verifiers.clippy import Clippy
from app.verify.verifiers.eslint import Eslint
from app.verify.verifiers.go import Go
from app.verify.verifiers.gofmt import Gofmt
from app.verify.verifiers.gradle import Gradle
from app.verify.verifiers.jest import Jest
from app.verify.verifiers.maven import Maven
from app.verify.verifiers.mocha import Mocha
from app.verify.verifiers.mypy import Mypy
from app.verify.verifiers.node import Node
from app.verify.verifiers.prettier import Prettier
from app.verify.verifiers.pytest import Pytest
from app.verify.verifiers.ruff import Ruff, RuffFormat
from app.verify.verifiers.tsc import Tsc
from app.verify.verifiers.unittest import Unittest
from app.verify.verifiers.vitest import Vitest
from app.web import webhook
from app.web.sessions import Cookies, SigningIn, WebSession
from tests.fuzz.inputs import (
    Make,
    both,
    edited,
    either,
    foreign,
    heaps,
    json_text,
    many,
    odd_json,
    some_of,
)
from tests.fuzz.inputs import words as made_words
from tests.support import deliveries
from tests.support.evidence import attested
from tests.support.keys import signing_key
from tests.unit.integrity.test_mixed import SAMPLES

APP = AppIdentity(app_id=4711, slug="honk")


@dataclass(frozen=True)
class Target:
    """A reader. `read` raises nothing but `allowed`, whatever it is given."""

    name: str
    given: Make[Any]
    read: Callable[[Any], object]
    allowed: tuple[type[Exception], ...] = field(default=())


# -- what comes over HTTP

_PAYLOADS = [
    deliveries.labeled(),
    deliveries.commented(),
    deliveries.commented("/honk stop"),
    {
        **deliveries.labeled(),
        "action": "closed",
        "pull_request": {
            **deliveries.labeled()["issue"],
            "head": {"ref": "honk/7-x", "sha": "a" * 40, "repo": {"id": 900}},
            "base": {"ref": "main", "sha": "b" * 40, "repo": {"id": 900}},
            "merged": False,
        },
    },
    {
        **deliveries.commented(),
        "action": "rerequested",
        "check_run": {
            "id": 1,
            "external_id": "abcdefghij",
            "head_sha": "a" * 40,
            "app": {"id": 4711},
            "pull_requests": [],
            "updated_at": "2026-03-02T09:10:11Z",
        },
        "requested_action": {"identifier": "retry"},
        "check_suite": {
            "id": 2,
            "head_sha": "a" * 40,
            "conclusion": "failure",
            "app": {"id": 1},
            "updated_at": "2026-03-02T09:10:11Z",
        },
        "review": {"id": 1, "node_id": "x", "body": "/honk", "state": "commented"},
    },
]
_EVENTS = (
    *("issues", "issue_comment", "pull_request", "pull_request_review", "check_run"),
    *("pull_request_review_comment", "check_suite", "push", "ping", "x"),
)


def _payload(given: tuple[str, bytes]) -> None:
    name, body = given
    from_event(name, webhooks.read(name, "application/json", body), APP)


def _form(given: tuple[str, bytes]) -> None:
    name, body = given
    from_event(name, webhooks.read(name, "application/x-www-form-urlencoded", body), APP)


def _head(given: list[tuple[bytes, bytes]]) -> None:
    try:
        webhook.read_headers(given)
    except webhook._Refusal as refusal:
        assert 400 <= refusal.status < 500
        return
    once = [value for name, value in given if name == b"x-hub-signature-256"]
    assert len(once) == 1
    assert re.fullmatch(rb"sha256=[0-9a-f]{64}", once[0])


_HEADERS = many(
    either(
        both(
            some_of(
                [b"x-hub-signature-256", b"x-github-event", b"content-type", b"x-github-delivery"]
            ),
            either(
                some_of([b"sha256=" + b"a" * 64, b"issues", b"application/json", b"push"]),
                edited(
                    [b"sha256=" + b"a" * 64, b"application/json; charset=utf-8"], [b"\xff", b"A"]
                ),
            ),
        ),
        # The server's parser lets nothing else through.
        lambda dice: (b"content-length", b"%d" % dice.below(10 ** dice.below(30))),
    ),
    most=8,
)

_COOKIES = Cookies(SecretStr("a session secret of some length, for tests"), is_secure=True)
_SEALED = [
    _COOKIES.seal(WebSession("olivia", 1, "ghu_x", "form", 4e9)).encode(),
    _COOKIES.seal(SigningIn("state", "verifier", "/runs", 4e9)).encode(),
]
_COOKIE_NAME = b"__Host-honk-session="


def _cookie(given: bytes) -> None:
    header = _COOKIE_NAME + given.replace(b"\n", b"").replace(b"\r", b"")
    request = Request({"type": "http", "headers": [(b"cookie", header)]})
    session = _COOKIES.read(request, WebSession)
    # Base64 has several spellings of its last letter; another content has none.
    assert session is None or session == WebSession("olivia", 1, "ghu_x", "form", 4e9)
    _COOKIES.read(request, SigningIn)


# -- attestations

_STATEMENT = attestation.payload(attested())
_ENVELOPE = Envelope(
    PAYLOAD_TYPE,
    _STATEMENT,
    ((signing_key(1).public.key_id, signing_key(1).sign(PAYLOAD_TYPE, _STATEMENT)),),
)
_TRUSTED = {signing_key(1).public.key_id: signing_key(1).public}


def _signed_file(text: bytes) -> None:
    envelope = Envelope.from_json(text)
    envelope.signer(_TRUSTED)
    # However the file was written, only what was signed is believed.
    assert (envelope.payload_type, envelope.payload) == (PAYLOAD_TYPE, _STATEMENT)


def _signed_statement(text: bytes) -> None:
    found = attestation.read(Envelope(PAYLOAD_TYPE, text, ()))
    assert len(found.commit.head) in (40, 64)
    found.evidence_with({})
    messages.reproduction.signed(found, "key", "source")


# -- what people write

_COMMENTS = [
    "/honk",
    "/honk fix the rounding\n\nwhere it is half",
    "> /honk stop\n\n/honk continue budget=2",
    "Hi\n\n```\n/honk\n```\n/honk test",
    "@honk ask what is this? model=max\n\nOn 1 May 2026 Ada <a@b> wrote:\n> /honk",
    "/honk trust " + "a" * 40,
    "<details>\n/honk\n</details>\n<!-- /honk -->\n/honk go",
]
_COMMENT_PIECES = (
    *("/honk", "@honk", "/HONK ", "> ", "```", "~~~", "`", "<!--", "-->", "<pre>", "</pre>", "- "),
    *("    ", "\t", "1. ", "From: a", "Sent: b", "---", "wrote:", " stop", " go", " budget=2"),
    *(" budget=1e9", " budget=-1", " base=", " base=main..x", " model=", " draft=maybe", " trust"),
    *("-----Original Message-----", "honk[bot]", "<blockquote>", "\u2028", "\u0085", "\x0b"),
    *(
        "<details>",
        "</details>",
        "<code>",
        "[a](b '",
        "')",
        "[^1]",
        "\n[^1]: ",
        "| a |\n|-|\n",
        "<b x='",
    ),
    *("\ue000", "\ue0001\ue001", "<div>\n", "$", "<title>", "===\n"),
)


_ENDS = re.compile(r"\r\n|\r|\n")


def _command(text: str) -> None:
    found = command.parse(text, "honk")
    lines = _ENDS.sub("\n", text).split("\n")
    own = authored_lines(lines).lines
    if any(lines[number].lstrip().startswith("/honk") for number in own):
        assert "/honk" in see(text).text
    if found is not None:
        said = _ENDS.split(text)
        assert all(any(line in each for each in said) for line in found.task.split("\n"))
        assert len(found.several) != 1


_POLICY = """\
setup: ["pip install -e .[test]"]
verify: ["pytest -q"]
network: {allow: [python, "packages.example.com"], mode: fetch-only}
who: write
bots: []
base: main
branch: "honk/{number}-{slug}"
paths: {protect: [".github/workflows/**"], only: ["src/**"]}
scope: {max_lines: 2000}
integrity: {block: [removed, skipped]}
no_tests: failure
budget: {usd: 5, minutes: 45, turns: 200, per_day_usd: 50}
corrections: 3
draft: false
"""
_YAML_PIECES = (
    *(": ", "- ", "? ", "&a ", "*a", "!!python/object:os.system ", "!!binary ", "<<: ", "|\n"),
    *(">\n", "%YAML 9.9\n", "---\n", "...\n", "{", "}", "[", "]", "~", ".nan", ".inf", "0o17"),
    *("1_000", "2026-01-01", "!!timestamp ", "budget", "usd", "paths", "verify", "y", "on", "1:2"),
    *('"\\ud800"', "!!bool ", "!!int ''", "!!float x", "0001-01-01T00:00:00+23:59"),
    *("&a [*a, *a]", "? [a]\n: b\n", "{number}", "{slug}", "{x}", "\ufeff", "!!set {a}", "!!omap "),
)


def _policy(text: bytes) -> None:
    found = policy.read(text)
    assert policy.Policy.model_validate_json(found.model_dump_json()) == found


# -- what leaves for GitHub

_MARKDOWN_PIECES = (
    *("@olivia", "@org/team", "fixes #1", "Closes: GH-3", "resolves https://x/y/issues/1", "#12"),
    *("\n", "\n\n", "- ", "1. ", "> ", "# ", "\n---\n", "\n===\n", "\n    ", "**", "*", "_", "~~"),
    *(
        "[^1]",
        "[^1]: ",
        "[x]: y",
        "[!NOTE]",
        "$",
        "$$",
        "/deploy",
        "bors r+",
        "[skip ci]",
        "- [ ] ",
    ),
    *("| a | b |\n|---|---|\n| c | d |\n", "&commat;x", "&num;1", "&nbsp;", "5107c78", "www.x.y"),
    *("skip-checks: true", "***NO_CI***", "```mermaid\n", "https://x/y/z/pull/1", "\u2028", "~~~"),
    *(
        "![x](http://evil/?q=1)",
        "<img src=x>",
        "<!-- honk:run=abc -->",
        "<!--",
        "-->",
        "/honk stop",
    ),
    *("```", "~~~~", "````", "<details>", "</details>", "\u200b", "\u202e", "\U000e0041", "&#64;x"),
    *(
        "[a](javascript:x)",
        "|",
        "\\",
        "`",
        "\r",
        "close\n#1",
        "<b",
        "&lt;img",
        "!\\[",
        "f\u00adixes #1",
    ),
)
_LINE_OF_A_BOT = re.compile(
    r"^\s*(?:/[a-z][\w-]*(?=\s|\Z)|bors[ \t]+\S|@[a-z0-9]\w* \w)", re.IGNORECASE | re.MULTILINE
)
_ACTS = re.compile(
    r"(?<![A-Za-z0-9])@[A-Za-z0-9]|#[0-9]|(?<![A-Za-z0-9])GH-[0-9]|\[!", re.IGNORECASE
)
_NOT_WRITTEN = {"html_block", "html_inline", "image", "footnote_ref", "footnote_block_open"}
_HIDDEN = re.compile("[\u202a-\u202e\u2066-\u2069\U000e0000-\U000e0fff]")
_SKIPS_CI = re.compile(
    r"\[\s*(?:skip ci|ci skip|no ci|skip actions|actions skip)\s*\]|skip-checks\s*:", re.IGNORECASE
)
_OURS = "Honk measured this."


@functools.cache
def _github() -> MarkdownIt:
    parser = MarkdownIt("gfm-like").use(footnote_plugin)
    assert parser.linkify is not None
    parser.linkify.set({"fuzzy_link": False, "fuzzy_email": False})
    return parser


def _tokens(text: str) -> Iterator[Token]:
    waiting = _github().parse(text)
    while waiting:
        token = waiting.pop()
        yield token
        waiting += token.children or []


def _rendered(text: str) -> None:
    """The Markdown of others is one closed block that only reads, whatever its limit."""
    for limit in (0, 40, 400, 60_000):
        shown = sanitize.markdown(text, limit=limit)
        assert len(shown) <= limit
        below = _github().parse(f"{_OURS}\n\n{shown}\n\n{_OURS}\n")
        at = [number for number, token in enumerate(below) if token.content == _OURS]
        assert at == [1, len(below) - 2], shown
        assert below[-2].level == 1, shown
        _prose(shown)
        assert "<!-- honk" not in shown.lower()
        assert not _LINE_OF_A_BOT.search(shown), shown
        assert not _HIDDEN.search(shown)
        for token in _tokens(shown):
            assert token.type not in _NOT_WRITTEN, shown
            assert token.tag not in ("h1", "h2", "h3"), shown


def _prose(text: str) -> str:
    prose = " ".join(token.content for token in _tokens(text) if token.type == "text")
    assert not _ACTS.search(prose), text
    return prose


def _sanitized(text: str) -> None:
    for limit in (40, 400, 60_000):
        line = sanitize.plain(text, limit=limit)
        assert len(line) <= limit
        assert len(line.splitlines()) <= 1
        _prose(f"- {line}")
        for plain in (sanitize.title(text, limit=limit), sanitize.message(text, limit=limit)):
            assert len(plain) <= limit
            assert not _SKIPS_CI.search(plain), plain
            assert not re.search(r"(?<![A-Za-z0-9])@[A-Za-z0-9]|#[0-9]", plain), plain
            assert not _LINE_OF_A_BOT.search(plain), plain
        assert len(sanitize.title(text, limit=limit).splitlines()) <= 1
    code = sanitize.code(text, limit=100)
    assert len(code.splitlines()) <= 1
    kinds = [token.type for token in _tokens(f"a {code} b")]
    assert kinds.count("code_inline") == bool(code), code
    fenced = sanitize.fence(text, limit=400)
    assert [token.type for token in _tokens(fenced) if token.type == "fence"] == ["fence"], fenced
    assert "ghp_" + "a" * 36 not in sanitize.redact(text + "ghp_" + "a" * 36, [])
    messages.pull_request.not_ready_title(text)


_SEEN_PIECES = (
    *_MARKDOWN_PIECES,
    *(
        "![" * 300,
        "[](" * 300,
        "<a " * 300,
        "`" * 300,
        "[^1]" * 300,
        "[^1]: x\n" * 100,
        "<!--" * 200,
    ),
    *(
        "[a](<b> 'c')",
        "[^1]: note\n    more\n",
        "[x]: http://y 'z'\n",
        "\\phantom{x}",
        "<svg>",
        "</svg>",
    ),
    *(
        "<div title='",
        "<a href=https://x>",
        "    code\n",
        "> > ",
        "1) ",
        "***",
        "<![CDATA[",
        "%% x\n",
    ),
    *(
        "\\(" * 200,
        "((" * 200,
        "<x y='" * 100,
        "{" * 200,
        "| a | b |\n|---|---|\n",
        "\n\n",
        "\ue000",
        "\ue0000\ue001",
        "$",
        "$$",
        "```math\n",
        "```mermaid\n",
        "<sub>" * 5,
        "<table><td>",
        "</table>",
        "<ol start=9999999999999>",
        "<li>",
        "<code>",
        "<pre>",
        "<title>",
        "<select><option>",
        "- [ ] ",
        "`$`",
        "   \n",
    ),
)


_UNSEEN = "fnordbluff"
_CARRIERS = ("<!-- {} -->", '<b title="{}">x</b>', "![{}](x.png)", "[x](y.md '{}')")


def _seen(text: str) -> None:
    carrier = _CARRIERS[len(text) % len(_CARRIERS)]
    seen = see(f"{carrier.format(_UNSEEN)}\n\n{text}")
    assert not _HIDDEN.search(seen.text)
    assert "\ue000" not in seen.text
    assert _UNSEEN not in seen.text, seen.text
    assert _UNSEEN in "; ".join(seen.notes), seen.notes


# -- what is in a repository

_CODE = {
    "test_a.py": b"import pytest\n\n\n@pytest.mark.skip\ndef test_a():\n    assert f(1) == 2\n",
    "a_test.go": b'package a\n\nfunc TestA(t *testing.T) {\n\tif F() != 1 { t.Fatal("x") }\n}\n',
    "a.test.ts": b"describe('a', () => { it.skip('b', () => { expect(f(1)).toBe<number>(2) }) })\n",
    "a.test.jsx": b"test('a', () => { render(<A b={1}/>); expect(x).toBe(1) })\n",
    "ATest.java": b"class ATest { @Test @Disabled void a() { assertEquals(1, f()); } }\n",
    "src/lib.rs": b"#[cfg(test)]\nmod t { #[test] #[ignore] fn a() { assert_eq!(1, f()); } }\n",
    "package.json": b'{"scripts": {"test": "jest"}, "jest": {"coverageThreshold": {"global": 9}}}',
    "pyproject.toml": b'[tool.pytest.ini_options]\naddopts = "-q"\n[tool.mypy]\nstrict = true\n',
    "setup.cfg": b"[tool:pytest]\naddopts = -q\n[mypy]\nstrict = True\n",
    "pom.xml": b"<project><properties><skipTests>false</skipTests></properties></project>",
    "Cargo.toml": b'[package]\nname = "a"\n[dependencies]\nx = { version = "1", features = [] }\n',
    "go.mod": b"module a\n\ngo 1.22\n\nrequire x v1.2.3\n",
    ".github/workflows/ci.yml": b"on: push\njobs: {a: {steps: [{run: pytest}]}}\n",
    "conftest.py": b"collect_ignore = ['x']\n",
    "Makefile": b"test:\n\tpytest -q\n",
    ".gitattributes": b"*.py -diff linguist-generated\n",
    "requirements.txt": b"a==1.0 --hash=sha256:00\n-r b.txt\n",
    "tox.ini": b"[testenv]\ncommands = pytest\n",
    "tsconfig.json": b'{"compilerOptions": {"strict": true}} // x\n',
    ".env": b"TOKEN=ghp_" + b"a" * 36 + b"\nAWS_SECRET_ACCESS_KEY=" + b"Zx9" * 13 + b"Q\n",
}
_CODE_PIECES = (
    *(b"def test_b(): ", b"assert ", b"@pytest.mark.xfail\n", b"skip", b"func TestB", b"t.Skip()"),
    *(b"it('", b"expect(", b"#[ignore]", b"@Ignore ", b"// eslint-disable\n", b"# noqa\n", b'"""'),
    *(b"''", b"=>", b"/*", b"*/", b"`${", b'r#"', b"|| true", b"*a", b"&a ", b"-----BEGIN RSA "),
    *(b"!!timestamp ", b"!!bool ", b"\\ud800", b'"scripts": {"test": "', b'"name": "'),
    *(b"PRIVATE KEY-----", b"AKIA" + b"A" * 16, b"eyJhbGciOi.eyJzdWI.abc", b"if x:\n", b"\n    "),
)
_MODES = (PLAIN, EXECUTABLE, LINK, SUBMODULE, NO_FILE)
_SIDE = edited([*_CODE.values(), b""], (*_CODE_PIECES, b"\x00", b"\xff", b"(" * 200), most=5)
_PATHS = either(
    some_of([*_CODE, "docs/a.md", "a b", "-x", "é", "a\nb", "../x", "/etc", "x" * 300]),
    made_words([*_CODE], ["/", "..", "\\", ":", "\n"], most=4),
)
_DIFFS = many(
    both(_PATHS, _SIDE, _SIDE, some_of(_MODES), some_of(_MODES)),
    least=1,
)


def _diff(given: list[tuple[str, bytes, bytes, str, str]]) -> Diff:
    files = tuple(
        FileDiff(
            path,
            None if old_mode == NO_FILE else old,
            None if new_mode == NO_FILE else new,
            old_mode,
            new_mode,
            len(old),
            len(new),
        )
        for path, old, new, old_mode, new_mode in {each[0]: each for each in given}.values()
    )
    names = [each.path for each in files]
    return Diff(files, {names[0]: names[-1]} if len(names) > 1 else {})


def _change(given: list[tuple[str, bytes, bytes, str, str]]) -> None:
    diff = _diff(given)
    integrity.examine(diff, ["test_a.py::test_a"])
    scope.examine(diff, PathsPolicy(protect=("src/**",), only=("**/*.py",)))
    scope.changed_lines(diff)


def _secrets(given: list[tuple[str, bytes, bytes, str, str]]) -> None:
    found = secrets.added_secrets(_diff(given), ["a-credential-of-the-worker"])
    secrets.as_flags(found)


_MIXED = sorted({text.encode() for texts in SAMPLES.values() for text in texts})
_MIXED_PIECES = (
    *(
        b'"',
        b"\n",
        b"[[package]]\n",
        b"[metadata]\n",
        b"groups = [",
        b"category = 'dev'\n",
        b"dev: true",
    ),
    *(
        b"{",
        b"}",
        b"]",
        b": ",
        b"- ",
        b"&a ",
        b"*a",
        b"snapshots:\n",
        b"importers:\n",
        b"\xff",
        b"null",
    ),
)


def _mixed(content: bytes) -> None:
    for splitter in SPLITTERS.values():
        splitter.parts(content)


def _removed(given: list[tuple[str, bytes, bytes, str, str]]) -> None:
    diff = _diff(given)
    paths = tuple(each.path for each in diff.files)
    tests = tuple(
        TestResult(id=f"{path}::test_a", outcome=TestOutcome.PASSED, file=path) for path in paths
    )
    ran = VerifierResult(verifier="pytest", command="pytest", tests=tests, ran=True)
    base = Results(commit=CommitSha("a" * 40), verifiers=(ran,))
    head = Results(commit=CommitSha("b" * 40))
    found = removed_with_code(diff, ChangedSides(source=paths), base, head)
    assert {each.id for each in found} <= {each.id for each in tests}


class Tree:
    """Files in memory, as a verifier sees a repository."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = {path: content for path, content in files.items() if path and path[0] != "/"}

    def exists(self, path: str) -> bool:
        return path in self._files

    def read_text(self, path: str, max_bytes: int) -> str | None:
        found = self._files.get(path)
        return None if found is None else found[:max_bytes].decode("utf-8", "replace")

    def names(self, pattern: str) -> Iterable[str]:
        return [path for path in self._files if fnmatch(path, pattern)]

    def has_links(self, folder: str) -> bool:
        return False


_MANIFESTS = (
    *("package.json", "pyproject.toml", "setup.cfg", "pom.xml", "Cargo.toml", "go.mod", "tox.ini"),
    *("test_a.py", "a_test.go", "Makefile", "tsconfig.json", "sub/package.json", "sub/go.mod"),
    *("build.gradle", "eslint.config.js", ".prettierrc", "noxfile.py", "ruff.toml", "mypy.ini"),
)


_LINES = ("pytest -q", "go test ./...", "ruff", "jest:sub", "npm ci", "pip install -e .", "'")


def _repository(given: tuple[dict[str, bytes], list[str]]) -> None:
    files, lines = given
    tree = Tree(files)
    for choice in (choose(None, tree), choose(lines, tree)):
        affected(choice, list(files)[:2], tree)
        for verifier in choice.verifiers:
            # It becomes a process, and a word in a comment.
            words_of_it = verifier.command(VerifierContext(report="/r", tools="/t")).argv
            "\n".join((*words_of_it, label(verifier), verifier.line)).encode()
            assert "\0" not in "".join(words_of_it)
    setup.only_installs(lines, files, (files.get("package.json") or b"").decode("utf-8", "replace"))
    setup.dependency_files(dict.fromkeys(files, "a" * 40), lines)


# -- what tests and tools say

_JUNIT = (
    b'<?xml version="1.0"?><testsuites><testsuite name="s"><testcase classname="tests.test_a.T"'
    b' name="test_b[1]" file="tests/test_a.py" line="3" time="0.1"><failure message="m &lt;">'
    b"Traceback\ntests/test_a.py:7: AssertionError</failure></testcase>"
    b'<testcase classname="a" name="t"><skipped/></testcase><testcase name="e"><error/>'
    b"</testcase></testsuite></testsuites>"
)
_XML_PIECES = (
    *(
        b"<testcase ",
        b"</testcase>",
        b"<failure>",
        b"<skipped/>",
        b"<error message='",
        b"<![CDATA[",
    ),
    *(b"]]>", b"<!DOCTYPE x [", b"<!ENTITY a 'b'>", b"&a;", b"&#0;", b"&#x110000;", b"<?x ?>"),
    *(b' name="', b' time="1e400"', b' time="-1"', b' line="99999999999999999999"', b'file="/x"'),
    *(b"<testsuite>", b"</testsuites>", b"xmlns:a='b'", b"<rerunFailure>", b"<flakyFailure>"),
    *(b'file="../../x"', b"<system-out>", b'<property name="a" value="b"/>'),
)
_WHOLE_PIECES = (
    *(b'<testcase classname="a.T" name="t"/>', b"<testcase name='a&#233;'><failure/></testcase>"),
    *(b'<testcase name="a" time="1e400" line="9999999999999"/>', b"<testsuite name='x'/>", b"<x/>"),
    *(b'<testcase file="../../x" classname=""><skipped message="&#x202e;"/></testcase>', b"text"),
    *(b'<testcase name="a" time="-1" line="-3"><error>a.py:99999999999: x</error></testcase>',),
    *(b'<testcase classname="&#x2026;" name=""><error type="x"/><failure/></testcase>', b"<?p?>"),
    *(b"<testcase><rerunFailure/><flakyError>z</flakyError></testcase>", b"<![CDATA[<]]>"),
    *(b'<testcase name="t" classname="t" file="tests/test_a.py" time="NaN"/>', b"<!-- -->"),
    *(b"<testsuite><testsuite><testcase name='deep'/></testsuite></testsuite>", b"<system-out/>"),
    *(b'<testcase line="&#x663;"/>', b"<properties><property name='a' value='b'/></properties>"),
)


def _wrapped(inner: Make[bytes]) -> Make[bytes]:
    return lambda dice: b"<testsuites><testsuite>" + inner(dice) + b"</testsuite></testsuites>"


_REPORTS = either(
    foreign([_JUNIT, b"<testsuites/>"], _XML_PIECES),
    edited([_JUNIT], (*_WHOLE_PIECES, b"x", b" "), most=2),
    _wrapped(heaps(_WHOLE_PIECES)),
    _wrapped(heaps(_WHOLE_PIECES)),
)

_GO = b"""{"Action":"start","Package":"example.com/a"}
{"Time":"2026-01-01T00:00:00Z","Action":"run","Package":"example.com/a","Test":"TestA/b"}
{"Action":"output","Package":"example.com/a","Test":"TestA/b","Output":"    a_test.go:7: no\\n"}
{"Action":"fail","Package":"example.com/a","Test":"TestA/b","Elapsed":0.01}
{"Action":"fail","Package":"example.com/a","Elapsed":0.2}
{"ImportPath":"example.com/c","Action":"build-output","Output":"c.go:1:2: syntax error\\n"}
{"ImportPath":"example.com/c","Action":"build-fail"}
"""
_CARGO = b"""   Compiling a v0.1.0 (/workspace)
     Running unittests src/lib.rs (target/debug/deps/a-1)

running 2 tests
test tests::a ... ok
test tests::b ... FAILED

failures:

---- tests::b stdout ----
thread 'tests::b' panicked at src/lib.rs:7:9:
assertion `left == right` failed

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s

   Doc-tests a
error: test failed, to rerun pass `--lib`
"""
_LINE_PIECES = (
    *(
        b"test ",
        b" ... ok\n",
        b" ... FAILED\n",
        b" ... ignored, why\n",
        b"running 3 tests\n",
        b"---- ",
    ),
    *(
        b" stdout ----\n",
        b"test result: ok. ",
        b"99999999999999999999999 passed; ",
        b"error[E0425]: x\n",
    ),
    *(b" --> src/lib.rs:7:9\n", b'{"Action":"', b'"Elapsed":1e400', b'"Test":"', b'"Output":"'),
    *(
        b'"Action":"skip"',
        b"panic: ",
        b"FAIL\t",
        b"=== RUN   ",
        b"a.py:7:1: ",
        b"(7,1): error TS1: ",
    ),
    *(b"[warn] a.js\n", b"diff ", b"+++ b/x\n", b"would reformat", b"error: ", b"BUILD FAILURE"),
)
_JSON_REPORTS = [
    [
        {
            "filename": "/workspace/a.py",
            "code": "F401",
            "message": "x",
            "location": {"row": 1, "column": 2},
            "end_location": {"row": 1, "column": 3},
        }
    ],
    [{"filePath": "/workspace/a.js", "messages": [{"ruleId": "x", "message": "y", "line": 1}]}],
    {
        "reason": "compiler-message",
        "message": {
            "message": "unused",
            "level": "warning",
            "code": {"code": "dead_code"},
            "spans": [{"file_name": "src/lib.rs", "line_start": 3, "is_primary": True}],
        },
    },
]
_MYPY = (
    b'{"file": "a.py", "line": 1, "column": 2, "message": "m", "code": "c", "severity": "error"}\n'
)
_FINDINGS = either(
    json_text(_JSON_REPORTS),
    foreign(
        [
            _MYPY,
            b"a.py:1:2: error: Name is wrong  [name-defined]\n",
            b"src/a.ts(1,2): error TS2304: Cannot find name 'x'.\n",
            b"Would reformat: a.py\n1 file would be reformatted\n",
            b"[warn] src/a.js\n[warn] Code style issues found\n",
            b"a.go\nb/c.go\n",
        ],
        _LINE_PIECES,
    ),
)
_CODES: Make[int | None] = some_of([0, 1, 2, 4, 5, 100, 101, 126, 127, 137, None, 300, -1])


def _parsed(
    verifiers: Sequence[Verifier], names: Sequence[str], code: int | None, report: bytes
) -> None:
    completed = Completed(code, report, 0, code is None, None, 1.0)
    for verifier in verifiers:
        result = verifier.parse(completed, dict.fromkeys(names, report))
        assert VerifierResult.model_validate_json(result.model_dump_json()) == result
        whole = Results(commit=CommitSha("a" * 40), verifiers=(result,))
        if code not in (0, None) and verifier.kind == "tests" and not result.nothing_to_run:
            assert compare(None, whole).conclusion != "success", verifier.name
        for_agent(whole, None)


def _reader(
    *verifiers: Verifier, names: Sequence[str]
) -> Callable[[tuple[int | None, bytes]], None]:
    return lambda given: _parsed(verifiers, names, *given)


def _junit(report: bytes) -> None:
    read_junit(report, lambda classname, file: classname or file, "sub")


_SCRIPTS: tuple[Verifier, ...] = (Node(), Jest(folder="a"), Vitest(), Mocha(), Ava(), Tap(), Tape())
_CHECKS: tuple[Verifier, ...] = (
    *(Ruff(), RuffFormat(), Mypy(), Eslint(folder="a"), Prettier(), Tsc(), Gofmt(), Clippy()),
)
assert (
    len(of_ecosystem(NODE)) == len(_SCRIPTS) + 1
)  # npm's own is a command, known by its exit code

_RESULT = {
    "commit": "a" * 40,
    "verifiers": [
        {
            "verifier": "pytest",
            "command": "pytest -q",
            "exit_code": 1,
            "seconds": 1.0,
            "tests": [
                {"id": "a::b", "outcome": "failed", "message": "m", "file": "a.py", "line": 3},
                {"id": "a::c", "outcome": "passed", "also": ["failed"]},
                {"id": "a::d", "outcome": "skipped"},
                {"id": "pytest", "outcome": "error", "whole_run": True, "message": "died"},
            ],
            "ran": True,
            "complete": True,
        },
        {
            "verifier": "ruff",
            "command": "ruff check",
            "kind": "checks",
            "tests": [{"id": "x.py: F401", "outcome": "failed"}],
            "ran": True,
        },
    ],
}
_ODD_RESULTS: tuple[Any, ...] = (
    *("passed", "failed", "error", "skipped", "a::b", "", "é\u202e", [], True, False, 0, 3, None),
    *("tests", "checks", "pytest", "no tests ran", {"id": "z", "outcome": "failed"}, "x" * 500),
)


def _results(value: Any) -> Results | None:
    try:
        return Results.model_validate(value)
    except ValueError:
        return None  # what no verifier makes


def _verdict(given: tuple[Any, Any]) -> None:
    before, after = (_results(value) for value in given)
    if after is None:
        return
    verdict = compare(before, after)
    assert verdict.title
    messages.verdict.table(verdict)
    messages.check_run.summary(verdict, "a" * 40, ("pytest -q",))
    for_agent(after, before)
    bad = any(test.outcome.bad and not test.also for each in after.verifiers for test in each.tests)
    if bad and before is None:
        assert verdict.conclusion == "failure"


# -- what the model says

_TOOL_CALLS = [
    {"name": "bash", "input": {"command": "ls", "restart": False}},
    {
        "name": "str_replace_based_edit_tool",
        "input": {
            "command": "str_replace",
            "path": "/workspace/a",
            "old_str": "a",
            "new_str": "b",
            "insert_line": 1,
            "insert_text": "x",
            "view_range": [1, 2],
            "file_text": "x",
        },
    },
    {"name": "search", "input": {"pattern": "a", "path": "."}},
    {"name": "plan", "input": {"items": [{"text": "a", "done": True}]}},
    {"name": "ask", "input": {"question": "?"}},
    {"name": "finish", "input": {"summary": "a", "not_done": "", "how_to_check": "x"}},
    {"name": "verify", "input": {}},
]
_JUDGEMENTS = [
    {"forms": [{"answer": "pass", "summary": "x"}]},
    {"forms": [{"answer": "change", "changes": [{"what": "x", "file": "a", "line": 3}]}]},
    {"text": '```json\n{"answer": "pass", "summary": ""}\n```'},
]


def _tool_call(value: Any) -> None:
    name, given = (
        (value.get("name"), value.get("input")) if isinstance(value, dict) else ("", value)
    )
    if isinstance(name, str):  # the SDK's own types see to that
        tools.understood(ToolCall(id="a", name=name, input=given))
    tools.cut(tools.cleaned(str(given)))


def _judged(value: Any) -> None:
    given = value if isinstance(value, dict) else {}
    forms, text = given.get("forms"), given.get("text")
    answer = ModelAnswer(
        forms=tuple(forms) if isinstance(forms, list) else (),
        text=text if isinstance(text, str) else str(value),
    )
    found = judge.read(answer)
    assert judge.allows(False, found) is False
    if found is not None:
        judge.feedback(found)


# -- what a setup asks the proxy

_REQUESTS = [
    b"GET http://registry.test/simple/ HTTP/1.1\r\nHost: registry.test\r\nAccept: */*\r\n\r\n",
    b"CONNECT registry.test:443 HTTP/1.1\r\nHost: registry.test:443\r\n\r\n",
    b"GET http://registry.test/@scope%2fname HTTP/1.1\r\nHost: registry.test\r\n\r\n",
    b"PUT http://registry.test/a HTTP/1.1\r\nContent-Length: 3\r\nHost: registry.test\r\n\r\nabc",
]
_REQUEST_PIECES = (
    *(
        b"http://",
        b"https://",
        b"CONNECT ",
        b"GET ",
        b"POST ",
        b" HTTP/1.1\r\n",
        b"Host: ",
        b"\r\n\r\n",
    ),
    *(b"?q=1", b"%2f", b"%2e%2e", b"/../", b"127.0.0.1", b"[::1]", b"169.254.169.254", b":99999"),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\n",
        b"Range: bytes=0-\r\n",
        b"user@",
    ),
    *(b"registry.test", b"evil.test", b"0x7f000001", b"\r\n ", b"Authorization: x\r\n", b"*.test"),
)


class _Gate:
    """A real proxy on one end of a socket, with nothing outside that it may reach."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        bounds = EgressLimits(head_seconds=2, idle_seconds=2, body_seconds=2, requests=10**9)
        rules = [
            host_rule("allowed.test"),
            HostRule("registry.test"),
            HostRule("registry.test", 80, False),
        ]
        self._parts = (rules, bounds, ssl.create_default_context(), Authority())
        self.failed: list[str] = []
        self.loop.set_exception_handler(lambda _, context: self.failed.append(str(context)))

    def ask(self, sent: bytes, *, mode: Any) -> bytes:
        return self.loop.run_until_complete(self._ask(sent, mode))

    async def _ask(self, sent: bytes, mode: Any) -> bytes:
        rules, bounds, trust, authority = self._parts
        outside = UpstreamClient(rules, _Nowhere(), bounds, trust)
        proxy = Proxy(outside, mode, bounds, authority)
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        proxy.accept(*await asyncio.open_connection(sock=theirs))
        (task,) = proxy._open
        try:
            writer.write(sent)
            writer.write_eof()
            answer = await reader.read()
            await asyncio.gather(task)  # raises what the conversation raised
        finally:
            writer.close()
            await proxy.aclose()
        assert not self.failed, self.failed
        return answer


class _Nowhere(Addresses):
    """Every name leads to a place that refuses."""

    def __init__(self) -> None:
        super().__init__(())

    async def of(self, host: str) -> list[str]:
        raise BlockedRequestError("nowhere")


_GATES: list[_Gate] = []


def _proxied(sent: bytes) -> None:
    if not _GATES:
        _GATES.append(_Gate())
    for mode in ("fetch-only", "connect"):
        _GATES[0].ask(sent, mode=mode)


def _rules(text: str) -> None:
    for reads in (
        lambda: rules.checked_path(text),
        lambda: rules.authority(text, 443),
        lambda: rules.plain_host(text),
        lambda: host_rule(text),
        lambda: rules.refuse_body(text, [(b"content-length", text.encode())]),
    ):
        try:
            reads()
        except (BlockedRequestError, UserError):
            continue
    kept = rules.outgoing([(b"accept", text.encode()), (b"range", text.encode())])
    assert all(value.isascii() and b"\n" not in value for _, value in kept)


def _hello_of(name: str) -> bytes:
    """What a client's TLS begins with."""
    context, out = ssl.create_default_context(), ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


def _hello(data: bytes) -> None:
    hello = ClientHello()
    half = len(data) // 2
    for part in (data[:half], data[half:]):
        if not hello.complete:
            hello.feed(part)


# -- the rest

_PICTURES = [
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x10\x00\x00\x00\x10\x08\x02\x00\x00\x00",
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xc0\x00\x11\x08"
    b"\x00\x10\x00\x10\x03\x01\x22\x00",
    b"GIF89a\x10\x00\x10\x00\x80\x00\x00",
    b"RIFF\x24\x00\x00\x00WEBPVP8 \x18\x00\x00\x000\x01\x00\x9d\x01*\x10\x00\x10\x00",
    b"RIFF\x24\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00\x0f\x00\x00\x0f\x00\x00",
    b"RIFF\x24\x00\x00\x00WEBPVP8L\x0a\x00\x00\x00/\x0f\xc0\x03\x00",
]


def _names(text: str) -> None:
    is_branch_name(text)
    try:
        name = RepoName.parse(text)
    except ValueError:
        return
    assert ".." not in (name.owner, name.name)
    assert "/" not in name.owner + name.name


def _targets() -> Iterable[Target]:
    events = some_of(_EVENTS)
    payloads = json_text(_PAYLOADS)
    forms = either(
        lambda dice: b"payload=" + payloads(dice).replace(b"%", b"%25"),
        foreign([b"payload=%7B%7D&a=b"], [b"%", b"%zz", b"+", b"&"]),
    )
    code_and_xml = both(_CODES, _REPORTS)
    files = many(both(some_of(_MANIFESTS), _SIDE), most=4)
    texts = made_words(_COMMENTS, _MARKDOWN_PIECES)
    yield Target("webhook payloads", both(events, payloads), _payload, (EventError,))
    yield Target(
        "webhook payloads as forms",
        both(events, forms),
        _form,
        (EventError,),
    )
    yield Target("webhook headers", _HEADERS, _head)
    yield Target("cookies", foreign(_SEALED, [b"=", b"; ", b'"', b"gAAAAA"]), _cookie)
    yield Target(
        "signed files",
        foreign([_ENVELOPE.as_json()], [b'"sig": ', b'"payload": ""', b"=", b"-", b"_"]),
        _signed_file,
        (EnvelopeError,),
    )
    yield Target(
        "signed statements",
        json_text([json.loads(_STATEMENT)]),
        _signed_statement,
        (AttestationError,),
    )
    yield Target("commands", made_words(_COMMENTS, _COMMENT_PIECES), _command)
    yield Target(
        "policy files",
        foreign([_POLICY.encode()], [piece.encode() for piece in _YAML_PIECES]),
        _policy,
        (PolicyError, UnreadablePolicyError),
    )
    yield Target("text sent to GitHub", texts, _sanitized)
    yield Target("Markdown sent to GitHub", texts, _rendered)
    yield Target("text as people see it", made_words(_COMMENTS, _SEEN_PIECES), _seen)
    yield Target("diffs", _DIFFS, _change)
    yield Target("secrets in diffs", _DIFFS, _secrets)
    yield Target("removed tests and their code", _DIFFS, _removed)
    yield Target("lock files and other mixed files", foreign(_MIXED, _MIXED_PIECES), _mixed)
    yield Target(
        "manifests",
        both(lambda dice: dict(files(dice)), many(some_of(_LINES))),
        _repository,
    )
    yield Target("JUnit", _REPORTS, _junit, (BadReportError,))
    yield Target("pytest", code_and_xml, _reader(Pytest(), Unittest(), names=["report.xml"]))
    yield Target(
        "node, jest, vitest, mocha",
        code_and_xml,
        _reader(*_SCRIPTS, names=["report.xml", "stdout"]),
    )
    yield Target(
        "maven, gradle",
        code_and_xml,
        _reader(Maven(folder="app"), Gradle(), names=["00001.xml", "places", "sources"]),
    )
    yield Target(
        "go test -json",
        both(_CODES, foreign([_GO], _LINE_PIECES)),
        _reader(Go(), names=[STDOUT, "packages"]),
    )
    yield Target(
        "cargo test",
        both(_CODES, foreign([_CARGO, _JUNIT], _LINE_PIECES)),
        _reader(Cargo(), Nextest(), names=[STDOUT, "report.xml"]),
    )
    yield Target(
        "linters and type checkers",
        both(_CODES, _FINDINGS),
        _reader(*_CHECKS, names=["findings"]),
    )
    results = odd_json([_RESULT], _ODD_RESULTS)
    yield Target("verdicts", both(results, results), _verdict)
    yield Target("tool calls", odd_json(_TOOL_CALLS), _tool_call)
    yield Target("the judge's answer", odd_json(_JUDGEMENTS), _judged)
    yield Target("setup's requests", foreign(_REQUESTS, _REQUEST_PIECES, most=12), _proxied)
    yield Target(
        "setup's hosts and paths",
        made_words(
            [
                "/simple/a/",
                "registry.test:443",
                "[::1]:80",
                "*.example.com",
                "/@a%2fb",
                "bytes=0-9",
            ],
            [piece.decode() for piece in _REQUEST_PIECES],
            most=6,
        ),
        _rules,
    )
    yield Target("setup's TLS", foreign([_hello_of("registry.test")]), _hello, (ValueError,))
    yield Target(
        "images", foreign(_PICTURES, [b"\xff\xc0", b"IHDR", b"VP8 "]), image_info.image_info
    )
    yield Target(
        "repository and branch names",
        made_words(["acme/rounding", "honk/7-x", "a@{1}"], ["/", "..", ".lock", "-"], most=6),
        _names,
    )


TARGETS = tuple(_targets())
