"""The texts of a verdict: the same on every surface."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.domain import sanitize
from app.domain.policy import POLICY_PATH
from app.domain.values import short
from app.domain.verdict import (
    CheckResults,
    EvidenceRow,
    Meaning,
    TestChange,
    Verdict,
    VerdictKind,
)
from app.domain.verdict_words import ACCEPTED, NAMES
from app.messages.formatting import NAMES_SHOWN, count, flow, sentence, shown_login

ACCEPTABLE = frozenset({VerdictKind.REMOVED, VerdictKind.CONFIRM})
"""The verdicts that a person may accept."""

MEANINGS = {
    Meaning.REGRESSION: "Passed before, fails now",
    Meaning.FAILURE: "New, and fails",
    Meaning.WEAKENED: "Passes only because tests changed",
    Meaning.REMOVED_BROKEN: "Removed, and would fail now",
    Meaning.REMOVED: "Removed, though it would still pass",
    Meaning.DISABLED: "Ran before, no longer runs",
    Meaning.LOOSENED: "Accepts the old and the new behavior",
    Meaning.CONFIRM: "Expects something else now",
    Meaning.GUARD_UNFINISHED: "Its old version did not finish",
    Meaning.STARTS_NOW: "Could not run before, passes now",
    Meaning.FIXED: "Fixed, its test unchanged",
    Meaning.PROVEN: "Fails without the change, passes with it",
    Meaning.STRENGTHENED: "Checks more, and fails without the change",
    Meaning.WEAK_PROOF: "Fixed, together with its test",
    Meaning.NEW_CODE: "Needs code that this change adds",
    Meaning.UNPROVEN: "New, and passes without the change too",
    Meaning.FLAKY: "Flaky: passed and failed",
    Meaning.KNOWN_FAILURE: "Fails before and after",
}
"""What the tests of each meaning have in common, worst first; short enough for a phone."""

EVIDENCE_SENTENCES = 3
"""Reasons that are shown with the verdict; the others are notes."""

NOTICES = 3

_SNIPPETS_SHOWN = 8
_NOTES_SHOWN = 20
_DOUBTS = frozenset(
    {
        Meaning.WEAKENED,
        Meaning.REMOVED_BROKEN,
        Meaning.REMOVED,
        Meaning.DISABLED,
        Meaning.LOOSENED,
        Meaning.CONFIRM,
        Meaning.GUARD_UNFINISHED,
        Meaning.STARTS_NOW,
        Meaning.UNPROVEN,
    }
)


def label(verdict: Verdict) -> str:
    """The verdict in one or two words; empty for one that only compares two runs."""
    for name in (NAMES[verdict.kind], ACCEPTED):
        if verdict.title.startswith(f"{name}: "):
            return name
    return ""


def seen(verdict: Verdict) -> str:
    """The finding, as a sentence without the label."""
    name = label(verdict)
    text = verdict.title.removeprefix(f"{name}: ") if name else verdict.title
    return sentence(f"{text[:1].upper()}{text[1:]}")


def evidence(verdict: Verdict) -> list[str]:
    """The two or three sentences behind the verdict, as plain text."""
    if not label(verdict):
        return [seen(verdict)]
    return [sentence(each.strip()) for each in verdict.reasons[:EVIDENCE_SENTENCES]] or [
        seen(verdict)
    ]


def notes(verdict: Verdict) -> list[str]:
    """Notes, as plain text: what could not be compared, and why."""
    shown = EVIDENCE_SENTENCES if label(verdict) else 0
    return [sentence(each.strip()) for each in verdict.reasons[shown:]]


def notes_list(verdict: Verdict) -> str:
    """The notes as a list in Markdown; empty if there are none."""
    texts = notes(verdict)
    lines = [f"- {_marked(each, verdict)}" for each in texts[:_NOTES_SHOWN]]
    more = len(texts) - _NOTES_SHOWN
    return "\n".join([*lines, f"- and {more:,} more"] if more > 0 else lines)


def line(verdict: Verdict, url: str = "") -> str:
    """The verdict in one line of Markdown, linked to its check; who accepted it, if anyone did."""
    title = sanitize.plain(verdict.title, limit=250)
    shown = f"[{title}]({url})" if url else title
    # Titles of two compared runs may not say that they are about tests.
    prefix = "" if label(verdict) or "test" in verdict.title else "Tests: "
    by = f" Accepted by {shown_login(verdict.accepted_by)}." if verdict.accepted_by else ""
    return f"{prefix}{shown}.{by}"


def statement(verdict: Verdict) -> str:
    """The verdict with its evidence, as one paragraph of Markdown."""
    name = label(verdict)
    sentences = [_marked(each, verdict) for each in evidence(verdict)]
    if not name:
        return f"**{sentences[0]}**"
    by = f" by {shown_login(verdict.accepted_by)}." if verdict.accepted_by else ""
    head = f"**{name}**{by}" if by else f"**{name}.**"
    return " ".join([head, *sentences])


def terminal(verdict: Verdict) -> list[str]:
    """The verdict in lines of plain text."""
    return [verdict.title, *(sanitize.printable(reason) for reason in verdict.reasons)]


def next_step(verdict: Verdict, sha: str) -> str:
    """What has to happen before the change is ready, with the command to type; empty if nothing.

    `sha` is the commit that the verdict is about.
    """
    if verdict.ready or not label(verdict):
        return ""
    return flow(how_to_go_on(verdict.kind, sha), _to_add(verdict.lines_to_add))


def _to_add(lines: Sequence[str]) -> str:
    """What to paste into the policy; empty for no lines."""
    if not lines:
        return ""
    shown = sanitize.fence("\n".join(lines), limit=2_000, language="yaml")
    return f"Add this to `{POLICY_PATH}` on the base branch:\n\n{shown}"


def how_to_go_on(kind: VerdictKind, sha: str) -> str:
    """What has to happen before a change with such a verdict is ready."""
    match kind:
        case VerdictKind.REMOVED:
            return (
                "If these tests should be gone, someone with write access accepts that: "
                f"{_how_to_accept(sha)}. Otherwise, comment `/honk restore the removed tests`."
            )
        case VerdictKind.CONFIRM:
            return (
                "If the tests should expect this now, someone with write access accepts it: "
                f"{_how_to_accept(sha)}. Otherwise, comment `/honk <what to change>`."
            )
        case VerdictKind.WEAKENED:
            return "To have Honk restore the checks, comment `/honk restore the weakened tests`."
        case VerdictKind.REGRESSION:
            return "To have Honk fix the failures, comment `/honk fix the failing tests`."
        case VerdictKind.NO_RESULT:
            return (
                "Fix the problem that keeps the tests from running, then comment `/honk test`. "
                "If the change broke it, comment `/honk make the tests run again`."
            )
        case _:
            return (
                "To have Honk add a test that fails without the change, comment "
                "`/honk add a test that fails without this change`. To review it as it is, "
                "comment `/honk ready`."
            )


def rows(verdict: Verdict) -> list[tuple[str, list[str]]]:
    """The findings about tests and checks, worst first, each with names; none is empty."""
    named = _rows_by_meaning(verdict) if verdict.rows else _rows_by_class(verdict)
    named += [("Did not run", verdict.not_run)] if verdict.not_run else []
    found = [(name, [test.id for test in tests]) for name, tests in named if tests]
    return found + [
        (name, [f"{each.verifier}: {each.id}" for each in changes])
        for name, changes in _check_rows(verdict.checks)
        if changes
    ]


def table(verdict: Verdict) -> str:
    """The rows with their numbers, in a table narrow enough for a phone; names below it."""
    named = rows(verdict)
    numbers = [(name, len(tests)) for name, tests in named]
    numbers += [(name, number) for name, number in _counts(verdict) if number]
    if not numbers:
        return ""
    lines = ["| Result | Tests |", "|---|--:|"]
    lines += [f"| {name} | {number:,} |" for name, number in numbers]
    names = "\n".join(_names(name, tests) for name, tests in named)
    return "\n".join(lines) + (f"\n\n{names}" if names else "")


def expectations(verdict: Verdict) -> str:
    """What tests expected before and expect now, as a table; empty if that is not known."""
    known = [row for row in verdict.rows if row.before or row.after]
    if not known:
        return ""
    lines = ["| Test | Before | Now |", "|---|---|---|"]
    lines += [
        f"| {_cell(_short_id(row.id), 60)} | {_cell(row.before, 80)} | {_cell(row.after, 80)} |"
        for row in known[:_SNIPPETS_SHOWN]
    ]
    more = len(known) - _SNIPPETS_SHOWN
    return "\n".join(lines) + (f"\n\nand {count(more, 'more test')}" if more > 0 else "")


def signed(attestation: str) -> str:
    """The link to the signed evidence; empty without one."""
    return f"[Signed evidence]({attestation})" if attestation else ""


def doubts(verdict: Verdict) -> list[EvidenceRow]:
    """The tests with a line that a reader should look at, worst first; one for each line."""
    found: dict[tuple[str | None, int | None], EvidenceRow] = {}
    for row in verdict.rows:
        if row.meaning in _DOUBTS and row.file and row.line:
            found.setdefault((row.file, row.line), row)
    return list(found.values())


def doubt(row: EvidenceRow) -> tuple[str, str]:
    """Title and message of the annotation on such a line, as plain text."""
    title = sanitize.fit(" ".join(sanitize.printable(row.id).split()), 250)
    parts = [f"{MEANINGS[row.meaning]}."]
    parts += [f"Before: {row.before}"] if row.before else []
    parts += [f"Now: {row.after}"] if row.after else []
    return title, sanitize.fit(sanitize.printable("\n".join(parts)), 4_000)


def accept(verdict: Verdict, login: str) -> Verdict:
    """The verdict after a person accepted it."""
    what = verdict.title.removeprefix(f"{label(verdict)}: ")
    change = {"title": f"{ACCEPTED}: {what}", "accepted_by": login, "ready": True}
    return verdict.model_copy(update={**change, "conclusion": "success"})


def accepted(login: str, sha: str) -> str:
    """Who accepted the tests of a commit, as a sentence of Markdown."""
    return f"**Accepted** by {shown_login(login)} for {short(sha)}."


def _how_to_accept(sha: str) -> str:
    return f"comment `/honk accept`, or press **Accept** on the check of {short(sha)}"


def _marked(text: str, verdict: Verdict) -> str:
    """A sentence in Markdown, with the names of tests as code."""
    names = sorted({row.id for row in verdict.rows if row.id in text}, key=len, reverse=True)
    if not names:
        return sanitize.plain(text, limit=500)
    pattern = rf"(?<!\S)({'|'.join(map(re.escape, names))})(?=[\s,.;]|$)"
    parts = re.split(pattern, text)
    return "".join(
        sanitize.code(part, limit=160) if number % 2 else _plain_part(part)
        for number, part in enumerate(parts)
    )


def _plain_part(text: str) -> str:
    """Plain text that keeps the spaces at its ends."""
    if not text.strip():
        return " " if text else ""
    before, after = (" " if edge.isspace() else "" for edge in (text[0], text[-1]))
    return f"{before}{sanitize.plain(text, limit=500)}{after}"


def _rows_by_meaning(verdict: Verdict) -> list[tuple[str, Sequence[EvidenceRow | TestChange]]]:
    return [
        (name, [row for row in verdict.rows if row.meaning is meaning])
        for meaning, name in MEANINGS.items()
    ]


def _rows_by_class(verdict: Verdict) -> list[tuple[str, Sequence[EvidenceRow | TestChange]]]:
    """The rows of a verdict over two runs."""
    return [
        ("New failures", verdict.new_failures),
        ("Failing, no base result", verdict.failing_unknown),
        ("Fixed", verdict.fixed),
        ("Failing before and after", verdict.still_failing),
        ("Flaky", verdict.flaky),
        ("Added", verdict.added),
        ("Removed", verdict.removed),
        ("Newly skipped", verdict.newly_skipped),
        ("No longer skipped", verdict.unskipped),
    ]


def _check_rows(checks: CheckResults) -> list[tuple[str, tuple[TestChange, ...]]]:
    return [
        ("Checks: new failures", checks.new_failures),
        ("Checks: failing, no base result", checks.failing_unknown),
        ("Checks: fixed", checks.fixed),
        ("Checks: failing before and after", checks.still_failing),
        ("Checks: not run", checks.not_run),
    ]


def _counts(verdict: Verdict) -> list[tuple[str, int]]:
    now = verdict.counts_after
    return [
        ("Passing now", now.passed),
        ("Skipped now", now.skipped),
        ("Checks: passed", verdict.checks.passed),
    ]


def _names(name: str, tests: Sequence[str]) -> str:
    shown = ", ".join(sanitize.code(test, limit=160) for test in tests[:NAMES_SHOWN])
    more = f" and {len(tests) - NAMES_SHOWN:,} more" if len(tests) > NAMES_SHOWN else ""
    return f"- {name}: {shown}{more}"


def _cell(text: str, limit: int) -> str:
    """Inline code in a table, where a bar would end the cell even in code."""
    return sanitize.code(text, limit=limit).replace("|", "\\|")


_LAST_PART = re.compile(r"(?:.*(?:::| > | › ))?(.+)", re.DOTALL)


def _short_id(test: str) -> str:
    """The test's own name, without its file and class."""
    found = _LAST_PART.fullmatch(test)
    return found[1] if found else test
