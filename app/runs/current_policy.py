"""Reading the policy file of the default branch as it is now."""

from __future__ import annotations

import asyncio

from app.agent import engines
from app.domain import policy as policies
from app.domain.policy import Policy
from app.github import repositories
from app.github.client import RepositoryClient


async def load(client: RepositoryClient, branch: str) -> Policy:
    """The policy on the default branch `branch`.

    Raises UserError when it is invalid or GitHub refuses, RetryableError when GitHub is
    unavailable.
    """
    # Use the full ref name: a tag may have the same short name.
    ref, most = f"refs/heads/{branch}", policies.POLICY_MAX_BYTES
    yml, yaml = await asyncio.gather(
        repositories.read_file(client, policies.POLICY_PATH, ref, most),
        repositories.read_file(client, policies.OTHER_POLICY_PATH, ref, most),
    )
    return policies.read(*policies.choose(yml, yaml), engines=engines.NAMES)
