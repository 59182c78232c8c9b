"""`/honk setup`: a policy file for the repository, and the results of its commands.

The model is asked only where no test ran, and only for names: three times at most, within two
minutes of its time.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass

import structlog

from app import log_events, messages
from app.domain.policy import OTHER_POLICY_PATH, POLICY_PATH
from app.domain.probe import ProbeResult
from app.domain.run import Phase, Preparation
from app.domain.setup_plan import Choices
from app.domain.values import Value
from app.ecosystems import ECOSYSTEMS
from app.errors import HonkError
from app.recipes import setup_question
from app.recipes.policy_file import policy_text
from app.runs import probe, starting
from app.runs.attempt import Attempt
from app.runs.probe import ProbeTarget
from app.runs.run_model import RunModel
from app.runs.services import Services
from app.runs.setup_plans import ProposalRefusedError
from app.runs.steps import handoff
from app.runs.steps.checkpoint import CheckpointResult, checkpoint_tree
from app.runs.steps.progress import announce

log = structlog.get_logger()

MODEL_SECONDS = 120.0
"""Seconds that all the model's answers together may take."""

_MANIFESTS = 6


class SetupProposal(Value):
    """`text`: the evidence, as Markdown. `policy` and `packed`: the file and the tree with it; both
    empty where there is nothing to propose."""

    text: str
    policy: str = ""
    packed: CheckpointResult | None = None


async def propose_setup(attempt: Attempt, preparation: Preparation) -> SetupProposal:
    """Detect how to set up the base commit, whatever its policy says, and run its tests."""
    services, run, base = attempt.services, attempt.run, preparation.base
    await announce(services, run, Phase.WORKING)
    await handoff.fetch_commits(services, run, base)
    unprepared: dict[str, object] = {"setup": None, "environment": {}, "search_path": ()}
    without = run.model_copy(update={"policy": run.policy.model_copy(update=unprepared)})
    repo = run.trigger.repository
    target = ProbeTarget(str(repo), without, base)
    found = await probe.probe(services, target)
    chosen: tuple[Choices, ...] = ()
    if await _may_ask(attempt, found):
        found, chosen = await _with_choices(attempt, target, found)
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
    text = messages.probe.as_markdown(found, chosen)
    return SetupProposal(text=text, policy=policy, packed=packed)


async def _may_ask(attempt: Attempt, found: ProbeResult) -> bool:
    """Whether a model can help: no test ran although something was set up, and there is budget."""
    services, run = attempt.services, attempt.run
    lacks = found.ending == "nothing ran" and bool(found.tests or found.outcome.failed)
    if not lacks or not found.outcome.plan.recipes:
        return False
    if services.engines.problem(run.engine) is not None:
        return False
    return (await starting.budget_left(services, run)).usd > 0


async def _with_choices(
    attempt: Attempt, target: ProbeTarget, found: ProbeResult
) -> tuple[ProbeResult, tuple[Choices, ...]]:
    """Probe again with the model's choices, until a test runs or the tries are used up.

    Returns the first result in which a test ran, with the choices; otherwise the one without
    choices.
    """
    services, run = attempt.services, attempt.run
    choices = services.setup_choices
    await choices.load(services.runs, run.id)
    manifests = await _manifests(services, target, found)
    question = _Question(attempt, target.name, manifests, found)
    while question.seconds > 0 and await choices.propose(services.runs, run.id):
        chosen = await question.ask()
        if not chosen:
            break
        try:
            tried = await probe.probe(services, target, chosen)
        except ProposalRefusedError as refusal:
            question.refused = str(refusal)
            continue
        if tried.ending != "nothing ran":
            await choices.add(services.runs, run.id, chosen)
            return tried, chosen
        question.found, question.refused = tried, ""
    return found, ()


@dataclass
class _Question:
    """Asks the model, in a new conversation each time. `seconds` are left for it."""

    attempt: Attempt
    name: str
    manifests: dict[str, str]
    found: ProbeResult
    refused: str = ""
    seconds: float = MODEL_SECONDS

    async def ask(self) -> tuple[Choices, ...]:
        """The model's choices; none if it has none or does not answer in time."""
        services, run = self.attempt.services, self.attempt.run
        asked = setup_question.question(
            messages.probe.report(self.found, self.name),
            self.manifests,
            self.refused,
            secrets.token_hex(16),
        )
        system, form = setup_question.SYSTEM_PROMPT, setup_question.FORM
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.seconds):
                answer = await RunModel(services, run).ask(system, asked, form)
        except (HonkError, TimeoutError) as problem:
            log.warning(log_events.SETUP_QUESTION_FAILED, why=str(problem) or "no answer in time")
            return ()
        finally:
            self.seconds -= time.monotonic() - began
        return setup_question.read(answer)


async def _manifests(services: Services, target: ProbeTarget, found: ProbeResult) -> dict[str, str]:
    """The first manifests of the folders to set up, by path."""
    repo, most = target.run.trigger.repository, setup_question.MAX_MANIFEST * 4
    names = {each.name: each.manifests for each in ECOSYSTEMS}
    paths = [
        f"{recipe.folder}/{name}".lstrip("/")
        for recipe in found.outcome.plan.recipes
        for name in names.get(recipe.ecosystem, ())
    ]
    manifests: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        data = await services.mirrors.read_blob(repo, target.commit, path, most)
        if data is not None:
            manifests[path] = data.decode("utf-8", "replace")
        if len(manifests) == _MANIFESTS:
            break
    return manifests


def _policy(found: ProbeResult) -> str:
    """The file; empty if no command worked. Raises UserError when a policy cannot express the
    setup.
    """
    if not found.outcome.ran:
        return ""
    return policy_text(found.outcome.plan, found.outcome.taken)


async def _existing(services: Services, preparation: Preparation, attempt: Attempt) -> str:
    """The name of the base's policy file; empty without one."""
    files = await services.mirrors.files(attempt.run.trigger.repository, preparation.base)
    return next((path for path in (POLICY_PATH, OTHER_POLICY_PATH) if path in files), "")
