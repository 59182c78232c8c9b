"""What several ecosystems' rules say is missing, in one wording. Pure."""

from __future__ import annotations

from app.domain.setup_plan import Missing, Recipe


def telling_line(output: str, start: str) -> str:
    """The first line that begins like the tool's errors, else the last one; "" for no output."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith(start)), lines[-1] if lines else "")


def by_hand(recipe: Recipe, why: str, command: str) -> Missing:
    """No rule knows the error: a person names the commands, such as this one."""
    return Missing(
        what=recipe.source,
        why=why,
        next_step="Name the commands that prepare it:",
        lines=(f'setup: ["{command}"]', f"network: {{allow: [{recipe.ecosystem}]}}"),
    )


def git_dependency(ecosystem: str) -> Missing:
    """A dependency comes from a repository whose host the output does not name."""
    return Missing(
        what="a dependency from a Git repository",
        why="A dependency is fetched with Git, and setup only reaches package registries.",
        next_step="Allow its host in `.github/honk.yml`.",
        lines=(f"network: {{allow: [{ecosystem}, GIT-HOST]}}",),
    )
