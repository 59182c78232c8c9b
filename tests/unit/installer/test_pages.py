"""`honk init` as its browser sees it, on the playground's GitHub and model."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
from dotenv import dotenv_values

from app import settings
from app.installer import terminal
from app.installer.env_file import EnvFile
from app.installer.pages import InstallerPages
from app.installer.wizard import AppChoice, Wizard, choice_of
from app.playground.github import GitHub, serve
from app.playground.model import ModelScript, ScriptedModel
from app.playground.run import registration
from app.playground.serving import serve_app

KEY = "sk-ant-api03-good"
HOST = "http://127.0.0.1:4711"
_NAMES = re.compile(r"(GITHUB|HONK|ANTHROPIC|LOG)_|(DATABASE_URL|PORT|HOST)$")


@dataclass
class Scene:
    """A machine with nothing on it, a GitHub, a model, and one browser."""

    github: GitHub
    env: Path
    wizard: Wizard
    browser: httpx.AsyncClient

    async def page(self, path: str = "/") -> str:
        answer = await self.browser.get(path)
        assert answer.status_code == 200, answer.text
        return unescape(answer.text)

    async def post(self, path: str, **fields: str) -> httpx.Response:
        form = re.search(r'name="form" value="([^"]+)"', await self.page())
        assert form
        return await self.browser.post(path, data={"form": form[1]} | fields)

    async def choose(self, **fields: str) -> httpx.Response:
        given = {"server": self.github.url, "intake": "poll"} | fields
        return await self.post("/choose", **given)

    async def to_github(self, person: str = "olivia", **fields: str) -> httpx.Response:
        """Send the form on our page to GitHub and confirm there; GitHub's answer."""
        page = await self.page("/create")
        action = re.search(r'action="([^"]+)"', page)
        manifest = re.search(r'name="manifest" value="(.*)">', page)
        assert action and manifest
        async with httpx.AsyncClient() as client:
            shown = await client.post(action[1], data={"manifest": manifest[1]})
            ticket = re.search(r'name=ticket value="(\w+)"', shown.text)
            assert ticket, shown.text
            there = action[1].partition("/new?")[0]
            form = {"ticket": ticket[1], "login": person} | fields
            return await client.post(there, data=form)

    async def create(self, **fields: str) -> str:
        """Create the App; where GitHub sends the browser back to."""
        assert (await self.choose(**fields)).headers["location"] == "/create"
        return (await self.to_github()).headers["location"]

    async def restart(self) -> None:
        """End `honk init` and start it again; the same browser opens the new link."""
        await self.wizard.close()
        self.wizard = Wizard(EnvFile(self.env))
        pages = InstallerPages(self.wizard, "u" * 43, "http://127.0.0.1:8000")
        cookies = self.browser.cookies
        await self.browser.aclose()
        self.browser = browser_of(pages, cookies=cookies)
        assert (await self.browser.get(f"/start/{'u' * 43}")).status_code == 303

    async def install(self) -> None:
        self.github.install("olivia")
        self.wizard._app = None

    def written(self) -> dict[str, str | None]:
        return dotenv_values(self.env) if self.env.exists() else {}


def browser_of(pages: InstallerPages, **more: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=pages.app()), base_url=HOST, **more)


@pytest_asyncio.fixture(name="scene")
async def _scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    for name in list(os.environ):
        if _NAMES.match(name):
            monkeypatch.delenv(name)
    machine = tmp_path / "machine"
    machine.mkdir()
    monkeypatch.chdir(machine)
    monkeypatch.setenv("HONK_HOME", str(tmp_path / "home"))
    other = replace(registration(tmp_path), slug="someone-elses")
    github = GitHub.create(tmp_path / "github", other)
    for login in ("olivia", "walter"):
        github.add_user(login)
    await github.add_repository("olivia/mdtoc", files={"a.py": b""}, installed=False)
    model = ScriptedModel(default=ModelScript(()), api_key=KEY)
    wizard = Wizard(EnvFile(Path(settings.ENV_FILE)))
    pages = InstallerPages(wizard, "t" * 43, "http://127.0.0.1:8000")
    async with serve(github) as _, serve_app(model.app) as url, browser_of(pages) as browser:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        answer = await browser.get(f"/start/{'t' * 43}")
        assert answer.headers["location"] == "/"
        scene = Scene(github, machine / ".env", wizard, browser)
        yield scene
        await scene.wizard.close()
        await scene.browser.aclose()


