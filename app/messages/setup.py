"""Texts about a setup: its outcome, its commands' sources, what is missing."""

from __future__ import annotations

from collections.abc import Mapping

from app.domain import sanitize
from app.domain.policy import POLICY_PATH
from app.domain.run import ContextItem
from app.domain.setup_outcome import CommandRun, SetupOutcome
from app.domain.setup_plan import Missing, Recipe, VersionChoice
from app.messages.formatting import count, duration, sentence

POLICY_SOURCE = POLICY_PATH
"""Where a policy's own commands come from."""

_SHOWN = 3
_LISTED = 30
_LINES_TO_ADD = 12
_OUTPUT = 1_500


def no_network(recipe: Recipe, setting: str) -> Missing:
    """The recipe's registries are not reachable on this worker."""
    what = f"the {recipe.ecosystem} dependencies of {recipe.source}"
    if setting == "none":
        return Missing(
            what=what,
            why="the operator has switched off network for setup (HONK_SETUP_NETWORK=none)",
            next_step="The operator can set HONK_SETUP_NETWORK=registries.",
        )
    return Missing(
        what=what,
        why="setup may reach only what the repository's policy allows (HONK_SETUP_NETWORK=policy)",
        next_step=f"Allow the registries of {recipe.ecosystem} in {POLICY_PATH}.",
        lines=(f"network: {{allow: [{recipe.ecosystem}]}}",),
    )


def section(outcome: SetupOutcome | None, policy_file: str = "") -> str:
    """Three lines about automatic setup, with the details folded; empty if there was none.

    `policy_file` is the same setup as a policy, to paste.
    """
    if outcome is None or outcome.is_empty:
        return ""
    lines = [_what_ran(outcome), _what_was_chosen(outcome), _what_is_missing(outcome)]
    parts = ["  \n".join(line for line in lines if line), _details(outcome, policy_file)]
    return "\n\n".join(part for part in parts if part)


def sources(outcome: SetupOutcome | None) -> tuple[ContextItem, ...]:
    """Where each command came from, and what was not understood, for the list of context."""
    if outcome is None:
        return ()
    read = [
        ContextItem(what=f"setup from {each.source}", note=each.line)
        for each in (*outcome.ran, *outcome.failed)[:_LISTED]
    ]
    unread = [
        ContextItem(what=f"a setup step of {each.source}: {each.what}", why_not=each.why)
        for each in outcome.unread[:_LISTED]
    ]
    return (*read, *unread)


def reasons(outcome: SetupOutcome, *, same_before: bool) -> tuple[str, ...]:
    """Why no test may have run, as plain sentences; empty if the setup does not explain it."""
    sentences = [
        f"{each.what} is missing: {sentence(each.why)}" for each in outcome.missing[:_SHOWN]
    ]
    sentences += [f"Setup: {_plain_failure(each)}" for each in outcome.failed[:_SHOWN]]
    if sentences and same_before:
        sentences[0] += " It is the same without this change."
    return tuple(sanitize.printable(each) for each in sentences)


def lines_to_add(outcome: SetupOutcome) -> tuple[str, ...]:
    """What to paste into the policy for what is missing."""
    found = dict.fromkeys(line for each in outcome.missing for line in each.lines)
    return tuple(found)[:_LINES_TO_ADD]


def unknown_ecosystem(found: Mapping[str, str]) -> str:
    """There are no tests that Honk can find. `found`: a manifest by the name of each language that
    it cannot test by itself."""
    if not found:
        return (
            "No file here is a manifest that Honk knows, so it found no tests: name the test "
            f"command under `verify` in {POLICY_PATH}."
        )
    named = ", ".join(f"{name} (`{file}`)" for name, file in found.items())
    return sanitize.printable(
        f"Honk does not know how to run the tests of {named}: name the command under `verify` in "
        f"{POLICY_PATH}."
    )


EXAMPLE_VERIFY = ('verify: ["make test"]  # the command that runs your tests',)
"""What to paste if Honk knows no test runner."""


