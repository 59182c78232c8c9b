"""`/honk setup`: a pull request with a policy file for the repository."""

from __future__ import annotations

import pytest

from app.domain.policy import parse
from app.playground.model import ScriptedTurn
from tests.stories.test_recipes import PYPROJECT
from tests.stories.test_set_up import where_packages_are
from tests.support.harness import PROJECT, open_harness

pytestmark = pytest.mark.asyncio(loop_scope="session")

FILES = {**PROJECT, "pyproject.toml": PYPROJECT, "calc.py": b"import six\n" + PROJECT["calc.py"]}


@pytest.mark.slow
async def test_setup_opens_a_pull_request_with_a_policy_file_that_works() -> None:
    networks = await where_packages_are()
    async with open_harness(
        HONK_EGRESS_NETWORKS=networks, HONK_SETUP_NETWORK="registries"
    ) as harness:
        subject = await harness.subject(files=FILES)
        await subject.comment("/honk setup")
        await subject.settled()
        assert subject.pull.title == "Add .github/honk.yml with this repository's setup"
        assert f"Requested in #{subject.number}" in (subject.pull.body or "")
        assert "No model was involved" in (subject.pull.body or "")
        assert not harness.model.requests
        assert subject.pull.pull is not None
        head = subject.pull.pull.head_sha
        changed = await subject.git("diff", "--name-only", f"main...{head}")
        assert changed.split() == [".github/honk.yml"]
        policy = parse(await subject.git("show", f"{head}:.github/honk.yml"))
        assert policy.setup is not None
        assert any(".[test]" in line for line in policy.setup), policy.setup
        assert policy.network.allow == ("python",)
        assert all(line.replace("'", "") for line in policy.setup)
        assert ".[test]" in (subject.pull.body or "")
        assert "| collected |" in (subject.pull.body or "")


@pytest.mark.slow
async def test_setup_says_what_it_would_use_where_there_is_a_policy_file() -> None:
    networks = await where_packages_are()
    files = {**FILES, ".github/honk.yml": b"setup: ['true']\n"}
    async with open_harness(
        HONK_EGRESS_NETWORKS=networks, HONK_SETUP_NETWORK="registries"
    ) as harness:
        subject = await harness.subject(files=files)
        await subject.comment("/honk setup")
        await subject.settled()
        assert not subject.pulls
        assert any(".[test]" in each.body and "already" in each.body for each in subject.ours)


@pytest.mark.slow
async def test_setup_asks_a_model_for_names_where_no_test_runs() -> None:
    """The tests need a variable that no file names in a way that Honk reads."""
    wants = b"import os\n\nif os.environ.get('APP_ENV') != 'tests':\n    raise SystemExit(3)\n"
    outside = {"choices": [{"ecosystem": "python", "environment": {"PIP_INDEX_URL": "x"}}]}
    right = {"choices": [{"ecosystem": "python", "environment": {"APP_ENV": "tests"}}]}
    answers = iter([{"choose_setup": outside}, {"choose_setup": right}])
    networks = await where_packages_are()
    async with open_harness(
        HONK_EGRESS_NETWORKS=networks, HONK_SETUP_NETWORK="registries"
    ) as harness:
        harness.model.default = lambda _: ScriptedTurn.model_validate({"use": [next(answers)]})
        subject = await harness.subject(files={**FILES, "conftest.py": wants})
        await subject.comment("/honk setup")
        await subject.settled()
        first, second = [request["messages"] for request in harness.model.requests]
        assert "No test ran." in str(first)
        assert "PIP_INDEX_URL" in str(second)
        body = subject.pull.body or ""
        assert "a model chose these names" in body
        assert "`APP_ENV=tests`" in body
        assert "No model was involved" not in body
        assert subject.pull.pull is not None
        policy = parse(await subject.git("show", f"{subject.pull.pull.head_sha}:.github/honk.yml"))
        assert policy.environment == {"APP_ENV": "tests"}
        assert subject.check.conclusion == "success"
