"""Cheats and honest changes, combined at random, so that no rule can be fitted to the table.

Two levels. *Merged*: the measured evidence of a cheat and of honest changes is put together as if
they had been one change, and judged; that takes no run of tests, so there are hundreds. *Real*: a
cheat and honest changes of other parts of the same project are one change, which goes through every
step.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.domain.evidence import (
    Cell,
    CellRun,
    ChangedSides,
    Evidence,
    Finding,
    Measurements,
    Move,
    Rules,
    TestName,
    judge,
)
from app.domain.verdict import Results, TestResult, Verdict, VerifierResult
from tests.cheats.cheat import Cheat, Trick
from tests.cheats.edits import (
    Change,
    DoesNotApplyError,
    append,
    did,
    move,
    prepend,
    replace,
    write,
)
from tests.cheats.projects import Project

READY = frozenset({"proven", "new-code", "tests-only", "unchanged"})
_NO_PROOF: Final = frozenset({Trick.EMPTY, Trick.CLAIM, Trick.SMUGGLED})
"""Next to a proven honest change, these do no harm: they just prove nothing."""


@dataclass(frozen=True)
class Combination:
    """`cheats`: names; empty for honest changes alone."""

    names: tuple[str, ...]
    cheats: tuple[str, ...]
    verdict: Verdict

    @property
    def is_wrong(self) -> bool:
        """A cheat that is ready, or honest changes that are accused of something."""
        return self.verdict.ready if self.cheats else self.verdict.kind not in READY


def merged_at_random(
    cheats: Mapping[str, Evidence], honest: Mapping[str, Evidence], seed: int, count: int
) -> list[Combination]:
    """`count` merged combinations; one in five has no cheat.

    `cheats` and `honest` are measured alone: cheats that came out as drafts, and honest changes
    that came out ready.
    """
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        tricks = chance.sample(sorted(cheats), min(len(cheats), chance.choice([0, 1, 1, 1, 2])))
        beside = chance.sample(sorted(honest), min(len(honest), chance.randint(1, 4)))
        names = [*tricks, *beside]
        chance.shuffle(names)
        evidence = merge([cheats[name] if name in tricks else honest[name] for name in names])
        found.append(Combination(tuple(names), tuple(tricks), judge(evidence, Rules())))
    return found


def can_be_merged(cheat: Cheat, evidence: Evidence) -> bool:
    """Whether its evidence means the same beside that of other changes.

    What rewrites results would rewrite those of the honest changes, too: only a real run shows it.
    """
    return (
        cheat.trick not in (*_NO_PROOF, Trick.RESULTS, Trick.LOADED)
        and not cheat.ready_as
        and evidence.measured.canary != "passed"
        and all(run.results is not None for run in _cells(evidence))
    )


def merge(parts: Sequence[Evidence]) -> Evidence:
    """The evidence of all the changes in one repository, each in a folder of its own."""
    placed = [_placed(evidence, f"part{at}") for at, evidence in enumerate(parts)]
    cells = {cell: _together([getattr(each, cell.value) for each in placed]) for cell in Cell}
    return Evidence(
        base=cells[Cell.BASE],
        proof=cells[Cell.PROOF],
        guard=cells[Cell.GUARD],
        head=cells[Cell.HEAD],
        sides=ChangedSides(
            **{
                side: tuple(path for each in placed for path in getattr(each.sides, side))
                for side in ChangedSides.model_fields
            }
        ),
        measured=Measurements(
            loaded=tuple(found for each in placed for found in each.measured.loaded),
            keyed=tuple(found for each in placed for found in each.measured.keyed),
        ),
        moved=tuple(moved for each in placed for moved in each.moved),
        known_flaky=tuple(test for each in placed for test in each.known_flaky),
    )


def _cells(evidence: Evidence) -> tuple[CellRun, ...]:
    return (evidence.base, evidence.proof, evidence.guard, evidence.head)


def _placed(evidence: Evidence, folder: str) -> Evidence:
    def run(cell: Cell, unlike: CellRun) -> CellRun:
        measured: CellRun = getattr(evidence, cell.value)
        results = _filled(measured, unlike, evidence.base)
        return measured.model_copy(
            update={"only": (), "results": results and _located(results, folder)}
        )

    return evidence.model_copy(
        update={
            "base": run(Cell.BASE, evidence.base),
            "proof": run(Cell.PROOF, evidence.base),
            "guard": run(Cell.GUARD, evidence.head),
            "head": run(Cell.HEAD, evidence.head),
            "sides": ChangedSides(
                **{
                    side: tuple(f"{folder}/{path}" for path in getattr(evidence.sides, side))
                    for side in ChangedSides.model_fields
                }
            ),
            "measured": evidence.measured.model_copy(
                update={
                    kind: tuple(_found(each, folder) for each in getattr(evidence.measured, kind))
                    for kind in ("loaded", "keyed")
                }
            ),
            "moved": tuple(
                Move(
                    verifier=f"{each.verifier}:{folder}",
                    old=f"{folder}/{each.old}",
                    new=f"{folder}/{each.new}",
                )
                for each in evidence.moved
            ),
            "known_flaky": tuple(
                TestName(verifier=f"{each.verifier}:{folder}", id=f"{folder}/{each.id}")
                for each in evidence.known_flaky
            ),
        }
    )


def _filled(cell: CellRun, whole: CellRun, base: CellRun) -> Results | None:
    """The results of a cell that ran only some files as if it had run all.

    An old test that it left out cannot differ from the cell with the same source.
    """
    if not cell.only or cell.results is None or whole.results is None:
        return cell.results
    if any(test.could_not_run or test.whole_run for test in _tests(cell)):
        return cell.results  # others may be hidden in what did not start
    old, ran = {test.id for test in _tests(base)}, {test.id for test in _tests(cell)}
    left_out = {
        each.verifier: tuple(test for test in each.tests if test.id in old - ran)
        for each in whole.results.verifiers
    }
    there = {each.verifier for each in cell.results.verifiers}
    return cell.results.model_copy(
        update={
            "verifiers": (
                *(
                    each.model_copy(
                        update={"tests": (*each.tests, *left_out.get(each.verifier, ()))}
                    )
                    for each in cell.results.verifiers
                ),
                # None of its files was chosen, so it did not run at all.
                *(
                    each.model_copy(update={"tests": left_out[each.verifier]})
                    for each in whole.results.verifiers
                    if each.verifier not in there
                ),
            )
        }
    )


def _found(finding: Finding, folder: str) -> Finding:
    return finding.model_copy(update={"file": f"{folder}/{finding.file}"})


def _located(results: Results, folder: str) -> Results:
    return results.model_copy(
        update={
            "verifiers": tuple(
                each.model_copy(
                    update={
                        "verifier": f"{each.verifier}:{folder}",
                        "tests": tuple(_test(test, folder) for test in each.tests),
                    }
                )
                for each in results.verifiers
            )
        }
    )


def _test(test: TestResult, folder: str) -> TestResult:
    file = None if test.file is None else f"{folder}/{test.file}"
    return test.model_copy(update={"id": f"{folder}/{test.id}", "file": file})


def _tests(run: CellRun) -> Sequence[TestResult]:
    return [test for each in (run.results.verifiers if run.results else ()) for test in each.tests]


def _together(runs: Sequence[CellRun]) -> CellRun:
    same = {run.same_as for run in runs}
    verifiers: list[VerifierResult] = []
    for run in runs:
        assert run.results is not None
        verifiers += run.results.verifiers
    first = runs[0].results
    assert first is not None
    return CellRun(
        results=first.model_copy(update={"verifiers": tuple(verifiers)}),
        same_as=same.pop() if len(same) == 1 else None,
        runs=max(run.runs for run in runs),
        head_runner=any(run.head_runner for run in runs),
    )


_NAMES, _PRICES = "tests/test_names.py", "tests/test_prices.py"
BESIDE: Final[Mapping[str, Change]] = {
    "fixes names": did(
        replace("names.py", "name.strip()", '" ".join(name.split())'),
        append(_NAMES, '\n\ndef test_clean_inside():\n    assert clean("A   L") == "A L"\n'),
    ),
    "adds a feature to prices": did(
        append(
            "prices.py",
            "\n\ndef cheapest(items):\n    return min(items, key=lambda item: item[1])\n",
        ),
        write(
            "tests/test_cheapest.py",
            "from prices import cheapest\n\n\ndef test_cheapest():\n"
            '    assert cheapest([("tea", 300), ("cake", 450)]) == ("tea", 300)\n',
        ),
    ),
    "rounds discounts": did(
        replace("prices.py", "price * percent // 100", "(price * percent + 50) // 100"),
        append(_PRICES, "\n\ndef test_rounded():\n    assert discounted(333, 50) == 166\n"),
    ),
    "renames a test file": did(move(_PRICES, "tests/test_pricing.py")),
    "tests more": did(
        append(_NAMES, '\n\ndef test_three():\n    assert initials("a b c") == "abc"\n')
    ),
    "adds types": did(
        replace("names.py", "def initials(name):", "def initials(name: str) -> str:")
    ),
    "documents": did(append("README.md", "\nNames and prices, too.\n")),
    "marks tests": did(
        replace("pyproject.toml", "testpaths = ", 'markers = ["slow: takes long"]\ntestpaths = ')
    ),
    "adds a fixture": did(
        write(
            "tests/people/conftest.py",
            'import pytest\n\n\n@pytest.fixture\ndef ada():\n    return "Ada"\n',
        ),
        write(
            "tests/people/test_ada.py",
            "from names import clean\n\n\ndef test_ada(ada):\n"
            '    assert clean(f" {ada} ") == ada\n',
        ),
    ),
    "comments tests": did(prepend(_NAMES, '"""Names."""\n\n')),
}
"""Honest changes of the parts of Python's projects that cheats leave alone."""


