"""Honk's dependencies are locked, and the audit never treats a missing answer as a pass."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.supply.audit import LOCKS, Requirement, ask, judged, requirements

_ROOT = Path(__file__).parents[2]
_WANTED = [Requirement("one", "1", "", ()), Requirement("two", "2", "", ())]


_ENGINE, _TESTED = "requirements-claude-code.lock", "requirements-dev.lock"


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_one_version_with_hashes_and_no_address(name: str) -> None:
    text = (_ROOT / name).read_text("utf-8")
    found = requirements(text)
    assert len(found) > 30
    assert len({(each.name, each.rest) for each in found}) == len(found)
    for each in found:
        assert each.hashes, each.name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in each.hashes), each.name
    assert "://" not in text
    assert not re.search(r"^\s*(-i|-e|-f|--index|--extra|--find|--trusted)", text, re.M)


@pytest.mark.parametrize("name", LOCKS[:3])
def test_what_runs_is_what_the_tests_ran_with(name: str) -> None:
    run, tested = (
        {(each.name, each.rest): each for each in requirements((_ROOT / one).read_text("utf-8"))}
        for one in (name, _TESTED)
    )
    versions = {(each.name, each.version) for each in tested.values()}
    assert {(each.name, each.version) for each in run.values()} <= versions


def test_what_an_engine_adds_changes_nothing_else() -> None:
    """Its lock is installed over the development one, for the tests."""
    engine, tested = (
        {each.name: each.version for each in requirements((_ROOT / name).read_text("utf-8"))}
        for name in (_ENGINE, _TESTED)
    )
    assert "claude-agent-sdk" in engine
    assert {name: engine[name] for name in engine.keys() & tested} == {
        name: tested[name] for name in engine.keys() & tested
    }


def test_every_dependency_that_is_named_is_locked() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    locked = {
        each.name
        for name in (_ENGINE, _TESTED)
        for each in requirements((_ROOT / name).read_text("utf-8"))
    }
    named = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    names = {re.split(r"[\[<>=~!; ]", each)[0].lower() for each in named}
    assert names <= locked


def test_production_installs_nothing_that_only_the_playground_needs() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    only = {
        re.split(r"[<>=~!; ]", each)[0] for each in project["optional-dependencies"]["playground"]
    }
    production, playground = (
        {each.name for each in requirements((_ROOT / name).read_text("utf-8"))}
        for name in LOCKS[:2]
    )
    assert only <= playground
    assert not only & production


def test_nothing_tells_people_to_install_the_other_honk() -> None:
    """`honk` on the package index is another project."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert (project["name"], list(project["scripts"])) == ("honk-app", ["honk"])
    texts = [*_ROOT.glob("*.md"), *_ROOT.glob("docs/*.md"), *_ROOT.glob("app/**/*.py")]
    for path in texts:
        text = path.read_text("utf-8")
        assert not re.search(r"(?:pip|uv|pipx) [^`\n]*install [^`\n]*['\" ]honk\b(?!-app)", text), (
            path
        )


def test_the_tests_of_github_are_locked_too() -> None:
    lock = (_ROOT / "tests/contract/package-lock.json").read_text("utf-8")
    assert lock.count('"integrity": "sha512-') == lock.count('"node_modules/')


@pytest.mark.parametrize(
    "line",
    ["one>=1 --hash=sha256:0", "one", "-e .", "one @ https://x/y.whl", "one==1 --index-url x"],
)
def test_whatever_else_stands_in_a_lock_file_is_noticed(line: str) -> None:
    with pytest.raises(ValueError, match="no locked requirement"):
        requirements(line)


def _told(*vulns: list[dict[str, Any]]) -> Any:
    entries = zip(_WANTED, vulns, strict=False)
    return {
        "dependencies": [
            {"name": each.name, "version": each.version, "vulns": found} for each, found in entries
        ]
    }


def test_the_audit_is_clean_only_when_all_was_looked_up() -> None:
    assert judged(_WANTED, _told([], []))[1] == 0
    silences: list[Any] = [None, [], {}, {"dependencies": []}, _told([])]
    for silence in silences:
        lines, code = judged(_WANTED, silence)
        assert code == 2
        assert "NOT AUDITED" in lines[0]
    skipped = {"dependencies": [{"name": each.name, "skip_reason": "no"} for each in _WANTED]}
    assert judged(_WANTED, skipped)[1] == 2


_DATABASE = """
import http.server, json, sys

class Database(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        known = asked["package"]["name"] == "one" and asked["version"] == "1"
        vuln = {"id": "GHSA-1", "modified": "2026-01-01T00:00:00Z", "affected": []}
        body = json.dumps({"vulns": [vuln]} if known else {}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Database)
print(server.server_port, flush=True)
server.serve_forever()
"""


def test_pip_audit_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    with subprocess.Popen([sys.executable, "-c", _DATABASE], stdout=subprocess.PIPE) as database:
        assert database.stdout is not None
        port = database.stdout.readline().decode().strip()
        monkeypatch.setenv("PIP_AUDIT_OSV_URL", f"http://127.0.0.1:{port}/v1/query")
        for version, code in (("1", 1), ("2", 0)):
            hashed = f" --hash=sha256:{'0' * 64}\n"
            lock.write_text(f"one=={version}{hashed}two==2{hashed}")
            assert judged(requirements(lock.read_text()), ask(lock))[1] == code
        database.terminate()
    assert judged(requirements(lock.read_text()), ask(lock))[1] == 2


def test_the_audit_names_what_is_vulnerable() -> None:
    known = {"id": "GHSA-1", "fix_versions": ["2"], "aliases": [], "description": ""}
    lines, code = judged(_WANTED, _told([known]))
    assert code == 1
    assert lines[0] == "one 1: GHSA-1 (fixed in 2)"
