"""The App on accounts, people who sign in to it, Apps from manifests, pictures in texts."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from app.playground.github.sign_in import SignInError

from .conftest import REPO, World

pytestmark = pytest.mark.asyncio(loop_scope="session")

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
BACK = "http://127.0.0.1:9/back"


def told(world: World) -> list[tuple[str, str | None]]:
    return [(one.event, one.action) for one in world.github.deliveries]


async def test_a_suspended_app_has_no_access(world: World) -> None:
    token = await world.token()
    world.github.suspend("octo", by="owner")
    refused = await world.repo("GET", "/issues", token=token)
    assert (refused.status_code, "suspended" in refused.json()["message"]) == (403, True)
    installation = await world.installation()
    shape = (await world.ask("GET", installation)).json()
    assert shape["suspended_by"]["login"] == "owner"
    assert (await world.ask("POST", f"{installation}/access_tokens", {})).status_code == 403
    assert (await world.ask("DELETE", f"{installation}/suspended")).status_code == 403
    await world.github.open_issue(REPO, "reader", "unheard")
    world.github.unsuspend("octo", by="owner")
    await world.github.drained()
    assert told(world) == [("installation", "suspend"), ("installation", "unsuspend")]
    assert (await world.repo("GET", "/issues", token=token)).status_code == 200


async def test_an_uninstalled_app_has_no_access(world: World) -> None:
    token, installation = await world.token(), await world.installation()
    world.github.uninstall("octo")
    assert (await world.repo("GET", "/issues", token=token)).status_code == 401
    assert (await world.ask("POST", f"{installation}/access_tokens", {})).status_code == 404
    assert (await world.ask("GET", f"/repos/{REPO}/installation")).status_code == 404
    await world.github.open_issue(REPO, "reader", "unheard")
    world.github.install("octo")
    await world.github.drained()
    assert told(world) == [("installation", "deleted"), ("installation", "created")]
    whole = world.github.deliveries[1].payload
    assert [one["full_name"] for one in whole["repositories"]] == [REPO]
    assert await world.installation() != installation


async def test_repositories_come_and_go(world: World) -> None:
    token = await world.token()
    world.github.cover(REPO, covered=False)
    assert (await world.repo("POST", "/issues", {"title": "x"}, token)).status_code == 403
    world.github.cover(REPO)
    assert (await world.repo("POST", "/issues", {"title": "x"}, token)).status_code == 201
    await world.github.drained()
    assert told(world)[:2] == [
        ("installation_repositories", "removed"),
        ("installation_repositories", "added"),
    ]


async def test_a_permission_is_taken_back_and_given(world: World) -> None:
    token, installation = await world.token(), await world.installation()
    world.github.grant("octo", {"issues": "read"})
    assert (await world.repo("GET", "/issues", token=token)).status_code == 200
    assert (await world.repo("POST", "/issues", {"title": "x"}, token)).status_code == 403
    wanted = {"permissions": {"issues": "write"}}
    path = f"{installation}/access_tokens"
    assert (await world.ask("POST", path, wanted)).status_code == 422
    world.github.grant("octo", {"issues": "write", "workflows": "write"})
    assert (await world.ask("POST", path, wanted)).status_code == 201
    assert (await world.ask("GET", installation)).json()["permissions"]["workflows"] == "write"
    await world.github.drained()
    assert told(world) == [("installation", "new_permissions_accepted")] * 2


# -- people


def question(world: World, **more: str) -> str:
    asked = {"client_id": world.github.world.app.client_id, "redirect_uri": BACK, "state": "s"}
    return f"{world.github.url}/login/oauth/authorize?{urlencode(asked | more)}"


async def exchange(world: World, **given: str) -> dict[str, Any]:
    app = world.github.world.app
    whole = {"client_id": app.client_id, "client_secret": app.client_secret} | given
    url = f"{world.github.url}/login/oauth/access_token"
    answer = await world.client.post(url, data=whole, headers={"Accept": "application/json"})
    told: dict[str, Any] = answer.json()
    return told


async def test_a_person_signs_in_once_per_code(world: World) -> None:
    verifier = "v" * 50
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    pkce = {"code_challenge": challenge, "code_challenge_method": "S256"}
    page = await world.client.get(question(world, **pkce))
    assert 'value="writer"' in page.text
    agreed = await world.client.post(question(world, **pkce), data={"login": "writer"})
    target = urlsplit(agreed.headers["location"])
    query = parse_qs(target.query)
    assert (target.path, query["state"]) == ("/back", ["s"])
    code = query["code"][0]
    good = {"code": code, "redirect_uri": BACK, "code_verifier": verifier}
    made = await exchange(world, **good)
    token = made["access_token"]
    assert (await world.ask("GET", "/user", token=token)).json()["login"] == "writer"
    assert (await exchange(world, **good))["error"] == "bad_verification_code"
    again = await exchange(world, grant_type="refresh_token", refresh_token=made["refresh_token"])
    assert again["access_token"].startswith("ghu_")
    world.github.clock.advance(8 * 3600 + 1)
    assert (await world.ask("GET", "/user", token=token)).status_code == 401


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"client_secret": "wrong"}, "incorrect_client_credentials"),
        ({"code": "wrong"}, "bad_verification_code"),
        ({"redirect_uri": "http://127.0.0.1:9/other"}, "redirect_uri_mismatch"),
        ({"code_verifier": "wrong"}, "bad_verification_code"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "bad_refresh_token"),
    ],
)
async def test_forged_sign_ins_fail(world: World, given: dict[str, str], error: str) -> None:
    asked = question(world, code_challenge="x" * 43, code_challenge_method="S256")
    code = parse_qs(urlsplit(world.github.sign_in("writer", asked)).query)["code"][0]
    assert (await exchange(world, **({"code": code} | given)))["error"] == error


async def test_people_are_sent_only_where_the_app_lives(world: World) -> None:
    for more in ({"client_id": "x"}, {"code_challenge": "x", "code_challenge_method": "plain"}):
        with pytest.raises(SignInError):
            world.github.sign_in("writer", question(world, **more))
        assert (await world.client.get(question(world, **more))).status_code == 404
    old = parse_qs(urlsplit(world.github.sign_in("writer", question(world))).query)["code"][0]
    world.github.clock.advance(601)
    assert (await exchange(world, code=old))["error"] == "bad_verification_code"


async def test_a_persons_token_can_do_what_both_may(world: World) -> None:
    await world.github.add_repository("octo/hidden", private=True, permissions={"writer": "write"})
    code = parse_qs(urlsplit(world.github.sign_in("writer", question(world))).query)["code"][0]
    token = (await exchange(world, code=code))["access_token"]
    found = (await world.ask("GET", "/user/installations", token=token)).json()
    path = f"/user/installations/{found['installations'][0]['id']}/repositories"
    seen = (await world.ask("GET", path, token=token)).json()["repositories"]
    assert {one["name"] for one in seen} == {"sample", "hidden"}
    assert seen[0]["permissions"]["push"] is True
    assert (await world.repo("POST", "/issues", {"title": "x"}, token)).status_code == 201
    world.github.grant("octo", {"issues": "read"})
    assert (await world.repo("POST", "/issues", {"title": "x"}, token)).status_code == 403
    plain = world.github.token_for("writer")
    assert (await world.repo("POST", "/issues", {"title": "x"}, plain)).status_code == 201
    for other in (plain, await world.token()):
        assert (await world.ask("GET", "/user/installations", token=other)).status_code == 403
    assert (await world.ask("GET", "/user", token=await world.token())).status_code == 403


# -- manifests

MANIFEST = {
    "name": "Honk at octo",
    "url": "https://honk.example",
    "hook_attributes": {"url": "https://hook.invalid/x", "active": True},
    "redirect_url": BACK,
    "callback_urls": ["http://127.0.0.1:9/signed-in"],
    "default_permissions": {"issues": "write"},
    "default_events": ["issues"],
}


async def ask(world: World, manifest: Any, place: str = "/settings/apps") -> Any:
    url = f"{world.github.url}{place}/new?state=abc"
    return await world.client.post(url, data={"manifest": json.dumps(manifest)})


async def agree(world: World, manifest: Any, place: str = "/settings/apps", **more: str) -> Any:
    page = await ask(world, manifest, place)
    found = re.search(r'name=ticket value="(\w+)"', page.text)
    if found is None:
        return page
    form = {"ticket": found[1], "login": "owner"} | more
    return await world.client.post(f"{world.github.url}{place}", data=form)


async def test_a_manifest_becomes_an_app(world: World) -> None:
    answer = await agree(world, MANIFEST)
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert query["state"] == ["abc"]
    path = f"/app-manifests/{query['code'][0]}/conversions"
    made = await world.ask("POST", path, token="")
    app = made.json()
    assert (made.status_code, app["slug"]) == (201, "honk-at-octo")
    assert app["permissions"]["issues"] == "write"
    assert "PRIVATE KEY" in app["pem"]
    assert (await world.ask("POST", path, token="")).status_code == 404
    assert world.github.webhook_url == "https://hook.invalid/x"
    assert world.github.world.installations == {}
    world.github.webhook_url = None
    world.github.install("octo")
    assert world.github.world.app.webhook_secret == app["webhook_secret"]


@pytest.mark.parametrize(
    "change",
    [
        {"url": None},
        {"url": "honk"},
        {"name": "x" * 35},
        {"hook_attributes": {"active": True}},
        {"hook_attributes": {"url": "http://localhost:8000/x"}},
        {"hook_attributes": {"url": "http://127.0.0.1/x"}},
        {"default_events": ["installation"]},
        {"redirect_url": None},
    ],
)
async def test_a_manifest_that_makes_no_app(world: World, change: dict[str, Any]) -> None:
    assert (await agree(world, MANIFEST | change)).status_code == 422
    assert (await agree(world, None)).status_code == 422


@pytest.mark.parametrize("name", ["honk", "Writer", "x" * 35])
async def test_a_name_that_is_taken_can_be_changed_on_the_page(world: World, name: str) -> None:
    refused = await agree(world, MANIFEST, name=name)
    assert refused.status_code == 422
    assert ("already been taken" in refused.text) is (len(name) < 35)
    assert (await agree(world, MANIFEST, name="honk-9f3a")).status_code == 302


async def test_only_an_organizations_owner_makes_its_app(world: World) -> None:
    world.github.add_organization("octo", ["owner"])
    place = "/organizations/octo/settings/apps"
    assert (await agree(world, MANIFEST, place, login="writer")).status_code == 404
    assert (await agree(world, MANIFEST, place)).status_code == 302
    assert (await ask(world, MANIFEST, "/organizations/none/settings/apps")).status_code == 404


async def test_the_install_page_covers_the_chosen_repositories(world: World) -> None:
    await world.github.add_repository("octo/other")
    answer = await agree(world, MANIFEST)
    code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
    made = await world.ask("POST", f"/app-manifests/{code}/conversions", token="")
    url = f"{made.json()['html_url']}/installations/new"
    assert 'value="octo/other"' in (await world.client.get(url)).text
    await world.client.post(url, data={"account": "octo", "repository": "octo/other"})
    assert world.github.repository("octo/other").installed
    assert not world.github.repository(REPO).installed
    assert world.github.deliveries[0].event == "ping"
    assert (await world.client.get(url.replace("honk-at", "x"))).status_code == 404


# -- pictures


async def test_a_private_picture_is_behind_a_signed_address(world: World) -> None:
    repository = world.github.repository(REPO)
    repository.private = True
    text = world.github.attach_image(REPO, PNG, "bug.png")
    await world.github.open_issue(REPO, "owner", "x", f"See\n\n{text}")
    token = await world.token()
    plain = (await world.repo("GET", "/issues/1", token=token)).json()
    address = re.findall(r"\((\S+)\)", plain["body"])[0]
    assert (await world.client.get(address)).status_code == 404
    headers = {"Authorization": f"Bearer {token}"}
    assert (await world.client.get(address, headers=headers)).status_code == 404
    full = await world.repo(
        "GET", "/issues/1", token=token, Accept="application/vnd.github.full+json"
    )
    signed = re.findall(r'<img src="([^"]+)"', full.json()["body_html"])[0]
    asset = address.rpartition("/")[2]
    assert asset in signed
    picture = await world.client.get(signed)
    assert (picture.content, picture.headers["content-type"]) == (PNG, "image/png")
    assert (await world.client.get(signed.partition("?")[0])).status_code == 404
    assert (await world.client.get(signed.replace("jwt=", "jwt=9"))).status_code == 404
    world.github.clock.advance(301)
    assert (await world.client.get(signed)).status_code == 404


async def test_a_public_picture_is_for_everybody(world: World) -> None:
    text = world.github.attach_image(REPO, PNG)
    address = re.findall(r"\((\S+)\)", text)[0]
    leads = await world.client.get(address)
    assert leads.status_code == 302
    location = (
        world.github.url
        + urlsplit(leads.headers["location"])._replace(scheme="", netloc="").geturl()
    )
    assert (await world.client.get(location)).content == PNG
