"""`.github/honk.yml`: absent, wrong and right are three different things."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import policy
from app.domain.policy import Policy, PolicyError


def test_absent_and_empty_are_the_defaults() -> None:
    assert policy.parse(None) == policy.parse("") == policy.parse("# nothing yet\n") == Policy()


def test_a_whole_file() -> None:
    read = policy.parse(
        "verify: ['pytest -q']\nwho: maintain\nbase: develop\nbudget: {usd: 2, minutes: 10}\n"
        "no_tests: neutral\ncorrections: 0\nsign_off: true\nbots: [49699333]\njudge: true\n"
        "network: {allow: [python]}\npaths: {protect: ['.github/**']}\nscope: {max_lines: 2000}\n"
        "integrity: {block: [removed]}\nauto_fix_ci: 0\nengine: anthropic\nmerge: never\n"
    )
    assert read.verify == ("pytest -q",)
    assert (read.who, read.base, read.no_tests) == ("maintain", "develop", "neutral")
    assert (read.budget.usd, read.budget.minutes, read.budget.turns) == (2, 10, 200)
    assert (read.bots, read.network.allow) == ((49699333,), ("python",))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("verfy: []", ("line 1", "`verfy`", "did you mean `verify`?")),
        ("draft: true\nbudget:\n  usd: 1\n  minuts: 3\n", ("line 4", "`budget.minuts`", "minutes")),
        ("who: everybody", ("line 1", "`who`")),
        ("draft: true\ncorrections: many", ("line 2", "`corrections`")),
        ("budget: {usd: 0}", ("line 1", "`budget.usd`")),
        ("- a\n- b\n", ("line 1", "key: value")),
        ("a: [", ("not YAML",)),
        ("branch: 'x/{nmber}'", ("line 1", "{number} and {slug}")),
        ("x: &a [*a]", ("`x`",)),
        ("bots:\n- dependabot[bot]", ("line 1", "numeric id", "api.github.com/users/")),
        ("draft: true\nmerge: on-command", ("line 2", "`merge` is not built yet")),
        ("preview: {path: dist}", ("`preview` is not built yet",)),
    ],
)
def test_wrong_is_told_with_line_and_suggestion(text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(PolicyError) as caught:
        policy.parse(text)
    for word in words:
        assert word in str(caught.value)


@given(st.text(max_size=200))
def test_no_text_raises_anything_else(text: str) -> None:
    with contextlib.suppress(PolicyError):
        policy.parse(text)