async def test_from_nothing_to_a_working_app(scene: Scene) -> None:
    back = await scene.create()
    assert not scene.env.exists()
    assert (await scene.browser.get(back)).headers["location"] == "/"
    found = scene.written()
    assert scene.env.stat().st_mode & 0o777 == 0o600
    app = scene.github.world.app
    assert found["GITHUB_APP_ID"] == str(app.app_id)
    assert found["HONK_INTAKE"] == "poll"
    assert found["GITHUB_SERVER_URL"] == scene.github.url
    loaded = settings.load()
    assert loaded.private_key().get_secret_value().strip() == app.private_key_pem.strip()
    assert len(loaded.webhook_secrets()[0]) >= 32
    assert loaded.sign_in() is not None

    page = await scene.page()
    assert "Install on GitHub" in page and 'data-live="yes"' in page
    await scene.install()
    page = await scene.page()
    assert "olivia/mdtoc" in page and 'data-live="no"' in page
    await scene.post("/key", key="sk-ant-api03-wrong")
    assert "rejected the key" in await scene.page()
    assert "ANTHROPIC_API_KEY" not in scene.written()
    await scene.post("/key", key=f" {KEY} ")
    assert scene.written()["ANTHROPIC_API_KEY"] == KEY
    page = await scene.page()
    assert "Open a first issue on olivia/mdtoc" in page
    assert "honk doctor" in page
    secrets = [*loaded.secrets(), KEY]
    assert not [each for each in secrets if each in page]

    before = scene.env.read_bytes()
    again = Wizard(EnvFile(scene.env))
    assert (await again.progress()).step == "ready"
    assert scene.env.read_bytes() == before
    await again.close()


@pytest.mark.parametrize("after", ["nothing", "choose", "create", "install", "key"])
async def test_interrupted_after_each_step_and_started_again(scene: Scene, after: str) -> None:
    steps = {"nothing": "create", "choose": "create", "create": "install", "install": "model"}
    if after != "nothing":
        back = await scene.create()
        if after != "choose":
            await scene.browser.get(back)
        if after in ("install", "key"):
            await scene.install()
        if after == "key":
            await scene.post("/key", key=KEY)
    before = scene.written()
    await scene.restart()
    if after == "choose":
        # The answer to the first start's form.
        assert (await scene.browser.get(back)).status_code == 403
    assert (await scene.wizard.progress()).step == steps.get(after, "ready")
    if not before:
        await scene.browser.get(await scene.create())
    await scene.install()
    await scene.post("/key", key=KEY)
    assert (await scene.wizard.progress()).step == "ready"
    found = scene.written()
    assert {name: found[name] for name in before} == before


async def test_githubs_answer_counts_once_and_in_this_browser(scene: Scene) -> None:
    back = await scene.create()
    stranger = httpx.AsyncClient(transport=scene.browser._transport, base_url=HOST)
    assert (await stranger.get(back)).status_code == 403
    assert scene.written() == {}
    state = parse_qs(urlsplit(back).query)["state"][0]
    assert (await scene.browser.get(back.replace(state, "x" * 32))).status_code == 403
    assert (await scene.browser.get(back)).status_code == 303
    before = scene.env.read_bytes()
    replayed = await scene.browser.get(back)
    assert replayed.status_code == 403
    assert "already used" in replayed.text
    assert scene.env.read_bytes() == before


@pytest.mark.parametrize("how", ["wrong", "used", "expired", "hostile"])
async def test_a_code_that_github_does_not_know(scene: Scene, how: str) -> None:
    back = await scene.create()
    code = parse_qs(urlsplit(back).query)["code"][0]
    if how == "expired":
        scene.github.clock.advance(3601)
    elif how == "used":
        async with httpx.AsyncClient() as client:
            await client.post(f"{scene.github.api_url}/app-manifests/{code}/conversions")
    else:
        other = "0" * 40 if how == "wrong" else "..%2F..%2Fapp%3Cscript%3E"
        back = back.replace(code, other)
    assert (await scene.browser.get(back)).headers["location"] == "/"
    raw = (await scene.browser.get("/")).text
    assert ("does not know this code" in raw) or ("not a code" in raw)
    assert "<script>" not in raw
    assert scene.written() == {}
    assert (await scene.browser.get(await scene.create())).status_code == 303
    assert scene.written()["GITHUB_APP_ID"]


async def test_github_away_at_the_wrong_moment(scene: Scene) -> None:
    back = await scene.create()
    scene.github.faults.answer("POST", "/app-manifests/", 503)
    await scene.browser.get(back)
    page = await scene.page()
    assert "Try again" in page
    await scene.browser.post("/again", data={"form": scene_form(page)})
    assert scene.written()["GITHUB_APP_ID"]


