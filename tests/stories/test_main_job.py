"""A labeled issue becomes a pull request that a person can trust."""

from __future__ import annotations

import pytest

from app.playground.pages.feed import notices
from app.playground.run import KEY_OF_NOBODY
from tests.support.harness import FINISH, FIX, OWNER, PROJECT, Harness, script

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_label_becomes_a_pull_request(harness: Harness) -> None:
    subject = await harness.subject(
        body="`add(2, 3)` in calc.py is -1.", plays=script([FIX], [{"verify": {}}], [FINISH])
    )
    await subject.label()
    await subject.settled()

    asked = [r for r in harness.model.requests if subject.name in str(r)]
    opening = str(asked[0]["messages"][0])
    assert "Named in the request:\\n- calc.py\\n" in opening
    assert "an overview of the repository" in subject.status

    pull = subject.pull
    assert pull.pull is not None
    assert not pull.pull.draft
    assert pull.title == "add() subtracts"
    assert pull.body is not None
    lines = [line for line in pull.body.splitlines() if line and not line.startswith("<!--")]
    assert lines[0].startswith("**Proven.** `test_calc.py::test_add` fails without this change")
    assert f"\nCloses #{subject.number}\n" in pull.body
    assert "add() now adds." in pull.body
    assert [user.login for user in pull.pull.reviewers] == ["olivia"]


@pytest.mark.slow
async def test_the_agent_sees_the_lines_that_a_stack_trace_names(harness: Harness) -> None:
    trace = (
        'Traceback:\n  File "/home/ann/app/calc.py", line 2, in add\n  File "/x/nowhere.py", line 1'
    )
    subject = await harness.subject(body=trace, plays=script([FIX], [FINISH]))
    await subject.label()
    await subject.settled()
    opening = subject.requests[0]["messages"][0]["content"][0]["text"]
    assert "calc.py, line 2:" in opening
    assert ">     2      return a - b" in opening
    assert "nowhere.py, line" not in opening
    assert "the code around the lines that a stack trace names" in subject.status


