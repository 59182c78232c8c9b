"""A verdict from the repository's own CI: its runs for the base and the head, and two more."""

from __future__ import annotations

import io
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

import pytest

from app.playground.github import OtherCi
from app.playground.github.records import SimulatedWorkflowRun
from tests.support.harness import PROJECT, Harness, Subject

pytestmark = pytest.mark.asyncio(loop_scope="session")

WORKFLOW = b"on: [push, pull_request, workflow_dispatch]\njobs: {}\n"
POLICY = b'verify: {workflow: ci.yml, junit: ["reports/*.xml"]}\n'
FILES = {**PROJECT, ".github/honk.yml": POLICY, ".github/workflows/ci.yml": WORKFLOW}
FIXED = b"def add(a, b):\n    return a + b\n\n\ndef double(a):\n    return a * 2\n"
TESTS = (
    b"from calc import add, double\n\n\ndef test_double():\n    assert double(4) == 8\n\n\n"
    b"def test_add():\n    assert add(2, 3) == 5\n\n\ndef test_zero():\n    assert add(0, 7) == 7\n"
)


class Shown(NamedTuple):
    """A check run as people see it."""

    title: str
    conclusion: str
    summary: str


BOTH = ("push", "workflow_dispatch")


def works(
    harness: Harness, repository: str
) -> Callable[[SimulatedWorkflowRun], tuple[str, dict[str, bytes]]]:
    """A job that runs the tests of exactly the run's commit and uploads a report."""

    def work(run: SimulatedWorkflowRun) -> tuple[str, dict[str, bytes]]:
        git = harness.github.repository(repository).git.path
        cases = "".join(
            f"<testcase classname='test_calc' name={quoteattr(name)}>"
            f"{f'<failure message={quoteattr(why)}/>' if why else ''}</testcase>"
            for name, why in _outcomes(str(git), run.suite.head_sha).items()
        )
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            archive.writestr("junit.xml", f"<testsuite>{cases}</testsuite>")
        return "failure" if "<failure" in cases else "success", {"reports": made.getvalue()}

    return work


def _outcomes(git: str, sha: str) -> dict[str, str]:
    """Each test of the commit, with why it fails."""

    def file(name: str) -> str:
        shown = ["git", "-C", git, "show", f"{sha}:{name}"]
        return subprocess.run(shown, check=True, capture_output=True, text=True).stdout

    names: dict[str, object] = {}
    exec(file("calc.py"), names)  # noqa: S102 - this file's own code
    exec(file("test_calc.py").replace("from calc import", "# "), names)  # noqa: S102
    found = {}
    for name, test in names.items():
        if name.startswith("test_") and callable(test):
            try:
                test()
                found[name] = ""
            except AssertionError:
                found[name] = "AssertionError"
    return found


async def project(harness: Harness, name: str, *, on: tuple[str, ...] = BOTH) -> Subject:
    """A repository whose CI has already tested the default branch."""
    subject = await harness.subject(name=name, files=FILES, permissions={"walter": "write"})
    ci = OtherCi(on=on, works=works(harness, subject.repository))
    harness.github.use_ci(subject.repository, ci)
    files = {"README.md": b"Adds numbers.\n"}
    await harness.github.push_files(subject.repository, "main", files, "walter", "Say what it does")
    return subject


async def proposed(
    harness: Harness, base: Subject, branch: str, files: dict[str, bytes], *, by: str = "walter"
) -> Subject:
    """A person's pull request, on which someone asks for the verdict."""
    await harness.github.push_files(base.repository, branch, files, by, "Add what is added")
    pull = await harness.github.open_pull_request(base.repository, by, branch, title="Add")
    subject = Subject(harness, base.repository, pull.number)
    await subject.comment("/honk test")
    return subject


def check_of(harness: Harness, subject: Subject) -> Shown:
    """The check on the pull request's head."""
    pull = subject.issue.pull
    assert pull is not None
    found = next(
        check
        for check in harness.github.check_runs(subject.repository, pull.head_sha)
        if check.name == "honk / tests"
    )
    return Shown(found.title or "", found.conclusion or "", found.summary or "")


