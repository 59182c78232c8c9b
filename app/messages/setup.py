"""What people read about a setup: its outcome, its commands' sources, what is missing."""

from __future__ import annotations

from app.domain.policy import POLICY_PATH
from app.domain.setup_plan import Missing, Recipe

POLICY_SOURCE = POLICY_PATH
"""Where a policy's own commands come from."""


def no_network(recipe: Recipe, setting: str) -> Missing:
    """The recipe's registries are not reachable on this worker."""
    return Missing(
        what=f"the {recipe.ecosystem} dependencies of {recipe.source}",
        why=f"the operator set HONK_SETUP_NETWORK={setting}",
        next_step=(
            "The operator can set HONK_SETUP_NETWORK=registries."
            if setting == "none"
            else f"Allow the registries of {recipe.ecosystem} in {POLICY_PATH}."
        ),
        lines=() if setting == "none" else ("network:", f"  allow: [{recipe.ecosystem}]"),
    )