def scene_form(page: str) -> str:
    found = re.search(r'name="form" value="([^"]+)"', page)
    assert found
    return found[1]


async def test_a_disk_that_cannot_be_written(scene: Scene, tmp_path: Path) -> None:
    scene.wizard.env = EnvFile(tmp_path / "gone" / ".env")
    assert (await scene.choose()).headers["location"] == "/"
    assert "cannot be written" in await scene.page()
    scene.wizard.env = EnvFile(scene.env)
    back = await scene.create()
    scene.wizard.env = EnvFile(tmp_path / "gone" / ".env")
    await scene.browser.get(back)
    page = await scene.page()
    assert "cannot be written" in page and "not saved yet" in page
    scene.wizard.env = EnvFile(scene.env)
    await scene.browser.post("/again", data={"form": scene_form(page)})
    assert scene.written()["GITHUB_APP_ID"] == str(scene.github.world.app.app_id)


async def test_a_taken_name_gets_another_suggestion(scene: Scene) -> None:
    await scene.choose()
    refused = await scene.to_github(name="someone-elses")
    assert refused.status_code == 422 and "already been taken" in refused.text
    names = {re.findall(r"<strong>(honk-\w+)", await scene.page("/create"))[0] for _ in range(3)}
    assert len(names) == 3
    assert "send it again with another name" in await scene.page()


async def test_without_rights_in_the_organization(scene: Scene) -> None:
    scene.github.add_organization("octo", ["walter"])
    await scene.choose(organization="octo")
    assert "only owners of octo" in re.sub(r"\s+", " ", await scene.page("/create"))
    assert (await scene.to_github("olivia")).status_code == 404
    back = (await scene.to_github("walter")).headers["location"]
    await scene.browser.get(back)
    assert scene.written()["GITHUB_APP_SLUG"].startswith("honk-octo-")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"organization": "a/b?x"}, "not the name of an organization"),
        ({"server": "https://x/y/z"}, "address of the server alone"),
        ({"server": "http://127.0.0.1:9"}, "does not answer"),
        ({"intake": "webhook", "address": ""}, "not an address"),
        ({"intake": "webhook", "address": "javascript://x/<script>"}, "not an address"),
        ({"server": "https://[::1"}, "not"),
    ],
)
async def test_answers_that_lead_nowhere(scene: Scene, fields: dict[str, str], said: str) -> None:
    assert (await scene.choose(**fields)).headers["location"] == "/"
    page = (await scene.browser.get("/")).text
    assert said in unescape(page)
    assert "<script>" not in page


async def test_a_server_that_is_no_github(scene: Scene) -> None:
    async def other(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"nothing"})

    async with serve_app(other) as url:
        await scene.choose(server=url)
    assert "is not a GitHub API" in await scene.page()


async def test_settings_of_another_app_are_never_mixed(scene: Scene) -> None:
    scene.env.write_text("GITHUB_WEBHOOK_SECRET=old\nMINE=1\n")
    scene.env.chmod(0o600)
    page = await scene.page()
    assert "GITHUB_WEBHOOK_SECRET is set" in page and "Continue to GitHub" not in page
    scene.env.write_text("GITHUB_APP_SLUG=honk\nGITHUB_APP_ID=\nMINE=1\n")
    await scene.browser.get(await scene.create())
    found = scene.written()
    assert (found["MINE"], found["GITHUB_APP_SLUG"]) == ("1", scene.github.world.app.slug)


async def test_hostile_text_from_github(scene: Scene) -> None:
    await scene.browser.get(await scene.create())
    evil = "<script>alert(1)</script>\u202e"
    app = {"slug": evil, "html_url": "javascript:alert(1)", "permissions": {}, "events": []}
    scene.github.faults.answer("GET", "/app$", 200, app, times=None)
    scene.wizard._app = None
    text = (await scene.browser.get("/")).text
    assert "&lt;script&gt;" in text
    assert "<script>alert" not in text
    assert "javascript:" not in text
    assert "\u202e" not in text


async def test_an_app_deleted_on_github(scene: Scene) -> None:
    await scene.browser.get(await scene.create())
    scene.github.world.register(registration(scene.env.parent))
    scene.wizard._app = None
    assert "If the App was deleted" in await scene.page()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example:4711"}, 403),
        ({"host": "[::1"}, 403),
        ({"host": ""}, 403),
        ({"host": "127.0.0.1:4711"}, 200),
    ],
)
async def test_other_names_for_this_machine(
    scene: Scene, headers: dict[str, str], status: int
) -> None:
    assert (await scene.browser.get("/", headers=headers)).status_code == status


