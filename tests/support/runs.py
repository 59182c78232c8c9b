"""Runs as a request opens them, in a database alone."""

from __future__ import annotations

from app.domain.policy import Policy
from app.domain.run import RunInput
from app.domain.trigger import OurApp, Trigger, from_event
from app.domain.values import RunId
from app.github import webhooks
from app.store.database import Database
from app.store.runs import Runs
from tests.support.deliveries import encoded, labeled

LARGE = 2**40
"""An id of a repository as GitHub will give out one day."""


async def open_run(database: Database, name: str, repository: str, number: int) -> RunInput:
    """What putting the label on an issue asks for, written down and not queued."""
    event = labeled(
        issue__title=f"title of {name} 'ü",
        issue__number=number,
        repository__full_name=repository,
        repository__id=LARGE,
    )
    read = webhooks.read("issues", "application/json", encoded(event))
    trigger = from_event("issues", read, OurApp(app_id=1, slug="honk"))
    assert isinstance(trigger, Trigger)
    run = RunInput(id=RunId(name), trigger=trigger, policy=Policy(), base_branch="main", model="m")
    await Runs(database).open(run)
    return run
