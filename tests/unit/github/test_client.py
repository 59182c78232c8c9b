from __future__ import annotations

import asyncio
import contextvars
import logging
import socket
import traceback
from email.utils import formatdate

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from app.errors import RetryableError, UserError
from app.github.client import GitHubApp
from app.github.exchange import GRAPHQL, ApiCall, ApiRequest
from app.github.refusals import (
    GitHubRefusedError,
    MissingPermissionError,
    UnknownOutcomeError,
)
from tests.unit.github.conftest import PERMISSIONS, REPO, Bench, private_key
from tests.unit.github.scripted import Reply

PATH = "/repos/octo/widget/things"
READ = ApiRequest("GET", "/repos/{owner}/{repo}/things", repeatable=True)
WRITE = ApiRequest("POST", "/repos/{owner}/{repo}/things", body={"a": 1})
SECONDARY = {"message": "You have exceeded a secondary rate limit. Please wait."}


@pytest.mark.parametrize("trouble", [Reply(500), Reply(502), Reply(503), Reply(never=True)])
async def test_a_read_is_sent_again_after_trouble(bench: Bench, trouble: Reply) -> None:
    bench.github.reply("GET", PATH, trouble, Reply(200, {"x": 1}))
    assert (await bench.client.send(READ)).read(dict) == {"x": 1}
    assert len(bench.github.requests("GET", PATH)) == 2


async def test_reads_end_after_four_tries_that_lie_further_and_further_apart(
    bench: Bench,
) -> None:
    bench.github.reply("GET", PATH, *[Reply(502)] * 9)
    with pytest.raises(RetryableError, match="answered 502 to GET"):
        await bench.client.send(READ)
    assert len(bench.github.requests("GET", PATH)) == 4
    first, second, third = bench.time.slept
    assert 0.3 < first < 0.7 < second < 1.3 < third < 2.6


@pytest.mark.parametrize("trouble", [Reply(500), Reply(502), Reply(504), Reply(never=True)])
async def test_a_write_of_unknown_fate_is_never_sent_again_by_itself(
    bench: Bench, trouble: Reply
) -> None:
    bench.github.reply("POST", PATH, trouble)
    with pytest.raises(UnknownOutcomeError, match="whether it took effect is not known"):
        await bench.client.send(WRITE)
    assert len(bench.github.requests("POST", PATH)) == 1


async def test_a_write_that_never_left_is_merely_late(bench: Bench) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/api/v3"
    app = GitHubApp("7", SecretStr(private_key()), url, url, sleep=bench.time.sleep)
    client = await app.repository(42, REPO, PERMISSIONS)
    with pytest.raises(RetryableError, match="ConnectError") as caught:
        await client.send(WRITE)
    assert not isinstance(caught.value, UnknownOutcomeError)
    await app.close()


@pytest.mark.parametrize("request_", [READ, WRITE])
async def test_a_short_limit_is_waited_for(bench: Bench, request_: ApiRequest) -> None:
    limit = Reply(403, SECONDARY, {"retry-after": "3"})
    bench.github.reply(request_.method, PATH, limit)
    await bench.client.send(request_)
    assert bench.time.slept == [3.0]
    assert len(bench.github.requests(request_.method, PATH)) == 2


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        (Reply(403, SECONDARY, {"retry-after": "120"}), 120),
        (Reply(429, SECONDARY, {"retry-after": "120"}), 120),
        (Reply(403, SECONDARY), 60),
        (Reply(429, {"message": "Too many"}), 60),
        (
            Reply(
                403,
                {"message": "API rate limit exceeded for installation ID 42."},
                {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700000300"},
            ),
            300,
        ),
        (
            Reply(429, SECONDARY, {"retry-after": formatdate(1_700_000_090, usegmt=True)}),
            90,
        ),
    ],
)
async def test_a_long_limit_ends_the_call_and_names_its_time(
    bench: Bench, reply: Reply, seconds: float
) -> None:
    bench.github.reply("POST", PATH, reply)
    with pytest.raises(RetryableError) as caught:
        await bench.client.send(WRITE)
    assert caught.value.retry_after == seconds
    assert bench.time.slept == []


async def test_a_limit_that_does_not_end_is_not_waited_for_for_ever(bench: Bench) -> None:
    bench.github.reply("GET", PATH, *[Reply(429, SECONDARY, {"retry-after": "1"})] * 9)
    with pytest.raises(RetryableError):
        await bench.client.send(READ)
    assert len(bench.github.requests("GET", PATH)) == 4


@pytest.mark.parametrize("status", [404, 409])
async def test_what_is_missing_or_in_the_way_is_looked_for_once_more(
    bench: Bench, status: int
) -> None:
    refused = Reply(status, {"message": "No"})
    bench.github.reply("GET", PATH, refused)
    await bench.client.send(READ)
    assert bench.time.slept == [1.0]
    bench.github.reply("GET", PATH, refused, refused)
    with pytest.raises(GitHubRefusedError):
        await bench.client.send(READ)


