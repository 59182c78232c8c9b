"""`honk doctor` in the terminal: the settings, the database and the sandbox of this machine.

What works in a repository on GitHub is another question: `/honk doctor`, in a comment there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.errors import HonkError, UserError
from app.settings import Settings
from app.store.database import Database
from app.workspace.chosen import chosen_sandbox
from app.workspace.proof import Property, prove


@dataclass(frozen=True)
class Finding:
    """`good` None is something to know, which does not fail."""

    what: str
    good: bool | None
    told: str = ""
    next_step: str = ""


@dataclass(frozen=True)
class Part:
    """One table of the answer."""

    title: str
    findings: tuple[Finding, ...]


async def examine(settings: Settings, *, web: bool, worker: bool) -> tuple[Part, ...]:
    """What is there and what is missing, for one half of Honk or both."""
    parts = [Part("Settings", _settings(settings, web=web, worker=worker))]
    parts.append(Part("Database", (await asyncio.to_thread(_database, settings),)))
    if worker:
        parts.append(Part(f"Sandbox: {settings.sandbox}", await _sandbox(settings)))
    return tuple(parts)


def _settings(settings: Settings, *, web: bool, worker: bool) -> tuple[Finding, ...]:
    wanted: list[tuple[str, Callable[[], object]]] = [("GITHUB_APP_ID", settings.app_id)]
    if web:
        wanted.append(("GITHUB_WEBHOOK_SECRET", settings.webhook_secrets))
    if worker:
        wanted += [
            ("GITHUB_PRIVATE_KEY", settings.private_key),
            ("ANTHROPIC_API_KEY", settings.model_key),
            ("HONK_EGRESS_NETWORKS", settings.egress_networks),
        ]
    found = [_setting(name, read) for name, read in wanted]
    if web:
        found.append(_sign_in(settings))
    return tuple(found)


def _setting(name: str, read: Callable[[], object]) -> Finding:
    try:
        read()
    except UserError as problem:
        return Finding(name, False, problem.message, problem.next_step)
    return Finding(name, True)


def _sign_in(settings: Settings) -> Finding:
    what = "sign-in to the pages"
    try:
        if settings.sign_in() is not None:
            return Finding(what, True)
    except UserError as problem:
        return Finding(what, False, problem.message, problem.next_step)
    return Finding(
        what,
        None,
        "The pages at /runs are closed.",
        "Set GITHUB_CLIENT_ID, GITHUB_CLIENT_SECRET and HONK_SESSION_SECRET to open them.",
    )


def _database(settings: Settings) -> Finding:
    """Only looked at: what is not there yet is not made."""
    url = settings.database
    what = "SQLite" if url.startswith("sqlite") else "Postgres"
    path = settings.home_path / "honk.db"
    if settings.database_url is None and not path.exists():
        return Finding(what, None, f"{path} is made at the first start.")
    try:
        database = Database(url)
        try:
            database.check_migrated()
        finally:
            database.close()
    except UserError as problem:
        return Finding(what, False, problem.message, problem.next_step)
    except HonkError as problem:
        return Finding(what, False, str(problem), "See that DATABASE_URL leads to it.")
    return Finding(what, True)


async def _sandbox(settings: Settings) -> tuple[Finding, ...]:
    try:
        sandbox = await chosen_sandbox(settings)
    except UserError as problem:
        return (Finding("a sandbox can be made", False, problem.message, problem.next_step),)
    return tuple(_finding(each) for each in await prove(sandbox))


def _finding(proved: Property) -> Finding:
    next_step = "Let nothing work here until it holds." if proved.holds is False else ""
    return Finding(proved.promise, proved.holds, "" if proved.holds else proved.told, next_step)


_MARKS = {True: "ok  ", False: "FAIL", None: "note"}


def as_text(parts: Sequence[Part]) -> str:
    """The tables for a terminal, with what to do next at the end."""
    lines: list[str] = []
    for part in parts:
        lines += [part.title]
        for each in part.findings:
            said = f": {each.told}" if each.told else ""
            lines.append(f"  {_MARKS[each.good]}  {each.what}{said}")
        lines.append("")
    steps = [each.next_step for part in parts for each in part.findings if each.next_step]
    if steps:
        lines += ["Next", *(f"  - {step}" for step in dict.fromkeys(steps)), ""]
    lines.append("All is well." if good(parts) else "Something is to be done first.")
    return "\n".join(lines)


def good(parts: Sequence[Part]) -> bool:
    """Whether nothing failed."""
    return all(each.good is not False for part in parts for each in part.findings)
