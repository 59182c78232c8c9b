"""`make probe`: small repositories and real packages, probed without a policy file.

Rows that are done are kept in .cache/probe for the commit they were done with; a call that is cut
short goes on where it was. The tables are in docs/first-contact.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from app.domain.probe import ProbeResult
from app.errors import HonkError
from app.messages.probe import ending
from app.runs.probe import local_target, probe
from app.runs.services import Services
from app.settings import Settings, load
from app.worker import local_services
from tests.probe.fetching import CACHE, NotFetchedError, fetched
from tests.probe.packages import PACKAGES, Package
from tests.stories.test_set_up import where_packages_are
from tests.support import probe_fixtures
from tests.support.ledger import Ledger, Row
from tests.support.probe_fixtures import ProbeFixture
from tests.support.toolchains import use_fetched

DOCUMENT = Path(__file__).parents[2] / "docs" / "first-contact.md"
_MARK = "<!-- What follows is written by `make probe`. -->"
_SECONDS = 2400
_HOST = re.compile(r"https?://[^/\s]+/")


_PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
"""uv and its like are beside the Python that runs this."""


def fixtures() -> Iterator[ProbeFixture]:
    """Every small repository, of all ecosystems, whose files can be made on this machine."""
    for module in sorted(iter_modules(probe_fixtures.__path__), key=lambda each: each.name):
        for each in import_module(f"{probe_fixtures.__name__}.{module.name}").FIXTURES:
            if all(shutil.which(program, path=_PATH) for program in each.programs):
                yield each


def lay(fixture: ProbeFixture, folder: Path) -> Path:
    """Write the repository's files, and run what makes its lock files."""
    target = folder / "repository"
    for path, text in fixture.files.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_text(text)
    environment = {**os.environ, "PATH": _PATH}
    for line in fixture.prepare:
        argv = ["bash", "-c", line]
        subprocess.run(argv, cwd=target, env=environment, check=True, timeout=_SECONDS)
    return target


def fixture_row(fixture: ProbeFixture, found: ProbeResult) -> Row:
    """What came out, and whether it is what the fixture says."""
    outcome = found.outcome
    told = " ".join(
        f"{each.what} {each.why} {each.next_step} {' '.join(each.lines)}"
        for each in outcome.missing
    )
    if fixture.missing:
        good = fixture.missing.casefold() in told.casefold()
    else:
        # A row without a number is one whose tests only an exit code tells of.
        good = found.ending == "passed" and fixture.tests in (None, found.collected)
    # A registry's host is this machine's, and no part of what is shown.
    shown = _HOST.sub("/", told)[:160] if fixture.missing else ending(found)
    return [fixture.row, f"{found.collected}", _seconds(found), shown, "ok" if good else "BAD"]


def package_row(package: Package, found: ProbeResult) -> Row:
    """What came out: the tests ran, or why not."""
    ran = any(each.ran for each in found.tests)
    problems = [each.what for each in found.outcome.missing]
    problems += [f"{each.line} {each.how}" for each in found.outcome.failed]
    problems += [each.problem for each in found.tests if each.problem and not each.ran]
    why = "" if ran else "; ".join(dict.fromkeys(problems))[:200] or ending(found)
    counts = [f"{found.collected:,}", f"{found.passed:,}", f"{found.failed:,}"]
    return [package.kind, *counts, _seconds(found), why, "ok" if ran else "BAD"]


def _seconds(found: ProbeResult) -> str:
    return f"{found.seconds:.0f} s"


async def _probed(services: Services, path: Path) -> ProbeResult:
    async with local_target(services, path) as target:
        return await probe(services, target)


async def _row(
    ledger: Ledger, settings: Settings, name: str, job: Callable[[Services, Path], Awaitable[Row]]
) -> None:
    ledger.refresh()
    if name in ledger.rows:
        return
    with tempfile.TemporaryDirectory(dir=settings.home_path, ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o711)
        try:
            async with asyncio.timeout(_SECONDS), local_services(settings, home) as services:
                row = await job(services, home)
        except (HonkError, NotFetchedError, OSError, subprocess.SubprocessError) as problem:
            row = [f"{type(problem).__name__}: {problem}"[:300], "BAD"]
    ledger.write(name, row)