async def test_the_requester_sees_the_acknowledgment_and_the_end(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    await subject.label()
    await subject.settled()

    assert subject.reactions == ["eyes", "rocket"]
    assert subject.labels == ["honk:done"]
    assert "**Done.**" in subject.status
    assert f"#{subject.pull.number}" in subject.status
    assert f"#{subject.pull.number} is ready for your review" in subject.status
    assert len(subject.ours) == 1
    world = harness.github.world
    rang = [
        (notice.issue.number, notice.reason)
        for notice in notices(world, world.users[OWNER])
        if notice.repository.full_name == subject.repository
    ]
    # The owner watches the repository, so GitHub also names the new pull request.
    pull = subject.pull.number
    assert rang == [(pull, "review requested"), (pull, "new"), (subject.number, "comment")]


async def test_the_published_commit_is_the_verified_one(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    await subject.label()
    await subject.settled()

    assert subject.pull.pull is not None
    head = subject.pull.pull.head_sha
    check = subject.check
    assert (check.name, check.status, check.conclusion) == ("honk / tests", "completed", "success")
    assert check.title == "Proven: 1 test fails without this change"
    assert (await subject.git("rev-parse", subject.pull.pull.head)).strip() == head
    assert "return a + b" in await subject.git("show", f"{head}:calc.py")
    assert (await subject.git("diff", "--name-only", "main", head)).split() == ["calc.py"]
    message = await subject.git("log", "-1", "--format=%an%n%B", head)
    assert message.startswith("honk[bot]\n")
    assert "Honk-Run: " in message
    assert "Co-authored-by: olivia <" in message
    assert head in harness.github.world.repository(subject.repository).signed


@pytest.mark.slow
async def test_the_work_is_all_of_the_agents_files_and_nothing_else(harness: Harness) -> None:
    strange = 'strange "name" \n ü.txt'
    make = (
        "printf '#!/bin/sh\\n' > run.sh && chmod +x run.sh && ln -s calc.py link && "
        "printf '\\0\\1\\2' > data.bin && mkdir -p deep/er && "
        f"touch deep/er/'{strange}' && mkdir build && echo x > build/out"
    )
    subject = await harness.subject(
        files={
            "calc.py": b"def add(a, b):\n    return a - b\n",
            "test_calc.py": b"from calc import add\n\ndef test_add():\n    assert add(1, 1) == 2\n",
            ".gitignore": b"build/\n",
        },
        plays=script([FIX, {"bash": {"command": make}}], [FINISH]),
    )
    await subject.label()
    await subject.settled()

    assert subject.pull.pull is not None
    listing = await subject.git("ls-tree", "-r", "-z", subject.pull.pull.head_sha)
    modes = {row.split("\t")[1]: row.split(" ")[0] for row in listing.split("\0") if row}
    assert modes["run.sh"] == "100755"
    assert modes["link"] == "120000"
    assert modes["data.bin"] == "100644"
    assert modes[f"deep/er/{strange}"] == "100644"
    assert not any(name.startswith("build/") for name in modes)
    assert (
        await subject.git("cat-file", "blob", f"{subject.pull.pull.head_sha}:data.bin")
    ) == "\0\1\2"


async def test_a_change_that_breaks_a_test_goes_back_and_is_fixed(harness: Harness) -> None:
    breaks = {"bash": {"command": "sed -i 's/a \\* 2/a * 3/; s/a - b/a + b/' calc.py"}}
    mends = {"bash": {"command": "sed -i 's/a \\* 3/a * 2/' calc.py"}}
    subject = await harness.subject(plays=script([breaks], [FINISH], [mends], [FINISH]))
    await subject.label()
    await subject.settled()

    assert subject.check.conclusion == "success"
    assert subject.check.title == "Proven: 1 test fails without this change"
    every = harness.github.world.repository(subject.repository).check_runs()
    assert [check.conclusion for check in every] == ["failure", "success"]
    assert subject.pull.pull is not None
    assert not subject.pull.pull.draft


async def test_a_change_that_stays_broken_is_a_draft_that_says_so(harness: Harness) -> None:
    breaks = {"bash": {"command": "sed -i 's/a \\* 2/a * 3/' calc.py"}}
    subject = await harness.subject(
        files={**PROJECT, ".github/honk.yml": b"corrections: 1\n"},
        plays=script([breaks], [FINISH]),
    )
    await subject.label()
    await subject.settled()

    assert subject.pull.pull is not None
    assert subject.pull.pull.draft
    assert not subject.pull.pull.reviewers
    assert subject.check.conclusion == "failure"
    assert subject.check.title is not None
    assert subject.check.title == "Regression: 1 test that passed now fails"
    assert [(note["path"], note["annotation_level"]) for note in subject.check.annotations] == [
        ("test_calc.py", "failure"),
        ("test_calc.py", "failure"),
    ]
    assert subject.labels == ["honk:needs-you"]
    assert "is not ready to merge" in subject.last_words


async def test_a_question_ends_the_run_and_is_asked(harness: Harness) -> None:
    subject = await harness.subject(plays=script([{"ask": {"question": "Which calculator?"}}]))
    await subject.label()
    await subject.settled()

    assert subject.pulls == []
    assert "Which calculator?" in subject.last_words
    assert subject.labels == ["honk:needs-you"]


@pytest.mark.slow
async def test_a_comment_brings_its_own_task(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    await subject.comment("/honk add() must add, please")
    await subject.settled()

    assert subject.pull.body is not None
    assert "add() must add, please" in subject.pull.body
    first = subject.issue.comments[0]
    assert sorted(reaction.content for reaction in first.reactions) == ["eyes", "rocket"]


@pytest.mark.slow
async def test_a_run_needs_few_calls(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    before = len(harness.github.requests)
    await subject.label()
    await subject.settled()

    calls = [
        f"{r.method} {r.path}"
        for r in harness.github.requests[before:]
        if r.token_kind in ("installation", "app")
        and "access_tokens" not in r.template
        # Requests about the App or other repositories belong to no run.
        and (subject.repository in r.path or r.path.endswith("/graphql"))
        and ".git/" not in r.path
        and not (r.method == "PATCH" and "/issues/comments/" in r.template)
    ]
    # Two of them read whether the policy asks for approvals of the new pull request.
    assert len(calls) <= 27, "\n".join(calls)


@pytest.mark.slow
async def test_the_label_for_the_stronger_model(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    await subject.label("honk:max")
    await subject.label()
    await subject.settled()

    asked = [
        (request["model"], request["output_config"])
        for request in harness.model.requests
        if subject.repository in str(request)
    ]
    assert asked
    assert all(each == ("claude-opus-5-5", {"effort": "xhigh"}) for each in asked)


async def test_a_secret_that_the_model_writes_is_not_shown(harness: Harness) -> None:
    said = f"The key is {KEY_OF_NOBODY}, and ghs_{'a1B2' * 9}."
    finish = {"finish": {"summary": said, "not_done": said, "how_to_check": said, "lacked": said}}
    subject = await harness.subject(plays=script([FIX], [finish]))
    await subject.label()
    await subject.settled()

    message = await subject.git("log", "-1", "--format=%B", "honk/1-add-subtracts")
    shown = "\n".join([*(c.body for c in subject.ours), subject.pull.body or "", message])
    assert "The key is [redacted], and [redacted]" in shown
    _, _, lacked = subject.status.partition("What the request or the guidance did not mention")
    assert lacked.count("[redacted]") == 2
    assert KEY_OF_NOBODY not in shown
    assert "ghs_" not in shown
