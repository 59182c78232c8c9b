"""A repository rule refuses even the hidden ref: Honk names it, and nothing is lost."""

from __future__ import annotations

import shutil

import pytest

from tests.support.harness import (
    FINISH,
    FIX,
    Harness,
    Subject,
    open_harness_with_one_worker,
    script,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

RULE = {
    "type": "file_path_restriction",
    "parameters": {"restricted_file_paths": ["infra/**/*"]},
}
INFRA = {"bash": {"command": "mkdir -p infra/prod && echo x > infra/prod/main.tf"}}
WITHOUT = {"bash": {"command": "rm -r infra"}}
WAIT = {"use": [{"bash": {"command": "true"}}], "seconds": 1.5}


def _ever_shown(subject: Subject) -> str:
    (comment,) = [c for c in subject.ours if "<!-- honk:run=" in c.body]
    return "\n".join(edit.text for edit in comment.edits)


async def test_the_agent_learns_the_rule_and_works_around_it(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX, INFRA], WAIT, [FINISH], [WITHOUT], [FINISH]))
    harness.github.add_ruleset(subject.repository, RULE, target="push")
    await subject.label()
    await subject.settled()

    shown = _ever_shown(subject)
    assert "GitHub rejects the work so far because of `infra/prod/main.tf`" in shown
    assert "File path is restricted" in shown
    told = str([r for r in harness.model.requests if subject.repository in str(r)])
    assert "GitHub rejected your work because of a rule" in told
    assert subject.labels == ["honk:done"]
    assert subject.check.conclusion == "success"
    assert "GitHub rejects" not in subject.status


@pytest.mark.slow
async def test_what_may_not_be_pushed_is_kept_and_published_once_it_may() -> None:
    async with open_harness_with_one_worker() as harness:
        (machine,) = harness.machines
        subject = await harness.subject(
            plays=script([FIX, INFRA], [FINISH], [FINISH], [FINISH], [FINISH])
        )
        harness.github.add_ruleset(subject.repository, RULE, target="push")
        await subject.label()
        await subject.settled()

        assert subject.labels == ["honk:failed"]
        for text in (subject.status, subject.last_words):
            assert "because of `infra/prod/main.tf`" in text
            assert "File path is restricted" in text
        assert subject.pulls == []
        (kept,) = (machine / "kept").iterdir()
        heads = await subject.git("bundle", "list-heads", str(kept))
        assert kept.stem in heads

        # The mirror is only a cache: work that GitHub does not have is not lost with it.
        shutil.rmtree(machine / "mirrors")
        harness.github.repository(subject.repository).rulesets.clear()
        await subject.comment("/honk continue")
        await subject.settled(endings=2)
        assert subject.labels == ["honk:done"]
        assert subject.pull.pull is not None
        head = subject.pull.pull.head_sha
        assert await subject.git("show", f"{head}:infra/prod/main.tf") == "x\n"
        assert list((machine / "kept").iterdir()) == []
