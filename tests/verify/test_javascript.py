"""Small real projects with the test runners of JavaScript, fetched by npm."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from app.domain.verdict import Results, TestOutcome, VerifierResult
from app.sandbox.spec import WORKSPACE, Mount
from app.verify.runner import VerifySite, rerun, verify
from tests.verify.conftest import SHA, MakeProject, fetched, found, needs, outcomes, run

TESTS = """
describe('half', () => {
  it('halves (4)', () => equal(half(4), 2))
  it.skip('sleeps', () => {})
  describe('of <b> & "@octocat"', () => {
    it('is [wrong]', () => { appendFileSync('ran', 'w'); equal(half(3), 1) })
  })
})
it('stands 🦉 alone', () => appendFileSync('ran', 'x'))
"""
FAILING_LINE = 10
CODE = {
    "half.cjs": "exports.half = (n) => n / 2\n",
    "fresh/.keep": "",
}


@dataclass(frozen=True)
class Runner:
    """One test runner: the script that calls it, what it needs, how its tests begin."""

    name: str
    script: str
    wanted: tuple[str, ...] = ()
    begin: str = ""
    file: str = "test/half.test.mjs"

    @property
    def text(self) -> str:
        lines = [
            "import { appendFileSync } from 'node:fs'",
            "import { strictEqual as equal } from 'node:assert'",
            "import halves from '../half.cjs'",
            self.begin,
            "const { half } = halves",
        ]
        return "\n".join(lines) + TESTS


NODE = Runner("node", "node --test", begin="import { describe, it } from 'node:test'")
JEST = Runner(
    "jest",
    "cross-env TZ=UTC NODE_OPTIONS=--experimental-vm-modules jest",
    ("jest", "cross-env"),
    begin="",
)
VITEST = Runner("vitest", "vitest", ("vitest",), "import { describe, it } from 'vitest'")
MOCHA = Runner("mocha", "mocha --reporter dot test/*.mjs", ("mocha",))
RUNNERS = [pytest.param(each, id=each.name) for each in (NODE, JEST, VITEST, MOCHA)]


def packages(runner: Runner) -> Path | None:
    """A folder of node_modules, fetched once by the npm of this machine."""
    needs("node")
    if not runner.wanted:
        return None
    options = ("--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--silent")
    words = ["npm", "install", "--prefix", "@", *options, *runner.wanted]
    return fetched("-".join(runner.wanted), words) / "node_modules"


def checkout(
    project: MakeProject, runner: Runner, files: Mapping[str, str], **package: object
) -> VerifySite:
    whole = {"name": "halves", "version": "1.0.0", "scripts": {"test": runner.script}, **package}
    if runner is JEST:
        whole["jest"] = {
            "testMatch": ["**/*.test.mjs"],
            "moduleFileExtensions": ["mjs", "cjs", "js"],
        }
    modules = packages(runner)
    site = project({**CODE, **files, "package.json": json.dumps(whole)})
    if modules is None:
        return site
    mount = Mount(modules, f"{WORKSPACE}/node_modules")
    return replace(site, spec=replace(site.spec, mounts=(*site.spec.mounts, mount)))


@pytest.mark.slow
@pytest.mark.parametrize("runner", RUNNERS)
async def test_each_test_has_its_name_and_place_and_can_be_run_again(
    project: MakeProject, runner: Runner
) -> None:
    site = checkout(project, runner, {runner.file: runner.text})
    result = await run(site)
    assert (result.verifier, result.command, result.problem) == (runner.name, "npm test", None)
    assert not result.from_exit_code_only
    assert result.complete
    wrong = f'{runner.file} > half > of <b> & "@octocat" > is [wrong]'
    assert outcomes(result) == {
        f"{runner.file} > half > halves (4)": "passed",
        f"{runner.file} > half > sleeps": "skipped",
        wrong: "failed",
        f"{runner.file} > stands 🦉 alone": "passed",
    }
    failing = next(test for test in result.tests if test.outcome.bad)
    assert (failing.file, failing.line) == (runner.file, FAILING_LINE)
    assert "1.5" in failing.message + failing.details

    again = await _again(site, result)
    also = {test.id: test.also for test in again.tests if test.also}
    ran = "".join(sorted((site.spec.workspace / "ran").read_text()))
    if runner is NODE:  # it cannot run only some of its tests
        assert (also, ran) == ({wrong: (TestOutcome.FAILED,)}, "wwxx")
    else:
        assert (also, ran) == ({}, "wwwx")


async def _again(site: VerifySite, result: VerifierResult) -> VerifierResult:
    """The result, run again as if everything had passed before."""
    passed = [test.model_copy(update={"outcome": TestOutcome.PASSED}) for test in result.tests]
    before = result.model_copy(update={"tests": tuple(passed)})
    said = [Results(commit=SHA, verifiers=(each,)) for each in (before, result)]
    (again,) = (await rerun(site, found(site), *said)).verifiers
    return again


@pytest.mark.parametrize("runner", RUNNERS[:3])
async def test_a_file_that_cannot_be_read_hides_no_other(
    project: MakeProject, runner: Runner
) -> None:
    files = {runner.file: runner.text, "test/broken.test.mjs": "const = 1\n"}
    result = await run(checkout(project, runner, files))
    assert not result.complete
    assert outcomes(result)["test/broken.test.mjs"] == "error"
    assert outcomes(result)[f"{runner.file} > stands 🦉 alone"] == "passed"


@pytest.mark.parametrize("runner", RUNNERS[1:])
async def test_no_tests_are_nothing_to_run(project: MakeProject, runner: Runner) -> None:
    result = await run(checkout(project, runner, {}))
    assert (result.nothing_to_run, result.ran, result.tests) == (True, False, ())


async def test_a_run_that_leaves_with_exit_code_0_has_not_passed(project: MakeProject) -> None:
    begin = "const exit = process.exit\nit('leaves', () => exit(0))\n"
    result = await run(checkout(project, MOCHA, {MOCHA.file: begin + MOCHA.text}))
    assert result.exit_code == 0
    assert [test.whole_run for test in result.tests if test.outcome.bad] == [True]
    assert result.problem == "npm test exited with code 0 and wrote no report"


async def test_the_nearest_lock_file_decides_which_tool_runs_the_script(
    project: MakeProject,
) -> None:
    script = {"scripts": {"test": "pnpm run unit", "unit": "node --test"}}
    files = {NODE.file: NODE.text, "pnpm-lock.yaml": "lockfileVersion: '9.0'\n"}
    result = await run(checkout(project, NODE, files, **script))
    assert (result.verifier, result.command) == ("node", "pnpm run unit")
    assert len(result.tests) == 4
    if shutil.which("pnpm") is None:
        assert result.note is not None
        assert "no pnpm, so npm called the script" in result.note


async def test_a_script_of_another_kind_is_known_by_its_exit_code(project: MakeProject) -> None:
    runner = replace(NODE, script="node -e 'process.exit(process.env.CI ? 3 : 0)'")
    site = checkout(project, runner, {})
    (result,) = (await verify(site, found(site), SHA)).verifiers
    assert (result.verifier, result.from_exit_code_only) == ("npm", True)
    assert [test.message for test in result.tests] == ["exit code 3"]


@pytest.mark.parametrize(
    "scripts",
    [
        {"test": "node -e 'process.exit(3)' && node --test"},
        {"test": "npm run lint && npm run unit", "lint": "exit 3", "unit": "node --test"},
        {"pretest": "exit 3", "test": "node --test"},
    ],
)
async def test_a_linter_that_fails_first_hides_no_test(
    project: MakeProject, scripts: Mapping[str, str]
) -> None:
    needs("node")
    test = "require('node:test')('half', () => {})\n"
    site = project({"package.json": json.dumps({"scripts": scripts}), "test/half.test.js": test})
    result = await run(site)
    assert outcomes(result) == {"test/half.test.js > half": "passed"}
    assert result.problem is None
    note = "what comes before node in the test script failed, so node ran by itself"
    assert result.note == note


async def test_what_comes_before_the_runner_runs_first(project: MakeProject) -> None:
    needs("node")
    scripts = {"test": "cp a.js b.js && npm run unit", "unit": "node --test"}
    test = "require('node:test')('half', () => { require('../b') })\n"
    files = {"a.js": "", "test/half.test.js": test}
    result = await run(project({**files, "package.json": json.dumps({"scripts": scripts})}))
    assert outcomes(result) == {"test/half.test.js > half": "passed"}
    assert (result.command, result.note) == ("npm run unit", None)
