"""First contact: a repository that nobody prepared is set up by what its own files say."""

from __future__ import annotations

import pytest

from tests.stories.test_set_up import where_packages_are
from tests.support.harness import FINISH, FIX, PROJECT, open_harness, script

pytestmark = pytest.mark.asyncio(loop_scope="session")

PYPROJECT = b"""
[project]
name = "calc"
version = "1.0"
dependencies = ["six"]

[project.optional-dependencies]
test = ["pytest"]

[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[tool.setuptools]
py-modules = ["calc"]
"""


async def test_a_python_project_without_a_policy_gets_a_proven_fix() -> None:
    networks = await where_packages_are()
    files = {**PROJECT, "pyproject.toml": PYPROJECT}
    files["calc.py"] = b"import six\n" + files["calc.py"]
    async with open_harness(
        HONK_EGRESS_NETWORKS=networks, HONK_SETUP_NETWORK="registries"
    ) as harness:
        subject = await harness.subject(files=files, plays=script([FIX, {"verify": {}}], FINISH))
        await subject.label()
        await subject.settled()
        assert subject.check.conclusion == "success", subject.status
        assert subject.check.title == "Proven: 1 test fails without this change"
        assert "**Setup:** " in subject.status
        assert "2 tests collected." in subject.status
        assert "setup from pyproject.toml" in subject.status
        assert "```yaml" in subject.status, "the setup is offered as a policy file"
