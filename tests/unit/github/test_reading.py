"""How odd, partial or forged answers from GitHub are interpreted."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain.values import CommitSha, TreeSha
from app.errors import RetryableError, UserError
from app.github import checks, commits, conversation, pulls, repositories
from app.github.exchange import cut
from app.github.refusals import GitHubRefusedError, MissingPermissionError
from app.github.repositories import Permission
from tests.unit.github.conftest import Bench
from tests.unit.github.scripted import Reply

REPO = "/repos/octo/widget"
COMMENTS = f"{REPO}/issues/1/comments"
SHA = CommitSha("a" * 40)
MARKER = "<!-- honk:run=r1 -->"
BODY = f"Working on it.\n\n{MARKER}"


def comment(
    id_: int, body: str = BODY, *, user: Any = None, app: int | None = None
) -> dict[str, Any]:
    return {
        "id": id_,
        "node_id": f"IC_{id_}",
        "html_url": f"https://github.example/c/{id_}",
        "body": body,
        "user": user,
        "author_association": "NONE",
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z",
        "performed_via_github_app": {"id": app, "slug": "x"} if app else None,
    }


def account(login: str, kind: str = "User") -> dict[str, Any]:
    return {"login": login, "id": 5, "type": kind}


def pull(number: int = 3, **changes: Any) -> dict[str, Any]:
    return {
        "number": number,
        "html_url": f"https://github.example/p/{number}",
        "node_id": f"PR_{number}",
        "title": "Title",
        "state": "open",
        "draft": False,
        "head": {"ref": "honk/1-x", "sha": SHA, "label": "octo:honk/1-x"},
        "base": {"ref": "main", "sha": SHA},
        **changes,
    }


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"permission": "admin", "user": {"permissions": {"admin": True, "push": True}}}, "admin"),
        (
            {
                "permission": "write",
                "role_name": "release-captain",
                "user": {"permissions": {"maintain": True, "push": True, "pull": True}},
            },
            "maintain",
        ),
        ({"permission": "write", "user": {"permissions": {"push": True, "pull": True}}}, "write"),
        ({"permission": "read", "user": {"permissions": {"triage": True, "pull": True}}}, "triage"),
        ({"permission": "read", "user": {"permissions": {"pull": True}}}, "read"),
        ({"permission": "admin", "user": {"permissions": {}}}, "none"),
        ({"permission": "write", "role_name": "maintain", "user": None}, "maintain"),
        ({"permission": "write", "role_name": "release-captain", "user": {}}, "write"),
        ({"permission": "none", "role_name": "", "user": None}, "none"),
        ({"permission": "everything"}, "none"),
    ],
)
async def test_who_may_do_what(bench: Bench, answer: dict[str, Any], expected: str) -> None:
    bench.github.reply("GET", f"{REPO}/collaborators/ann/permission", Reply(200, answer))
    assert await repositories.permission(bench.client, "ann") == Permission(expected)


async def test_an_app_has_no_permission_of_a_person(bench: Bench) -> None:
    path = f"{REPO}/collaborators/renovate%5Bbot%5D/permission"
    missing = Reply(404, {"message": "Not Found"})
    bench.github.reply("GET", path, missing, missing)
    assert await repositories.permission(bench.client, "renovate[bot]") is Permission.NONE


def test_permissions_are_a_ladder() -> None:
    assert Permission.MAINTAIN.at_least(Permission.WRITE)
    assert Permission.WRITE.at_least(Permission.WRITE)
    assert not Permission.TRIAGE.at_least(Permission.WRITE)


@pytest.mark.parametrize("status", [404, 409])
async def test_a_branch_that_is_not_there_has_no_head(bench: Bench, status: int) -> None:
    path = f"{REPO}/git/ref/heads/main"
    bench.github.reply("GET", path, Reply(status, {"message": "Git Repository is empty."}))
    assert await repositories.branch_head(bench.client, "main") is None


async def test_a_file_is_read_at_a_ref_of_any_name(bench: Bench) -> None:
    path = f"{REPO}/contents/.github/honk.yml"
    content = base64.encodebytes(b"who: admin\n\xff").decode()
    body = {"type": "file", "size": 12, "encoding": "base64", "content": content}
    bench.github.reply("GET", path, Reply(200, body))
    read = await repositories.read_file(bench.client, ".github/honk.yml", "feat/x@2#ü", 100)
    assert read == b"who: admin\n\xff"
    (seen,) = bench.github.requests("GET", path)
    assert seen.query == "ref=feat%2Fx%402%23%C3%BC"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"type": "file", "size": 101, "content": ""}, "has 101 bytes; 100 are read"),
        ({"type": "symlink", "size": 3, "target": "/etc/passwd"}, "is a symlink"),
        ({"type": "submodule", "size": 0}, "is a submodule"),
        ([{"type": "file"}], "is a directory"),
    ],
)
async def test_what_is_no_small_file_is_refused(bench: Bench, body: Any, words: str) -> None:
    bench.github.reply("GET", f"{REPO}/contents/x", Reply(200, body))
    with pytest.raises(UserError, match=words):
        await repositories.read_file(bench.client, "x", "main", 100)


async def test_a_file_that_is_not_there_is_none(bench: Bench) -> None:
    bench.github.reply("GET", f"{REPO}/contents/x", Reply(404, {"message": "Not Found"}))
    assert await repositories.read_file(bench.client, "x", "main", 100) is None
    with pytest.raises(ValueError, match="1000000 bytes"):
        await repositories.read_file(bench.client, "x", "main", 1_000_001)


async def test_an_empty_issue_of_a_deleted_account(bench: Bench) -> None:
    body = {
        "number": 1,
        "node_id": "I_1",
        "title": "T",
        "state": "open",
        "updated_at": "2026-01-02T03:04:05Z",
        "labels": ["plain", {"name": "honk"}],
        "body": None,
        "user": None,
        "pull_request": {"url": "x"},
    }
    bench.github.reply("GET", f"{REPO}/issues/1", Reply(200, body))
    issue = await conversation.issue(bench.client, 1)
    assert issue.body == ""
    assert issue.author == conversation.Author(login="ghost", id=0, type="User")
    assert issue.labels == ("plain", "honk")
    assert issue.is_pull_request
    assert issue.updated_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "forged",
    [
        comment(1, user=account("mallory")),
        comment(1, user=account("honk[bot]", "User")),
        comment(1, user=account("other[bot]", "Bot")),
        comment(1, user=account("honk[bot]", "Bot"), app=8),
        comment(1, f"> {MARKER}", user=account("honk[bot]", "Bot"), app=7),
        comment(1, f"see {MARKER}", user=account("honk[bot]", "Bot"), app=7),
        comment(1, user=None),
    ],
)
async def test_a_copied_marker_does_not_count(bench: Bench, forged: dict[str, Any]) -> None:
    bench.github.reply("GET", "/app", Reply(200, {"id": 7, "slug": "honk"}))
    bench.github.reply("GET", COMMENTS, Reply(200, [forged]))
    bench.github.reply("POST", COMMENTS, Reply(201, comment(2)))
    ref = await conversation.ensure_comment(bench.client, 1, MARKER, BODY)
    assert (ref.id, ref.created) == (2, True)


@pytest.mark.parametrize(
    "ours",
    [
        comment(1, user=account("whatever", "Bot"), app=7),
        comment(1, user=account("honk[bot]", "Bot")),
        comment(1, BODY.replace("\n", "\r\n") + "\r\nmore", user=account("honk[bot]", "Bot")),
    ],
)
async def test_our_own_comment_is_found(bench: Bench, ours: dict[str, Any]) -> None:
    bench.github.reply("GET", "/app", Reply(200, {"id": 7, "slug": "honk"}))
    bench.github.reply("GET", COMMENTS, Reply(200, [ours]))
    ref = await conversation.ensure_comment(bench.client, 1, MARKER, BODY)
    assert (ref.id, ref.url, ref.created) == (1, "https://github.example/c/1", False)
    assert bench.github.requests("POST", COMMENTS) == []


async def test_a_long_conversation_is_read_from_its_end(bench: Bench) -> None:
    link = {"link": '<http://x/y?page=2>; rel="next", <http://x/y?per_page=100&page=9>; rel="last"'}
    ours = comment(900, user=account("honk[bot]", "Bot"), app=7)
    bench.github.reply("GET", COMMENTS, Reply(200, [comment(1)], link), Reply(200, [ours]))
    since = datetime(2026, 1, 2, 3, 4, 5, 999, tzinfo=UTC)
    ref = await conversation.ensure_comment(bench.client, 1, MARKER, BODY, since=since)
    assert ref.id == 900
    queries = [seen.query for seen in bench.github.requests("GET", COMMENTS)]
    when = "since=2026-01-02T03%3A04%3A05Z&per_page=100"
    assert queries == [f"{when}&page=1", f"{when}&page=9"]


async def test_a_text_that_is_too_long_is_never_sent(bench: Bench) -> None:
    longest = BODY + "x" * (65_537 - len(BODY))
    with pytest.raises(ValueError, match="65537 characters"):
        await conversation.ensure_comment(bench.client, 1, MARKER, longest)
    with pytest.raises(ValueError, match="65537 characters"):
        await conversation.edit_comment(bench.client, 1, "x" * 65_537)
    with pytest.raises(ValueError, match="65537 characters"):
        await pulls.update_pull_request(bench.client, 1, body="x" * 65_537)
    with pytest.raises(ValueError, match="257 characters"):
        await pulls.ensure_pull_request(bench.client, "h", "b", "x" * 257, "", False)
    with pytest.raises(ValueError, match="does not stand on a line"):
        await conversation.ensure_comment(bench.client, 1, MARKER, "no marker")
    assert bench.github.seen == []


async def test_a_deleted_comment_is_not_an_error(bench: Bench) -> None:
    path = f"{REPO}/issues/comments/4"
    bench.github.reply("PATCH", path, *2 * [Reply(404, {"message": "Not Found"})], Reply(200, {}))
    assert await conversation.edit_comment(bench.client, 4, "x") is False
    assert await conversation.edit_comment(bench.client, 4, "x") is True
    assert [call.kind for call in bench.calls] == ["token", *3 * ["status_edit"]]


async def test_a_comment_that_a_replica_does_not_know_yet_is_edited(bench: Bench) -> None:
    path = f"{REPO}/issues/comments/4"
    bench.github.reply("PATCH", path, Reply(404, {"message": "Not Found"}), Reply(200, {}))
    assert await conversation.edit_comment(bench.client, 4, "x") is True


def test_a_text_that_fits_is_left_alone() -> None:
    assert cut("ü" * 50, 100) == "ü" * 50


@pytest.mark.parametrize("text", ["x" * 200, "ü" * 101, "𝄞" * 60])
def test_a_text_is_cut_by_bytes_and_says_how_much_is_missing(text: str) -> None:
    fitting = cut(text, 100)
    assert len(fitting.encode()) <= 100
    kept, _, note = fitting.partition("\n\n")
    assert text.startswith(kept)
    assert kept
    missing = len(text.encode()) - len(kept.encode())
    assert note == f"… {missing:,} more bytes are not shown."


@pytest.mark.parametrize(
    "actions",
    [
        [checks.Action(label="a", description="b", identifier="c")] * 4,
        [checks.Action(label="a" * 21, description="b", identifier="c")],
        [checks.Action(label="a", description="b" * 41, identifier="c")],
        [checks.Action(label="a", description="b", identifier="c" * 21)],
    ],
)
async def test_buttons_that_github_refuses_are_never_sent(
    bench: Bench, actions: list[checks.Action]
) -> None:
    with pytest.raises(ValueError, match="button"):
        await checks.update_check_run(bench.client, 1, actions=actions)
    assert bench.github.seen == []


async def test_a_check_run_of_another_app_is_not_ours(bench: Bench) -> None:
    run = {"id": 1, "name": "n", "external_id": "e", "app": {"id": 8}}
    path = f"{REPO}/commits/{SHA}/check-runs"
    bench.github.reply("GET", path, Reply(200, {"check_runs": [run]}))
    made = {"id": 2, "name": "n", "external_id": "e", "app": {"id": 7}, "html_url": "https://x/2"}
    bench.github.reply("POST", f"{REPO}/check-runs", Reply(201, made))
    ref = await checks.ensure_check_run(bench.client, "n", SHA, "e")
    assert ref == checks.CheckRunRef(id=2, url="https://x/2", created=True)


async def test_where_drafts_are_refused_the_title_says_it(bench: Bench) -> None:
    refusal = {
        "message": "Validation Failed",
        "errors": [
            {
                "resource": "PullRequest",
                "code": "custom",
                "message": "Draft pull requests are not supported in this repository.",
            }
        ],
    }
    opened = pull(title="Not ready: Fix it")
    bench.github.reply("GET", f"{REPO}/pulls", Reply(200, []))
    bench.github.reply("POST", f"{REPO}/pulls", Reply(422, refusal), Reply(201, opened))
    made = await pulls.ensure_pull_request(bench.client, "honk/1-x", "main", "Fix it", "body", True)
    assert (made.created, made.draft, made.draft_refused) == (True, False, True)
    sent = [seen.body for seen in bench.github.requests("POST", f"{REPO}/pulls")]
    assert [(body["title"], body["draft"]) for body in sent] == [
        ("Fix it", True),
        ("Not ready: Fix it", False),
    ]


async def test_somebody_may_open_the_same_pull_request_first(bench: Bench) -> None:
    refusal = {"message": "Validation Failed", "errors": [{"message": "already exists for x"}]}
    bench.github.reply("GET", f"{REPO}/pulls", Reply(200, [pull()]))
    bench.github.reply("POST", f"{REPO}/pulls", Reply(422, refusal))
    found = await pulls.ensure_pull_request(bench.client, "honk/1-x", "main", "T", "b", False)
    assert (found.number, found.created) == (3, False)


async def test_a_pull_request_of_a_fork_is_not_ours(bench: Bench) -> None:
    fork = pull(9, head={"ref": "honk/1-x", "sha": SHA, "label": "mallory:honk/1-x"})
    other = pull(8, head={"ref": "other", "sha": SHA, "label": "octo:other"})
    bench.github.reply("GET", f"{REPO}/pulls", Reply(200, [fork, other]))
    bench.github.reply("POST", f"{REPO}/pulls", Reply(422, {"message": "Validation Failed"}))
    with pytest.raises(GitHubRefusedError, match="honk/1-x"):
        await pulls.ensure_pull_request(bench.client, "honk/1-x", "main", "T", "b", False)


async def test_nothing_to_merge_is_reported(bench: Bench) -> None:
    refusal = {"message": "Validation Failed", "errors": [{"message": "No commits between a"}]}
    bench.github.reply("GET", f"{REPO}/pulls", Reply(200, []))
    bench.github.reply("POST", f"{REPO}/pulls", Reply(422, refusal))
    with pytest.raises(GitHubRefusedError, match="No commits between"):
        await pulls.ensure_pull_request(bench.client, "honk/1-x", "main", "T", "b", False)


def graphql_errors(message: str, kind: str = "UNPROCESSABLE") -> Reply:
    return Reply(200, {"data": None, "errors": [{"type": kind, "message": message}]})


def is_draft(value: bool) -> Reply:
    return Reply(200, {"data": {"node": {"isDraft": value}}})


GRAPHQL = "/api/graphql"


async def test_ready_is_ready_no_matter_who_did_it(bench: Bench) -> None:
    already = graphql_errors("Pull request is not in draft state")
    bench.github.reply("POST", GRAPHQL, already, is_draft(False))
    await pulls.ready_for_review(bench.client, "PR_3")
    mutation, _ = bench.github.requests("POST", GRAPHQL)
    assert "markPullRequestReadyForReview" in mutation.body["query"]
    assert mutation.body["variables"] == {"id": "PR_3"}


async def test_a_refusal_of_graphql_is_an_error(bench: Bench) -> None:
    refusal = graphql_errors("Resource not accessible by integration", "FORBIDDEN")
    bench.github.reply("POST", GRAPHQL, refusal, is_draft(True))
    with pytest.raises(MissingPermissionError, match=r"Contents \(write\)"):
        await pulls.ready_for_review(bench.client, "PR_3")


async def test_a_plan_without_drafts_stays_as_it_is(bench: Bench) -> None:
    refusal = graphql_errors("Draft pull requests are not supported in this repository.")
    bench.github.reply("POST", GRAPHQL, refusal, is_draft(False))
    assert await pulls.convert_to_draft(bench.client, "PR_3") is False
    bench.github.reply("POST", GRAPHQL, Reply(200, {"data": {}}))
    assert await pulls.convert_to_draft(bench.client, "PR_3") is True


async def test_the_commit_is_left_for_github_to_sign(bench: Bench) -> None:
    made = {
        "sha": SHA,
        "tree": {"sha": "b" * 40},
        "parents": [{"sha": "c" * 40}],
        "message": "m",
        "verification": {"verified": False, "reason": "unsigned"},
    }
    bench.github.reply("POST", f"{REPO}/git/commits", Reply(502), Reply(201, made))
    tree, parent = TreeSha("b" * 40), CommitSha("c" * 40)
    commit = await commits.create_signed_commit(bench.client, tree, [parent], "m")
    assert commit == commits.SignedCommit(sha=SHA, verified=False, reason="unsigned")
    for seen in bench.github.requests("POST", f"{REPO}/git/commits"):
        assert seen.body == {"message": "m", "tree": tree, "parents": [parent]}


async def test_only_full_refs_are_taken(bench: Bench) -> None:
    with pytest.raises(ValueError, match="not a full ref"):
        await commits.read_ref(bench.client, "heads/main")


def linked(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "number": number,
        "url": f"https://github.example/octo/widget/pull/{number}",
        "isDraft": False,
        "headRefName": "feat",
        "headRefOid": SHA,
        "repository": {"nameWithOwner": "octo/widget"},
        "headRepository": None,
        "author": None,
        **changes,
    }


def closing(*nodes: Any, **more: Any) -> Reply:
    found = {"closedByPullRequestsReferences": {"nodes": list(nodes)}}
    return Reply(200, {"data": {"repository": {"issue": found}}, **more})


FORBIDDEN = {"type": "FORBIDDEN", "message": "Resource not accessible by integration"}


async def test_what_github_hides_of_linked_pull_requests_is_left_out(bench: Bench) -> None:
    nodes = (None, linked(4), linked(5, headRefOid=None), linked(6, repository=None))
    bench.github.reply("POST", GRAPHQL, closing(*nodes, errors=[FORBIDDEN]))
    assert [each.number for each in await pulls.linked_to_issue(bench.client, 1)] == [4]


@pytest.mark.parametrize("data", [None, {"repository": None}, {"repository": {"issue": None}}])
async def test_linked_pull_requests_that_are_refused_as_a_whole(bench: Bench, data: Any) -> None:
    bench.github.reply("POST", GRAPHQL, Reply(200, {"data": data, "errors": [FORBIDDEN]}))
    with pytest.raises(MissingPermissionError):
        await pulls.linked_to_issue(bench.client, 1)


@pytest.mark.parametrize(
    "odd",
    [
        linked(5, headRefOid="not a SHA"),
        linked(5, author={"__typename": "Bot"}),
        linked(5, repository="owner/name"),
        "a pull request",
    ],
)
async def test_malformed_linked_pull_requests_are_asked_for_again(bench: Bench, odd: Any) -> None:
    bench.github.reply("POST", GRAPHQL, closing(odd))
    with pytest.raises(RetryableError):
        await pulls.linked_to_issue(bench.client, 1)


WENT_WRONG = {
    "message": "Something went wrong while executing your query on 2026-03-01T08:00:00Z. Please "
    "include `ABCD:1234` when reporting this issue."
}


@pytest.mark.parametrize(
    "failure",
    [
        Reply(200, {"data": None, "errors": [WENT_WRONG]}),
        Reply(200, {"errors": [WENT_WRONG]}),
        Reply(200, {"data": {"repository": None}, "errors": [WENT_WRONG]}),
        Reply(200, {"errors": [{"message": "We couldn't respond to your request in time."}]}),
        Reply(502, {"message": "Bad gateway"}),
    ],
)
async def test_graphql_in_trouble_is_asked_again(bench: Bench, failure: Reply) -> None:
    bench.github.reply("POST", GRAPHQL, failure, failure, closing(linked(4)))
    assert [each.number for each in await pulls.linked_to_issue(bench.client, 1)] == [4]
    bench.github.reply("POST", GRAPHQL, *[failure] * 4)
    with pytest.raises(RetryableError):
        await pulls.linked_to_issue(bench.client, 1)


async def test_graphql_in_trouble_with_a_part_is_used(bench: Bench) -> None:
    bench.github.reply("POST", GRAPHQL, closing(linked(4), None, errors=[WENT_WRONG]))
    assert [each.number for each in await pulls.linked_to_issue(bench.client, 1)] == [4]
    assert len(bench.github.requests("POST", GRAPHQL)) == 1
