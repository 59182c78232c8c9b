"""Permissions: App JWTs, installation tokens, people."""

from __future__ import annotations

import re
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from .conftest import REPO, World

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"exp": -1}, "future time at which the assertion expires"),
        ({"exp": 700}, "too far in the future"),
        ({"exp": None}, "numeric value"),
        ({"iat": 120}, "'Issued at'"),
        ({"iss": "8"}, "'Issuer'"),
    ],
)
async def test_a_bad_jwt_is_refused(world: World, claims: dict[str, object], words: str) -> None:
    """Numbers are seconds from now."""
    now = int(time.time())
    made = {name: now + one if isinstance(one, int) else one for name, one in claims.items()}
    answer = await world.ask("GET", "/app", token=world.jwt(**made))
    assert answer.status_code == 401
    assert words in answer.json()["message"]


async def test_a_jwt_of_another_key_is_refused(world: World) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = int(time.time())
    forged = jwt.encode({"iss": "7", "iat": now, "exp": now + 60}, other, "RS256")
    assert (await world.ask("GET", "/app", token=forged)).status_code == 401
    unsigned = jwt.encode({"iss": "7", "iat": now, "exp": now + 60}, "", "none")
    assert (await world.ask("GET", "/app", token=unsigned)).status_code == 401


async def test_the_app_finds_itself(world: World) -> None:
    app = (await world.ask("GET", "/app")).json()
    assert (app["id"], app["slug"]) == (7, "honk")
    assert len((await world.ask("GET", "/app/installations")).json()) == 1
    assert (await world.ask("GET", await world.installation())).json()["app_id"] == 7
    assert (await world.ask("GET", "/repos/octo/none/installation")).status_code == 404


async def test_tokens_come_in_both_shapes(world: World) -> None:
    tokens = [await world.token() for _ in range(4)]
    assert sorted(len(token) for token in tokens) == [40, 40, 520, 520]
    assert all(re.fullmatch(r"ghs_[A-Za-z0-9._-]{36,}", token) for token in tokens)
    for token in tokens:
        assert (await world.repo("GET", "/issues", token=token)).status_code == 200


async def test_a_token_expires_and_can_be_revoked(world: World) -> None:
    token, other = await world.token(), await world.token()
    assert (await world.ask("DELETE", "/installation/token", token=other)).status_code == 204
    assert (await world.repo("GET", "", token=other)).status_code == 401
    world.github.clock.advance(3590)
    assert (await world.repo("GET", "", token=token)).status_code == 200
    world.github.clock.advance(11)
    answer = await world.repo("GET", "", token=token)
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")


async def test_a_narrow_token_does_only_what_it_was_asked_for(world: World) -> None:
    await world.github.add_repository("octo/other", files={"x": b""}, private=True)
    token = await world.token(repositories=["sample"], permissions={"issues": "read"})
    assert (await world.repo("GET", "/issues", token=token)).status_code == 200
    assert (await world.repo("GET", "/labels", token=token)).status_code == 200
    refused = await world.repo("POST", "/issues", {"title": "x"}, token=token)
    assert refused.status_code == 403
    assert refused.json()["message"] == "Resource not accessible by integration"
    assert (await world.ask("GET", "/repos/octo/other", token=token)).status_code == 404
    wide = await world.token()
    assert (await world.ask("GET", "/repos/octo/other", token=wide)).status_code == 200
    seen = await world.ask("GET", "/installation/repositories", token=token)
    assert [one["full_name"] for one in seen.json()["repositories"]] == [REPO]


@pytest.mark.parametrize(
    "wanted",
    [
        {"permissions": {"administration": "write"}},
        {"permissions": {"metadata": "write"}},
        {"permissions": {"issues": "everything"}},
        {"repositories": ["missing"]},
        {"repository_ids": [1]},
        {"repositories": "sample"},
    ],
)
async def test_more_than_was_granted_is_refused(world: World, wanted: dict[str, object]) -> None:
    path = f"{await world.installation()}/access_tokens"
    assert (await world.ask("POST", path, wanted)).status_code == 422


async def test_each_entrance_needs_its_own_key(world: World) -> None:
    token = await world.token()
    assert (await world.ask("GET", "/app", token=token)).status_code == 401
    assert (await world.ask("GET", f"/repos/{REPO}/issues")).status_code == 403
    assert (await world.ask("GET", "/app", token="nonsense")).status_code == 401
    assert (await world.ask("POST", f"/repos/{REPO}/issues", {"title": "x"}, "")).status_code == 401
    assert (await world.ask("GET", f"/repos/{REPO}", token="")).status_code == 200


@pytest.mark.parametrize(
    ("login", "permission", "role"),
    [
        ("octo", "admin", "admin"),
        ("maintainer", "write", "maintain"),
        ("writer", "write", "write"),
        ("triager", "read", "triage"),
        ("reader", "read", "read"),
        ("stranger", "read", "read"),
    ],
)
async def test_permissions_are_folded(world: World, login: str, permission: str, role: str) -> None:
    answer = (await world.repo("GET", f"/collaborators/{login}/permission")).json()
    assert (answer["permission"], answer["role_name"]) == (permission, role)
    assert answer["user"]["permissions"]["push"] == (permission in ("write", "admin"))
    assert answer["user"]["permissions"]["maintain"] == (role in ("maintain", "admin"))


async def test_apps_and_strangers_have_no_permission(world: World) -> None:
    assert (await world.repo("GET", "/collaborators/honk[bot]/permission")).status_code == 404
    assert (await world.repo("GET", "/collaborators/nobody/permission")).status_code == 404
    world.github.repository(REPO).private = True
    answer = await world.repo("GET", "/collaborators/stranger/permission")
    assert answer.json()["permission"] == "none"
    stranger = world.github.token_for("stranger")
    assert (await world.repo("GET", "", token=stranger)).status_code == 404


async def test_a_custom_role_keeps_its_name(world: World) -> None:
    world.github.set_permission(REPO, "reader", "write", role="release-crew")
    answer = (await world.repo("GET", "/collaborators/reader/permission")).json()
    assert (answer["permission"], answer["role_name"]) == ("write", "release-crew")


async def test_every_answer_has_the_rate_limit(world: World) -> None:
    token = await world.token()
    before = await world.repo("GET", "", token=token)
    after = await world.repo("GET", "/nothing", token=token)
    remaining = [int(answer.headers["x-ratelimit-remaining"]) for answer in (before, after)]
    assert remaining[0] - remaining[1] == 1
    world.github.world.rate_limit = 1
    refused = await world.repo("GET", "", token=token)
    assert (refused.status_code, refused.headers["x-ratelimit-remaining"]) == (403, "0")
    world.github.clock.advance(3600)
    renewed = await world.ask("GET", "/rate_limit", token=world.github.token_for("owner"))
    assert renewed.status_code == 200


async def test_each_installation_has_a_different_hour(world: World) -> None:
    other = world.github.install("stranger")
    path = f"/app/installations/{other.id}/access_tokens"
    ours, theirs = await world.token(), (await world.ask("POST", path, {})).json()["token"]
    before = await world.ask("GET", "/installation/repositories", token=theirs)
    for _ in range(3):
        await world.ask("GET", "/installation/repositories", token=ours)
    after = await world.ask("GET", "/installation/repositories", token=theirs)

    used = [int(answer.headers["x-ratelimit-used"]) for answer in (before, after)]
    assert used == [1, 2]
