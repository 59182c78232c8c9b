"""Which workflow run counts for a commit: only one that no one else could have created for it."""

from __future__ import annotations

import pytest

from app.domain import ci
from app.domain.ci import CiRun, Wanted, WorkflowRun, select
from app.domain.values import CommitSha

_REPO, _FORK, _OTHER_FORK = 1, 2, 3
_PATH = ".github/workflows/ci.yml"
_SHA, _OTHER = CommitSha("a" * 40), CommitSha("b" * 40)
_BASE = Wanted(repository_id=_REPO, workflow=_PATH, sha=_SHA)
_HEAD = _BASE.model_copy(update={"is_head": True})
_FORKS_HEAD = _HEAD.model_copy(update={"fork_id": _FORK})


def _run(**fields: object) -> WorkflowRun:
    given: dict[str, object] = {
        "id": 7,
        "attempt": 1,
        "path": _PATH,
        "event": "push",
        "status": "completed",
        "conclusion": "success",
        "head_sha": _SHA,
        "repository_id": _REPO,
        "head_repository_id": _REPO,
        "url": "https://github.example/runs/7",
    }
    return WorkflowRun.model_validate({**given, **fields})


def test_the_plain_case_and_what_is_recorded() -> None:
    run = _run(attempt=3)
    assert select([run], _BASE) == select([run], _HEAD) == run
    assert ci.ci_run(run, _HEAD) == CiRun(
        workflow=_PATH, id=7, attempt=3, event="push", url="https://github.example/runs/7"
    )


@pytest.mark.parametrize(
    "other",
    [
        {"head_sha": _OTHER},
        {"repository_id": _FORK},
        {"head_repository_id": _FORK},
        {"head_repository_id": None},
        {"path": ".github/workflows/other.yml"},
        {"path": "evil/.github/workflows/ci.yml"},
        {"path": f"octo/evil/{_PATH}@main"},
        {"event": "pull_request"},
        {"event": "pull_request_target"},
        {"event": "workflow_run"},
        {"event": "issue_comment"},
        {"event": "repository_dispatch"},
        {"event": "dynamic"},
    ],
)
def test_what_counts_for_no_base(other: dict[str, object]) -> None:
    assert select([_run(**other)], _BASE) is None


def test_a_path_may_end_in_a_ref() -> None:
    assert select([_run(path=f"{_PATH}@refs/heads/main")], _BASE) is not None


def test_a_pull_requests_run_counts_for_its_head_only_and_says_that_it_was_merged() -> None:
    run = _run(event="pull_request")
    assert select([run], _BASE) is None
    assert select([run], _HEAD) == run
    assert ci.ci_run(run, _HEAD).merged
    # What tests the commit itself is better, and so is the newer of two.
    push = _run(id=5)
    assert select([run, push], _HEAD) == push
    assert select([push, _run(id=6), run], _HEAD) == _run(id=6)


def test_a_forks_run_counts_for_that_forks_own_head_only() -> None:
    run = _run(event="pull_request", head_repository_id=_FORK)
    assert select([run], _BASE) is None
    assert select([run], _HEAD) is None
    assert select([run], _FORKS_HEAD) == run
    assert ci.ci_run(run, _FORKS_HEAD).fork
    # Another fork may have the same commit, and its own workflow run on it.
    assert select([_run(event="pull_request", head_repository_id=_OTHER_FORK)], _FORKS_HEAD) is None
    assert select([_run(event="push", head_repository_id=_FORK)], _FORKS_HEAD) is None
    # The base may be a commit that the fork has as well.
    assert select([run], _FORKS_HEAD.model_copy(update={"is_head": False})) is None


@pytest.mark.parametrize(
    ("status", "conclusion", "state"),
    [
        ("completed", "success", "done"),
        ("completed", "failure", "done"),
        ("completed", "action_required", "approval"),
        ("action_required", "", "approval"),
        ("queued", "", "waiting"),
        ("in_progress", "", "waiting"),
        ("waiting", "", "approval"),
        ("something new", "", "waiting"),
    ],
)
def test_states(status: str, conclusion: str, state: str) -> None:
    assert _run(status=status, conclusion=conclusion).state == state


def test_temporary_branches_name_their_run() -> None:
    branch = ci.temporary_branch("abcdefgh23", "proof")
    assert branch == "honk/tmp-abcdefgh23-proof"
    assert ci.run_of_temporary_branch(branch) == "abcdefgh23"
    for other in ("honk/tmp-fix", "honk/7-tmp-abcdefgh23-proof", f"{branch}/x", "main"):
        assert ci.run_of_temporary_branch(other) == ""
    started = _run(event="workflow_dispatch", branch=branch)
    assert ci.ci_run(started, _BASE).started
    assert not ci.ci_run(_run(branch=branch, head_repository_id=_FORK), _BASE).started


def test_what_defines_the_tests() -> None:
    text = """
jobs:
  test:
    steps:
      - uses: actions/checkout@v4
      - uses: ./tools/setup/
      - uses: "./ci/run"  # builds
  more: {uses: ./not-found-in-flow-style}
  other:
    uses: ./.github/workflows/shared.yml
"""
    uses = ci.used_files(text)
    assert uses == ("tools/setup", "ci/run", ".github/workflows/shared.yml")
    assert ci.defining(["src/a.py", _PATH], _PATH, uses) == _PATH
    assert ci.defining(["tools/setup/action.yml"], _PATH, uses) == "tools/setup/action.yml"
    assert ci.defining([".github/workflows/shared.yml"], _PATH, uses)
    assert ci.defining([".github/actions/x/action.yml"], _PATH, ()) != ""
    assert ci.defining(["tools/setup2/a", ".github/workflows/docs.yml"], _PATH, uses) == ""
