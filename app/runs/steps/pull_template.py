"""The repository's pull request template, read from the default branch."""

from __future__ import annotations

import structlog

from app import log_events
from app.domain import pull_template
from app.domain.run import Preparation, RunInput
from app.domain.sanitize import visible
from app.git.command import GitError
from app.git.link_resolution import NotThereError, start_of
from app.runs.services import Services

log = structlog.get_logger()

_MAX_BYTES = 100_000


async def read(services: Services, run: RunInput, preparation: Preparation) -> str:
    """The template's visible text; empty without one, or when no pull request will be opened."""
    opens = preparation.target.pull is None or run.trusted is not None
    if run.mode != "work" or not opens:
        return ""
    mirrors, repo, rules = services.mirrors, run.trigger.repository, preparation.rules
    try:
        for path in pull_template.candidates(await mirrors.files(repo, rules)):
            found = await start_of(mirrors, repo, rules, path, _MAX_BYTES)
            if found is not None and found.is_whole:
                return visible(found.content.decode("utf-8", "replace")).strip()
            log.warning(log_events.PULL_TEMPLATE_TOO_LONG, run=run.id, path=ascii(path))
    except (GitError, NotThereError) as problem:
        # A description without the template is acceptable; failing the run is not.
        log.warning(log_events.PULL_TEMPLATE_UNAVAILABLE, run=run.id, why=str(problem))
    return ""
