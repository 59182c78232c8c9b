"""The cells of an attestation run again: real git, a real test runner, no GitHub."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app import messages
from app.domain import attestation
from app.domain.attestation import (
    PAYLOAD_TYPE,
    Attestation,
    CellRecord,
    CommandRecord,
    HowToRun,
    Surroundings,
    TestTable,
    VerifiedCommit,
)
from app.domain.dsse import Envelope
from app.domain.evidence import Cell
from app.domain.reproduction import Reproduction
from app.domain.values import CommitSha, TreeSha
from app.domain.verdict import VerdictKind
from app.errors import UserError
from app.git.mirror import Mirrors
from app.github.client import GitHubApp
from app.runs import reproduce
from app.runs.services import Services
from app.store.database import Database
from tests.support import runs
from tests.support.command_line import run_honk
from tests.support.evidence import attested
from tests.support.keys import signing_key
from tests.support.workspaces import Origin, run_git

BEFORE = "def add(a, b):\n    return a - b\n\n\ndef double(a):\n    return a * 2\n"
TESTS = "from calc import double\n\n\ndef test_double():\n    assert double(4) == 8\n"
ADDED = "\n\ndef test_add():\n    from calc import add\n\n    assert add(2, 3) == 5\n"
PYTEST = "python -m pytest"


@dataclass
class Scene:
    """A repository with a fix and its test, and what an honest Honk says of it."""

    origin: Origin
    services: Services
    attested: Attestation

    async def again(self, attested: Attestation | None = None) -> Reproduction:
        there = reproduce.local(self.origin.clone)
        return await reproduce.reproduce(self.services, attested or self.attested, there)


@pytest.fixture(name="scene")
async def _scene(tmp_path: Path) -> AsyncIterator[Scene]:
    origin = Origin(tmp_path / "origin")
    origin.write("calc.py", BEFORE)
    origin.write("test_calc.py", TESTS)
    base = origin.commit()
    origin.write("calc.py", BEFORE.replace("a - b", "a + b"))
    origin.write("test_calc.py", TESTS + ADDED)
    head = origin.commit()
    database = Database(f"sqlite:///{tmp_path / 'honk.db'}")
    database.migrate()
    github = GitHubApp("1", SecretStr(""), "https://gh.example/api/v3", "https://gh.example")
    mirrors = Mirrors(tmp_path / "mirrors")
    with runs.services(database, tmp_path, github, mirrors) as services:
        yield Scene(origin, services, await _attested(services, origin, base, head))
    await github.close()
    database.close()


async def _attested(
    services: Services, origin: Origin, base: CommitSha, head: CommitSha
) -> Attestation:
    """What this machine measures, in the form of another Honk's statement."""
    given = attested()
    repo, mirrors = given.commit.repo, services.mirrors
    for sha in (base, head):
        await mirrors.fetch(repo, origin.remote, sha)
    letters = {"test_calc.py::test_double": "PPPP", "test_calc.py::test_add": ".F.P"}
    command = CommandRecord(verifier="pytest", command=PYTEST, exit_code=0)
    table = TestTable(verifier="pytest", command=PYTEST, kind="tests", tests=(*letters.items(),))
    only = {Cell.PROOF: ("test_calc.py",), Cell.GUARD: ("test_calc.py",)}
    return given.model_copy(
        update={
            "commit": VerifiedCommit(
                server="https://gh.example",
                repository="o/r",
                repository_id=7,
                base=base,
                base_tree=await mirrors.tree_of(repo, base),
                head=head,
                head_tree=await mirrors.tree_of(repo, head),
            ),
            "cells": tuple(
                CellRecord(cell=cell, only=only.get(cell, ()), commands=(command,), digest="0")
                for cell in Cell
            ),
            "tests": (table,),
            "evidence": {},
            "how_to_run": HowToRun(),
            "surroundings": Surroundings(honk="0.0.9", sandbox="bubblewrap", held_by="main"),
        }
    )


def _with_cell(attested: Attestation, cell: Cell, **more: Any) -> Attestation:
    changed = (
        each.model_copy(update=more) if each.cell is cell else each for each in attested.cells
    )
    return attested.model_copy(update={"cells": tuple(changed)})


async def test_an_honest_attestation_comes_out_the_same(scene: Scene) -> None:
    found = await scene.again()
    assert [each.answer for each in found.cells] == ["same"] * 4, found
    assert [each.compared for each in found.cells] == [2] * 4
    assert (found.answer, found.same_verdict) == ("same", True)
    text = messages.reproduction.compared(found)
    assert "Verdict here: Proven: 1 test fails without this change" in text
    assert "Honk 0.0.9 made the attestation" in text
    assert text.endswith("The results are the same.")


async def test_a_claim_that_does_not_hold_is_found(scene: Scene) -> None:
    """A lying Honk signs with a valid key; only running the cells again reveals it."""
    (table,) = scene.attested.tests
    lie = tuple((name, "PPPP") for name, _ in table.tests)
    tables = (table.model_copy(update={"tests": lie}),)
    forged = scene.attested.model_copy(update={"tests": tables})
    found = await scene.again(forged)
    assert [each.answer for each in found.cells] == ["different", "different", "different", "same"]
    (proof,) = found.cells[1].differences
    assert (proof.id, proof.then, proof.now) == ("test_calc.py::test_add", "P", "F")
    assert found.answer == "different"
    text = messages.reproduction.compared(found)
    assert "test_calc.py::test_add: passed then, failed here" in text


