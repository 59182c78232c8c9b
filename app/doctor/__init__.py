"""`honk doctor` in the terminal: settings, database, remote services, the sandbox.

`/honk doctor` in a comment checks one repository on GitHub.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any

from app.agent import engines
from app.doctor.contacts import try_contacts
from app.doctor.findings import DoctorFinding, DoctorSection, of_setting
from app.domain.pending import NEXT_STEPS, PASSING
from app.errors import HonkError, UserError
from app.sandbox.checks import SandboxProperty, prove
from app.sandbox.factory import chosen_sandbox, workspace_disks
from app.sandbox.workspace_disks import WORKSPACES_PER_RUN, DisksUnavailableError
from app.settings import Settings
from app.store.database import Database, database_exists
from app.store.pending import PendingCount, pending_counts

_SANDBOX = "Sandbox: "


async def examine(settings: Settings, *, web: bool, worker: bool) -> tuple[DoctorSection, ...]:
    """Check everything that the web server, the worker, or both need."""
    parts = [DoctorSection("Settings", _settings(settings, web=web, worker=worker))]
    found = await asyncio.to_thread(_database, settings)
    parts.append(DoctorSection("Database", (found,)))
    if found.good:
        pending = await asyncio.to_thread(pending_requests, settings)
        parts.append(DoctorSection("Accepted requests", pending))
    parts += await try_contacts(settings, web=web, worker=worker)
    if worker:
        parts.append(DoctorSection(f"{_SANDBOX}{settings.sandbox}", await _sandbox(settings)))
    return tuple(parts)


def _settings(settings: Settings, *, web: bool, worker: bool) -> tuple[DoctorFinding, ...]:
    wanted: list[tuple[str, Callable[[], object]]] = [("GITHUB_APP_ID", settings.app_id)]
    if web:
        wanted.append(("GITHUB_WEBHOOK_SECRET", settings.webhook_secrets))
    if worker:
        wanted += [
            ("GITHUB_PRIVATE_KEY", settings.private_key),
            *_of_engine(settings),
            ("HONK_EGRESS_NETWORKS", settings.egress_networks),
        ]
    found = [of_setting(name, read) for name, read in wanted]
    if settings.check != "own":
        found = [_optional_key(settings, each) for each in found]
    if worker:
        found.append(setup_network(settings.setup_network))
    if web:
        found.append(_sign_in(settings))
    return tuple(found)


def setup_network(setting: str) -> DoctorFinding:
    """What setup may reach here, which the operator may want to restrict."""
    text = {
        "registries": "setup fetches from the registries of the ecosystems that a repository "
        "uses; HONK_SETUP_NETWORK=policy or none allows less",
        "policy": "setup reaches only what a repository's `network.allow` lists",
        "none": "setup has no network, so no dependencies are installed",
    }
    return DoctorFinding("HONK_SETUP_NETWORK", None if setting == "none" else True, text[setting])


def _of_engine(settings: Settings) -> list[tuple[str, Callable[[], object]]]:
    """The choice of the agent engine, and the settings that the chosen one needs."""
    chosen = ("HONK_ENGINE", lambda: engines.spec(settings.engine))
    needs = _needs(settings)
    return [chosen, *((name, partial(read, settings)) for name, read in needs.items())]


def _needs(settings: Settings) -> Mapping[str, Callable[[Settings], object]]:
    known = settings.engine in engines.NAMES
    return engines.spec(settings.engine).needs(settings) if known else {}


def _optional_key(settings: Settings, finding: DoctorFinding) -> DoctorFinding:
    """Where Honk verifies others' pull requests, it can do without the agent's key."""
    if finding.good or finding.what not in _needs(settings):
        return finding
    text = "not set: Honk verifies pull requests, and commands for the agent are refused"
    return DoctorFinding(finding.what, None, text)


def _sign_in(settings: Settings) -> DoctorFinding:
    what = "sign-in for the pages"
    try:
        if settings.sign_in() is not None:
            return DoctorFinding(what, True)
    except UserError as problem:
        return DoctorFinding(what, False, problem.message, problem.next_step)
    return DoctorFinding(
        what,
        None,
        "The pages at /runs are disabled.",
        "Set GITHUB_CLIENT_ID, GITHUB_CLIENT_SECRET and HONK_SESSION_SECRET to enable them.",
    )


def _database(settings: Settings) -> DoctorFinding:
    """Check the database without creating it."""
    url = settings.database
    what = "SQLite" if url.startswith("sqlite") else "Postgres"
    if not database_exists(url):
        return DoctorFinding(what, None, f"{url} will be created at the first start.")
    try:
        database = Database(url)
        try:
            if database.is_sqlite and database.is_empty():
                return DoctorFinding(
                    what, None, f"{url} is empty; its tables will be created at the first start."
                )
            database.check_migrated()
        finally:
            database.close()
    except UserError as problem:
        return DoctorFinding(what, False, problem.message, problem.next_step)
    except HonkError as problem:
        return DoctorFinding(what, False, str(problem), "Check DATABASE_URL.")
    return DoctorFinding(what, True)


def pending_requests(settings: Settings) -> tuple[DoctorFinding, ...]:
    """Accepted requests that Honk cannot process yet, by cause."""
    database = Database(settings.database)
    try:
        found = database.transact(pending_counts)
    except HonkError as problem:
        return (DoctorFinding("none pending", False, str(problem)),)
    finally:
        database.close()
    if not found:
        return (DoctorFinding("none pending", True),)
    return tuple(_waiting(each) for each in found)


def _waiting(each: PendingCount) -> DoctorFinding:
    since = datetime.fromtimestamp(each.since, UTC).strftime("%Y-%m-%d %H:%M UTC")
    plural = "" if each.number == 1 else "s"
    text = f"the oldest, on {each.subject}, since {since}: {each.reason}"
    return DoctorFinding(
        f"{each.number:,} request{plural} pending ({each.cause})",
        # A temporary cause needs no action.
        None if each.cause in PASSING else False,
        text,
        NEXT_STEPS[each.cause],
    )


async def _sandbox(settings: Settings) -> tuple[DoctorFinding, ...]:
    try:
        sandbox = await chosen_sandbox(settings)
    except UserError as problem:
        return (DoctorFinding("sandbox available", False, problem.message, problem.next_step),)
    proved = [_finding(each) for each in await prove(sandbox)]
    return (*proved, await asyncio.to_thread(_disk, settings))


def _disk(settings: Settings) -> DoctorFinding:
    """How the disk is limited here, and where to find a better option."""
    what, limit = "the disk limit", f"{settings.workspace_gb:g} GiB"
    more = "see docs/operations.md, Bounds, for stronger limits"
    try:
        disks = workspace_disks(settings)
    except DisksUnavailableError as problem:
        text = (
            f"workspaces are watched, and may pass their limit of {limit} by about an eighth "
            f"({problem}); {more}"
        )
        return DoctorFinding(what, None, text)
    number, size = disks.room(), f"{disks.size / 2**30:.1f} GiB"
    if number < WORKSPACES_PER_RUN:
        text = (
            f"the disk has room for {number} more file systems of {size}, one for each workspace, "
            f"and a run uses up to {WORKSPACES_PER_RUN}. Workspaces without one are watched"
        )
        return DoctorFinding(what, None, text, f"Lower HONK_WORKSPACE_GB; {more}.")
    text = f"each workspace has a file system of {size}, and the disk has room for {number} more"
    return DoctorFinding(what, True, text)


def _finding(proved: SandboxProperty) -> DoctorFinding:
    next_step = "Do not run a worker here until this is fixed." if proved.holds is False else ""
    return DoctorFinding(
        proved.promise, proved.holds, "" if proved.holds else proved.told, next_step
    )


_MARKS = {True: "ok  ", False: "FAIL", None: "note"}


def as_text(parts: Sequence[DoctorSection]) -> str:
    """The findings for a terminal, with the next steps at the end."""
    lines: list[str] = []
    for part in parts:
        lines += [part.title]
        for each in part.findings:
            said = f": {each.told}" if each.told else ""
            lines.append(f"  {_MARKS[each.good]}  {each.what}{said}")
        lines.append("")
    steps = [each.next_step for part in parts for each in part.findings if each.next_step]
    if steps:
        lines += ["Next steps", *(f"  - {step}" for step in dict.fromkeys(steps)), ""]
    problems = sum(each.good is False for part in parts for each in part.findings)
    plural = "" if problems == 1 else "s"
    lines.append(f"{problems} problem{plural} to fix." if problems else "Everything works.")
    if any(part.title.startswith(_SANDBOX) for part in parts):
        lines.append("To try the setup and tests of a repository here: honk probe PATH")
    return "\n".join(lines)


def as_json(parts: Sequence[DoctorSection]) -> dict[str, Any]:
    """The findings as JSON-compatible data."""
    return {"good": good(parts), "parts": [asdict(part) for part in parts]}


def good(parts: Sequence[DoctorSection]) -> bool:
    """Whether no check failed."""
    return all(each.good is not False for part in parts for each in part.findings)