async def test_a_404_that_the_caller_handles_is_returned_at_once_unless_just_created(
    bench: Bench,
) -> None:
    missing = Reply(404, {"message": "Not Found"})
    things = "/repos/{owner}/{repo}/things"
    bench.github.reply("GET", PATH, missing)
    assert (await bench.client.get(things, accept={404})).status == 404
    assert bench.time.slept == []
    bench.github.reply("GET", PATH, missing)
    assert (await bench.client.get(things, accept={404}, just_created=True)).status == 200
    assert bench.time.slept == [1.0]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"x-accepted-github-permissions": "checks=write"}, r"Checks \(write\)"),
        (
            {"x-accepted-github-permissions": "contents=write,workflows=write; issues=read"},
            r"Contents \(write\), Workflows \(write\)\.",
        ),
        ({}, r"Issues \(write\)"),
    ],
)
async def test_a_missing_permission_is_named(
    bench: Bench, header: dict[str, str], words: str
) -> None:
    refusal = Reply(403, {"message": "Resource not accessible by integration"}, header)
    bench.github.reply("POST", "/repos/octo/widget/issues/1/comments", refusal)
    request = ApiRequest(
        "POST", "/repos/{owner}/{repo}/issues/{issue_number}/comments", path={"issue_number": 1}
    )
    with pytest.raises(MissingPermissionError, match=words):
        await bench.client.send(request)


async def test_a_deleted_repository_is_reported_as_that(bench: Bench) -> None:
    missing = Reply(404, {"message": "Not Found"})
    bench.github.reply("GET", "/repos/octo/widget", missing, missing)
    with pytest.raises(UserError, match="octo/widget does not exist, or Honk has no access"):
        await bench.client.get("/repos/{owner}/{repo}")


async def test_what_github_does_not_accept_is_readable(bench: Bench) -> None:
    body = {
        "message": "Validation Failed",
        "errors": [
            {"resource": "Label", "field": "color", "code": "invalid"},
            {"resource": "PullRequest", "code": "custom", "message": "No commits between a and b"},
            "Something\nelse",
        ],
    }
    bench.github.reply("POST", PATH, Reply(422, body))
    with pytest.raises(GitHubRefusedError) as caught:
        await bench.client.send(WRITE)
    assert str(caught.value) == (
        "GitHub refused a request about octo/widget. GitHub said: Validation Failed; "
        "Label color invalid; No commits between a and b; Something else"
    )
    assert caught.value.status == 422


@pytest.mark.parametrize("body", ["<html>", None, [], {"message": {"a": 1}}, {"errors": "x"}])
async def test_a_refusal_without_a_message_is_no_traceback(bench: Bench, body: object) -> None:
    bench.github.reply("POST", PATH, Reply(418, body))
    with pytest.raises(GitHubRefusedError, match="octo/widget"):
        await bench.client.send(WRITE)


async def test_an_answer_that_is_not_what_was_asked_for_is_not_believed(bench: Bench) -> None:
    bench.github.reply("GET", PATH, Reply(200, {"x": 1}))
    with pytest.raises(RetryableError, match="could not be read"):
        (await bench.client.send(READ)).read(list[int])


async def test_a_renamed_repository_is_followed_with_method_and_body(bench: Bench) -> None:
    moved = Reply(301, {}, {"location": f"{bench.github.url}/repositories/9/things"})
    bench.github.reply("POST", PATH, moved)
    await bench.client.send(WRITE)
    (seen,) = bench.github.requests("POST", "/repositories/9/things")
    assert seen.body == {"a": 1}


@pytest.mark.parametrize(
    "location", ["http://localhost:1/api/v3/x", "https://127.0.0.1/x", "//127.0.0.2:9/x"]
)
async def test_a_token_never_goes_to_another_host(bench: Bench, location: str) -> None:
    bench.github.reply("GET", PATH, Reply(302, {}, {"location": location}))
    with pytest.raises(RetryableError, match="elsewhere"):
        await bench.client.send(READ)


async def test_redirects_in_a_circle_end(bench: Bench) -> None:
    circle = Reply(307, {}, {"location": f"{bench.github.url}/repos/octo/widget/things"})
    bench.github.reply("GET", PATH, *[circle] * 9)
    with pytest.raises(RetryableError, match="elsewhere"):
        await bench.client.send(READ)
    assert len(bench.github.requests("GET", PATH)) == 4


async def test_names_are_encoded_wherever_they_stand(bench: Bench) -> None:
    ref = "heads/feat/x@2#ü %2F?"
    await bench.client.get("/repos/{owner}/{repo}/git/ref/{ref}", path={"ref": ref})
    await bench.client.get("/repos/{owner}/{repo}/labels/{name}", path={"name": "honk:a/b"})
    paths = [seen.path for seen in bench.github.seen if seen.method == "GET"]
    assert paths == [
        "/repos/octo/widget/git/ref/heads/feat/x%402%23%C3%BC%20%252F%3F",
        "/repos/octo/widget/labels/honk%3Aa%2Fb",
    ]


