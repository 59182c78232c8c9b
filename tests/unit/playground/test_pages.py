"""The pages without a browser: who may see and do what, and what they promise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from app.playground.github import AppRegistration, GitHub, serve
from app.playground.github.records import CheckRun
from app.playground.pages import github_with_pages

REPO = "octo/sample"
FILES = {"calc.py": b"def add(a, b):\n    return a - b\n", "docs/a b.md": b"# Hi\n"}


@dataclass
class Door:
    """A person at the pages."""

    github: GitHub
    client: httpx.AsyncClient

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    async def act_as(self, login: str) -> None:
        answer = await self.send("/act-as", login=login, back="/")
        assert answer.status_code == 303

    async def send(self, path: str, /, **fields: str) -> httpx.Response:
        headers = {"Origin": self.github.url}
        return await self.client.post(path, data=fields, headers=headers)

    async def text(self, path: str) -> str:
        answer = await self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def pull(self) -> int:
        """A pull request by walter that changes a line."""
        base = f"/repos/{REPO}"
        head = await self.github.branch(REPO, "main")
        act = self.github.act
        content = "def add(a, b):\n    return a + b\n"
        tree = await act(
            "walter",
            "POST",
            f"{base}/git/trees",
            {
                "base_tree": head,
                "tree": [{"path": "calc.py", "mode": "100644", "type": "blob", "content": content}],
            },
        )
        body = {"message": "Add", "tree": tree["sha"], "parents": [head]}
        commit = await act("walter", "POST", f"{base}/git/commits", body)
        body = {"ref": "refs/heads/fix/add", "sha": commit["sha"]}
        await act("walter", "POST", f"{base}/git/refs", body)
        body = {"title": "Add", "head": "fix/add", "base": "main", "body": "Closes #1"}
        return int((await act("walter", "POST", f"{base}/pulls", body))["number"])


@pytest_asyncio.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    app = AppRegistration(app_id=7, slug="honk", private_key_pem="", webhook_secret="s")
    github = github_with_pages(tmp_path / "github", app)
    for login in ("octo", "walter", "trudy", "rita", "stan"):
        github.add_user(login)
    team = {"walter": "write", "trudy": "triage", "rita": "read"}
    await github.add_repository(REPO, files=FILES, permissions=team)
    await github.add_repository("octo/secret", files={}, private=True, permissions=team)
    await github.open_issue(REPO, "rita", "It <b>breaks</b>", "Steps ...")
    async with serve(github) as url, httpx.AsyncClient(base_url=url) as client:
        yield Door(github, client)


async def test_pages_link_to_the_products_own_pages(tmp_path: Path) -> None:
    app = AppRegistration(app_id=7, slug="honk", private_key_pem="", webhook_secret="s")
    github = github_with_pages(tmp_path, app, product_url="http://127.0.0.1:9")
    async with serve(github) as url, httpx.AsyncClient(base_url=url) as client:
        assert 'href="http://127.0.0.1:9/runs"' in (await client.get("/")).text


async def test_every_page_keeps_its_promises(door: Door) -> None:
    number = await door.pull()
    sha = await door.github.branch(REPO, "fix/add")
    pages: tuple[str, ...] = (
        "",
        "/issues",
        "/pulls",
        "/issues/new",
        "/issues/1",
        "/tree/main/docs",
    )
    pages += ("/blob/main/docs/a%20b.md", "/blob/fix/add/calc.py", f"/commit/{sha}")
    pages += tuple(f"/pull/{number}{tab}" for tab in ("", "/commits", "/checks", "/files"))
    for page in ("/", "/octo", "/notifications", *(f"/{REPO}{path}" for path in pages)):
        answer = await door.get(page)
        assert answer.status_code == 200, page
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert " style=" not in answer.text, page
        assert "<b>breaks" not in answer.text, page
        again = await door.get(page, **{"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304, page


@pytest.mark.parametrize(
    "path",
    [
        "/nobody",
        "/octo/none",
        f"/{REPO}/issues/99",
        f"/{REPO}/pull/99",
        f"/{REPO}/runs/9",
        f"/{REPO}/commit/fffffff",
        f"/{REPO}/blob/main/none",
        f"/{REPO}/tree/none",
    ],
)
async def test_what_is_not_there_is_404(door: Door, path: str) -> None:
    assert (await door.get(path)).status_code == 404


async def test_a_number_leads_to_the_right_kind_of_page(door: Door) -> None:
    number = await door.pull()
    answer = await door.get(f"/{REPO}/issues/{number}")
    assert answer.headers["Location"] == f"/{REPO}/pull/{number}"
    assert (await door.get(f"/{REPO}/pull/1")).headers["Location"] == f"/{REPO}/issues/1"


async def test_a_stranger_does_not_see_what_is_private(door: Door) -> None:
    assert "secret" in await door.text("/")
    await door.act_as("stan")
    assert "secret" not in await door.text("/")
    assert (await door.get("/octo/secret")).status_code == 404


@pytest.mark.parametrize("origin", [None, "null", "https://example.com", "http://127.0.0.1:1"])
async def test_forms_of_other_sites_are_refused(door: Door, origin: str | None) -> None:
    headers = {"Origin": origin} if origin else {}
    fields = {"do": "comment", "body": "hi"}
    answer = await door.client.post(f"/{REPO}/issues/1", data=fields, headers=headers)
    assert answer.status_code == 403
    assert door.github.issue(REPO, 1).comments == []


async def test_no_other_name_leads_here(door: Door) -> None:
    answer = await door.get("/", Host="rebound.example.com")
    assert answer.status_code == 403
    assert "sample" not in answer.text


async def test_back_leads_to_no_other_site(door: Door) -> None:
    for back in ("https://example.com/x", "//example.com/x", "/\\example.com"):
        answer = await door.send("/act-as", login="rita", back=back)
        assert answer.headers["Location"].startswith("/")
        assert answer.headers["Location"][1] not in "/\\"


async def test_a_thread_is_written_labelled_closed_and_opened_again(door: Door) -> None:
    page, issue = f"/{REPO}/issues/1", door.github.issue(REPO, 1)
    await door.act_as("trudy")
    await door.send(page, do="label", label="honk")
    await door.send(page, do="comment", body="one\r\ntwo")
    await door.send(page, do="react", target="issue", content="heart")
    comment = issue.comments[0]
    await door.send(page, do="react", target=str(comment.id), content="eyes")
    await door.send(page, do="edit", comment=str(comment.id), body="three")
    assert issue.label_names == ["honk"]
    assert comment.body == "three"
    assert [one.content for one in (*issue.reactions, *comment.reactions)] == ["heart", "eyes"]

    await door.send(page, do="unlabel", label="honk")
    await door.send(page, do="react", target="issue", content="heart")
    await door.send(page, do="comment", body="bye", state="closed completed")
    assert (issue.label_names, issue.reactions, issue.state) == ([], [], "closed")
    assert issue.comments[-1].body == "bye"
    await door.send(page, do="comment", body="", state="open")
    assert issue.state == "open"
    assert len(issue.comments) == 2


@pytest.mark.parametrize(
    ("login", "fields", "words"),
    [
        ("rita", {"do": "label", "label": "honk"}, "Must have more rights to Repository. (403)"),
        ("stan", {"do": "comment", "body": "", "state": "closed"}, "Must have admin rights"),
        ("rita", {"do": "comment", "body": " "}, "Body can not be blank"),
        ("rita", {"do": "nothing"}, "No button does that."),
        ("rita", {"do": "edit", "comment": "x", "body": "y"}, "is not a number"),
    ],
)
async def test_a_refusal_is_shown_on_the_page(
    door: Door, login: str, fields: dict[str, str], words: str
) -> None:
    await door.act_as(login)
    answer = await door.send(f"/{REPO}/issues/1", **fields)
    assert answer.status_code >= 400
    assert words in answer.text
    assert "Steps ..." in answer.text


async def test_a_pull_request_is_reviewed_and_merged(door: Door) -> None:
    number = await door.pull()
    page, issue = f"/{REPO}/pull/{number}", door.github.issue(REPO, number)
    pull = issue.pull
    assert pull is not None
    wanted = {"path": "calc.py", "line": "2", "side": "RIGHT"}
    form = await door.get(f"{page}/files?path=calc.py&line=2&side=RIGHT")
    assert 'id="comment-here"' in form.text
    head = pull.head_sha
    await door.send(f"{page}/files", do="comment-on-line", commit=head, body="Why?", **wanted)
    first = str(pull.threads[0].comments[0].id)
    await door.send(f"{page}/files", do="reply", thread=first, body="Because.")
    assert [one.body for one in pull.threads[0].comments] == ["Why?", "Because."]
    assert "Because." in await door.text(f"{page}/files")
    assert "Because." in await door.text(page)

    assert (await door.send(page, do="draft")).status_code == 303
    assert pull.draft
    assert "still a draft" in (await door.send(page, do="merge", sha=head, method="merge")).text
    await door.send(page, do="ready")
    await door.send(page, do="review", event="APPROVE", body="")
    assert "approved these changes" in await door.text(page)
    assert (await door.send(page, do="merge", sha=head, method="squash")).status_code == 303
    assert pull.merged_by is door.github.world.user("octo")
    assert door.github.issue(REPO, 1).state == "closed"
    assert "Merged" in await door.text(page)


async def test_a_check_shows_its_annotations_and_its_buttons(door: Door) -> None:
    number = await door.pull()
    repository = door.github.repository(REPO)
    sha = await door.github.branch(REPO, "fix/add")
    suite = next(one for one in repository.suites.values() if one.head_sha == sha)
    run = CheckRun(9001, suite, "honk / tests", "completed", "failure", "", None)
    run.title, run.summary = "1 new failure", "| a |\n|---|\n| 1 |"
    run.annotations = [
        {
            "path": "calc.py",
            "start_line": 2,
            "end_line": 2,
            "annotation_level": "failure",
            "message": "assert -1 == 5 <script>",
            "title": "test_add",
        }
    ]
    run.actions = [{"label": "Fix it", "description": "Again", "identifier": "fix"}]
    suite.runs.append(run)

    for page in (f"/runs/{run.id}", f"/pull/{number}/checks", f"/pull/{number}/files"):
        text = await door.text(f"/{REPO}{page}")
        assert "assert -1 == 5 &lt;script&gt;" in text, page
    assert "failure · 1 new failure" in await door.text(f"/{REPO}/pull/{number}")

    fields = {"do": "press", "run": str(run.id)}
    answer = await door.send(f"/{REPO}/pull/{number}", identifier="fix", **fields)
    assert answer.status_code == 303
    await door.github.drained()
    pressed = [one for one in door.github.deliveries if one.event == "check_run"][-1]
    assert pressed.payload["requested_action"] == {"identifier": "fix"}
    answer = await door.send(f"/{REPO}/runs/{run.id}", identifier="none", do="press")
    assert answer.status_code == 422
    assert "Refused." in answer.text


async def test_the_feed_rings_for_what_is_new_and_not_for_edits(door: Door) -> None:
    await door.act_as("rita")
    await door.github.comment(REPO, 1, "walter", "`@rita` is code, this is not: hello")
    made = await door.github.comment(REPO, 1, "walter", "@rita look")
    await door.github.edit_comment(REPO, made.id, "walter", "@rita look again")
    page = await door.text("/notifications")
    assert "Notifications, 2 unread" in page
    assert page.count(">mention<") == 1
    await door.send("/notifications", do="read")
    assert "Notifications, 0 unread" in await door.text("/")


async def test_the_api_stays_where_it_is(door: Door) -> None:
    answer = await door.get(f"/api/v3/repos/{REPO}")
    assert answer.json()["full_name"] == REPO
    assert (await door.get(f"/{REPO}.git/info/refs?service=git-upload-pack")).status_code == 200
