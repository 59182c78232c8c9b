"""A repository's template for pull requests: which file it is, and whether a text follows it."""

from __future__ import annotations

import pytest

from app.domain import pull_template


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        ([], ()),
        (["README.md", "src/pull_request_template.md"], ()),
        (["pull_request_template.md"], ("pull_request_template.md",)),
        (["docs/Pull_Request_Template.MD"], ("docs/Pull_Request_Template.MD",)),
        ([".github/PULL_REQUEST_TEMPLATE"], (".github/PULL_REQUEST_TEMPLATE",)),
        (
            ["docs/pull_request_template.md", "pull_request_template.txt"],
            ("pull_request_template.txt", "docs/pull_request_template.md"),
        ),
        (
            ["pull_request_template.md", ".github/pull_request_template.md"],
            (".github/pull_request_template.md", "pull_request_template.md"),
        ),
        ([".github/PULL_REQUEST_TEMPLATE/one.md"], (".github/PULL_REQUEST_TEMPLATE/one.md",)),
        (["PULL_REQUEST_TEMPLATE/one.md"], ("PULL_REQUEST_TEMPLATE/one.md",)),
        (["PULL_REQUEST_TEMPLATE/bug.md", "PULL_REQUEST_TEMPLATE/feature.md"], ()),
        (
            ["docs/PULL_REQUEST_TEMPLATE/bug.md", "docs/PULL_REQUEST_TEMPLATE/default.md"],
            ("docs/PULL_REQUEST_TEMPLATE/default.md",),
        ),
        ([".github/PULL_REQUEST_TEMPLATE/x/one.md"], ()),
        ([".github/pull_request_template.yml", "x\udcff.md"], ()),
    ],
)
def test_where_a_template_is_looked_for(paths: list[str], found: tuple[str, ...]) -> None:
    assert pull_template.candidates(paths) == found


@pytest.mark.parametrize(
    ("template", "text", "followed"),
    [
        ("## What\n\n## Why\n", "### What\nX\n\n### Why\nY", True),
        ("## What\n\n## Why\n", "It rounds now.", False),
        ("What?\n=====\n", "what\n\nIt rounds.", True),
        ("- [ ] Docs updated\n- [ ] Tests added\n", "- [x] Tests added\n- [ ] docs updated", True),
        ("- [ ] Docs updated\n", "It rounds now.", False),
        ("Describe it.\n", "It rounds now.", False),
        ("", "It rounds now.", True),
    ],
)
def test_whether_a_description_follows_it(template: str, text: str, followed: bool) -> None:
    assert pull_template.is_followed(template, text) is followed
