"""The repository's own habits: its template for pull requests, and its commits' subjects."""

from __future__ import annotations

import pytest

from tests.support.harness import FIX, OWNER, PROJECT, Harness, script

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEMPLATE = b"""<!-- Thank you! -->
## What changed

@octocat closes #1

## Checklist

- [ ] The docs say so

```
open
"""
FOLLOWED = "## What changed\n\nAddition adds.\n\n## Checklist\n\n- [x] The docs say so"


def finish(summary: str, **more: str) -> dict[str, dict[str, str]]:
    return {"finish": {"summary": summary, **more}}


@pytest.mark.slow
async def test_the_model_that_follows_the_template_has_the_last_word(harness: Harness) -> None:
    subject = await harness.subject(
        files={**PROJECT, ".github/PULL_REQUEST_TEMPLATE.md": TEMPLATE},
        plays=script([FIX, {"verify": {}}], finish(FOLLOWED)),
    )
    await subject.label()
    await subject.settled()
    body = subject.pull.body or ""
    assert "#### What changed\n\nAddition adds." in body
    assert "* [x] The docs say so" in body
    assert body.count("What changed") == 1


async def test_a_template_that_was_not_followed_is_appended(harness: Harness) -> None:
    subject = await harness.subject(
        files={**PROJECT, "docs/pull_request_template.md": TEMPLATE},
        plays=script([FIX, {"verify": {}}], finish("Addition adds.")),
    )
    await subject.label()
    await subject.settled()
    body = subject.pull.body or ""
    told = body.partition("## Pull request template to fill in\n\n")[2]
    assert told.startswith("#### What changed\n\n@\u200boctocat closes `#1`\n\n#### Checklist")
    assert "* [ ] The docs say so" in told
    assert "Thank you" not in body
    # An open fence of the template's ends with the template.
    assert "```\nopen\n```\n\n<sub>" in told
    assert body.index("**Proven.**") < body.index("Pull request template to fill in")


@pytest.mark.slow
async def test_a_title_in_the_repositorys_style_and_where_to_begin(
    harness: Harness,
) -> None:
    said = finish("Addition adds.", risks="Callers that add.", look_first="calc.py, line 2.")
    subject = await harness.subject(
        title="Addition is wrong.", plays=script([FIX, {"verify": {}}], said)
    )
    for number in range(8):
        notes = {"notes.md": f"{number}\n".encode()}
        await harness.github.push_files(
            subject.repository,
            "main",
            notes,
            OWNER,
            f"docs(notes): add note {number}\n\nIt was asked for.\n\nRefs: #{number + 2}",
        )
    await subject.label("bug")
    await subject.label()
    await subject.settled()
    assert subject.pull.title == "fix: addition is wrong"
    assert subject.pull.pull is not None
    message = await subject.git("log", "-1", "--format=%B", subject.pull.pull.head_sha)
    assert message.startswith("fix: addition is wrong\n\n")
    assert f"\n\nRefs: #{subject.number}\nHonk-Run: " in message
    body = subject.pull.body or ""
    told = [body.index(text) for text in ("Addition adds.", "Callers that add.", "calc.py, line")]
    assert told == sorted(told)
    assert "## Risks\n\nCallers that add.\n\n## Look at first\n\n" in body
