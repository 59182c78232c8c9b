"""What README and docs/ name exists: links, commands, settings, policy keys and messages."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import jsonschema
import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.cli import honk
from app.domain import policy
from app.domain.command import COMMANDS
from app.playground.model import ModelScript, script_schema
from app.settings import Settings
from tests.support import policy_reference

_ROOT = Path(__file__).parents[2]
PAGES = sorted([*_ROOT.glob("*.md"), *_ROOT.glob("docs/*.md")])
_MARKDOWN = MarkdownIt("commonmark").enable("table")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(_ROOT)))


def _tokens(page: Path) -> Iterator[Token]:
    for token in _MARKDOWN.parse(page.read_text()):
        yield token
        yield from token.children or ()


def _code(page: Path) -> Iterator[tuple[str, str]]:
    """Language and text of each block of code, and of each piece of inline code."""
    for token in _tokens(page):
        if token.type in {"fence", "code_block"}:
            yield token.info, token.content
        elif token.type == "code_inline":
            yield "inline", token.content


def _headings(page: Path) -> set[str]:
    """The fragments of a page's headings on GitHub: https://github.com/gjtorikian/html-pipeline."""
    found: set[str] = set()
    tokens = _MARKDOWN.parse(page.read_text())
    for before, inline in pairwise(tokens):
        if before.type == "heading_open":
            shown = "".join(part.content for part in inline.children or ())
            slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
            number = 0
            while (unique := f"{slug}-{number}" if number else slug) in found:
                number += 1
            found.add(unique)
    return found


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for token in _tokens(page):
        target = str(token.attrGet("href") or token.attrGet("src") or "")
        parts = urlsplit(target)
        if not target or parts.scheme:
            continue
        file = page.parent / unquote(parts.path) if parts.path else page
        if not file.exists() or (
            parts.fragment and file.suffix == ".md" and parts.fragment not in _headings(file)
        ):
            dead.append(target)
    assert not dead


_HONK = re.compile(r"(?:uvx --from \S+ |[A-Z_]+=\S* )*(?:\S*/)?(?:honk|python -m app)(?: (.*))?$")
_PLACEHOLDER = re.compile(r"\[(--[a-z]+)(?: ([^\]]+))?\]")


def honk_lines(page: Path) -> Iterator[str]:
    """What follows `honk` in each command line of the page, without comments and redirections."""
    for language, text in _code(page):
        if language not in {"", "sh", "inline"}:
            continue
        for line in text.splitlines():
            found = _HONK.match(line.strip())
            # `honk / tests` is a check.
            if found and not line.strip().startswith(("/honk", "honk / ")):
                yield re.split(r"\s+#\s|\s+[<>|]\s", found[1] or "")[0]


def _problem(line: str) -> str:
    """What is wrong with the arguments of `honk`; nothing is carried out."""
    plain = re.sub(r"\$\([^)]*\)", "now", line)
    words = shlex.split(_PLACEHOLDER.sub(lambda m: f"{m[1]} {m[2] or ''}", plain))
    command: click.Command = honk
    context = click.Context(command, info_name="honk")
    while isinstance(command, click.Group):
        if not words or words[0].startswith("-"):
            names = {name for parameter in command.params for name in parameter.opts} | {
                "--help",
                "-h",
            }
            return "" if set(words) <= names else f"{line}: no such option"
        try:
            _, found, words = command.resolve_command(context, list(words))
        except click.UsageError as problem:
            return f"{line}: {problem.message}"
        assert found is not None
        command, context = found, click.Context(found, parent=context, info_name=found.name)
    options = [word for word in words if word.startswith("-") and len(word) > 1]
    try:
        command.make_context(command.name, list(words), parent=context.parent)
    except click.exceptions.Exit:
        return ""
    except click.MissingParameter as problem:
        # A sentence may name a command without its arguments.
        return f"{line}: {problem.format_message()}" if options else ""
    except click.BadParameter as problem:
        # The example's files are not here.
        is_path = problem.param is not None and isinstance(problem.param.type, click.Path)
        return "" if is_path else f"{line}: {problem.format_message()}"
    except click.UsageError as problem:
        return f"{line}: {problem.format_message()}"
    return ""


@each_page
def test_command_lines_of_honk_are_valid(page: Path) -> None:
    assert not [found for line in honk_lines(page) if (found := _problem(line))]