def _of_fixture(fixture: ProbeFixture) -> Callable[[Services, Path], Awaitable[Row]]:
    async def job(services: Services, folder: Path) -> Row:
        path = await asyncio.to_thread(lay, fixture, folder)
        return fixture_row(fixture, await _probed(services, path))

    return job


def _of_package(package: Package) -> Callable[[Services, Path], Awaitable[Row]]:
    async def job(services: Services, folder: Path) -> Row:
        path = await asyncio.to_thread(fetched, package)
        return package_row(package, await _probed(services, path))

    return job


async def _all(ledger: Ledger, only: str) -> None:
    os.environ["HONK_EGRESS_NETWORKS"] = await where_packages_are()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        Path(home).chmod(0o711)
        settings = load().model_copy(update={"home": Path(home)})
        for package in PACKAGES:
            if only in package.label:
                await _row(ledger, settings, package.label, _of_package(package))
        for fixture in fixtures():
            if only in fixture.name:
                await _row(ledger, settings, fixture.name, _of_fixture(fixture))


def main() -> int:
    """Print what is not as it should be, and totals; the exit code is 1 if there is anything."""
    parser = argparse.ArgumentParser(prog="make probe")
    parser.add_argument("--only", default="", help="rows with this in their name")
    parser.add_argument("--again", action="store_true", help="forget the rows that are asked for")
    given = parser.parse_args()
    use_fetched()
    ledger = Ledger(CACHE, again=given.again and not given.only)
    if given.again:
        ledger.rows = {name: row for name, row in ledger.rows.items() if given.only not in name}
    asyncio.run(_all(ledger, given.only))
    return _conclude(ledger)


def _conclude(ledger: Ledger) -> int:
    every = tuple(fixtures())
    packages = [each.label for each in PACKAGES]
    green = [each.name for each in every if not each.missing]
    faulty = [each.name for each in every if each.missing]
    totals = []
    for title, names in (
        ("Real packages whose tests ran", packages),
        ("Small repositories that are green", green),
        ("Small repositories with a fault that end in the right message", faulty),
    ):
        known = [name for name in names if name in ledger.rows]
        good = sum(ledger.rows[name][-1] == "ok" for name in known)
        totals.append(f"{title}: {good} of {len(known)}")
        for name in known:
            if ledger.rows[name][-1] != "ok":
                print(f"BAD  {name}: {' | '.join(ledger.rows[name][:-1])}")
    print("\n".join(totals))
    if all(name in ledger.rows for name in (*packages, *green, *faulty)):
        _write(ledger, totals, packages, [*green, *faulty])
    bad = [
        name for name in (*packages, *green, *faulty) if ledger.rows.get(name, ["ok"])[-1] != "ok"
    ]
    return 1 if bad else 0


def _write(ledger: Ledger, totals: list[str], packages: list[str], small: list[str]) -> None:
    rows = ledger.rows
    heads = ("Package", "Kind", "Tests", "Passed", "Failed", "Time", "Why no test ran")
    small_heads = ("Repository", "Row of the tables", "Tests", "Time", "What Honk says")
    sections = [
        f"Made from commit {ledger.commit}.",
        "\n".join(f"- {line}" for line in totals),
        "## Real packages\n\nSource archives from the registries, picked before they were opened. "
        "Tests that need the network or a tool outside the registries fail here as they would "
        "without a change.",
        _table(heads, ([name, *_padded(rows[name], 6)] for name in packages)),
        "## Small repositories",
        _table(small_heads, ([name, *_padded(rows[name], 4)] for name in small)),
    ]
    kept = DOCUMENT.read_text().partition(_MARK)[0].rstrip()
    DOCUMENT.write_text("\n\n".join([kept, _MARK, *sections]) + "\n")


def _padded(row: Row, width: int) -> Row:
    """The row without its last word; one that ended in an error has its message last."""
    cells = row[:-1]
    return cells if len(cells) == width else [*[""] * (width - len(cells)), *cells]


def _table(heads: Iterable[str], rows: Iterable[Row]) -> str:
    shown = [list(heads)]
    lines = ["| " + " | ".join(shown[0]) + " |", "|" + "---|" * len(shown[0])]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    return "\n".join(lines)


def _cell(word: str) -> str:
    return " ".join(word.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
