"""The validator against planted mistakes: nothing else would catch what it misses."""

from __future__ import annotations

import time
from typing import Any

import pytest

from app.playground.github import RequestRecord
from tests.support.openapi import OpenApi, check_record

SHA = "0123456789" * 4


@pytest.fixture(scope="module")
def api() -> OpenApi:
    return OpenApi.load()


@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("POST", "/repos/o/r/issues/1/comments", {}, {"body": "x"}),
        ("GET", "/repos/o/r/issues", {"state": "all", "per_page": "100"}, None),
        ("GET", "/repos/o/r/contents/.github/honk.yml", {"ref": "main"}, None),
        ("GET", "/repos/o/r/git/ref/heads/feat/x@2%23%C3%BC", {}, None),
        ("GET", "/repos/o/r/commits/feat/x/check-runs", {}, None),
        ("POST", "/repos/o/r/issues/1/labels", {}, {"labels": ["honk"]}),
        ("POST", "/repos/o/r/git/trees", {}, {"tree": [{"path": "x", "sha": None}]}),
        (
            "PATCH",
            "/repos/o/r/check-runs/1",
            {},
            {"status": "completed", "conclusion": "success", "output": {"summary": "s"}},
        ),
        (
            "POST",
            "/app/installations/1/access_tokens",
            {},
            {"repositories": ["r"], "permissions": {"contents": "read"}},
        ),
    ],
)
def test_good_requests(
    api: OpenApi, method: str, path: str, query: dict[str, str], body: Any
) -> None:
    assert api.request_problems(method, path, query, body) == []


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "words"),
    [
        ("GET", "/repos/o/r/nothing", {}, None, "no such operation"),
        ("PUT", "/repos/o/r/issues/1/comments", {}, {"body": "x"}, "no such operation"),
        ("POST", "/repos/o/r/issues/1/comments", {}, {}, "'body' is a required property"),
        ("POST", "/repos/o/r/issues/1/comments", {}, None, "no body"),
        ("POST", "/repos/o/r/issues/1/comments", {}, {"body": 1}, "is not of type 'string'"),
        ("POST", "/repos/o/r/issues/1/comments", {}, {"body": "x", "to": 1}, "'to'"),
        ("POST", "/repos/o/r/issues/1/reactions", {}, {"content": "wink"}, "'wink'"),
        ("GET", "/repos/o/r/issues", {"stat": "all"}, None, "'stat'"),
        ("GET", "/repos/o/r/issues", {"state": "any"}, None, "'any'"),
        ("GET", "/repos/o/r/issues", {"per_page": "x"}, None, "no integer"),
        ("GET", "/repos/o/r/pulls/1", {}, {"x": 1}, "where none is documented"),
        ("PATCH", "/repos/o/r/check-runs/1", {}, {"conclusion": "good"}, "'good'"),
        ("PATCH", "/repos/o/r/check-runs/1", {}, {"summary": "s"}, "'summary'"),
        (
            "POST",
            "/repos/o/r/check-runs",
            {},
            {"name": "x", "head_sha": SHA, "output": {"title": "t", "summary": "s", "note": 1}},
            "'note'",
        ),
        (
            "POST",
            "/repos/o/r/check-runs",
            {},
            {"name": "x", "head_sha": SHA, "started_at": "yesterday"},
            "date-time",
        ),
        (
            "POST",
            "/app/installations/1/access_tokens",
            {},
            {"permissions": {"content": "read"}},
            "'content'",
        ),
        ("POST", "/repos/o/r/git/trees", {}, {"tree": [{"mode": "0644"}]}, "'0644'"),
    ],
)
def test_planted_mistakes_in_requests(
    api: OpenApi, method: str, path: str, query: dict[str, str], body: Any, words: str
) -> None:
    problems = api.request_problems(method, path, query, body)
    assert words in "\n".join(problems)


def test_planted_mistakes_in_answers(api: OpenApi) -> None:
    label = {
        "id": 1,
        "node_id": "x",
        "url": "http://x",
        "name": "n",
        "color": "ededed",
        "default": False,
        "description": None,
    }
    path = "/repos/o/r/labels/n"
    assert api.answer_problems("GET", path, 200, label) == []
    assert api.answer_problems("GET", path, 404, {"message": "Not Found"}) == []
    assert api.answer_problems("GET", path, 401, {"message": "Bad credentials"}) == []
    for wrong, status in (
        (label | {"id": "1"}, 200),
        (label | {"url": "x"}, 200),
        (label | {"name": None}, 200),
        ({"name": "n"}, 200),
        (label, 201),
        ({"error": "x"}, 401),
    ):
        assert api.answer_problems("GET", path, status, wrong)
    assert api.answer_problems("DELETE", path, 204, None) == []
    assert api.answer_problems("DELETE", path, 204, label)


def test_an_exchange_is_looked_at_from_both_sides() -> None:
    def record(**changes: Any) -> RequestRecord:
        whole: dict[str, Any] = {
            "method": "GET",
            "template": "/rate_limit",
            "path": "/rate_limit",
            "query": {"x": "1"},
            "body": None,
            "status": 200,
            "answer": {},
            "token_kind": "installation",
            "who": "honk[bot]",
            "at": None,
        }
        return RequestRecord(**whole | changes)

    both = check_record(record())
    assert any("'x'" in one for one in both)
    assert any("'rate' is a required property" in one for one in both)
    answers = check_record(record(), requests=False)
    assert answers
    assert set(answers) < set(both)
    assert check_record(record(fault=True), requests=False) == []
    query = {"query": "query { viewer { login } }"}
    asked = {"method": "POST", "template": "/graphql", "path": "/graphql", "body": query}
    assert check_record(record(**asked, answer={"data": {"viewer": {"login": "x"}}})) == []
    assert check_record(record(**asked, answer={"data": {"viewer": {"login": None}}}))
    assert check_record(record(**asked, answer={"data": {"viewer": {}}}))
    asked["body"] = {"query": "query { viewer { nothing } }"}
    assert check_record(record(**asked, answer={"data": None}))


def test_a_check_is_cheap(api: OpenApi) -> None:
    body = {"name": "honk / tests", "head_sha": SHA, "status": "queued"}
    api.request_problems("POST", "/repos/o/r/check-runs", {}, body)
    started = time.perf_counter()
    for number in range(100):
        body["external_id"] = str(number)
        assert api.request_problems("POST", "/repos/o/r/check-runs", {}, body) == []
    # Measured: 0.1 ms each; the bound catches a validator that is rebuilt each time.
    assert time.perf_counter() - started < 1.0
