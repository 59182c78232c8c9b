"""`make trust`: every cheat with its control, every honest change, real releases, combinations.

Finished rows are kept in .cache/trust for each commit; an interrupted call resumes. A complete run
writes docs/trust.md.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import sys
import tempfile
import traceback
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from app.domain.evidence import Evidence
from tests.cheats import generator, report
from tests.cheats.cheat import Cheat, Trick
from tests.cheats.edits import Change
from tests.cheats.harness import Bench, Outcome, two_runs_alone
from tests.cheats.honest import HONEST, Honest
from tests.cheats.projects import Project
from tests.cheats.published import CACHE, PUBLISHED, Variant, variants
from tests.cheats.supplies import NotReachableError
from tests.cheats.table import CHEATS
from tests.support.ledger import Ledger, Row
from tests.support.toolchains import use_fetched

_AT_ONCE = 2
_MERGED = 500
_REAL = 20

Job = Callable[[Bench], Awaitable[None]]


@dataclass
class _Trust:
    """One call: the requested rows by project, and the finished ones."""

    ledger: Ledger
    only: str
    jobs: dict[str, tuple[Project, list[tuple[str, Job]]]]

    def wants(self, name: str) -> bool:
        return self.only in name and name not in self.ledger.rows

    def add(self, project: Project, name: str, job: Job) -> None:
        self.jobs.setdefault(project.name, (project, []))[1].append((name, job))

    async def run(self, folder: Path) -> None:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def all_of(at: int, project: Project, jobs: list[tuple[str, Job]]) -> None:
            async with gate:
                try:
                    async with Bench.open(folder / f"project-{at}", project) as bench:
                        for name, job in jobs:
                            await self._done(name, job, bench)
                except NotReachableError as problem:
                    print(f"  left out: {project.name}: {problem}", file=sys.stderr)

        async with asyncio.TaskGroup() as group:
            for at, (project, jobs) in enumerate(self.jobs.values()):
                group.create_task(all_of(at, project, jobs))
        self.jobs.clear()

    async def _done(self, name: str, job: Job, bench: Bench) -> None:
        """Run one row. An exception in the harness or the product makes it a bad row."""
        self.ledger.refresh()
        if name in self.ledger.rows:
            return  # another process did it
        try:
            await job(bench)
        except Exception as problem:  # noqa: BLE001 - whatever it is, it is shown
            traceback.print_exc()
            self.ledger.write(name, [f"{type(problem).__name__}: {problem}", "error", "BAD"])

    # Evidence stays beside the rows, so that a later call can combine it.

    def _evidence_file(self, name: str) -> Path:
        folder = self.ledger.folder / f"evidence-{self.ledger.commit}"
        folder.mkdir(exist_ok=True)
        return folder / f"{_digest(name)}.json"

    def keep(self, name: str, outcome: Outcome) -> None:
        if outcome.evidence is not None:
            self._evidence_file(name).write_text(outcome.evidence.model_dump_json())

    def kept(self, name: str) -> Evidence | None:
        path = self._evidence_file(name)
        return Evidence.model_validate_json(path.read_text()) if path.exists() else None


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _state(outcome: Outcome) -> str:
    return "ready" if outcome.ready else "draft"


def add_cheats(trust: _Trust) -> None:
    for cheat in CHEATS:
        if trust.wants(cheat.name):
            trust.add(cheat.project, cheat.name, _cheat(trust, cheat))


def controls() -> dict[tuple[str, Change], str]:
    """A name for each control; several cheats may share one."""
    named: dict[tuple[str, Change], str] = {}
    for cheat in CHEATS:
        named.setdefault((cheat.project.name, cheat.honest), f"control: {cheat.name}")
    return named


_CONTROLS = controls()


def _cheat(trust: _Trust, cheat: Cheat) -> Job:
    async def job(bench: Bench) -> None:
        control = _CONTROLS[(cheat.project.name, cheat.honest)]
        if control not in trust.ledger.rows:
            outcome = await bench.judge(cheat.honest, f"c{_digest(control)}")
            trust.keep(control, outcome)
            good = outcome.ready and outcome.kind in generator.READY
            row = [outcome.kind, _state(outcome), outcome.why, outcome.hints, _word(good)]
            trust.ledger.write(control, row)
        outcome = await bench.judge(cheat.change, f"r{_digest(cheat.name)}")
        trust.keep(cheat.name, outcome)
        alone = two_runs_alone(outcome.evidence).kind.value if outcome.evidence else "blocked"
        shown = outcome.hints if outcome.ready else outcome.exposed_by
        good = is_exposed(cheat, outcome) and trust.ledger.rows[control][-1] == "ok"
        row = [outcome.why, _state(outcome), shown, alone, outcome.kind, _word(good)]
        trust.ledger.write(cheat.name, row)

    return job


def is_exposed(cheat: Cheat, outcome: Outcome) -> bool:
    """Whether the cheat ended as expected."""
    if outcome.ready and cheat.trick is Trick.SMUGGLED:
        return bool(outcome.flags or outcome.left_out)
    if not outcome.ready:
        return outcome.kind in cheat.kinds or bool(cheat.ready_as) or outcome.kind == "blocked"
    return bool(cheat.ready_as) and outcome.kind in cheat.kinds


def is_let_through(change: Honest, outcome: Outcome) -> bool:
    """Whether the change is accepted, or a person is asked only where they have to decide."""
    return outcome.kind in change.kinds and (outcome.ready or not change.ready)


def _word(good: bool) -> str:
    return "ok" if good else "BAD"


def add_honest(trust: _Trust) -> None:
    for change in HONEST:
        if trust.wants(change.name):
            trust.add(change.project, change.name, _honest(trust, change))


def _honest(trust: _Trust, change: Honest) -> Job:
    async def job(bench: Bench) -> None:
        outcome = await bench.judge(change.change, f"h{_digest(change.name)}")
        trust.keep(change.name, outcome)
        good = is_let_through(change, outcome)
        row = [outcome.why, _state(outcome), outcome.hints, outcome.kind, _word(good)]
        trust.ledger.write(change.name, row)

    return job


def add_published(trust: _Trust) -> None:
    for release in PUBLISHED:
        if trust.only not in f"{release.name}, tests only, source only":
            continue
        try:
            project, changes = variants(release)
        except NotReachableError as problem:
            print(f"  left out: {release.name}: {problem}", file=sys.stderr)
            continue
        for variant in changes:
            if trust.wants(variant.name):
                trust.add(project, variant.name, _variant(trust, variant))


def _variant(trust: _Trust, variant: Variant) -> Job:
    async def job(bench: Bench) -> None:
        outcome = await bench.judge(variant.change, f"v{_digest(variant.name)}")
        good = outcome.kind in variant.kinds and outcome.ready is variant.ready
        row = [outcome.why, _state(outcome), outcome.hints, outcome.kind, _word(good)]
        trust.ledger.write(variant.name, row)

    return job


def add_real_combinations(trust: _Trust, seed: int) -> None:
    for recipe in generator.recipes(CHEATS, seed, _REAL):
        name = f"combined: {' + '.join(recipe.names)}"
        if name not in trust.ledger.rows:
            trust.add(recipe.project, name, _recipe(trust, name, recipe))


def _recipe(trust: _Trust, name: str, recipe: generator.Recipe) -> Job:
    async def job(bench: Bench) -> None:
        outcome = await bench.judge(recipe.change, f"g{_digest(name)}")
        good = not outcome.ready if recipe.cheats else outcome.kind in generator.READY
        trust.ledger.write(name, [outcome.why, _state(outcome), outcome.kind, _word(good)])

    return job


def merged(trust: _Trust, seed: int) -> list[generator.Combination]:
    """The merged combinations of every row that came out as expected."""
    cheats: dict[str, Evidence] = {}
    for cheat in CHEATS:
        row, evidence = trust.ledger.rows.get(cheat.name), trust.kept(cheat.name)
        drafted = row is not None and row[-1] == "ok" and row[1] == "draft"
        if drafted and evidence is not None and generator.can_be_merged(cheat, evidence):
            cheats[cheat.name] = evidence
    honest: dict[str, Evidence] = {}
    for name in (*_CONTROLS.values(), *(change.name for change in HONEST)):
        row, evidence = trust.ledger.rows.get(name), trust.kept(name)
        if row is not None and evidence is not None and row[-1] == "ok" and "ready" in row[:2]:
            honest[name] = evidence
    return generator.merged_at_random(cheats, honest, seed, _MERGED) if honest else []


def _print(title: str, rows: Iterable[tuple[str, Row]]) -> int:
    every = list(rows)
    for name, row in every:
        if row[-1] != "ok":
            print(f"BAD  {name}: {' | '.join(row[:-1])}")
    bad = sum(row[-1] != "ok" for _, row in every)
    print(f"{title}: {len(every) - bad} of {len(every)} as expected")
    return bad


def main() -> int:
    """Print unexpected rows and totals; the exit code is 1 if there are any."""
    parser = argparse.ArgumentParser(prog="make trust")
    parser.add_argument(
        "--only", default="", help="rows with this in their name; combinations: `combined`"
    )
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--again", action="store_true", help="repeat the selected rows")
    given = parser.parse_args()
    use_fetched()
    ledger = Ledger(CACHE, again=given.again and not given.only)
    if given.again:
        ledger.rows = {name: row for name, row in ledger.rows.items() if given.only not in name}
    trust = _Trust(ledger, given.only, {})
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_all(trust, given.seed, Path(folder)))
    return _conclude(trust, given.seed)


async def _all(trust: _Trust, seed: int, folder: Path) -> None:
    add_cheats(trust)
    add_honest(trust)
    add_published(trust)
    if not trust.only or "combined" in trust.only:
        add_real_combinations(trust, seed)
    await trust.run(folder)


def _conclude(trust: _Trust, seed: int) -> int:
    rows = trust.ledger.rows
    named = {
        "Cheats": [cheat.name for cheat in CHEATS],
        "Controls": list(_CONTROLS.values()),
        "Honest changes": [change.name for change in HONEST],
        "Real releases": [name for name in rows if name.startswith("real: ")],
        f"Real combinations (SEED={seed})": [
            name for name in rows if name.startswith("combined: ")
        ],
    }
    bad = 0
    for title, names in named.items():
        bad += _print(title, ((name, rows[name]) for name in names if name in rows))
    together = merged(trust, seed)
    wrong = [each for each in together if each.is_wrong]
    for each in wrong[:10]:
        print(f"BAD  merged: {' + '.join(each.names)}: {each.verdict.title}")
    print(_of_merged(seed, together))
    if all(name in rows for name in (*named["Cheats"], *named["Honest changes"])):
        report.write(trust.ledger.commit, _sections(trust, named, seed, together))
    return 1 if bad or wrong else 0


def _of_merged(seed: int, together: list[generator.Combination]) -> str:
    good = sum(not each.is_wrong for each in together)
    return f"Merged combinations (SEED={seed}): {good} of {len(together)} as expected"


def _sections(
    trust: _Trust,
    named: dict[str, list[str]],
    seed: int,
    together: list[generator.Combination],
) -> Iterable[str]:
    rows = trust.ledger.rows
    totals = report.totals(
        {title: [rows[n] for n in names if n in rows] for title, names in named.items()}
    )
    yield f"{totals}\n- {_of_merged(seed, together)}"
    yield "## Cheats"
    yield from report.cheats(rows, CHEATS)
    yield "## Cheats that end ready"
    yield from report.ready_cheats(rows, CHEATS)
    yield "## Honest changes"
    heads = ("The change", "Verdict", "Pull request", "Flags")
    yield report.table(heads, ([name, *rows[name][:3]] for name in named["Honest changes"]))
    yield "## Releases of real projects"
    yield report.table(heads, ([name, *rows[name][:3]] for name in named["Real releases"]))


if __name__ == "__main__":
    sys.exit(main())