@contextmanager
def may_start_workflows(harness: Harness) -> Iterator[None]:
    """Let the App start workflows; the stories share one installation."""
    granted = dict(harness.github.world.installations["olivia"].permissions or {})
    harness.github.grant("olivia", {**granted, "actions": "write"}, "olivia")
    try:
        yield
    finally:
        harness.github.grant("olivia", granted, "olivia")


async def test_four_cells_from_ci_prove_a_change(harness: Harness) -> None:
    base = await project(harness, "four-from-ci")
    with may_start_workflows(harness):
        files = {"calc.py": FIXED, "test_calc.py": TESTS}
        subject = await proposed(harness, base, "fix", files)
        await subject.settled()
    check = check_of(harness, subject)
    assert check.title == "Proven: 2 tests fail without this change", check.summary
    assert check.conclusion == "success"
    assert "started by Honk" in check.summary
    runs = harness.github.repository(subject.repository).workflow_runs.values()
    # main, the branch, and on temporary branches: each push starts a run, and so does Honk.
    started = [run for run in runs if run.branch.startswith("honk/tmp-")]
    assert {run.branch.rpartition("-")[2] for run in started} == {"proof", "guard"}
    assert f"[run {min(run.id for run in runs if run.branch == 'fix')}](" in check.summary
    heads = await harness.github.refs(subject.repository, "refs/heads")
    assert not [name for name in heads if "honk/tmp-" in name]


async def test_two_cells_from_ci_where_honk_may_not_start_it(harness: Harness) -> None:
    base = await project(harness, "two-from-ci")
    subject = await proposed(harness, base, "fix", {"calc.py": FIXED, "test_calc.py": TESTS})
    await subject.settled()
    check = check_of(harness, subject)
    assert "Proof not measured" in check.summary
    assert "actions: write" in check.summary
    # Its file was edited, so whether the old test still holds is not known either.
    assert check.title == "Please confirm: 1 old test was not run on new code"
    # A change that edits the workflow decides what its tests are.
    edited = {".github/workflows/ci.yml": WORKFLOW + b"# less\n", "calc.py": FIXED}
    other = await proposed(harness, base, "less", edited)
    await other.settled()
    check = check_of(harness, other)
    assert check.title == "Please confirm: the change also edits the test workflow"
    assert check.conclusion == "action_required"


@pytest.mark.slow
async def test_a_run_in_progress_is_waited_for_and_a_missing_one_is_named(
    harness: Harness,
) -> None:
    base = await project(harness, "waits-for-ci")
    ci = harness.github.repository(base.repository).ci
    assert ci is not None
    ci.conclusion = None
    subject = await proposed(harness, base, "fix", {"calc.py": FIXED})
    pull = subject.issue.pull
    assert pull is not None
    await harness.until(
        lambda: any(
            check.title == "Waiting for 1 workflow run"
            for check in harness.github.check_runs(subject.repository, pull.head_sha)
        ),
        "the check says what it waits for",
    )
    harness.github.finish_ci(subject.repository, pull.head_sha, "success")
    await subject.settled()
    assert check_of(harness, subject).title == "Proven: 1 test fails without this change"
    ci.workflow = "Build"
    renamed = await proposed(harness, base, "more", {"notes.md": b"x\n"})
    await renamed.settled()
    check = check_of(harness, renamed)
    assert check.title == "No result: the tests were not run"
    assert "was it renamed?" in check.summary
    assert "build.yml" in check.summary


async def test_a_forks_run_counts_for_its_own_head_alone(harness: Harness) -> None:
    base = await project(harness, "forks-ci", on=("push", "pull_request", "workflow_dispatch"))
    copy = await harness.github.fork(base.repository, "trudy")
    files = {"calc.py": FIXED, "test_calc.py": TESTS}
    await harness.github.push_files(copy.full_name, "better", files, "trudy", "Add")
    pull = await harness.github.open_pull_request(
        base.repository, "trudy", "trudy:better", title="Add"
    )
    subject = Subject(harness, base.repository, pull.number)
    with may_start_workflows(harness):
        await subject.comment("/honk test")
        await subject.settled()
    check = check_of(harness, subject)
    assert "with the fork's own workflow file" in check.summary
    assert "never runs in this repository's CI" in check.summary
    runs = harness.github.repository(subject.repository).workflow_runs.values()
    assert not [run for run in runs if run.branch.startswith("honk/tmp-")]
