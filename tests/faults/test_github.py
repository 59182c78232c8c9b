"""GitHub's faults in their short form; `make faults ONLY=github` goes through all of them."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults import github
from tests.faults.points import Point

SHORT = [
    Point("POST /app/installations/{installation_id}/access_tokens", "404 once"),
    Point("POST /pulls", "502 after it took effect"),
    Point("POST /issues/{issue_number}/comments", "cut"),
    Point("/honk merge: PUT /pulls/{pull_number}/merge-async", "502 after it took effect"),
    Point("/honk merge: PUT /pulls/{pull_number}/merge-async", "cut"),
    Point("POST /{owner}/{repo}.git/git-receive-pack", "401"),
]


@pytest.mark.slow
async def test_whatever_github_answers_people_see_the_usual_end() -> None:
    async with github.opened() as bench:
        points = await bench.points()
        assert set(SHORT) <= set(points)
        took = await asyncio.gather(*(bench.survives(point) for point in SHORT))

    assert took == ["ok"] * len(SHORT)
