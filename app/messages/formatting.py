"""How messages show counts, lists, folds and untrusted text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.domain import sanitize
from app.domain.report import (
    Usage,
    Work,
)
from app.domain.run import Outcome, Phase
from app.domain.setup import BlockedHost
from app.domain.values import RunId

COMMENT_LIMIT = 65_536


FLAGS_SHOWN = 30


NAMES_SHOWN = 5


ROOM_BESIDE = 1_000


TITLE_LIMIT = 256


PHASES = {
    Phase.QUEUED: "Queued",
    Phase.PREPARING: "Preparing the checkout",
    Phase.WORKING: "Working",
    Phase.SEALING: "Committing",
    Phase.VERIFYING: "Running tests on the commit",
    Phase.PUBLISHING: "Publishing the pull request",
}


TIMED = {
    Phase.QUEUED: "waited",
    Phase.PREPARING: "prepared",
    Phase.WORKING: "worked",
    Phase.SEALING: "committed",
    Phase.VERIFYING: "tested",
    Phase.PUBLISHING: "published",
}


HEADLINES = {
    Outcome.DONE: "Done",
    Outcome.NOT_READY: "Not ready",
    Outcome.QUESTION: "Question for you",
    Outcome.ANSWERED: "Answer",
    Outcome.SHOWN: "Patch for review",
    Outcome.NOTHING: "No changes",
    Outcome.BUDGET: "Budget spent",
    Outcome.STUCK: "Got stuck",
    Outcome.STOPPED: "Stopped",
    Outcome.ERROR: "Failed",
}


def state(phase: Phase, outcome: Outcome | None, mode: str) -> str:
    """The current phase of a run, or how it ended, in a few words."""
    if outcome is None:
        return PHASES.get(phase, "Finishing")
    if mode == "test" and outcome is Outcome.DONE:
        return "All tests pass"
    if mode == "test" and outcome is Outcome.NOTHING:
        return "Not run"
    if mode == "plan" and outcome is Outcome.ANSWERED:
        return "Plan"
    return HEADLINES[outcome]


def quoted_problem(problem: str, next_step: str) -> tuple[str, str]:
    """Problem and next step that quote the repository, sanitized."""
    return sanitize.markdown(problem, limit=3000), sanitize.markdown(next_step, limit=1000)


SETUP_OUTPUT = 4_000


_TRIED_SHOWN = 10


def blocked_hosts(tried: Sequence[BlockedHost]) -> str:
    """The hosts that setup was blocked from reaching."""
    lines = [
        f"- {sanitize.code(each.host or '(no host)', limit=120)}: "
        f"{sanitize.plain(each.why, limit=200)}{f' ({each.count} times)' if each.count > 1 else ''}"
        for each in tried[:_TRIED_SHOWN]
    ]
    if len(tried) > _TRIED_SHOWN:
        lines.append(f"- and {len(tried) - _TRIED_SHOWN} more")
    return "\n".join(["Setup was blocked from reaching:", "", *lines])


def pull_marker(run: RunId) -> str:
    """The marker of the pull request that a run opened."""
    return f"<!-- honk:pull={run} -->"


def omitted_files(work: Work) -> str:
    """The files that the commit leaves out, as a list."""
    return "\n".join(f"- {sanitize.plain(each, limit=400)}" for each in work.left_out[:FLAGS_SHOWN])


def because_of(paths: Sequence[str]) -> str:
    """The paths that a rule rejects, as part of a sentence; empty if there are none."""
    shown = ", ".join(sanitize.code(path, limit=200) for path in paths[:5])
    return f" because of {shown}" if shown else ""


def planned(plan: str, *, limit: int) -> str:
    """The plan being implemented, folded."""
    shown = sanitize.markdown(plan, limit=limit)
    return f"<details><summary>Plan</summary>\n\n{shown}\n\n</details>" if shown else ""


def branch_code(name: str) -> str:
    """A branch name in code."""
    return sanitize.code(name, limit=250)


_BLOCK = re.compile(r"#{1,6} |[>|<]|```|~~~|___|[-*+] |[0-9]+[.)] ")


def flow(*parts: str) -> str:
    """Join sentences on one line; a block of Markdown stays a separate block."""
    text = ""
    for part in filter(None, parts):
        goes_on = _is_running(text.rpartition("\n\n")[2]) and _is_running(part)
        text += (" " if goes_on else "\n\n") + part
    return text.strip()


def _is_running(text: str) -> bool:
    return "\n" not in text and not _BLOCK.match(text)


def sentence(text: str) -> str:
    """The text with a period at its end; GitHub's messages often lack one."""
    ends = not _is_running(text) or text[-1:] in ".!?`"
    return text if ends else f"{text}."


def usage_line(usage: Usage) -> str:
    """Cost, turns and time on one line."""
    return f"${usage.cost_usd:.2f} · {count(usage.model_turns, 'turn')} · {duration(usage.seconds)}"


def count(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is 1."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds as `42 s` or `3 min 5 s`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def shown_login(login: str) -> str:
    """A login in code, which does not notify its owner."""
    return sanitize.code(login, limit=60)


def fit_comment(text: str) -> str:
    """The text, cut in the middle to the length that GitHub accepts in a comment."""
    return sanitize.fit_middle(text, COMMENT_LIMIT)
