"""Choosing, running and running again, with real commands in a real sandbox."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from app.domain.values import CommitSha, TreeSha
from app.domain.verdict import Results, compare
from app.verify.runner import VerifySite, confirm, repeat, rerun, verify
from app.verify.verifier import DirectoryTree, Verifier
from app.verify.verifiers import Choice, choose
from app.verify.verifiers.command import AnyCommand
from app.verify.verifiers.pytest import Pytest
from tests.unit.verify.conftest import MakeSite

pytestmark = pytest.mark.slow

SHA, TREE = CommitSha("a" * 40), TreeSha("b" * 40)


async def run(site: VerifySite, *verifiers: Verifier) -> Results:
    return await verify(site, verifiers or [Pytest()], SHA, TREE, environment="key")


def classes(before: Results, after: Results) -> dict[str, list[str]]:
    verdict = compare(before, after)
    names = ("fixed", "new_failures", "still_failing", "flaky", "not_run", "removed")
    return {
        name: [change.id for change in getattr(verdict, name)]
        for name in names
        if getattr(verdict, name)
    }


def test_the_policy_wins_and_its_lines_are_read(checkout: MakeSite) -> None:
    tree = DirectoryTree(checkout({"test_a.py": "def test_a(): ...\n"}).spec.workspace)
    assert choose(None, tree).verifiers == (Pytest(),)
    assert choose([], tree).verifiers == (Pytest(),)
    assert choose([" pytest ", "pytest -q", "make test", "make test"], tree).verifiers == (
        Pytest(),
        Pytest(line="pytest -q"),
        AnyCommand("make test"),
    )
    assert choose(None, DirectoryTree(checkout({"a.py": ""}).spec.workspace)) == Choice(())


async def test_several_verifiers_each_say_their_own(checkout: MakeSite) -> None:
    site = checkout({"test_a.py": "def test_a(): ...\n"})
    commands = [AnyCommand(line) for line in ("exit 3", "echo hello && test -f test_a.py")]
    results = await run(site, Pytest(), *commands)
    assert (results.commit, results.tree, results.environment) == (SHA, TREE, "key")
    tests, fails, passes = results.verifiers
    assert not tests.from_exit_code_only
    assert (fails.exit_code, fails.tests[0].id, fails.tests[0].message) == (
        3,
        "exit 3",
        "exit code 3",
    )
    assert fails.from_exit_code_only
    assert passes.tests[0].outcome.value == "passed"
    assert "hello" in passes.output_tail
    assert Results.model_validate_json(results.model_dump_json()) == results


async def test_nothing_to_run_is_results_without_verifiers(checkout: MakeSite) -> None:
    results = await verify(checkout({}), [], SHA)
    assert results.verifiers == ()


async def test_a_command_without_end_ends(checkout: MakeSite) -> None:
    results = await run(checkout({}, seconds=1), AnyCommand("sleep 100"))
    (result,) = results.verifiers
    assert result.timed_out
    assert result.tests[0].outcome.value == "error"
    assert "time limit" in result.tests[0].message


async def test_a_command_that_prints_without_end_is_cut(checkout: MakeSite) -> None:
    results = await run(checkout({}, seconds=2), AnyCommand("yes"))
    assert len(results.verifiers[0].output_tail) < 20_000


async def test_a_stop_ends_what_runs(checkout: MakeSite) -> None:
    site = replace(checkout({}), stop=asyncio.Event())
    assert site.stop is not None
    asyncio.get_running_loop().call_later(0.5, site.stop.set)
    began = time.monotonic()
    results = await run(site, AnyCommand("sleep 100"), AnyCommand("sleep 101"))
    assert time.monotonic() - began < 10
    assert [result.killed for result in results.verifiers] == ["stopped", "stopped"]


COUNTING = (
    "import pathlib\n"
    "def count(name):\n"
    "    path = pathlib.Path(name)\n"
    "    seen = int(path.read_text()) if path.exists() else 0\n"
    "    path.write_text(str(seen + 1))\n"
    "    return seen\n"
)


async def test_what_fails_once_by_chance_is_flaky(checkout: MakeSite) -> None:
    before = await run(
        checkout(
            {"test_a.py": "def test_a(): ...\ndef test_b():\n    assert 0\ndef test_c(): ...\n"}
        )
    )
    site = checkout(
        {
            "count.py": COUNTING,
            "test_a.py": "from count import count\n"
            "def test_a():\n    assert count('a') > 0\n"  # fails the first time only
            "def test_b():\n    assert count('b') < 2\n"  # passes the first two times only
            "def test_c():\n    assert 0\n",  # really broken
        }
    )
    first = await run(site)
    assert classes(before, first) == {
        "fixed": ["test_a.py::test_b"],
        "new_failures": ["test_a.py::test_a", "test_a.py::test_c"],
    }
    after = await rerun(site, [Pytest()], before, first)
    assert classes(before, after) == {
        "flaky": ["test_a.py::test_a", "test_a.py::test_b"],
        "new_failures": ["test_a.py::test_c"],
    }


async def test_a_failure_that_needs_the_other_tests_is_not_excused(checkout: MakeSite) -> None:
    """Alone it passes; with the others around it, as in every real run, it fails each time."""
    before = await run(checkout({"test_a.py": "def test_a(): ...\ndef test_b(): ...\n"}))
    site = checkout(
        {
            "test_a.py": "state = []\n"
            "def test_a():\n    state.append(1)\n"
            "def test_b():\n    assert not state\n"
        }
    )
    after = await rerun(site, [Pytest()], before, await run(site))
    assert classes(before, after) == {"new_failures": ["test_a.py::test_b"]}


async def test_what_is_fixed_for_good_stays_fixed(checkout: MakeSite) -> None:
    before = await run(checkout({"test_a.py": "def test_a():\n    assert 0\n"}))
    site = checkout({"test_a.py": "def test_a(): ...\n"})
    after = await rerun(site, [Pytest()], before, await run(site))
    assert classes(before, after) == {"fixed": ["test_a.py::test_a"]}
    assert len(after.verifiers[0].tests[0].also) == 2


async def test_only_what_differs_is_run_again(checkout: MakeSite) -> None:
    files = {"count.py": COUNTING, "test_a.py": "from count import count\n"}
    same = "def test_same():\n    count('same')\n"
    before = await run(
        checkout(
            {**files, "test_a.py": files["test_a.py"] + same + "def test_x():\n    assert 0\n"}
        )
    )
    site = checkout({**files, "test_a.py": files["test_a.py"] + same + "def test_x(): ...\n"})
    await rerun(site, [Pytest()], before, await run(site))
    assert (site.spec.workspace / "same").read_text() == "1"


async def test_nothing_differs_and_nothing_is_run(checkout: MakeSite) -> None:
    site = checkout({"count.py": COUNTING, "test_a.py": "def test_a():\n    assert 0\n"})
    results = await run(site)
    assert await rerun(site, [Pytest()], results, results) == results


@pytest.mark.parametrize(("most", "expected"), [(0, "flaky"), (9, "new_failures")])
async def test_a_command_that_fails_is_run_once_more(
    checkout: MakeSite, most: int, expected: str
) -> None:
    line = f"python3 -c 'from count import count; exit(count(\"n\") <= {most})'"
    before = await run(checkout({"count.py": "def count(_):\n    return 100\n"}), AnyCommand(line))
    site = checkout({"count.py": COUNTING})
    after = await rerun(site, [AnyCommand(line)], before, await run(site, AnyCommand(line)))
    assert classes(before, after) == {expected: [line]}
    assert (site.spec.workspace / "n").read_text() == "2"


async def test_a_complete_run_replaces_one_that_broke_off(checkout: MakeSite) -> None:
    before = await run(checkout({"test_a.py": "def test_a(): ...\n"}))
    site = checkout(
        {
            "count.py": COUNTING,
            "conftest.py": "import os\nfrom count import count\ncount('n') or os._exit(3)\n",
            "test_a.py": "def test_a(): ...\n",
        }
    )
    after = await rerun(site, [Pytest()], before, await run(site))
    assert classes(before, after) == {"flaky": ["python -m pytest (the run itself)"]}
    assert compare(before, after).conclusion == "success"
    assert after.verifiers[0].complete


async def test_a_base_that_fails_by_chance_is_no_fix(checkout: MakeSite) -> None:
    site = checkout({"README": "x"})
    by_chance = AnyCommand("test -e seen || { touch seen; exit 1; }")
    base = await confirm(site, [by_chance], await run(site, by_chance))
    after = await run(site, by_chance)
    verdict = compare(base, after)
    assert verdict.fixed == ()
    assert [change.id for change in verdict.flaky] == [by_chance.line]


THREE_FILES = {
    "test_a.py": "def test_a(): ...\n",
    "test_b.py": "def test_b():\n    assert 0\n",
    "test_c.py": "def test_c(): ...\n",
}


def outcomes(results: Results) -> dict[str, str]:
    return {test.id: test.outcome.value for each in results.verifiers for test in each.tests}


async def test_chosen_files_run_without_the_others(checkout: MakeSite) -> None:
    results = await verify(checkout(THREE_FILES), [Pytest()], SHA, files=["test_a.py", "test_b.py"])
    assert outcomes(results) == {"test_a.py::test_a": "passed", "test_b.py::test_b": "failed"}


async def test_a_verifier_without_a_chosen_file_does_not_run(checkout: MakeSite) -> None:
    site = checkout({**THREE_FILES, "sub/test_d.py": "def test_d(): ...\n"})
    elsewhere = Pytest(folder="sub")
    results = await verify(site, [Pytest(apart=("sub",)), elsewhere], SHA, files=["test_a.py"])
    assert [each.verifier for each in results.verifiers] == ["pytest"]


async def test_a_verifier_that_cannot_choose_runs_everything(checkout: MakeSite) -> None:
    line = Pytest(line="pytest -q test_b.py")
    results = await verify(checkout(THREE_FILES), [line], SHA, files=["test_a.py"])
    assert outcomes(results) == {"test_b.py::test_b": "failed"}


async def test_a_test_that_ends_the_process_hides_only_its_own_file(checkout: MakeSite) -> None:
    site = checkout({**THREE_FILES, "test_b.py": "import os\ndef test_b():\n    os._exit(0)\n"})
    results = await verify(site, [Pytest()], SHA, files=sorted(THREE_FILES))
    (result,) = results.verifiers
    passed = {test.id for test in result.tests if test.outcome.value == "passed"}
    assert passed == {"test_a.py::test_a", "test_c.py::test_c"}
    assert not result.complete
    # Without a selection everything is one process.
    (whole,) = (await verify(site, [Pytest()], SHA)).verifiers
    assert not any(test.outcome.value == "passed" for test in whole.tests)


async def test_repeating_adds_the_outcomes_of_the_wanted_tests(checkout: MakeSite) -> None:
    site = checkout(
        {
            "count.py": COUNTING,
            "test_a.py": "from count import count\n"
            "def test_a():\n    assert count('a') == 1\n"  # passes the second time only
            "def test_b():\n    assert 0\n",
        }
    )
    first = await verify(site, [Pytest()], SHA, files=["test_a.py"])
    wanted = {("pytest", Pytest().line): first.verifiers[0].tests[:1]}
    again = await repeat(site, [Pytest()], first, wanted, times=3, files=["test_a.py"])
    a, b = again.verifiers[0].tests
    assert [a.outcome.value, *(each.value for each in a.also)] == ["failed", "passed", "failed"]
    assert b.also == ()
    assert await repeat(site, [Pytest()], again, wanted | {}, times=1) == again
