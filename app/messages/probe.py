"""What `honk probe` prints."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from app.domain import sanitize
from app.domain.policy import POLICY_PATH
from app.domain.probe import EXIT_CODES, ProbedTests, ProbeResult
from app.domain.sanitize import without_invisible
from app.domain.setup_outcome import CommandRun
from app.domain.setup_plan import Choices, Missing, VersionChoice
from app.domain.values import short
from app.messages.formatting import count

SETUP_REQUEST = "Set up this repository"
SETUP_COMMAND = "/honk setup"

_WIDTH = 80
_OUTPUT_LINES = 15
_HOSTS = 10
_FLAKY = 10
_HEADS = f"  {'':4}{'collected':>9}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}  command"


def report(found: ProbeResult, target: str) -> str:
    """The whole report for a terminal of 80 columns, with the next steps at the end."""
    parts = [
        [f"{found.repository} at {short(found.commit)}"],
        _section("Found", _found(found)),
        _section(f"Setup ({found.outcome.seconds:.0f} s)", _setup(found)),
        _section("Tests", _tests(found)),
        _section("Missing", _missing(found.outcome.missing)),
        _section("Not understood, so not run", _unread(found)),
        _section("Blocked requests", _blocked(found)),
        [ending(found), *_next_steps(found, target)],
    ]
    return "\n\n".join("\n".join(map(_plain, part)) for part in parts if part)


def setup_issue() -> tuple[str, str]:
    """Title and body of an issue for `/honk setup`: only a comment starts it."""
    body = (
        f"Comment `{SETUP_COMMAND}` on this issue. Honk then finds out how to set this repository "
        f"up, runs its tests, and opens a pull request with `{POLICY_PATH}`."
    )
    return SETUP_REQUEST, body


def ending(found: ProbeResult) -> str:
    """The result in one sentence."""
    if found.ending == "nothing ran":
        return "No test ran." if found.tests else "Honk found no tests to run."
    said = [f"{count(found.passed, 'test')} passed", f"{found.failed:,} failed"]
    uncounted = [each for each in found.tests if not each.counted]
    if uncounted and len(uncounted) == len(found.tests):
        said = [f"{each.command} {'passed' if each.ran else 'failed'}" for each in uncounted]
    if found.outcome.failed:
        said.insert(0, "setup partly failed")
    unable = [each.verifier for each in found.tests if not each.ran]
    if unable:
        said.append(f"{', '.join(unable)} could not run")
    return f"Tests ran: {', '.join(said)}."


def as_json(found: ProbeResult) -> dict[str, Any]:
    """The same for programs."""
    return {
        "ending": found.ending,
        "exit_code": EXIT_CODES[found.ending],
        "collected": found.collected,
        "passed": found.passed,
        "failed": found.failed,
        **found.model_dump(mode="json"),
    }


def as_markdown(found: ProbeResult, chosen: Iterable[Choices] = ()) -> str:
    """The evidence for a proposed policy file: commands, tests, and what did not work.

    `chosen` is what a model chose.
    """
    parts = [
        f"These commands set up the repository in {found.outcome.seconds:.0f} s:",
        "\n".join(
            f"- {_code(_line(each))} from {_code(each.source)}, {each.seconds:.0f} s"
            for each in found.outcome.ran
        ),
        _chosen(chosen),
        _allowed(found),
        _tests_table(found),
        _flaky(found),
        _not_working(found),
        "Until this is merged, Honk detects the setup each time.",
    ]
    return "\n\n".join(part for part in parts if part)


def would_change(found: ProbeResult, path: str, policy: str) -> str:
    """The repository has a policy file: what Honk would write instead."""
    return "\n\n".join(
        [
            f"This repository has {_code(path)} already, so there is no pull request. Without it, "
            "Honk would use:",
            sanitize.fence(policy, limit=8_000, language="yaml"),
            as_markdown(found),
        ]
    )


def nothing_to_propose(found: ProbeResult) -> str:
    """There is no command to put into a policy file."""
    reason = (
        "Nothing needs to be installed here, so no policy file is needed."
        if not found.outcome.failed and not found.outcome.missing
        else "No setup command worked, so there is no pull request."
    )
    parts = (reason, _tests_table(found), _not_working(found))
    return "\n\n".join(part for part in parts if part)


def _code(text: str) -> str:
    return sanitize.code(text, limit=200)


def _line(each: CommandRun) -> str:
    return f"cd {each.folder} && {each.line}" if each.folder else each.line


def _chosen(chosen: Iterable[Choices]) -> str:
    """What a model chose for each folder."""
    lines = []
    for each in chosen:
        said = each.model_dump(exclude_defaults=True, exclude={"ecosystem", "folder"})
        names = [f"{field} {_code(_value(value))}" for field, value in said.items()]
        lines.append(
            f"- {_code(each.ecosystem)} in {_code(each.folder or '.')}: {', '.join(names)}"
        )
    if not lines:
        return ""
    intro = (
        "Without help, no test ran. So a model chose these names, and Honk built the commands "
        "from them:"
    )
    return "\n".join([intro, "", *lines])


def _value(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={each}" for name, each in value.items())
    return ", ".join(value) if isinstance(value, (list, tuple)) else str(value)


def _allowed(found: ProbeResult) -> str:
    allow = ", ".join(found.outcome.plan.allow)
    return f"Packages came from the registries of: {allow}." if allow else ""


def _tests_table(found: ProbeResult) -> str:
    if not found.tests:
        return "Honk found no tests to run. Name the command under `verify`."
    rows = [
        f"| {_code(each.command)} | {each.collected:,} | {each.passed:,} | {each.failed:,} | "
        f"{each.skipped:,} | {each.seconds:.1f} |"
        for each in found.tests
    ]
    heads = "| tests | collected | passed | failed | skipped | seconds |\n|---|---|---|---|---|---|"
    return "\n".join([heads, *rows])


def _flaky(found: ProbeResult) -> str:
    names = [name for each in found.tests for name in each.flaky]
    more = f" and {len(names) - _FLAKY:,} more" if len(names) > _FLAKY else ""
    shown = ", ".join(map(_code, names[:_FLAKY]))
    return f"Flaky (passed once and failed once): {shown}{more}." if names else ""


def _not_working(found: ProbeResult) -> str:
    outcome = found.outcome
    lines = [f"- {_code(_line(each))} {each.how}" for each in outcome.failed]
    lines += [
        f"- {sanitize.plain(f'{each.what}: {each.why} {each.next_step}', limit=600)}"
        for each in outcome.missing
    ]
    lines += [
        f"- not run: {sanitize.plain(f'{each.what} ({each.source}): {each.why}', limit=400)}"
        for each in outcome.unread
    ]
    lines += [
        f"- {_code(each.command)}: {sanitize.plain(each.problem, limit=300)}"
        for each in found.tests
        if each.problem
    ]
    return "\n".join(["Failed:", "", *lines[:30]]) if lines else ""


def written(path: str) -> str:
    """The policy file was written."""
    return f"Wrote {path}. Read it, then commit it to the default branch."


def _section(title: str, lines: Iterable[str]) -> list[str]:
    found = list(lines)
    return [title, *found] if found else []


def _found(found: ProbeResult) -> Iterator[str]:
    if found.by_policy:
        yield f"  {POLICY_PATH} has the setup commands, so Honk does not detect any."
    for recipe in found.outcome.plan.recipes:
        if not found.by_policy:
            yield from _wrapped(f"{recipe.ecosystem} ({recipe.name})", f"from {recipe.source}")
    for each in found.outcome.versions:
        yield from _wrapped(f"{each.tool} {each.used or '-'}", version(each))
    for service in found.outcome.plan.services:
        yield from _wrapped(service.kind, f"port {service.port}, from {service.source}")


def version(choice: VersionChoice) -> str:
    """Why this version of a tool is used."""
    if not choice.wanted:
        return "the newest here"
    wanted = f"{choice.source} wants {choice.wanted}"
    if not choice.used:
        return f"{wanted}; this worker has none in range"
    from_where = ", from its registry" if choice.from_registry else ""
    return f"{wanted}{from_where}"


def _setup(found: ProbeResult) -> Iterator[str]:
    for each in found.outcome.ran:
        yield from _command("ok  ", each, f"from {each.source}" if each.source else "")
    for each in found.outcome.failed:
        yield from _command("FAIL", each, f"{each.how}, from {each.source}")
        lines = each.output.strip().splitlines()[-_OUTPUT_LINES:]
        yield from (f"        | {line}"[:_WIDTH] for line in lines)
    if not (found.outcome.ran or found.outcome.failed):
        yield "  Nothing to install."


def _command(mark: str, each: CommandRun, source: str) -> Iterator[str]:
    yield from _wrapped(f"{mark}{each.seconds:5.0f} s", _line(each))
    if source:
        yield from _wrapped("", source)


def _wrapped(head: str, text: str) -> Iterator[str]:
    """Two columns: `head` in 16, and the text wrapped in the rest."""
    lines = textwrap.wrap(_plain(text), _WIDTH - 19, break_on_hyphens=False) or [""]
    if len(head) > 16:
        yield f"  {head}"[:_WIDTH]
        head = ""
    for line in lines:
        yield f"  {head:16} {line}".rstrip()
        head = ""


def _tests(found: ProbeResult) -> Iterator[str]:
    if found.tests:
        yield _HEADS
    for each in found.tests:
        yield _row(each)
        if each.flaky:
            yield from _wrapped("", f"Flaky: {', '.join(each.flaky[:_FLAKY])}")
        if each.problem:
            yield from _wrapped("", each.problem)
            lines = each.output.strip().splitlines()[-_OUTPUT_LINES:]
            yield from (f"        | {line}"[:_WIDTH] for line in lines if not each.ran)


def _row(each: ProbedTests) -> str:
    mark = "ok" if each.ran and not each.failed and not each.problem else "FAIL"
    numbers = (each.collected, each.passed, each.failed, each.skipped)
    one, two, three, four = (f"{n:,}" if each.counted else "-" for n in numbers)
    room = _WIDTH - 51
    place = f"{each.command} in {each.verifier.partition(':')[2]}"
    shown = place if ":" in each.verifier else each.command
    shown = shown if len(shown) <= room else f"{shown[: room - 1]}…"
    return f"  {mark:4}{one:>9}{two:>8}{three:>8}{four:>9}{each.seconds:9.1f}  {shown}"


def _missing(missing: Iterable[Missing]) -> Iterator[str]:
    for each in missing:
        why = f": {each.why}" if each.why else ""
        yield from _item(f"{each.what}{why}")
        if each.next_step:
            yield from _item(each.next_step, "    ")
        yield from (f"      {line}" for line in each.lines)


def _unread(found: ProbeResult) -> Iterator[str]:
    for each in found.outcome.unread:
        yield from _item(f"{each.what} ({each.source}): {each.why}")


def _item(text: str, begin: str = "  - ") -> Iterator[str]:
    yield from textwrap.wrap(
        _plain(text), _WIDTH, initial_indent=begin, subsequent_indent="    ", break_on_hyphens=False
    )


def _blocked(found: ProbeResult) -> Iterator[str]:
    for each in [each for each in found.outcome.blocked if each.host][:_HOSTS]:
        yield from _item(f"{each.host}: {each.why}")


def _next_steps(found: ProbeResult, target: str) -> Iterator[str]:
    if not found.tests:
        yield f"Name the test command in {POLICY_PATH}:"
        yield '  verify: ["make check"]'
    elif found.ending == "nothing ran" and not found.outcome.missing:
        yield f"Name the commands that make them run in {POLICY_PATH}:"
        yield '  setup: ["..."]'
    if found.outcome.ran and not found.by_policy:
        yield f"To write the commands that worked to {POLICY_PATH}:"
        yield f"  honk probe {target} --write"


def _plain(line: str) -> str:
    # Names and output may contain control sequences for a terminal.
    return without_invisible(" ".join(line.splitlines()))
