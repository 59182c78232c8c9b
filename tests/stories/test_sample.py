"""The samples that come with Honk, as `make demo` plays them, and with their fix taken out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from app.playground.github.world import SimulatedIssue
from app.playground.model import ModelScript
from app.playground.samples import Sample, load, scripts
from app.sandbox.toolchains import installed
from tests.support.harness import OWNER, Harness, Subject
from tests.support.toolchains import needs

pytestmark = pytest.mark.asyncio(loop_scope="session")

SAMPLES = {sample.name: sample for sample in load()}
TOOLCHAINS = {"mdtoc": "node", "hits": "go"}
FIX_TURN = 2


@dataclass(frozen=True)
class Ready:
    """A ready pull request with a successful check run of this title, which changed these files."""

    check: str
    changed: str


@dataclass(frozen=True)
class Asked:
    """No pull request, and a question with this text."""

    words: str


@dataclass(frozen=True)
class Untouched:
    """No pull request, and this explanation."""

    words: str


PROVEN = r"Proven: \d+ tests? fails? without this change"

ENDS: dict[tuple[str, int], Ready | Asked | Untouched] = {
    ("splitbill", 1): Ready(PROVEN, "splitbill/shares.py tests/test_shares.py"),
    ("splitbill", 2): Asked("How is the tip given"),
    ("splitbill", 3): Untouched("there is nobody to pay"),
    ("mdtoc", 1): Ready(PROVEN, "src/headings.js test/headings.test.js"),
    ("mdtoc", 2): Ready(
        PROVEN,
        "README.md bin/mdtoc.js src/toc.js test/cli.test.js test/toc.test.js",
    ),
    ("hits", 1): Ready(
        "New code: the test command passes only with the change", "request.go request_test.go"
    ),
    ("hits", 2): Asked("What do the API's logs look like?"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def told(harness: Harness) -> Mapping[tuple[str, int], Subject]:
    """Every issue of every sample, labeled: three repositories, as the playground holds them.

    All at once, because compiling Go's standard library in each fresh sandbox takes its time.
    """
    found: dict[tuple[str, int], Subject] = {}
    for name, sample in SAMPLES.items():
        full_name = f"{OWNER}/{name}"
        await harness.github.add_repository(
            full_name, files=sample.files, permissions={OWNER: "admin"}
        )
        for number, issue in enumerate(sample.issues, 1):
            await harness.github.open_issue(full_name, OWNER, issue.title, issue.body)
            found[name, number] = Subject(harness, full_name, number)
    harness.model.scripts |= scripts(SAMPLES.values(), OWNER)
    for (name, _), subject in found.items():
        if name not in TOOLCHAINS or TOOLCHAINS[name] in installed():
            await subject.label()
    return found


async def test_every_issue_of_every_sample_is_played(
    told: Mapping[tuple[str, int], Subject],
) -> None:
    assert set(told) == set(ENDS)


@pytest.mark.slow
@pytest.mark.usefixtures("told")
async def test_with_the_fix_taken_out_the_check_fails_and_it_is_a_draft(harness: Harness) -> None:
    whole = SAMPLES["splitbill"].issues[0].script
    assert any("str_replace_based_edit_tool" in use for use in whole.turns[FIX_TURN].use)
    without = ModelScript(whole.turns[:FIX_TURN] + whole.turns[FIX_TURN + 1 :])
    subject = await _played(harness, "splitbill-without-the-fix", SAMPLES["splitbill"], without)

    assert subject.pull.pull is not None
    assert subject.pull.pull.draft
    assert subject.check.head_sha == subject.pull.pull.head_sha
    assert subject.check.conclusion == "failure"
    assert (subject.check.title or "").startswith("Regression: ")
    assert subject.labels == ["honk:needs-you"]


@pytest.mark.slow
@pytest.mark.usefixtures("told")
async def test_a_missing_toolchain_is_reported(harness: Harness) -> None:
    policy = {".github/honk.yml": b'verify: ["no-such-go test ./..."]\n'}
    sample = replace(SAMPLES["mdtoc"], files={**SAMPLES["mdtoc"].files, **policy})
    subject = await _played(harness, "mdtoc-without-its-toolchain", sample)

    assert subject.check.summary is not None
    assert "`no-such-go test ./...` exited with 127" in subject.check.summary
    assert "no-such-go: command not found" in subject.check.summary
    assert subject.check.conclusion == "failure"
    assert subject.pull.pull is not None
    assert subject.pull.pull.draft


@pytest.mark.slow
@pytest.mark.parametrize(("which", "end"), ENDS.items(), ids=[f"{n}-{i}" for n, i in ENDS])
async def test_an_issue_ends_as_its_script_means_it(
    told: Mapping[tuple[str, int], Subject], which: tuple[str, int], end: Ready | Asked | Untouched
) -> None:
    _need(which[0])
    subject = told[which]
    await subject.settled()
    match end:
        case Ready(check, changed):
            assert subject.labels == ["honk:done"], subject.last_words
            await _is_ready(subject, check, changed)
        case Asked(words):
            assert _pulls(subject) == []
            assert subject.labels == ["honk:needs-you"]
            assert words in subject.last_words
        case Untouched(words):
            assert _pulls(subject) == []
            assert subject.labels == ["honk:needs-you"]
            assert "No files changed." in subject.last_words
            assert words in subject.last_words


@pytest.mark.slow
@pytest.mark.parametrize(
    ("which", "answer", "changed"),
    [
        (
            ("splitbill", 2),
            "Both. A sum is split as the bill is.",
            "README.md splitbill/__init__.py splitbill/__main__.py splitbill/tips.py"
            " tests/test_tips.py",
        ),
        (
            ("hits", 2),
            '{"method": "GET", "path": "/v1/users", "status": 200}',
            "README.md request.go request_test.go",
        ),
    ],
)
async def test_an_answer_continues_the_conversation(
    harness: Harness, which: tuple[str, int], answer: str, changed: str
) -> None:
    _need(which[0])
    sample, number = SAMPLES[which[0]], which[1]
    issue = sample.issues[number - 1]
    subject = await harness.subject(
        name=f"{sample.name}-answered",
        files=sample.files,
        title=issue.title,
        body=issue.body,
        plays=issue.script,
    )
    await subject.label()
    await subject.settled()
    await subject.comment(answer)
    await subject.settled(endings=2)
    assert subject.labels == ["honk:done"], subject.last_words
    await _is_ready(subject, "(?:New code|Proven): .*", changed)


@pytest.mark.slow
async def test_a_plan_is_carried_out_and_a_question_answered(harness: Harness) -> None:
    issue = SAMPLES["splitbill"].issues[0]
    subject = await harness.subject(
        name="splitbill-planned",
        files=SAMPLES["splitbill"].files,
        title=issue.title,
        body=issue.body,
        plays=issue.script,
    )
    await subject.comment("/honk ask where is a bill split?")
    await subject.settled()
    assert "`splitbill/shares.py` splits the bill" in subject.last_words
    await subject.comment("/honk plan")
    await subject.settled(endings=2)
    assert "Hand out the cents" in str([each.body for each in subject.ours])
    await subject.comment("/honk go")
    await subject.settled(endings=3)
    await _is_ready(subject, PROVEN, "splitbill/shares.py tests/test_shares.py")


def _need(name: str) -> None:
    if name in TOOLCHAINS:
        needs(TOOLCHAINS[name])


async def _played(
    harness: Harness, name: str, sample: Sample, script: ModelScript | None = None
) -> Subject:
    """The sample's first issue, labeled and settled, in a repository of its own."""
    issue = sample.issues[0]
    subject = await harness.subject(
        files=sample.files,
        title=issue.title,
        body=issue.body,
        plays=script or issue.script,
        name=name,
    )
    await subject.label()
    await subject.settled()
    return subject


def _pulls(subject: Subject) -> list[SimulatedIssue]:
    """The pull requests that were made for the issue."""
    closes = f"Closes #{subject.number}"
    return [pull for pull in subject.pulls if closes in (pull.body or "").splitlines()]


async def _is_ready(subject: Subject, title: str, changed: str) -> None:
    (found,) = _pulls(subject)
    assert found.pull is not None
    (check,) = subject.checks(found.pull.head_sha)
    assert not found.pull.draft, check.summary
    assert check.conclusion == "success"
    assert re.fullmatch(title, check.title or ""), check.title
    names = await subject.git("diff", "--name-only", "main", found.pull.head_sha)
    assert names.split() == changed.split()