async def test_other_sites_cannot_send_forms(scene: Scene) -> None:
    form = scene_form(await scene.page())
    evil = {"origin": "https://evil.example"}
    answer = await scene.browser.post("/choose", data={"form": form}, headers=evil)
    assert answer.status_code == 403
    assert (await scene.browser.post("/choose", data={"form": "x"})).status_code == 403
    assert (await scene.browser.post("/choose", content=b"x" * 100_000)).status_code == 403
    assert (await scene.browser.get("/choose")).status_code == 405


async def test_the_first_link_works_in_one_browser(scene: Scene) -> None:
    stranger = httpx.AsyncClient(transport=scene.browser._transport, base_url=HOST)
    assert (await stranger.get(f"/start/{'t' * 43}")).status_code == 403
    assert (await stranger.get("/")).status_code == 403
    assert (await scene.browser.get(f"/start/{'t' * 43}")).headers["location"] == "/"
    assert (await stranger.get("/start/wrong")).status_code == 403


async def test_pages_load_nothing_from_elsewhere(scene: Scene) -> None:
    await scene.choose()
    for path in ("/", "/create"):
        answer = await scene.browser.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy
        assert answer.headers["cache-control"] == "no-store"
        assert not re.findall(r'(?:src|<link[^>]*href)="(?!/)', answer.text)
    assert f"form-action 'self' {scene.github.url}" in policy
    for path in ("/static/honk.css", "/static/live.js", "/assets/send.js", "/assets/installer.css"):
        assert (await scene.browser.get(path)).status_code == 200


async def test_a_delivery_that_arrives_and_one_that_does_not(scene: Scene) -> None:
    async def receiver(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": answers.pop(0), "headers": []})
        await send({"type": "http.response.body", "body": b""})

    answers = [502, 204, 401]
    await scene.browser.get(await scene.create(intake="webhook", address="https://h.example"))
    async with serve_app(receiver) as url:
        scene.github.webhook_url = f"{url}/webhooks/github"
        await scene.github.drained()
        await scene.install()
        await scene.github.drained()
        answers[:] = [204, 401]
        assert "204" in await scene.wizard._deliveries_work()
        with pytest.raises(Exception, match="401 means another webhook secret"):
            await scene.wizard._deliveries_work()


async def test_a_ping_in_the_log(scene: Scene) -> None:
    back = await scene.create(intake="log")
    await scene.browser.get(back)
    await scene.github.drained()
    assert "has the App's ping" in await scene.wizard._deliveries_work()
    assert scene.written()["HONK_INTAKE"] == "log"
    scene.wizard.use_intake("poll")
    assert scene.written()["HONK_INTAKE"] == "poll"


async def test_printing_by_copy_and_paste(scene: Scene) -> None:
    said: list[str] = []
    shown: list[str] = []

    def confirm(_question: str) -> str:
        return replied[0]

    replied = [""]

    async def run() -> None:
        choice = choice_of(scene.github.url, "", "poll", "")
        await terminal.print_settings(choice, 8000, ask=confirm, say=said.append, show=shown.append)

    for wrong, error in (
        ("http://127.0.0.1:8137/created?code=abc&state=other", "another start"),
        ("no code here", "no code"),
        ("0" * 40, "does not know this code"),
    ):
        replied[0] = wrong
        with pytest.raises(Exception, match=error):
            await run()
    assert shown == []
    manifest = re.findall(r'name="manifest" value="(.*)">', said[-1])[0]
    async with httpx.AsyncClient() as client:
        url = f"{scene.github.url}/settings/apps/new?state=s"
        page = await client.post(url, data={"manifest": unescape(manifest)})
        ticket = page.text.partition('name=ticket value="')[2].partition('"')[0]
        form = {"ticket": ticket, "login": "olivia"}
        back = await client.post(f"{scene.github.url}/settings/apps", data=form)
    replied[0] = parse_qs(urlsplit(back.headers["location"]).query)["code"][0]
    await run()
    values = dict(line.split("=", 1) for line in shown)
    assert values["GITHUB_APP_SLUG"] == scene.github.world.app.slug
    assert not scene.env.exists()
    assert not any(values["GITHUB_PRIVATE_KEY"] in each for each in said)
    assert AppChoice() == choice_of("", "", "poll", "")
