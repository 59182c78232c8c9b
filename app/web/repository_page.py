"""`/repos/{owner}/{name}`: how Honk understands a repository."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import yaml
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app import messages
from app.domain.policy import Policy
from app.domain.setup_outcome import SetupOutcome
from app.domain.values import RepoName
from app.domain.verdict import Results
from app.github.people import Access
from app.store.database import Database
from app.store.repository_facts import RepositoryFacts
from app.store.run_lists import RunFilter, RunLists
from app.store.runs import RunLine
from app.web.hidden import HiddenAnswer
from app.web.login import AuthMiddleware
from app.web.run_values import tone

_RUNS_SHOWN = 10
_NOT_HERE = "Honk has not run in this repository, or you don't have access to it on GitHub."


class RepositoryPages:
    """The page of a repository that Honk has run in."""

    def __init__(self, auth: AuthMiddleware, database: Database, server_url: str) -> None:
        self._auth = auth
        self._facts = RepositoryFacts(database)
        self._lists = RunLists(database)
        self._server_url = server_url

    def routes(self) -> list[BaseRoute]:
        return [Route("/repos/{owner}/{name}", self._auth.guarded(self._page))]

    async def _page(self, request: Request) -> Response:
        session = self._auth.session(request)
        if session is None:
            return self._auth.to_login(request)
        hidden = HiddenAnswer(self._auth.access, session)
        given = f"{request.path_params['owner']}/{request.path_params['name']}"
        row = await self._facts.newest_run(given) if _is_name(given) else None
        if row is None:
            await hidden.ask_in_vain(given)
        else:
            trigger = row.input.trigger
            level = await self._auth.access.level(
                session.token, str(trigger.repository), trigger.repository_id
            )
            if level is not Access.NONE:
                values = await self._values(row.repository)
                setup = await self._facts.last_setup(row.repository)
                return self._auth.renderer.page(
                    "repository.html",
                    session=session,
                    repository=row.repository,
                    url=f"{self._server_url}/{row.repository}",
                    policy=_as_yaml(row.input.policy),
                    setup=_setup(setup),
                    run=row.id,
                    **values,
                )
        await hidden.wait()
        return self._auth.renderer.problem(404, "Not found", _NOT_HERE, session=session)

    async def _values(self, repository: str) -> dict[str, Any]:
        given = RunFilter(repository=repository)
        running, queued, last, found, flaky = await asyncio.gather(
            self._lists.live("running", given, _RUNS_SHOWN),
            self._lists.live("queued", given, _RUNS_SHOWN),
            self._lists.finished(given, _RUNS_SHOWN),
            self._facts.last_results(repository),
            self._facts.flaky(repository),
        )
        return {
            "groups": [
                (name, [_line(line) for line in lines])
                for name, lines in (
                    ("Running", running),
                    ("Queue", queued),
                    ("Last results", last.lines),
                )
                if lines
            ],
            "verified": _results(found),
            "flaky": flaky,
        }


def _is_name(text: str) -> bool:
    try:
        RepoName.parse(text)
    except ValueError:
        return False
    return True


def _as_yaml(policy: Policy) -> str:
    """The policy's keys that differ from their defaults, as a policy file has them."""
    given = json.loads(policy.model_dump_json(exclude_defaults=True))
    return yaml.safe_dump(given, sort_keys=False, allow_unicode=True) if given else ""


def _setup(recorded: dict[str, Any] | None) -> SetupOutcome | None:
    try:
        return None if recorded is None else SetupOutcome.recorded(recorded)
    except ValidationError:
        return None


def _results(found: tuple[str, dict[str, Any]] | None) -> dict[str, Any] | None:
    """The verifiers of the last verification: what each ran and counted."""
    if found is None:
        return None
    try:
        results = Results.recorded(found[1])
    except ValidationError:
        return None
    rows = [
        {
            "name": each.verifier,
            "command": each.command,
            "tests": len(each.tests) + each.tests_dropped,
            "seconds": each.seconds,
            "problem": each.problem or each.note or "",
        }
        for each in results.verifiers
    ]
    return {"commit": found[0], "rows": rows}


def _line(line: RunLine) -> dict[str, Any]:
    state = messages.formatting.state(line.phase, line.outcome, line.mode)
    return {"run": line, "state": state, "tone": tone(line.outcome)}
