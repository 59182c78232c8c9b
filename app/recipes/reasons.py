"""Shared messages about what is missing, for several ecosystems' rules. Pure."""

from __future__ import annotations

import re

from app.domain.setup_plan import Missing, Recipe

_HOST = r"([A-Za-z0-9-]{1,60}(?:\.[A-Za-z0-9-]{1,60})+)"
_GIT_HOST = re.compile(
    rf"(?:(?:git\+https?|git\+ssh|ssh|git)://|\bgit [^\n]{{0,200}}?https?://)(?:[\w.-]{{1,40}}@)?{_HOST}[/:]"
    rf"|\bgit@{_HOST}:"
)


def telling_line(output: str, start: str) -> str:
    """The first line that begins like the tool's errors, else the last one; "" for no output."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith(start)), lines[-1] if lines else "")


def by_hand(recipe: Recipe, why: str, command: str) -> Missing:
    """No rule knows the error: a person has to set the commands, such as this one."""
    return Missing(
        what=recipe.source,
        why=why,
        next_step="Name the commands that prepare it:",
        lines=(f'setup: ["{command}"]', f"network: {{allow: [{recipe.ecosystem}]}}"),
    )


def git_dependency(ecosystem: str, output: str) -> Missing:
    """A dependency comes from a Git repository, whose host the output may name."""
    found = _GIT_HOST.search(output)
    host = (found[1] or found[2]).lower() if found else "GIT-HOST"
    also = ", codeload.github.com" if host == "github.com" else ""
    return Missing(
        what="a dependency from a Git repository",
        why="A dependency is fetched with Git, and setup only reaches package registries.",
        next_step="Allow its host in `.github/honk.yml`.",
        lines=(f"network: {{allow: [{ecosystem}, {host}{also}]}}",),
    )
