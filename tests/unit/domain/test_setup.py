"""Which files determine a setup."""

from __future__ import annotations

import pytest

from app.domain.setup import dependency_files, key, only_installs

FETCHES = [
    *("pip install -e .", "pip install -e .[test]", "pip install 'a>=1' b[c]==2.0"),
    *("python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt", "npm ci"),
    *("npm install --no-audit; go mod download", "cargo fetch --locked", "yarn install"),
    "mvn -B -q dependency:go-offline",
]
BUILDS = [
    *("pip install .", "pip install .[test]", "pip install ./lib", "pip install --no-deps ."),
    *("pip install git+https://a.test/b", "npm ci && npm run build", "make", "./setup.sh"),
    *("pip install -r requirements.txt; touch a", "pip install $(cat a)", "npm run build", "'"),
    *("cargo build", "go build ./...", "pip install -r a | tee log", "mvn install"),
]


@pytest.mark.parametrize("line", FETCHES)
def test_what_only_fetches(line: str) -> None:
    assert only_installs([line], ["a.py"])


@pytest.mark.parametrize("line", BUILDS)
def test_what_builds(line: str) -> None:
    assert not only_installs([line], ["a.py"])


def test_what_builds_by_the_way() -> None:
    assert not only_installs(["pip install -e ."], ["fast.pyx"])
    assert not only_installs(["npm ci"], [], '{"scripts": {"prepare": "tsc"}}')


def test_which_files_count() -> None:
    files = dict.fromkeys(
        ("go.mod", "web/package.json", "a.py", "scripts/setup.sh", "requirements-dev.txt"), "1"
    )
    found = dependency_files(files, ["bash ./scripts/setup.sh"])
    assert set(found) == set(files) - {"a.py"}
    assert key([found]) != key([{**found, "go.mod": "2"}])