def _what_ran(outcome: SetupOutcome) -> str:
    shown = [
        f"{sanitize.code(each.line, limit=120)} ({sanitize.code(each.source, limit=80)})"
        for each in outcome.ran[:_SHOWN]
    ]
    more = len(outcome.ran) - _SHOWN
    if more > 0:
        shown.append(f"{more} more")
    ran = ", ".join(shown) or "no command worked"
    took = f" in {duration(outcome.seconds)}" if outcome.seconds >= 1 else ""
    tests = ""
    if outcome.collected is not None:
        tests = f" {count(outcome.collected, 'test')} collected."
    return f"**Setup:** {ran}{took}.{tests}"


def _what_was_chosen(outcome: SetupOutcome) -> str:
    shown = ", ".join(_version(each) for each in outcome.versions if each.used)
    return f"**Versions:** {shown}." if shown else ""


def _version(choice: VersionChoice) -> str:
    used = f"{sanitize.plain(choice.tool, limit=40)} {sanitize.plain(choice.used, limit=40)}"
    if choice.exact or not choice.wanted:
        return used
    wanted = sanitize.code(choice.wanted, limit=60)
    return f"{used} for {wanted} in {sanitize.code(choice.source, limit=80)}"


def _what_is_missing(outcome: SetupOutcome) -> str:
    missing = [
        f"{sanitize.plain(each.what, limit=120)} ({sanitize.plain(each.why, limit=200)})"
        for each in outcome.missing[:_SHOWN]
    ]
    failed = [
        f"{sanitize.code(each.line, limit=120)} {sanitize.plain(each.how, limit=80)}"
        for each in outcome.failed[:_SHOWN]
    ]
    shown = [*missing, *failed]
    more = len(outcome.missing) + len(outcome.failed) - len(shown)
    if more > 0:
        shown.append(f"{more} more")
    return f"**Missing:** {'; '.join(shown)}." if shown else ""


def _details(outcome: SetupOutcome, policy_file: str) -> str:
    parts = [
        *(f"- {_command(each)}" for each in (*outcome.ran, *outcome.failed)[:_LISTED]),
        *(f"- {_missing(each)}" for each in outcome.missing[:_LISTED]),
        *(
            f"- Not run: {sanitize.code(each.what, limit=160)} in "
            f"{sanitize.code(each.source, limit=120)}: {sanitize.plain(each.why, limit=200)}"
            for each in outcome.unread[:_LISTED]
        ),
    ]
    text = "\n".join(parts)
    for each in outcome.failed[:_SHOWN]:
        if each.output.strip():
            text += f"\n\n{sanitize.fence(each.output[-_OUTPUT:], limit=_OUTPUT)}"
    if policy_file:
        text += (
            f"\n\nTo keep this setup, or to change it, add {sanitize.code(POLICY_PATH, limit=80)}:"
            f"\n\n{sanitize.fence(policy_file, limit=8_000, language='yaml')}"
        )
    return f"<details><summary>Setup</summary>\n\n{text}\n\n</details>" if text else ""


def _command(ran: CommandRun) -> str:
    folder = f" in {sanitize.code(ran.folder, limit=120)}" if ran.folder else ""
    ended = f" {sanitize.plain(ran.how, limit=80)}" if ran.failed else ""
    line, source = sanitize.code(ran.line, limit=300), sanitize.code(ran.source, limit=120)
    return f"{line}{folder}{ended} ({source}, {duration(ran.seconds)})"


def _missing(missing: Missing) -> str:
    what = sanitize.plain(missing.what, limit=120)
    why = sanitize.plain(sentence(missing.why), limit=300)
    step = sanitize.plain(missing.next_step, limit=300)
    return f"Missing: {what}: {why} {step}"


def _plain_failure(failed: CommandRun) -> str:
    last = [line for line in failed.output.splitlines() if line.strip()][-1:]
    said = f" ({' '.join(last[0].split())[:160]})" if last else ""
    return f"`{failed.line[:120]}` {failed.how}{said}."