async def test_another_verdict_on_the_same_results_is_found(scene: Scene) -> None:
    verdict = scene.attested.verdict.model_copy(update={"kind": VerdictKind.UNCHANGED})
    found = await scene.again(scene.attested.model_copy(update={"verdict": verdict}))
    assert {each.answer for each in found.cells} == {"same"}
    assert found.answer == "different"


async def test_a_clone_of_another_repository_is_no_origin(scene: Scene, tmp_path: Path) -> None:
    other = Origin(tmp_path / "other")
    other.write("calc.py", "")
    other.commit()
    with pytest.raises(UserError, match="does not have the commit"):
        await reproduce.reproduce(
            replace(scene.services, mirrors=Mirrors(tmp_path / "fresh")),
            scene.attested,
            reproduce.local(other.clone),
        )
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            await reproduce.reproduce(
                replace(scene.services, mirrors=Mirrors(tmp_path / "fresh")),
                scene.attested,
                reproduce.local(path),
            )


async def test_a_tree_that_comes_out_differently_is_not_compared(scene: Scene) -> None:
    other = _with_cell(scene.attested, Cell.PROOF, tree=TreeSha("9" * 40))
    found = await scene.again(other)
    assert found.cells[1].answer == "unchecked"
    assert "composes another tree" in found.cells[1].why
    assert (found.answer, found.verdict_now) == ("unchecked", "")


async def test_what_was_not_run_then_is_not_compared(scene: Scene) -> None:
    less = _with_cell(scene.attested, Cell.GUARD, digest="", why_not="Time ran out.")
    found = await scene.again(less)
    assert found.cells[2].why == "It was not run then: Time ran out."
    assert [each.answer for each in found.cells] == ["same", "same", "unchecked", "same"]


async def test_other_cells_than_then_are_not_compared(scene: Scene) -> None:
    found = await scene.again(_with_cell(scene.attested, Cell.PROOF, same_as=Cell.BASE))
    assert "runs other cells" in found.cells[1].why


async def test_a_setup_that_fails_here_is_no_difference(scene: Scene) -> None:
    how = HowToRun(setup=("echo no network; false",))
    found = await scene.again(scene.attested.model_copy(update={"how_to_run": how}))
    assert {each.answer for each in found.cells} == {"unchecked"}
    assert found.cells[0].why == "The base commit could not be verified."
    assert "Setup failed here: echo no network; false" in found.cells[3].why
    assert found.answer == "unchecked"


@pytest.mark.slow
async def test_a_runner_that_is_not_found_here_is_named(scene: Scene) -> None:
    command = CommandRecord(verifier="rspec", command="bundle exec rspec")
    found = await scene.again(_with_cell(scene.attested, Cell.HEAD, commands=(command,)))
    assert "`bundle exec rspec` ran then" in found.cells[3].why


def _honk(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    settings = {"HONK_HOME": str(home), "HONK_SANDBOX": "none", "HONK_ALLOW_UNSANDBOXED": "yes"}
    return run_honk("verify", *arguments, settings=settings)


@pytest.mark.slow
async def test_the_terminal_says_whether_the_same_comes_out(scene: Scene, tmp_path: Path) -> None:
    key, home = signing_key(1), tmp_path / "home"
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [key.public.as_jwk()]}))
    payload = attestation.payload(scene.attested)
    signature = (key.public.key_id, key.sign(PAYLOAD_TYPE, payload))
    file = tmp_path / "a.intoto.json"
    file.write_bytes(Envelope(PAYLOAD_TYPE, payload, (signature,)).as_json())
    clone = ("--repository", str(scene.origin.clone), "--keys", str(keys))

    good = await asyncio.to_thread(_honk, str(file), *clone, home=home)
    assert good.returncode == 0, good.stderr
    assert good.stdout.endswith("The results are the same.\n")
    # What it made for that is gone.
    assert not list((home / "scratch").iterdir())

    only = await asyncio.to_thread(
        _honk, str(file), "--keys", str(keys), "--signature-only", "--json", home=home
    )
    assert only.returncode == 0
    assert json.loads(only.stdout)["key"] == key.public.key_id

    lost = await asyncio.to_thread(_honk, str(file), "--keys", str(keys), home=home)
    assert (lost.returncode, "--repository PATH" in lost.stderr) == (2, True)

    unknown = await asyncio.to_thread(_honk, str(file), *clone[:2], home=home)
    assert (unknown.returncode, "not trusted" in unknown.stderr) == (2, True)

    file.write_bytes(file.read_bytes()[:-100])
    cut = await asyncio.to_thread(_honk, str(file), *clone, home=home)
    assert (cut.returncode, "not an attestation" in cut.stderr) == (2, True)
    assert "Traceback" not in good.stderr + lost.stderr + unknown.stderr + cut.stderr


async def test_files_from_elsewhere_need_github(scene: Scene) -> None:
    origin = scene.origin
    run_git(origin.clone, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    (origin.clone / ".gitmodules").write_text(
        '[submodule "sub"]\n\tpath = sub\n\turl = https://gh.example/o/sub\n'
    )
    run_git(origin.clone, "add", ".gitmodules")
    run_git(origin.clone, "commit", "-q", "-m", "A submodule")
    head = CommitSha(run_git(origin.clone, "rev-parse", "HEAD"))
    tree = TreeSha(run_git(origin.clone, "rev-parse", "HEAD^{tree}"))
    commit = scene.attested.commit.model_copy(update={"head": head, "head_tree": tree})
    with pytest.raises(UserError, match="come from GitHub"):
        await scene.again(scene.attested.model_copy(update={"commit": commit}))
