"""`/honk setup`: the policy file that fits the repository, with what its commands did here."""

from __future__ import annotations

from app import messages
from app.domain.policy import OTHER_POLICY_PATH, POLICY_PATH
from app.domain.probe import ProbeResult
from app.domain.run import Phase, Preparation
from app.domain.values import Value
from app.recipes.policy_file import policy_text
from app.runs import probe
from app.runs.attempt import Attempt
from app.runs.probe import ProbeTarget
from app.runs.services import Services
from app.runs.steps import handoff
from app.runs.steps.checkpoint import CheckpointResult, checkpoint_tree
from app.runs.steps.progress import announce


class SetupProposal(Value):
    """`text`: the evidence, as Markdown. `policy` and `packed`: the file and the tree with it; both
    empty where there is nothing to propose."""

    text: str
    policy: str = ""
    packed: CheckpointResult | None = None


async def propose_setup(attempt: Attempt, preparation: Preparation) -> SetupProposal:
    """Find out how the base commit is set up, whatever its policy says, and run its tests."""
    services, run, base = attempt.services, attempt.run, preparation.base
    await announce(services, run, Phase.WORKING)
    await handoff.fetch_commits(services, run, base)
    unprepared: dict[str, object] = {"setup": None, "environment": {}, "search_path": ()}
    without = run.model_copy(update={"policy": run.policy.model_copy(update=unprepared)})
    repo = run.trigger.repository
    found = await probe.probe(services, ProbeTarget(str(repo), without, base))
    policy = _policy(found)
    if not policy:
        return SetupProposal(text=messages.probe.nothing_to_propose(found))
    existing = await _existing(services, preparation, attempt)
    if existing:
        return SetupProposal(text=messages.probe.would_change(found, existing, policy))
    tree = await services.mirrors.compose_tree(
        repo, base, {POLICY_PATH: ("100644", policy.encode())}, base=base, head=base
    )
    packed = await checkpoint_tree(services, run, base, tree)
    return SetupProposal(text=messages.probe.as_markdown(found), policy=policy, packed=packed)


def _policy(found: ProbeResult) -> str:
    """The file; empty where no command worked. Raises UserError when it does not fit."""
    if not found.outcome.ran:
        return ""
    return policy_text(found.outcome.plan, found.outcome.taken)


async def _existing(services: Services, preparation: Preparation, attempt: Attempt) -> str:
    """The name of the policy file that the base has; empty without one."""
    files = await services.mirrors.files(attempt.run.trigger.repository, preparation.base)
    return next((path for path in (POLICY_PATH, OTHER_POLICY_PATH) if path in files), "")
