"""The samples that come with Honk, as `make demo` plays them, and with their fix taken out."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from app.playground.model import Script
from app.playground.samples import load
from tests.support.house import House, Subject

pytestmark = pytest.mark.asyncio(loop_scope="session")

SAMPLES = {sample.name: sample for sample in load()}
TOOLCHAINS = {"mdtoc": "node", "hits": "go"}
SEEN_IN_A_SANDBOX = "/usr/local/bin:/usr/bin:/bin:/usr/local/go/bin"
_COUNT = itertools.count(1)


@dataclass(frozen=True)
class Ready:
    """A pull request that is ready, with a good check run of this title, that changed these."""

    check: str
    changed: str


@dataclass(frozen=True)
class Asked:
    """No pull request, and a question with these words in it."""

    words: str


@dataclass(frozen=True)
class Untouched:
    """No pull request, and these words about why."""

    words: str


ENDS: dict[tuple[str, int], Ready | Asked | Untouched] = {
    ("splitbill", 1): Ready("1 fixed, 0 new failures", "splitbill/shares.py tests/test_shares.py"),
    ("splitbill", 2): Asked("How is the tip given"),
    ("splitbill", 3): Untouched("there is nobody to pay"),
    ("hits", 1): Ready("0 fixed, 0 new failures", "request.go request_test.go"),
    ("hits", 2): Asked("What do the API's logs look like?"),
    ("mdtoc", 1): Ready("0 fixed, 0 new failures", "src/headings.js test/headings.test.js"),
    ("mdtoc", 2): Ready(
        "0 fixed, 0 new failures",
        "README.md bin/mdtoc.js src/toc.js test/cli.test.js test/toc.test.js",
    ),
}


def test_every_issue_of_every_sample_is_told() -> None:
    assert {
        (name, number)
        for name, sample in SAMPLES.items()
        for number, _ in enumerate(sample.issues, 1)
    } == set(ENDS)


@pytest.mark.parametrize(("name", "number", "end"), [(*which, end) for which, end in ENDS.items()])
async def test_an_issue_ends_as_its_script_means_it(
    house: House, name: str, number: int, end: Ready | Asked | Untouched
) -> None:
    needs_tests = isinstance(end, Ready)
    if needs_tests:
        _need(name)
    subject = await _played(house, name, number)
    match end:
        case Ready(check, changed):
            await _is_ready(subject, check, changed)
        case Asked(words):
            assert subject.pulls == []
            assert subject.labels == ["honk:needs-you"]
            assert words in subject.last_words
        case Untouched(words):
            assert subject.pulls == []
            assert subject.labels == ["honk:done"]
            assert "No file was changed." in subject.last_words
            assert words in subject.last_words


@pytest.mark.parametrize(
    ("name", "fix_turn", "title"),
    [
        ("splitbill", 2, "0 fixed, 2 new failures, 1 failing before and after"),
        ("mdtoc", 1, "0 fixed, 1 new failure"),
    ],
)
async def test_with_the_fix_taken_out_the_check_fails_and_it_is_a_draft(
    house: House, name: str, fix_turn: int, title: str
) -> None:
    _need(name)
    whole = SAMPLES[name].issues[0].script
    assert any("str_replace_based_edit_tool" in use for use in whole.turns[fix_turn].use)
    without = Script(whole.turns[:fix_turn] + whole.turns[fix_turn + 1 :])
    subject = await _played(house, name, 1, script=without)

    assert subject.pull.pull is not None
    assert subject.pull.pull.draft
    assert subject.check.head_sha == subject.pull.pull.head_sha
    assert subject.check.conclusion == "failure"
    assert subject.check.title == title
    assert subject.labels == ["honk:needs-you"]


async def test_a_toolchain_that_is_not_there_is_told_in_plain_words(house: House) -> None:
    files = {**SAMPLES["mdtoc"].files, ".github/honk.yml": b'verify: ["deno-of-2035 test"]\n'}
    subject = await _played(house, "mdtoc", 1, files=files)

    print(subject.status, subject.last_words, subject.check)
    assert "deno-of-2035: command not found" in subject.check.summary


def _need(name: str) -> None:
    """Skip where the sample's toolchain is missing; a machine that checks for others must have it."""
    program = TOOLCHAINS.get(name)
    if program is None or shutil.which(program, path=SEEN_IN_A_SANDBOX):
        return
    words = f"{program} is not installed where sandboxes see it ({SEEN_IN_A_SANDBOX})"
    if os.environ.get("CI") == "true":
        pytest.fail(words)
    pytest.skip(words)


async def _played(
    house: House,
    name: str,
    number: int,
    *,
    script: Script | None = None,
    files: Mapping[str, bytes] | None = None,
) -> Subject:
    """The sample's issue, labelled and settled, in a repository of its own."""
    sample = SAMPLES[name]
    issue = sample.issues[number - 1]
    subject = await house.subject(
        files=files or sample.files,
        title=issue.title,
        body=issue.body,
        plays=script or issue.script,
        name=f"{name}-{next(_COUNT)}",
    )
    await subject.label()
    await subject.settled()
    return subject


async def _is_ready(subject: Subject, check: str, changed: str) -> None:
    assert subject.pull.pull is not None
    head = subject.pull.pull.head_sha
    assert not subject.pull.pull.draft, subject.check
    assert subject.labels == ["honk:done"]
    assert subject.check.head_sha == head
    assert (subject.check.conclusion, subject.check.title) == ("success", check)
    names = await subject.git("diff", "--name-only", "main", head)
    assert names.split() == changed.split()
