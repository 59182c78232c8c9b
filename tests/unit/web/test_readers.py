"""GitHub decides who may see a run, and is asked again after a minute."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from app.domain.values import RepoName
from app.errors import RetryableError
from app.github.people import Access, NotSignedInError, People
from app.web.repository_access import KEPT_SECONDS, MOST_ASKED, RepositoryAccess


@dataclass
class Answering:
    """The part of GitHub that is used here."""

    status: int = 200
    body: object = field(default_factory=lambda: {"id": 7})
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[httpx.Request] = field(default_factory=list)
    moved: dict[str, str] = field(default_factory=dict)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if str(request.url) in self.moved:
            return httpx.Response(301, headers={"location": self.moved[str(request.url)]})
        return httpx.Response(self.status, content=json.dumps(self.body), headers=self.headers)


def people(github: Answering) -> People:
    client = httpx.AsyncClient(transport=httpx.MockTransport(github))
    return People(client, "https://gh.example", "https://gh.example/api/v3", "id", SecretStr("s"))


REPO = RepoName(owner="o", name="r")
TOKEN = SecretStr("ghu_one")


async def test_an_answer_is_kept_for_a_minute_and_for_one_person() -> None:
    github, now = Answering(), [0.0]
    readers = RepositoryAccess(people(github), clock=lambda: now[0])
    assert await readers.may_read("ghu_one", "o/r", 7)
    now[0] = KEPT_SECONDS - 1
    github.status = 404
    assert await readers.may_read("ghu_one", "o/r", 7)
    assert not await readers.may_read("ghu_two", "o/r", 7)
    now[0] = KEPT_SECONDS + 1
    assert not await readers.may_read("ghu_one", "o/r", 7)


async def test_access_is_checked_again_after_sign_out() -> None:
    github = Answering()
    readers = RepositoryAccess(people(github))
    assert await readers.may_read("ghu_one", "o/r", 7)
    readers.forget("ghu_one")
    github.status = 404
    assert not await readers.may_read("ghu_one", "o/r", 7)


async def test_what_was_not_asked_is_not_readable() -> None:
    github = Answering()
    many = [(f"o/r{number}", number) for number in range(MOST_ASKED + 5)]
    assert await RepositoryAccess(people(github)).readable("ghu_one", many) == {7}
    assert len(github.asked) == MOST_ASKED


async def test_the_answer_has_to_be_about_the_same_repository() -> None:
    assert not await people(Answering(body={"id": 8})).access(TOKEN, REPO, 7)


@pytest.mark.parametrize("status", [403, 404, 410, 451])
async def test_whatever_github_refuses_is_not_readable(status: int) -> None:
    assert not await people(Answering(status)).access(TOKEN, REPO, 7)


@pytest.mark.parametrize(
    "github",
    [
        Answering(500),
        Answering(502),
        Answering(429),
        Answering(403, headers={"x-ratelimit-remaining": "0"}),
        Answering(403, headers={"retry-after": "60"}),
        Answering(body=[]),
        Answering(body={"id": "7"}),
    ],
)
async def test_trouble_is_no_answer(github: Answering) -> None:
    with pytest.raises(RetryableError):
        await people(github).access(TOKEN, REPO, 7)


async def test_a_token_that_is_good_no_longer_ends_the_session() -> None:
    with pytest.raises(NotSignedInError):
        await people(Answering(401)).access(TOKEN, REPO, 7)


async def test_a_token_goes_to_no_other_host() -> None:
    first = "https://gh.example/api/v3/repos/o/r"
    github = Answering(moved={first: "https://evil.example/x"})
    await people(github).access(TOKEN, REPO, 7)
    assert "authorization" in github.asked[0].headers
    assert "authorization" not in github.asked[1].headers


async def test_a_code_is_not_forwarded() -> None:
    first = "https://gh.example/login/oauth/access_token"
    github = Answering(moved={first: "https://evil.example/x"})
    with pytest.raises((NotSignedInError, RetryableError)):
        await people(github).token_for("code", "verifier")
    assert len(github.asked) == 1
    assert "code" not in str(github.asked[0].url)


@pytest.mark.parametrize(
    ("permissions", "access"),
    [
        (None, Access.READ),
        ({"pull": True, "push": False}, Access.READ),
        ({"pull": True, "push": True}, Access.WRITE),
        ({"push": True, "admin": True}, Access.ADMIN),
    ],
)
async def test_github_says_who_may_write(permissions: Any, access: Access) -> None:
    more = {} if permissions is None else {"permissions": permissions}
    assert await people(Answering(body={"id": 7} | more)).access(TOKEN, REPO, 7) is access


async def test_an_open_stream_asks_again_before_the_answer_is_a_minute_old() -> None:
    now = [0.0]
    github = Answering()
    readers = RepositoryAccess(people(github), clock=lambda: now[0])
    assert await readers.level("ghu_one", "o/r", 7) is Access.READ
    github.status = 404
    now[0] = 20.0
    assert await readers.level("ghu_one", "o/r", 7) is Access.READ
    assert await readers.level("ghu_one", "o/r", 7, max_age=15) is Access.NONE
