"""Previews: what a repository's CI or host reports about a commit appears where people look."""

from __future__ import annotations

import httpx
import pytest

from app.playground.run import let_sign_in, sign_in_settings
from tests.support.harness import FINISH, FIX, OWNER, Harness, Subject, open_harness, script

pytestmark = pytest.mark.asyncio(loop_scope="module")

URL = "https://shop-git-fix.example.dev/start"


class PreviewHost:
    """A host that deploys commits of the repository, with the rights of its owner."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._path = f"/repos/{subject.repository}/deployments"

    async def deploy(self, sha: str, **values: object) -> int:
        wanted = {
            "ref": sha,
            "auto_merge": False,
            "required_contexts": [],
            "environment": "Preview",
        }
        made = await self._act(self._path, wanted | values)
        number: int = made["id"]
        return number

    async def report(self, deployment: int, state: str, url: str = "") -> None:
        body = {"state": state, "environment_url": url, "auto_inactive": False}
        await self._act(f"{self._path}/{deployment}/statuses", body)
        await self._subject.harness.github.drained()

    async def _act(self, path: str, body: object) -> dict[str, int]:
        done: dict[str, int] = await self._subject.harness.github.act(OWNER, "POST", path, body)
        return done


async def test_previews_of_the_commit_come_and_go_with_what_their_host_reports() -> None:
    async with open_harness(**sign_in_settings()) as harness:
        let_sign_in(harness.github, harness.url)
        subject = await harness.subject(plays=script([FIX], [FINISH]))
        host = PreviewHost(subject)
        await subject.label()
        await subject.settled()
        pull = subject.pull
        assert pull.pull is not None
        head = pull.pull.head_sha
        plain = pull.body, subject.status

        # Reported, with the newest state only, in both texts and on the run's page.
        first = await host.deploy(head)
        await host.report(first, "pending")
        await host.report(first, "success", URL)
        line = f"**Preview** of {head[:7]}: [`shop-git-fix.example.dev`]({URL})"
        await harness.until(lambda: line in (pull.body or ""), "no preview in the pull request")
        await harness.until(lambda: line in subject.status, "no preview in the status comment")
        assert "(Preview, reported by `olivia`)" in subject.status
        assert f'href="{URL}"' in await _page(harness, subject)

        # Neither another commit, nor production, nor an unsafe address changes anything.
        main = await harness.github.branch(subject.repository, "main")
        await host.report(await host.deploy(main or ""), "success", "https://main.example.dev/")
        live = await host.deploy(head, environment="production")
        await host.report(live, "success", "https://live.example.dev/")
        odd = await host.deploy(head, environment="odd [x](https://evil.example) @olivia")
        await host.report(odd, "success", "https://user:word@odd.example.dev/)")
        docs = await host.deploy(head, environment="Docs")
        await host.report(docs, "success", "https://docs.example.dev/")
        docs_page = "docs.example.dev"
        await harness.until(lambda: docs_page in (pull.body or ""), "no second preview")
        await harness.until(lambda: docs_page in subject.status, "no second preview")
        for text in (pull.body or "", subject.status):
            assert text.count("**Preview**") == 1
            assert f"({URL})" in text
            for absent in ("main.example.dev", "live.example.dev", "odd", "evil.example"):
                assert absent not in text

        # A newer deployment that fails removes the page, and so does one that has ended.
        await host.report(await host.deploy(head), "failure")
        await host.report(docs, "inactive")
        await harness.until(lambda: (pull.body, subject.status) == plain, "the preview stays")


async def _page(harness: Harness, subject: Subject) -> str:
    (run,) = harness.sql("SELECT id FROM runs WHERE repository = :name", name=subject.repository)
    async with httpx.AsyncClient(base_url=harness.url) as client:
        sent = await client.get("/login/start")
        await client.get(harness.github.sign_in(OWNER, sent.headers["location"]))
        answer = await client.get(f"/runs/{run[0]}")
        assert answer.status_code == 200
        return answer.text