@pytest.mark.parametrize("ref", ["..", "heads/../../../user", "heads/./x", "", "heads//x"])
async def test_a_name_cannot_climb_to_another_address(bench: Bench, ref: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in an address"):
        await bench.client.get("/repos/{owner}/{repo}/git/ref/{ref}", path={"ref": ref})
    assert bench.github.seen == []


async def test_pages_are_read_for_as_long_as_there_are_more(bench: Bench) -> None:
    link = '<http://x/y?per_page=100&page={}>; rel="next", <http://x/y?page=3>; rel="last"'
    bench.github.reply(
        "GET",
        PATH,
        Reply(200, [1], {"link": link.format(2)}),
        Reply(200, [2], {"link": link.format(3)}),
        Reply(200, [3], {"link": '<x?page=1>; rel="first"'}),
    )
    pages = bench.client.pages("/repos/{owner}/{repo}/things", query={"since": "2020"})
    assert [page.read(list[int]) async for page in pages] == [
        [1],
        [2],
        [3],
    ]
    queries = [seen.query for seen in bench.github.requests("GET", PATH)]
    assert queries == [f"since=2020&per_page=100&page={page}" for page in (1, 2, 3)]


async def test_every_request_that_is_sent_is_counted(bench: Bench) -> None:
    mine: list[ApiCall] = []
    client = await bench.app.repository(42, REPO, PERMISSIONS, observe=mine.append)
    bench.github.reply("GET", PATH, Reply(502))
    await client.send(READ)
    counted = [(call.method, call.path, call.kind, call.status) for call in mine]
    assert counted == [
        ("POST", "/app/installations/{installation_id}/access_tokens", "token", 201),
        ("GET", "/repos/{owner}/{repo}/things", "api", 502),
        ("GET", "/repos/{owner}/{repo}/things", "api", 200),
    ]
    assert bench.calls == mine
    assert len(bench.github.seen) == 3


async def test_all_tasks_share_one_connection(bench: Bench) -> None:
    for _ in range(5):
        task = contextvars.Context().run(asyncio.ensure_future, bench.client.send(READ))
        await task
    assert len({seen.port for seen in bench.github.seen}) == 1


@pytest.mark.parametrize(
    ("api", "graphql"),
    [
        ("https://api.github.com", "https://api.github.com/graphql"),
        ("https://api.github.com/", "https://api.github.com/graphql"),
        ("https://ghe.example/api/v3", "https://ghe.example/api/graphql"),
        ("http://127.0.0.1:1/api/v3/", "http://127.0.0.1:1/api/graphql"),
    ],
)
async def test_graphql_is_next_to_the_rest_api(api: str, graphql: str) -> None:
    app = GitHubApp("7", SecretStr(private_key()), api, "https://github.example")
    assert app.graphql_url == graphql


async def test_no_secret_is_shown_anywhere(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    troubles = [
        Reply(401),
        Reply(403, SECONDARY, {"retry-after": "1"}),
        Reply(never=True),
        *[Reply(502)] * 9,
    ]
    bench.github.reply("GET", PATH, *troubles)
    with capture_logs() as logs, pytest.raises(RetryableError) as caught:
        await bench.client.send(READ)
    bench.github.reply("POST", PATH, Reply(502))
    with pytest.raises(UnknownOutcomeError) as unsure:
        await bench.client.send(WRITE)
    shown = [
        *("".join(traceback.format_exception(error.value)) for error in (caught, unsure)),
        repr(bench.app),
        repr(bench.client),
        repr(vars(bench.app)),
        repr(vars(bench.client)),
        repr(bench.app._tokens),
        repr(bench.calls),
        repr(logs),
        caplog.text,
    ]
    secrets = bench.app.redactions()
    assert len(secrets) >= 6
    assert logs
    assert not [(secret, text) for secret in secrets for text in shown if secret in text]


@pytest.mark.parametrize(
    ("request_", "writes"),
    [
        (ApiRequest("GET", "/repos/{owner}/{repo}"), False),
        (ApiRequest("PATCH", "/repos/{owner}/{repo}/labels/{name}"), True),
        (
            ApiRequest("POST", GRAPHQL, body={"query": "query($id: ID!) { node(id: $id) { id } }"}),
            False,
        ),
        (
            ApiRequest(
                "POST", GRAPHQL, body={"query": "mutation($id: ID!) { x(input: {}) { y } }"}
            ),
            True,
        ),
    ],
)
def test_what_github_counts_as_a_change(request_: ApiRequest, *, writes: bool) -> None:
    assert request_.writes is writes
