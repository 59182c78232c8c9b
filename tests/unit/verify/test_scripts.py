"""What a package.json's test script actually runs."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from app.verify.verifier import DirectoryTree, Verifier
from app.verify.verifiers import choose
from app.verify.verifiers.jest import Jest
from app.verify.verifiers.npm import Npm
from app.verify.verifiers.scripts import last_as_written, runner_of
from tests.unit.verify.conftest import MakeSite


@pytest.mark.parametrize(
    ("script", "runner"),
    [
        ("jest", "jest"),
        ("tsc -p . && NODE_ENV=test jest --coverage src", "jest"),
        ("cross-env NODE_OPTIONS=--experimental-vm-modules npx jest", "jest"),
        ("node --experimental-vm-modules node_modules/jest/bin/jest.js", "jest"),
        ("react-scripts test", "jest"),
        ("vitest run --reporter=verbose", "vitest"),
        ("c8 --reporter=text vitest", "vitest"),
        ("nyc mocha 'test/**/*.js' --timeout 1000", "mocha"),
        ("./node_modules/.bin/mocha", "mocha"),
        ("xo && tsc && ava", "ava"),
        ("ava --watch", ""),
        ("c8 ava --serial", "ava"),
        ("tap", "tap"),
        ("tap-spec", ""),
        ("nyc tape 'test/**/*.js'", "tape"),
        ("node -r esm node_modules/tape/bin/tape test", "tape"),
        ("tape test | tap-spec", ""),
        ("node --test", "node"),
        ("node --import tsx --test test/*.ts", "node"),
        ("tsx --test", "node"),
        ("NODE_OPTIONS=--no-warnings node --test", ""),
        ("jest || true", ""),
        ("jest; exit 0", ""),
        ("jest | tee log", ""),
        ("jest && eslint .", ""),
        ("vitest --watch", ""),
        ("vitest bench", ""),
        ("jest --listTests", ""),
        ("jest-codemods", ""),
        ("mocha-parallel-tests", ""),
        ("node test.js", ""),
        ("echo 'jest", ""),
        ("jest $(cat files)", ""),
        ("", ""),
    ],
)
def test_the_runner_at_the_end_of_a_script(script: str, runner: str) -> None:
    assert runner_of(script) == runner


def verifiers(site: MakeSite, files: Mapping[str, object], *policy: str) -> tuple[Verifier, ...]:
    texts = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in files.items()
    }
    return choose(policy, DirectoryTree(site(texts).spec.workspace)).verifiers


def scripts(**lines: str) -> dict[str, object]:
    return {"scripts": lines}


def test_a_script_that_only_calls_another_is_followed(checkout: MakeSite) -> None:
    called = scripts(test="npm run unit", unit="jest")
    (found,) = verifiers(checkout, {"package.json": called})
    assert found == Jest("", "npm run unit", "npm", "unit", "jest")
    with_hook = scripts(test="npm run unit", unit="jest", pretest="make")
    by_itself = Jest("", "jest", text="jest", before="make")
    assert verifiers(checkout, {"package.json": with_hook}) == (by_itself, Npm())
    around = scripts(test="npm run test")
    assert verifiers(checkout, {"package.json": around}) == (Npm(),)


def test_the_nearest_lock_file_says_who_calls(checkout: MakeSite) -> None:
    files = {
        "yarn.lock": "",
        "a/package.json": scripts(test="jest"),
        "b/package.json": scripts(test="jest"),
        "b/pnpm-lock.yaml": "",
    }
    found = verifiers(checkout, files)
    assert [(each.folder, each.line) for each in found] == [("a", "yarn test"), ("b", "pnpm test")]


def test_a_root_that_hands_on_to_its_packages_runs_nothing_itself(checkout: MakeSite) -> None:
    root = scripts(test="npm test --workspaces")
    files = {
        "package.json": root,
        "packages/a/package.json": scripts(test="jest"),
    }
    assert [each.folder for each in verifiers(checkout, files)] == ["packages/a"]
    assert verifiers(checkout, {"package.json": root}) == (Npm(),)


NO_TESTS = {
    "empty": "",
    "no object": "[]",
    "truncated": "{",
    "no scripts": '{"scripts": []}',
    "no text": '{"scripts": {"test": 1}}',
    "deep": "[" * 100_000,
    "bytes": "\x00\xff",
    "as npm made it": json.dumps(scripts(test='echo "Error: no test specified" && exit 1')),
}


@pytest.mark.parametrize("text", NO_TESTS.values(), ids=NO_TESTS)
def test_what_says_nothing_of_tests_gets_no_verifier(checkout: MakeSite, text: str) -> None:
    assert verifiers(checkout, {"package.json": text}) == ()


def test_a_line_of_the_policy_that_is_the_repositorys_own_is_read(checkout: MakeSite) -> None:
    files = {"package.json": scripts(test="jest")}
    (found,) = verifiers(checkout, files, "npm test")
    assert (found.name, found.line) == ("jest", "npm test")
    (by_name,) = verifiers(checkout, {}, "jest:web")
    assert (by_name.folder, by_name.line) == ("web", "jest")


@pytest.mark.parametrize(
    ("scripts", "expected"),
    [
        (
            {"test": "xo && ava test/*.js 'a && b' && tsd"},
            [("ava", "ava test/*.js 'a && b'"), ("npm", "npm test")],
        ),
        ({"test": "jest && eslint ."}, [("jest", "jest"), ("npm", "npm test")]),
        ({"test": "tap", "posttest": "eslint ."}, [("npm", "npm test"), ("tap", "tap")]),
        ({"test": "xo && ava"}, [("ava", "npm test")]),
        (
            {"test": "node --test && npm run types", "types": "tsc"},
            [("node", "node --test"), ("npm", "npm test")],
        ),
        (
            {"test": "jest && xo && npm run e2e", "e2e": "vitest run"},
            [("jest", "jest"), ("npm", "npm test"), ("vitest", "vitest run")],
        ),
        (
            {
                "test": "npm run lint && npm run test:unit && npm run test:typescript",
                "lint": "standard",
                "test:unit": "tap",
                "test:typescript": "tsd",
            },
            [("npm", "npm test"), ("tap", "tap")],
        ),
        (
            {"pretest": "npm run lint", "lint": "eslint .", "test": "npm run a", "a": "nyc tape t"},
            [("npm", "npm test"), ("tape", "nyc tape t")],
        ),
        # What prints the protocol into one of its formatters.
        (
            {"test": "npm run lint && node test/test.js | faucet", "lint": "standard *.js"},
            [("npm", "npm test"), ("tape", "node test/test.js")],
        ),
        ({"test": "tape 't/*.js' | tap-spec"}, [("npm", "npm test"), ("tape", "tape 't/*.js'")]),
        ({"test": "node test.js | grep faucet"}, [("npm", "npm test")]),
        ({"test": "npm run a && npm run a", "a": "npm run test"}, [("npm", "npm test")]),
        ({"test": "jest || true; xo"}, [("npm", "npm test")]),
        ({"test": "echo $(id) && ava && xo"}, [("npm", "npm test")]),
    ],
)
def test_a_runner_that_is_not_the_last_command_is_also_called_by_itself(
    checkout: MakeSite, scripts: Mapping[str, str], expected: list[tuple[str, str]]
) -> None:
    found = verifiers(checkout, {"package.json": {"scripts": scripts}})
    assert sorted((each.name, each.line) for each in found) == expected


def test_what_a_runner_needs_before_it_also_runs_before_it_alone(checkout: MakeSite) -> None:
    called = scripts(
        pretest="npm run build", build="tsc -p .", test="mocha a && npm run end && xo", end="ava b"
    )
    found = verifiers(checkout, {"package.json": called})
    before = {each.name: getattr(each, "before", "") for each in found}
    assert before == {"mocha": "tsc -p .", "ava": "tsc -p .", "npm": ""}


def test_the_last_command_keeps_its_quotes() -> None:
    assert last_as_written("""tsc && mocha 'test/**/*.js' --grep "a && b" """) == (
        """mocha 'test/**/*.js' --grep "a && b\""""
    )
    assert last_as_written("tsc && mocha | tee log") == ""
