"""First contact: a repository without a policy is set up from its own files."""

from __future__ import annotations

import pytest

from tests.stories.test_set_up import where_packages_are
from tests.support.harness import FINISH, FIX, PROJECT, Harness, open_harness, script

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

WITH_EXTRA = PYPROJECT.replace(b'test = ["pytest"]', b'test = ["pytest"]\nunusual = ["idna"]')


@pytest.mark.slow
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


@pytest.mark.slow
async def test_the_agent_chooses_by_names_and_only_what_the_repository_names() -> None:
    """Without the extra, `import idna` fails: the choice serves the tests of the commit too."""
    networks = await where_packages_are()
    files = {**PROJECT, "pyproject.toml": WITH_EXTRA}
    files["test_calc.py"] += b"\n\ndef test_extra():\n    import idna\n"
    stranger = {"ecosystem": "python", "packages": ["left-pad-evil"]}
    choice = {"ecosystem": "python", "extras": ["unusual"]}
    async with open_harness(
        HONK_EGRESS_NETWORKS=networks, HONK_SETUP_NETWORK="registries"
    ) as harness:
        subject = await harness.subject(
            files=files,
            plays=script(
                {"setup": {"choices": [stranger]}},
                {"setup": {"choices": [choice]}},
                FIX,
                FINISH,
            ),
        )
        await subject.label()
        await subject.settled()
        assert "A person has to add it to a manifest" in subject.model_input
        assert "The setup works with these choices" in subject.model_input
        assert subject.check.conclusion == "success", subject.status
        assert "| Passing now | 3 |" in (subject.check.summary or "")


async def test_a_language_without_a_runner_is_named_with_the_line_to_add(harness: Harness) -> None:
    files = {"CMakeLists.txt": b"project(calc C)\n", "calc.c": b"int x;\n"}
    write = {"bash": {"command": "echo 'int y;' >> calc.c"}}
    subject = await harness.subject(files=files, plays=script(write, FINISH))
    await subject.label()
    await subject.settled()
    summary = subject.check.summary or ""
    assert "does not know how to run the tests of cpp" in summary, summary
    assert "CMakeLists.txt" in summary
    assert 'verify: ["make test"]' in summary
