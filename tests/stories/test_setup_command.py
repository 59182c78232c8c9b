"""`/honk setup`: a pull request with the policy file that fits the repository."""

from __future__ import annotations

import pytest

from app.domain.policy import parse
from tests.stories.test_recipes import PYPROJECT
from tests.stories.test_set_up import where_packages_are
from tests.support.harness import PROJECT, open_harness

pytestmark = pytest.mark.asyncio(loop_scope="session")

FILES = {**PROJECT, "pyproject.toml": PYPROJECT, "calc.py": b"import six\n" + PROJECT["calc.py"]}


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
        assert "No model was used" in (subject.pull.body or "")
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
