"""Previews: what a repository's CI or host reports about a commit appears where people look."""

from __future__ import annotations

import plistlib
import re
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.playground.run import let_sign_in, sign_in_settings
from tests.support.apps import PREVIEW, ci_that_builds, ipa, signed_in
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


PUBLIC = "https://honk.example"
SECRET = "a-session-secret-that-is-long-enough-for-all"


async def test_a_build_of_the_commit_is_offered_until_the_pull_request_is_closed() -> None:
    settings = sign_in_settings() | {"HONK_PUBLIC_URL": PUBLIC, "HONK_SESSION_SECRET": SECRET}
    async with open_harness(**settings) as harness:
        subject = await harness.subject(
            files=PREVIEW,
            plays=script([FIX], [FINISH]),
            private=True,
            permissions={"walter": "read"},
        )
        app = ipa()
        harness.github.use_ci(subject.repository, ci_that_builds({"out/Shop.ipa": app}))
        await subject.label()
        await subject.settled()
        pull = subject.pull
        assert pull.pull is not None
        head = pull.pull.head_sha
        plain = pull.body, subject.status
        assert "Preview" not in subject.status

        # The workflow ends after the run: the build is in both texts, and a deployment links to it.
        harness.github.finish_ci(subject.repository, head, "success")
        await harness.until(lambda: "/builds/" in (pull.body or ""), "no build in the description")
        await harness.until(lambda: "/builds/" in subject.status, "no build in the status comment")
        found = re.search(r"https://honk\.example(/builds/[a-z2-7]{32})", subject.status)
        assert found
        page = found[1]
        assert f"[`Shop.ipa`]({PUBLIC}{page})" in (pull.body or "")
        (deployment,) = harness.github.repository(subject.repository).deployments.values()
        assert (deployment.sha, deployment.environment) == (head, "honk-preview")
        assert (deployment.transient, deployment.production) == (True, False)
        assert deployment.statuses[-1].environment_url == PUBLIC + page

        async with httpx.AsyncClient(base_url=harness.url) as client:
            reader = {"cookie": signed_in(harness, "walter", SECRET, is_secure=True)}
            stranger = {"cookie": signed_in(harness, "rita", SECRET, is_secure=True)}

            # Its page and the download, for those who can read the repository.
            shown = await client.get(page, headers=reader)
            assert shown.status_code == 200
            for text in ("com.example.shop", "2.1", head, f"#{pull.number}", "olivia"):
                assert text in shown.text
            file = await client.get(f"{page}/files/0?inline=1", headers=reader)
            assert file.content == app
            assert file.headers["content-disposition"] == 'attachment; filename="Shop.ipa"'
            assert file.headers["content-type"] == "application/octet-stream"
            assert file.headers["x-content-type-options"] == "nosniff"
            assert file.headers["cache-control"] == "no-store"
            assert file.headers["x-robots-tag"] == "noindex"
            assert "sandbox" in file.headers["content-security-policy"]
            part = await client.get(f"{page}/files/0", headers=reader | {"range": "bytes=2-5"})
            assert (part.status_code, part.content) == (206, app[2:6])
            assert part.headers["content-range"] == f"bytes 2-5/{len(app)}"
            beyond = await client.get(
                f"{page}/files/0", headers=reader | {"range": "bytes=9999999-"}
            )
            assert beyond.status_code == 416

            # For others there is nothing.
            for path in (page, f"{page}/files/0"):
                assert (await client.get(path, headers=stranger)).status_code == 404
                assert (await client.get(path)).status_code == 303
            assert (await client.get(f"{page}/files/1", headers=reader)).status_code == 404

            # An iPhone's installer has no cookies: its addresses name one file and cannot be made.
            link = re.search(r'href="(itms-services://[^"]+)"', shown.text)
            assert link
            (address,) = parse_qs(urlsplit(link[1].replace("&amp;", "&")).query)["url"]
            assert address.startswith(f"{PUBLIC}/install/")
            manifest = await client.get(urlsplit(address).path)
            assert manifest.headers["content-type"].startswith("text/xml")
            (item,) = plistlib.loads(manifest.content)["items"]
            assert item["metadata"]["bundle-identifier"] == "com.example.shop"
            (asset,) = item["assets"]
            installed = await client.get(urlsplit(asset["url"]).path)
            assert installed.content == app
            for forged in (
                address[:-20] + "x" + address[-19:],
                f"{PUBLIC}/install/x/manifest.plist",
            ):
                assert (await client.get(urlsplit(forged).path)).status_code == 404

            # The QR code is of the address that is beside it.
            qr = re.search(
                r"!\[QR code\]\(https://honk\.example(/qr/\d+/(\w+)\.svg)\)", subject.status
            )
            assert qr and qr[2] == head
            drawn = await client.get(qr[1])
            assert drawn.headers["content-type"] == "image/svg+xml"
            assert (await client.get(qr[1].replace(head, "0" * 40))).status_code == 404

            # Closing the pull request removes everything.
            await harness.github.close_issue(subject.repository, pull.number, OWNER)
            await harness.until(
                lambda: deployment.statuses[-1].state == "inactive", "the deployment stays active"
            )
            await harness.until(lambda: (pull.body, subject.status) == plain, "the build stays")
            assert (await client.get(page, headers=reader)).status_code == 404
            assert (await client.get(urlsplit(asset["url"]).path)).status_code == 404
            assert harness.sql("SELECT count(*) FROM build_pieces") == [(0,)]