@pytest.mark.parametrize(
    "line",
    [
        "sevre",
        "serve --prot 1",
        "serve --port x",
        "runs shwo",
        "--verzion",
        "try --aply x",
    ],
)
def test_an_invalid_command_line_is_found(line: str) -> None:
    assert _problem(line)


@each_page
def test_targets_of_make_exist(page: Path) -> None:
    makefile = (_ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {
        found[1]
        for language, text in _code(page)
        if language in {"", "sh", "inline"}
        for line in text.splitlines()
        if (found := re.match(r"(?:\S+=\S* )*make ([a-z][a-z-]*)", line.strip()))
    }
    assert named <= targets


@each_page
def test_shell_blocks_are_valid(page: Path) -> None:
    for language, text in _code(page):
        if language == "sh":
            done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True)
            assert done.returncode == 0, done.stderr


def _slash_lines(page: Path) -> Iterator[str]:
    for language, text in _code(page):
        if language in {"", "inline"}:
            yield from (line for line in text.splitlines() if re.match(r"/honk(?: |$)", line))


_OTHERS = {"/honk stpo", "/honk link", "/honk unlink"}
"""A misspelled command, whose answer a page shows, and those that exist only in Slack."""


@each_page
def test_slash_commands_exist(page: Path) -> None:
    for line in _slash_lines(page):
        words = re.sub(r"[…<].*", "", line).split()
        is_task = len(words) > 2 or (len(words) == 2 and "=" in words[1])
        assert len(words) < 2 or words[1] in COMMANDS or is_task or line in _OTHERS, line


def _settings() -> set[str]:
    """The environment variables that Honk reads."""
    names = set()
    for name, field in Settings.model_fields.items():
        names.add(str(field.validation_alias or name.upper()))
    return names


@each_page
def test_settings_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return
    named = {
        name
        for _, text in _code(page)
        for name in re.findall(r"\b(?:HONK|GITHUB)_[A-Z][A-Z_]*[A-Z]\b", text)
    }
    assert {name.removesuffix("_FILE") for name in named} <= _settings()


def test_every_setting_is_documented() -> None:
    page = (_ROOT / "docs" / "settings.md").read_text()
    assert not [name for name in _settings() if not re.search(rf"`{name}\b", page)]


@each_page
def test_policies_are_valid(page: Path) -> None:
    for language, text in _code(page):
        if language == "yaml" and not text.startswith(("tasks:", "turns:")):
            policy.parse(text)


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    written = (_ROOT / "docs" / "conf.py").read_text()
    names = {str(page.relative_to(_ROOT).with_suffix("")) for page in PAGES} - {"docs/index"}
    missing = [name for name in sorted(names) if f'"{name}"' not in written]
    assert not missing, "add it to NAVIGATION in docs/conf.py"


def test_the_policy_reference_is_current() -> None:
    assert policy_reference.PATH.read_text() == policy_reference.text(), "run `make schema`"


def test_the_schema_of_scripts_is_current() -> None:
    assert (_ROOT / "docs" / "script.schema.json").read_text() == script_schema(), (
        "run `make schema`"
    )


def test_the_example_of_a_script_is_one() -> None:
    page = (_ROOT / "docs" / "playground.md").read_text()
    (example,) = re.findall(r"```yaml\n(turns:.*?)```", page, re.DOTALL)
    schema = json.loads(script_schema())
    jsonschema.validate(yaml.safe_load(example), schema)
    script = ModelScript.parse(example)
    assert script.turns and script.plan and script.ask


def test_the_policy_page_explains_every_key() -> None:
    page = (_ROOT / "docs" / "policy.md").read_text()
    assert not [name for name in policy.Policy.model_fields if f"`{name}" not in page]


def _texts() -> str:
    """Every string of the code, with … for the values in it."""
    found = []
    for file in sorted(_ROOT.glob("app/**/*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [
                    part.value if isinstance(part, ast.Constant) else "…" for part in node.values
                ]
                found.append("".join(map(str, parts)))
    return "\n".join(found).replace("`", "")


def test_the_messages_of_the_troubleshooting_page_are_honks() -> None:
    texts = _texts()
    page = (_ROOT / "docs" / "troubleshooting.md").read_text()
    messages = re.findall(r"^\| `([^`]+)`(?:, `([^`]+)`)?", page, re.MULTILINE)
    named = [message for pair in messages for message in pair if message]
    assert len(named) > 50
    unknown = [
        message
        for message in named
        # A verdict's title is put together from its name and what was found.
        if not all(part.strip(" :") in texts for part in re.split("…|: ", message))
    ]
    assert not unknown
