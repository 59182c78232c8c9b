from __future__ import annotations

import asyncio
from email.utils import formatdate

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr

from app.errors import RetryableError, UserError
from app.github.auth import AppKey, basic_credentials
from app.github.refusals import GitHubRefusedError, MissingPermissionError, NotFoundError
from tests.unit.github.conftest import PERMISSIONS, REPO, Bench, Time, private_key
from tests.unit.github.scripted import Reply

MINT = "/app/installations/42/access_tokens"
ISSUE = "/repos/octo/widget/issues/1"


async def read(bench: Bench) -> None:
    await bench.client.get("/repos/{owner}/{repo}/issues/{issue_number}", path={"issue_number": 1})


def test_the_jwt_is_signed_by_the_app_and_lives_ten_minutes() -> None:
    time = Time()
    public = load_pem_private_key(private_key().encode(), None).public_key()
    token = AppKey("7", SecretStr(private_key()), time).jwt().get_secret_value()
    claims = jwt.decode(
        token,
        public,  # type: ignore[arg-type]
        algorithms=["RS256"],
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims == {"iss": "7", "iat": time.now - 60, "exp": time.now + 540}


def test_the_jwt_is_reused_for_about_nine_minutes() -> None:
    time = Time()
    key = AppKey("7", SecretStr(private_key()), time)
    first = key.jwt()
    time.now += 500
    assert key.jwt() == first
    time.now += 15
    assert key.jwt() != first


@pytest.mark.parametrize("pem", ["", "not a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END"])
def test_a_bad_key_is_reported_to_the_operator(pem: str) -> None:
    with pytest.raises(UserError, match="not an RSA private key") as caught:
        AppKey("7", SecretStr(pem), Time()).jwt()
    assert pem == "" or pem not in str(caught.value)


async def test_a_token_is_for_one_repository_and_the_permissions_needed(bench: Bench) -> None:
    await read(bench)
    (mint,) = bench.github.mints
    assert mint.path == MINT
    assert mint.body == {"repositories": ["widget"], "permissions": PERMISSIONS}
    assert mint.headers["authorization"].startswith("Bearer ey")
    (call,) = bench.github.requests("GET", ISSUE)
    assert call.headers["authorization"] == "Bearer ghs_1secret1"


async def test_without_permissions_no_token_is_asked_for(bench: Bench) -> None:
    with pytest.raises(ValueError, match="at least one permission"):
        await bench.app.repository(42, REPO, {})


async def test_twenty_cold_calls_share_one_token_request(bench: Bench) -> None:
    bench.github.mint_delay = 0.05
    await asyncio.gather(*(read(bench) for _ in range(20)))
    assert len(bench.github.mints) == 1
    assert len(bench.github.requests("GET", ISSUE)) == 20


async def test_a_caller_that_gives_up_does_not_take_the_token_from_the_others(bench: Bench) -> None:
    bench.github.mint_delay = 0.1
    first = asyncio.create_task(read(bench))
    await asyncio.sleep(0.02)
    second = asyncio.create_task(read(bench))
    await asyncio.sleep(0.02)
    first.cancel()
    await second
    assert len(bench.github.mints) == 1


async def test_other_permissions_are_another_token(bench: Bench) -> None:
    narrow = await bench.app.token(42, REPO, {"contents": "read"})
    wide = await bench.app.token(42, REPO, {"contents": "write"})
    again = await bench.app.token(42, REPO, {"contents": "read"})
    assert narrow == again != wide
    assert len(bench.github.mints) == 2


async def test_a_token_is_renewed_a_minute_before_its_end(bench: Bench) -> None:
    first = await bench.client.token()
    bench.time.now += 3600 - 61
    assert await bench.client.token() == first
    bench.time.now += 2
    bench.github.now = bench.time.now
    assert await bench.client.token() != first


async def test_a_refused_token_is_dropped_and_asked_for_again(bench: Bench) -> None:
    bench.github.reply("GET", ISSUE, Reply(401, {"message": "Bad credentials"}))
    await read(bench)
    tokens = [seen.headers["authorization"] for seen in bench.github.requests("GET", ISSUE)]
    assert tokens == ["Bearer ghs_1secret1", "Bearer ghs_2secret2"]


async def test_a_write_with_a_refused_token_is_sent_again_too(bench: Bench) -> None:
    bench.github.reply("POST", "/app/x", Reply(401, {"message": "Bad credentials"}))
    from app.github.exchange import ApiRequest

    await bench.client.send(ApiRequest("POST", "/app/x", body={}))
    assert len(bench.github.requests("POST", "/app/x")) == 2


async def test_a_second_refusal_is_final_and_says_what_to_check(bench: Bench) -> None:
    bench.github.reply("GET", ISSUE, *[Reply(401, {"message": "Bad credentials"})] * 3)
    with pytest.raises(GitHubRefusedError, match=r"Bad credentials.*GITHUB_APP_ID"):
        await read(bench)
    assert len(bench.github.requests("GET", ISSUE)) == 2


async def test_a_refused_jwt_is_signed_again_once(bench: Bench) -> None:
    bench.github.reply("POST", MINT, Reply(401, {"message": "'exp' is in the past"}))
    await read(bench)
    assert len(bench.github.mints) == 2


async def test_a_late_refusal_does_not_drop_the_newer_token(bench: Bench) -> None:
    bench.github.reply("GET", ISSUE, *[Reply(401, {"message": "Bad credentials"})] * 5)
    await asyncio.gather(*(read(bench) for _ in range(5)))
    assert len(bench.github.mints) == 2


async def test_all_waiters_get_the_failure_of_a_token_request(bench: Bench) -> None:
    bench.github.reply("POST", MINT, *[Reply(502)] * 4)
    results = await asyncio.gather(*(read(bench) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(result, RetryableError) for result in results)
    assert len(bench.github.mints) == 4
    await read(bench)


@pytest.mark.parametrize(
    ("status", "message", "kind", "words"),
    [
        (404, "Not Found", NotFoundError, "no longer installed for octo/widget"),
        (
            422,
            "The permissions requested are not granted to this installation.",
            MissingPermissionError,
            r"Issues \(write\)",
        ),
        (
            422,
            "There is at least one repository that does not exist or is not accessible",
            NotFoundError,
            "octo/widget does not exist, or Honk has no access",
        ),
        (403, "This installation has been suspended", GitHubRefusedError, "has been suspended"),
    ],
)
async def test_a_missing_token_is_explained(
    bench: Bench, status: int, message: str, kind: type[UserError], words: str
) -> None:
    refused = Reply(status, {"message": message})
    # A 404 is believed when it comes again.
    bench.github.reply("POST", MINT, *[refused] * (2 if status == 404 else 1))
    with pytest.raises(kind, match=words):
        await read(bench)


async def test_every_live_secret_can_be_redacted(bench: Bench) -> None:
    assert bench.app.redactions() == {private_key()}
    token = (await bench.client.token()).get_secret_value()
    bearer = bench.github.mints[0].headers["authorization"].removeprefix("Bearer ")
    expected = {private_key(), token, basic_credentials(token), bearer}
    assert bench.app.redactions() == expected


async def test_a_dropped_token_is_redacted_until_it_ends(bench: Bench) -> None:
    bench.github.reply("GET", ISSUE, Reply(401, {"message": "Bad credentials"}))
    await read(bench)
    assert {"ghs_1secret1", "ghs_2secret2"} <= bench.app.redactions()
    bench.time.now += 3601
    assert not any(value.startswith("ghs_") for value in bench.app.redactions())


async def test_unused_tokens_are_revoked(bench: Bench) -> None:
    await read(bench)
    (call,) = bench.github.requests("GET", ISSUE)
    token = call.headers["authorization"].split()[1]
    await bench.app.revoke_idle(900)
    assert bench.github.requests("DELETE", "/installation/token") == []

    bench.time.now += 1000
    bench.github.reply("DELETE", "/installation/token", Reply(204))
    await bench.app.revoke_idle(900)
    (revoked,) = bench.github.requests("DELETE", "/installation/token")
    assert revoked.headers["authorization"].split()[1] == token
    assert token not in bench.app.redactions()
    await read(bench)
    assert len(bench.github.mints) == 2


async def test_at_the_end_every_token_is_revoked_and_github_may_be_away(bench: Bench) -> None:
    await read(bench)
    bench.github.reply("DELETE", "/installation/token", *[Reply(502)] * 9)
    await bench.app.close()
    assert bench.github.requests("DELETE", "/installation/token")


@pytest.mark.parametrize("hours", [1, -1])
async def test_where_the_machines_clock_is_wrong_the_jwt_goes_by_githubs(
    bench: Bench, hours: int
) -> None:
    right = bench.time.now + hours * 3600
    told = {"date": formatdate(right, usegmt=True)}
    bench.github.reply("POST", MINT, Reply(401, {"message": "Bad JWT"}, headers=told))
    await read(bench)

    issued = [
        jwt.decode(each.headers["authorization"].split()[1], options={"verify_signature": False})
        for each in bench.github.mints
    ]
    assert [claims["iat"] for claims in issued] == [bench.time.now - 60, right - 60]


async def test_a_limit_is_waited_for_by_githubs_clock(bench: Bench) -> None:
    right = bench.time.now + 3600
    limit = {
        "date": formatdate(right, usegmt=True),
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(int(right) + 5),
    }
    bench.github.reply("GET", ISSUE, Reply(403, {"message": "Too many"}, headers=limit))
    await read(bench)

    assert bench.time.slept == [5.0]


INSTALLATION = "/repos/octo/widget/installation"
UNSEEN = Reply(422, {"message": "There is at least one repository that does not exist"})


def _token(repository_id: int, full_name: str) -> Reply:
    found = [{"id": repository_id, "full_name": full_name}]
    ends = "2099-01-01T00:00:00Z"
    return Reply(201, {"token": f"ghs_{repository_id}", "expires_at": ends, "repositories": found})


async def test_a_transferred_repository_is_found_in_its_new_owner_s_installation(
    bench: Bench,
) -> None:
    bench.app.know(REPO, 9)
    bench.github.reply("POST", MINT, UNSEEN, UNSEEN)
    bench.github.reply("GET", INSTALLATION, Reply(200, {"id": 43}))
    bench.github.reply("POST", MINT.replace("42", "43"), _token(9, "oscar/widget"))
    await read(bench)
    assert bench.github.mints[-1].body == {"repository_ids": [9], "permissions": PERMISSIONS}
    assert str(bench.app.present_name(REPO)) == "oscar/widget"


async def test_a_token_from_before_a_transfer_is_replaced(bench: Bench) -> None:
    bench.app.know(REPO, 9)
    await read(bench)
    gone = Reply(403, {"message": "Resource not accessible by integration"})
    bench.github.reply("GET", ISSUE, gone)
    bench.github.reply("GET", INSTALLATION, Reply(200, {"id": 43}))
    await read(bench)
    assert [mint.path for mint in bench.github.mints] == [MINT, MINT.replace("42", "43")]


@pytest.mark.parametrize("answer", [Reply(404), Reply(200, {"id": 42}), Reply(200, {})])
async def test_a_refusal_stays_one_where_nothing_was_transferred(
    bench: Bench, answer: Reply
) -> None:
    bench.app.know(REPO, 9)
    refused = Reply(403, {"message": "Resource not accessible by integration"})
    bench.github.reply("GET", ISSUE, refused)
    # A 404 is believed when it comes again.
    bench.github.reply("GET", INSTALLATION, answer, answer)
    with pytest.raises(MissingPermissionError, match="lacks a permission in octo/widget"):
        await read(bench)


async def test_another_repository_under_the_former_name_gets_no_token(bench: Bench) -> None:
    """The repository was renamed, and its owner made another one of that name."""
    bench.app.know(REPO, 9)
    bench.github.reply("POST", MINT, _token(10, "octo/widget"), _token(9, "octo/gadget"))
    await read(bench)
    (call,) = bench.github.requests("GET", ISSUE)
    assert call.headers["authorization"].split()[1] == "ghs_9"
    assert str(bench.app.present_name(REPO)) == "octo/gadget"
