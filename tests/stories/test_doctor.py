"""`/honk doctor`: a checklist of what works in a repository, and what to do where it does not."""

from __future__ import annotations

import pytest

from app.playground.github.records import OtherCi
from tests.support.harness import FINISH, FIX, OWNER, PROJECT, Harness, Subject, script

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _examined(subject: Subject) -> dict[str, list[str]]:
    """The lines of the answer, by what they are about."""
    await subject.comment("/honk doctor")
    await subject.harness.until(lambda: bool(_answers(subject)), "doctor does not answer")
    await subject.harness.github.drained()
    (answer,) = _answers(subject)
    found: dict[str, list[str]] = {}
    for line in answer.splitlines():
        if line.startswith("- "):
            mark, _, rest = line.removeprefix("- ").partition(" ")
            about, _, text = rest.removeprefix("**").partition(":**")
            found.setdefault(about, []).append(mark + text)
    return found


def _answers(subject: Subject) -> list[str]:
    return [c.body for c in subject.ours if "<!-- honk:answer=" in c.body]


@pytest.mark.slow
async def test_where_all_is_well(harness: Harness) -> None:
    files = {**PROJECT, ".github/honk.yml": b"budget: {per_day_usd: 20}\n"}
    subject = await harness.subject(files=files, plays=script([FIX], [FINISH]))
    harness.github.use_ci(subject.repository, OtherCi())
    await subject.label()
    await subject.settled()
    found = await _examined(subject)

    assert found["Permissions"][0].startswith("✅ all 9 granted")
    assert found["Events"] == ["✅ all 12 subscribed."]
    assert "answered with 202" in found["Deliveries"][0]
    assert found["Missed requests"] == ["✅ none."]
    assert found["Rules for `main`"][0].startswith("✅ none affects Honk")
    assert found["Rules for `honk/1-add-subtracts`"][0].startswith("✅ none affects Honk")
    assert found["Signed commits"][0].startswith("✅")
    assert found["CI on Honk's pushes"][0].startswith("✅ 1 workflow ran on")
    assert found["Hidden refs"] == ["✅ accepted, and they trigger no workflows."]
    assert found["Tests"] == ["✅ `python -m pytest`."]
    # The run cost about half a cent.
    assert found["Budget today, this repository"][0] in (
        "✅ $19.99 of $20.00 left.",
        "✅ $20.00 of $20.00 left.",
    )
    assert found["Budget today, all of Honk"] == ["✅ no limit set."]
    assert "**Everything works**" in _answers(subject)[0]
    assert "refs/honk/doctor" not in await subject.git("for-each-ref")


async def test_obstacles_are_named(harness: Harness) -> None:
    github, name = harness.github, "sickbay/calc"
    files = {"notes.txt": b"no tests\n", ".github/honk.yml": b"budget: {per_day_usd: 0.00001}\n"}
    permissions = {OWNER: "admin"}
    await github.add_repository(name, files=files, permissions=permissions)
    number = (await github.open_issue(name, OWNER, "add() subtracts")).number
    subject = Subject(harness, name, number)
    harness.model.scripts[f"{name}#{number}"] = script(
        {"bash": {"command": "echo more >> notes.txt"}}, [FINISH]
    )
    github.use_ci(name, OtherCi(conclusion="action_required"))
    await subject.label()
    await subject.settled()

    whole = dict(github.world.app.permissions)
    del whole["actions"], whole["deployments"]
    github.grant("sickbay", whole)
    message = {"operator": "starts_with", "pattern": "feat:"}
    github.add_ruleset(
        name,
        {"type": "creation"},
        {"type": "commit_message_pattern", "parameters": message},
        include=["refs/heads/honk/**/*"],
    )
    github.add_ruleset(name, {"type": "required_linear_history"}, include=["~DEFAULT_BRANCH"])
    found = await _examined(subject)

    missing = [line for line in found["Permissions"] if line.startswith("❌")]
    assert [line.split("`")[1] for line in missing] == ["actions: read", "deployments: write"]
    assert "is missing, so pull requests cannot show previews" in missing[1]
    assert all("/settings/installations/" in line for line in missing)
    creation, pattern = found["Rules for `honk/1-add-subtracts`"]
    assert creation.startswith("❌ creating it is restricted (`creation` from `sickbay/calc`).")
    assert "**→** Let Honk bypass the rule" in creation
    assert "commit messages must match `feat:`" in pattern
    assert "Squash or rebase when you merge Honk's pull requests" in found["Rules for `main`"][0]
    # Without `actions`, CI cannot be checked, and the report says so; the rest still is.
    assert found["CI on Honk's pushes"][0].startswith("❔ could not be checked")
    assert found["Hidden refs"][0].startswith("⚠️ accepted; without `actions: read`")
    assert found["Tests"][0].startswith("❌ none found")
    assert found["Budget today, this repository"][0].startswith("❌ $0.00 of")
    assert found["Signed commits"][0].startswith("✅")


@pytest.mark.slow
async def test_hidden_refs_that_are_refused_and_ci_that_waits(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    harness.github.use_ci(subject.repository, OtherCi(conclusion="action_required"))
    await subject.label()
    await subject.settled()
    rule = harness.github.faults.refuse_push("refs/honk/doctor-*", "Refs are restricted.", times=1)
    found = await _examined(subject)

    assert rule not in harness.github.faults.pushes
    assert found["Hidden refs"][0].startswith("❌ rejected.")
    assert "Refs are restricted" in found["Hidden refs"][0]
    assert "awaiting approval" in found["CI on Honk's pushes"][0]


async def test_before_anything_was_published(harness: Harness) -> None:
    subject = await harness.subject(files={"a.txt": b"a\n"})
    found = await _examined(subject)
    assert found["Signed commits"][0].startswith("❔ unknown: Honk has not published")
    assert found["CI on Honk's pushes"][0].startswith("❔ unknown")