@pytest.mark.slow
async def test_what_cannot_be_offered_is_said_with_the_reason() -> None:
    settings = sign_in_settings() | {"HONK_PUBLIC_URL": PUBLIC, "HONK_SESSION_SECRET": SECRET}
    async with open_harness(**settings) as harness:
        cases = {
            "it has no files": ({}, "success"),
            "a path in it points outside the archive": ({"../a.apk": b"PK\x03\x04"}, "success"),
            "as in a zip bomb": ({"a.txt": b"0" * 5_000_000}, "success"),
        }
        for why, (files, conclusion) in cases.items():
            subject = await harness.subject(files=PREVIEW, plays=script([FIX], [FINISH]))
            # The workflow ends before the run does.
            ci = ci_that_builds(files, conclusion=conclusion)
            harness.github.use_ci(subject.repository, ci)
            await subject.label()
            await subject.settled()
            text = "The artifact `app` is not offered: "
            await harness.until(lambda: text in subject.status, "no reason is given")  # noqa: B023
            assert why in subject.status
            assert "/builds/" not in subject.status
            assert harness.github.repository(subject.repository).deployments == {}


@pytest.mark.slow
async def test_a_command_builds_in_the_sandbox_without_network() -> None:
    settings = sign_in_settings() | {"HONK_PUBLIC_URL": PUBLIC, "HONK_SESSION_SECRET": SECRET}
    build = "mkdir out; cp calc.py out/; env > out/env.txt; ! (exec 3<>/dev/tcp/127.0.0.1/80)"
    async with open_harness(**settings) as harness:
        policy = f"preview: {{command: '{build}', path: out}}\n".encode()
        files = PREVIEW | {".github/honk.yml": policy}
        subject = await harness.subject(files=files, plays=script([FIX], [FINISH]))
        await subject.label()
        await subject.settled()
        await harness.until(lambda: "/builds/" in subject.status, "nothing was built")
        assert "built by Honk with `mkdir out;" in subject.status
        found = re.search(r"https://honk\.example(/builds/[a-z2-7]{32})", subject.status)
        assert found
        async with httpx.AsyncClient(base_url=harness.url) as client:
            reader = {"cookie": signed_in(harness, OWNER, SECRET, is_secure=True)}
            code = await client.get(f"{found[1]}/files/0", headers=reader)
            assert b"return a + b" in code.content
            variables = await client.get(f"{found[1]}/files/1", headers=reader)
            for secret in ("TOKEN", "SECRET", "KEY"):
                assert secret not in variables.text

        failing = b"preview: {command: 'echo oh no; exit 3', path: out}\n"
        files = PREVIEW | {".github/honk.yml": failing}
        subject = await harness.subject(files=files, plays=script([FIX], [FINISH]))
        await subject.label()
        await subject.settled()
        await harness.until(lambda: "built nothing to try" in subject.status, "no reason is given")
        assert "it exited with 3: oh no" in subject.status
