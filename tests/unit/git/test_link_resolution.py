"""Links inside of a repository, followed without a file system."""

from __future__ import annotations

import pytest

from app.git.link_resolution import NotThereError, start_of
from tests.support.workspaces import REPO, World


@pytest.fixture
def linked(world: World) -> World:
    clone = world.origin.clone
    world.origin.write("docs/agents/rules.md", "Use tabs.\n")
    for path, target in {
        "AGENTS.md": "docs/agents/rules.md",
        "CLAUDE.md": "./AGENTS.md",
        "guides": "docs/agents",
        "through": "guides/../agents/rules.md",
        "out": "../../etc/passwd",
        "root": "/etc/passwd",
        "loop": "loop",
        "one": "two",
        "two": "one",
        "gone": "nothing.md",
        "docs/up": "../AGENTS.md",
        "git": ".git/config",
    }.items():
        (clone / path).symlink_to(target)
    world.origin.commit()
    return world


@pytest.mark.parametrize(
    "path", ["AGENTS.md", "CLAUDE.md", "through", "guides/rules.md", "docs/up"]
)
async def test_links_that_stay_inside_are_followed(linked: World, path: str) -> None:
    sha = await linked.fetched()
    found = await start_of(linked.mirrors, REPO, sha, path, 100)
    assert found is not None
    assert (found.path, found.content, found.is_whole) == (
        "docs/agents/rules.md",
        b"Use tabs.\n",
        True,
    )
    cut = await start_of(linked.mirrors, REPO, sha, path, 3)
    assert cut is not None
    assert (cut.content, cut.size, cut.is_whole) == (b"Use", 10, False)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("out", "outside"),
        ("root", "outside"),
        ("loop", "itself"),
        ("one", "itself"),
        ("gone", "no file"),
        ("git", "no file"),
        ("guides", "folder"),
        ("docs", "folder"),
    ],
)
async def test_what_leads_to_no_file_says_why(linked: World, path: str, why: str) -> None:
    sha = await linked.fetched()
    with pytest.raises(NotThereError, match=why):
        await start_of(linked.mirrors, REPO, sha, path, 100)


async def test_nothing_is_nothing(linked: World) -> None:
    assert await start_of(linked.mirrors, REPO, await linked.fetched(), "nothing", 100) is None