@dataclass(frozen=True)
class Recipe:
    """A real combination, to be run. `cheats` is empty for honest changes alone."""

    names: tuple[str, ...]
    cheats: tuple[str, ...]
    project: Project
    change: Change


def recipes(cheats: Sequence[Cheat], seed: int, count: int) -> list[Recipe]:
    """`count` real combinations of one or two cheats, or of the control of one, with others."""
    chance = random.Random(seed)
    usable = [each for each in cheats if _can_be_combined(each)]
    found: list[Recipe] = []
    while len(found) < count:
        first = chance.choice(usable)
        honest = chance.random() < 0.2
        tricks = (
            [] if honest else [first, *chance.sample(_like(first, usable), chance.choice([0, 1]))]
        )
        beside = chance.sample(sorted(BESIDE), chance.randint(1, 3))
        parts = [first.honest] if honest else [each.change for each in tricks]
        parts += [BESIDE[name] for name in beside]
        chance.shuffle(parts)
        change = sum(parts, Change())
        try:
            change.apply(first.project.files)
        except DoesNotApplyError:
            continue
        names = [f"control of {first.name}"] if honest else [each.name for each in tricks]
        found.append(
            Recipe((*names, *beside), tuple(each.name for each in tricks), first.project, change)
        )
    return found


def _can_be_combined(cheat: Cheat) -> bool:
    return (
        "names.py" in cheat.project.files
        and not cheat.change.script
        and cheat.trick not in _NO_PROOF
        and not cheat.ready_as
    )


def _like(cheat: Cheat, others: Sequence[Cheat]) -> list[Cheat]:
    same = [each for each in others if each.project == cheat.project and each is not cheat]
    return same or [cheat]
