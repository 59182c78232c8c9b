"""The text of `.github/honk.yml` for a setup that worked. Pure: a `SetupPlan` in, text out.

Commands are built by Honk, but names of files come from the repository: comments show them on one
printable line, and values are always in double quotes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from app.domain import policy
from app.domain.setup_plan import Missing, SetupCommand, SetupPlan, SetupStep
from app.errors import UserError

CHECKOUT_CACHES = '"$PWD"/.git/honk'
"""The value of `@` in a setup command, which starts at the checkout's root."""

_AT = re.compile(r"(?<![^\s:=,])@(?=/|$)")
_COMMENT_LENGTH = 100
_HEADER = (
    "How Honk prepares this repository before it works and before tests run.",
    "Everything else has its default; docs/policy.md in Honk's repository lists all keys.",
)


def policy_text(
    plan: SetupPlan,
    taken: Sequence[SetupCommand | None] | None = None,
    *,
    verify: Sequence[str] = (),
) -> str:
    """The whole file, which the policy's own parser accepts.

    `taken`: for each of `plan.steps`, the alternative that worked, or None if none did; without it,
    the first ones. `verify`: the test commands, or names of verifiers; if it is empty, Honk keeps
    detecting them. Raises UserError when a command does not fit into a policy file.
    """
    text = "\n".join(
        [
            *(_comment(line) for line in _HEADER),
            *_missing(plan.missing),
            *_setup(plan, taken),
            *_network(plan.allow),
            *_environment(plan),
            *_search_path(plan),
            *_services(plan),
            *_verify(verify),
            "",
        ]
    )
    _check(text)
    return text


def setup_lines(
    plan: SetupPlan, taken: Sequence[SetupCommand | None] | None = None
) -> tuple[str, ...]:
    """The commands in the form of a policy's `setup`: each starts at the checkout's root."""
    return tuple(line for line, _ in _lines(plan, taken))


def _lines(
    plan: SetupPlan, taken: Sequence[SetupCommand | None] | None
) -> Iterable[tuple[str, str]]:
    """Each command as a line of a policy, and its source."""
    steps = plan.steps
    chosen = [step.commands[0] for step in steps] if taken is None else taken
    for step, command in zip(steps, chosen, strict=True):
        if command is not None:
            yield _line(step, command), command.source


def _line(step: SetupStep, command: SetupCommand) -> str:
    exports = [f"export {name}={_with_caches(value)}" for name, value in _sorted(step.environment)]
    folder = [f"cd {shlex.quote(step.folder)}"] if step.folder else []
    line = f"({command.line})" if step.optional or exports or folder else command.line
    line = f"{line} || true" if step.optional else line
    return " && ".join([*exports, *folder, line])


def _with_caches(value: str) -> str:
    """The value as one word of the shell, with the caches for `@`."""
    parts = (shlex.quote(part) if part else "" for part in _AT.split(value))
    return CHECKOUT_CACHES.join(parts) or "''"


def _setup(plan: SetupPlan, taken: Sequence[SetupCommand | None] | None) -> Iterable[str]:
    lines = tuple(_lines(plan, taken))
    if not lines:
        return
    yield "setup:"
    for line, source in lines:
        yield f"  # from {_printable(source)}" if source else "  # Honk's convention"
        yield f"  - {_quoted(line)}"


def _network(allow: Sequence[str]) -> Iterable[str]:
    if allow:
        yield "# Only for setup, and only to read: what these languages' clients download from."
        yield f"network: {{allow: [{', '.join(map(_quoted, allow))}]}}"


def _environment(plan: SetupPlan) -> Iterable[str]:
    """Variables of setup, the agent and the tests; of two recipes with one name, the later wins,
    and recipes win over automation, as when the plan is carried out."""
    variables: dict[str, tuple[str, str]] = {
        name: (value, "the repository's automation") for name, value in _sorted(plan.environment)
    }
    for recipe in plan.recipes:
        variables |= {name: (value, recipe.source) for name, value in recipe.environment.items()}
    if variables:
        yield "# For setup, the agent and the tests; `@` stands for the checkout's caches."
        yield "environment:"
    for name, (value, source) in variables.items():
        yield f"  # from {_printable(source)}"
        yield f"  {_quoted(name)}: {_quoted(value)}"


def _search_path(plan: SetupPlan) -> Iterable[str]:
    places = dict.fromkeys(place for recipe in plan.recipes for place in recipe.search_path)
    if places:
        yield "# Folders that PATH begins with; `@` stands for the checkout's caches."
        yield f"search_path: [{', '.join(map(_quoted, places))}]"


def _services(plan: SetupPlan) -> Iterable[str]:
    """Services by host name, in the form of the policy's `services` key."""
    if plan.services:
        yield "# Started for the tests, on loopback."
        yield "services:"
    for each in {policy.service_name(each): each for each in plan.services}.values():
        if each.source:
            yield f"  # from {_printable(each.source)}"
        settings = policy.service_settings(each)
        pairs = (
            f"{key}: {_quoted(value) if isinstance(value, str) else value}"
            for key, value in settings.items()
        )
        yield f"  {_quoted(policy.service_name(each))}: {{{', '.join(pairs)}}}"


def _verify(verify: Sequence[str]) -> Iterable[str]:
    if verify:
        yield f"verify: [{', '.join(map(_quoted, verify))}]"
    else:
        yield '# Test commands are detected. To name your own: verify: ["make check"]'


def _missing(missing: Sequence[Missing]) -> Iterable[str]:
    for each in missing:
        yield _comment(f"Missing: {each.what}. {each.next_step}")


def _check(text: str) -> None:
    """Raises UserError unless the parser accepts the text."""
    try:
        policy.read(text.encode())
    except UserError as problem:
        raise UserError(
            f"This setup does not fit into {policy.POLICY_PATH}: {problem.message}",
            next_step="Put the commands into a script, and name that under `setup`.",
        ) from None


def _comment(text: str) -> str:
    return f"# {_printable(text)}"


def _printable(text: str) -> str:
    shown = "".join(char if char.isprintable() else " " for char in text)
    return shown if len(shown) <= _COMMENT_LENGTH else f"{shown[: _COMMENT_LENGTH - 2]} …"


def _quoted(text: str) -> str:
    """A double-quoted YAML scalar: https://yaml.org/spec/1.2.2/#731-double-quoted-style."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    code = ord(char)
    return (
        f"\\x{code:02x}"
        if code < 0x100
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )


def _sorted(variables: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted(variables.items())
