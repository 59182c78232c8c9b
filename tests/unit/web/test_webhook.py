"""The answers of `POST /webhooks/github`, each over a real connection."""

from __future__ import annotations

import asyncio
import json
import resource
from pathlib import Path
from urllib.parse import quote_plus

import pytest
import structlog

from app import log_events
from app.web.webhook import MAX_BODY_BYTES
from tests.support.deliveries import OUR_BOT, commented, encoded, labeled, signature, without
from tests.unit.web.support import (
    SECRET,
    SECRET_BEFORE,
    Answer,
    Site,
    delivery,
    head,
    running_site,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

LABELED = encoded(labeled())
LABEL_ID = "label:900:7:honk:2026-03-02T09:10:11Z"


async def test_a_label_is_accepted_once_and_known_afterwards(site: Site) -> None:
    first = await site.deliver("issues", LABELED)
    again = await site.deliver("issues", LABELED, headers={"X-GitHub-Delivery": "another"})

    assert (first.status, first.json()) == (202, {"trigger": LABEL_ID})
    assert (again.status, again.json()) == (200, {"trigger": LABEL_ID})
    assert list(site.intake.taken) == [LABEL_ID]


async def test_a_command_in_a_comment_is_accepted(site: Site) -> None:
    answer = await site.deliver("issue_comment", encoded(commented("/honk make it round")))

    assert (answer.status, answer.json()) == (202, {"trigger": "IC_kwDOB"})
    command = site.intake.taken["IC_kwDOB"].command
    assert command is not None
    assert command.task == "make it round"


async def test_a_form_is_read_whatever_its_size(site: Site) -> None:
    body = "Rundung & Co = 50 % + ü\r\n" * 40_000
    event = labeled(issue__body=body)
    form = ("payload=" + quote_plus(json.dumps(event, ensure_ascii=False))).encode()
    assert len(form) > 1024 * 1024

    answer = await site.deliver("issues", form, content_type="application/x-www-form-urlencoded")

    assert answer.status == 202
    assert site.intake.taken[LABEL_ID].body == body


@pytest.mark.parametrize("form", [b"", b"payloads=%7B%7D", b"payload=", b"payload=%7B", b"%%%"])
async def test_a_form_without_an_event_is_refused(site: Site, form: bytes) -> None:
    answer = await site.deliver("issues", form, content_type="application/x-www-form-urlencoded")
    assert answer.status == 400


async def test_both_secrets_hold_while_they_are_rotated(site: Site) -> None:
    assert (await site.deliver("issues", LABELED, secret=SECRET)).status == 202
    assert (await site.deliver("issues", LABELED, secret=SECRET_BEFORE)).status == 200
    assert (await site.deliver("issues", LABELED, secret=b"of last year")).status == 401


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("ping", {"zen": "Keep it logically awesome.", "hook_id": 1}),
        ("push", {"ref": "refs/heads/main"}),
        ("an_event_of_tomorrow", {}),
        ("projects_v2_item", {"action": "created"}),
        ("issues", without(labeled(action="pinned"), "issue__state")),
        ("issues", labeled("bug")),
        ("issues", labeled(sender=OUR_BOT)),
        ("issue_comment", commented("looks good")),
        ("issue_comment", commented(action="edited")),
        ("issues", without(labeled(), "installation")),
    ],
)
async def test_what_starts_nothing_is_answered_with_no_content(
    site: Site, event: str, payload: dict[str, object]
) -> None:
    answer = await site.deliver(event, encoded(payload))
    assert (answer.status, answer.body) == (204, b"")
    assert not site.intake.taken


_RIGHT = signature(LABELED, SECRET)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "sha256=",
        _RIGHT[:-1],
        _RIGHT + "0",
        _RIGHT.upper(),
        "sha256=" + _RIGHT[7:].upper(),
        _RIGHT.removeprefix("sha256="),
        "sha1=" + _RIGHT[7:47],
        _RIGHT + ", " + _RIGHT,
        "sha256=" + "é" * 64,
        "sha256=" + "0" * 64,
        signature(LABELED, b""),
        signature(LABELED + b" ", SECRET),
    ],
)
async def test_any_other_signature_is_refused(site: Site, header: str | None) -> None:
    answer = await site.deliver("issues", LABELED, headers={"X-Hub-Signature-256": header})
    assert answer.status == 401
    assert not site.intake.taken


async def test_the_old_kind_of_signature_counts_for_nothing(site: Site) -> None:
    answer = await site.deliver(
        "issues",
        LABELED,
        headers={"X-Hub-Signature-256": None, "X-Hub-Signature": "sha1=" + "0" * 40},
    )
    assert answer.status == 401


async def test_two_signatures_are_none(site: Site) -> None:
    extra = f"X-Hub-Signature-256: {_RIGHT}\r\n".encode()
    assert (await site.deliver("issues", LABELED, extra=extra)).status == 401


async def test_what_was_changed_on_the_way_is_refused(site: Site) -> None:
    request = delivery("issues", LABELED).replace(b"Wrong rounding", b"Wrong rouNding")
    assert (await site.send(request)).status == 401


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/xml", "json"])
async def test_another_content_type_is_refused(site: Site, content_type: str | None) -> None:
    answer = await site.deliver("issues", LABELED, content_type=content_type)
    assert answer.status == 415


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;x"]
)
async def test_parameters_of_the_content_type_do_not_matter(site: Site, content_type: str) -> None:
    answer = await site.deliver("issues", LABELED, content_type=content_type)
    assert answer.status == 202


@pytest.mark.parametrize("event", [None, "", "issues, push", "ISSUES", "é", "../issues"])
async def test_the_event_has_to_be_named(site: Site, event: str | None) -> None:
    assert (
        await site.deliver(event or "", LABELED, headers={"X-GitHub-Event": event})
    ).status == 400


@pytest.mark.parametrize("event", ["issues", "push"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"1",
        b'"x"',
        b"[]",
        b"{",
        b"payload=%7B%7D",
        LABELED[:-1],
        LABELED + b"x",
        b'{"action": NaN}',
        b'{"x": NaN}',
        b'{"x": Infinity}',
        b'{"x": "\\ud800"}',
        b'{"x": "\xed\xa0\x80"}',
        b'{"x": "\xff"}',
        b"\xef\xbb\xbf" + LABELED,
        LABELED.decode().encode("utf-16"),
        b"[" * 5_000_000,
        b'{"x":' + b"[" * 5_000_000,
        b'{"x":' * 500_000,
        b'{"action": 5}',
        b'{"action": {}}',
    ],
    ids=lambda body: repr(body[:20]),
)
async def test_what_is_not_the_json_of_an_event_is_refused(
    site: Site, event: str, body: bytes
) -> None:
    answer = await site.deliver(event, body)
    assert answer.status == 400
    assert b"Traceback" not in answer.body


async def test_long_numbers_are_harmless(site: Site) -> None:
    digits = b"9" * 10_000
    elsewhere = LABELED.replace(b'"color"', b'"x": ' + digits + b', "color"', 1)
    where_it_counts = LABELED.replace(b'"number": 7', b'"number": ' + digits)

    assert (await site.deliver("issues", elsewhere)).status == 202
    assert (await site.deliver("issues", where_it_counts)).status == 400


@pytest.mark.parametrize(
    "missing",
    ["issue", "issue__number", "issue__title", "repository", "sender__id", "issue__updated_at"],
)
async def test_an_event_without_what_it_must_hold_is_refused(site: Site, missing: str) -> None:
    answer = await site.deliver("issues", encoded(without(labeled(), missing)))
    assert answer.status == 400
    assert missing.split("__")[-1].encode() in answer.body


async def test_an_unavailable_database_is_reported(site: Site) -> None:
    site.intake.away = True
    assert (await site.deliver("issues", LABELED)).status == 503
    site.intake.away = False
    assert (await site.deliver("issues", LABELED)).status == 202


async def test_a_database_that_does_not_answer_is_away() -> None:
    async with running_site(intake_seconds=0.1) as site:
        site.intake.slow = 60
        assert (await site.deliver("issues", LABELED)).status == 503


async def test_an_internal_error_reveals_nothing(site: Site) -> None:
    site.intake.broken = True
    answer = await site.deliver("issues", LABELED)
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert b"KeyError" not in answer.body
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_body_declared_too_large_is_refused_before_it_comes(site: Site) -> None:
    request = head("push", b"", headers={"Content-Length": str(MAX_BODY_BYTES + 1)})
    assert (await site.send(request)).status == 413


async def test_the_refusal_reaches_a_client_that_sends_it_all(site: Site) -> None:
    body = bytes(MAX_BODY_BYTES + 1)
    assert (await site.deliver("push", body)).status == 413


async def test_a_chunked_body_is_refused_when_it_grows_too_large(site: Site) -> None:
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    request = head("push", b"", headers={"Content-Length": None, "Transfer-Encoding": "chunked"})
    answer = await site.send(request, *[chunk] * 27)
    assert answer.status == 413


async def test_a_chunked_body_is_read(site: Site) -> None:
    request = head(
        "issues", LABELED, headers={"Content-Length": None, "Transfer-Encoding": "chunked"}
    )
    chunks = [b"1\r\n" + bytes([byte]) + b"\r\n" for byte in LABELED]
    assert (await site.send(request + b"".join(chunks) + b"0\r\n\r\n")).status == 202


async def test_a_body_that_comes_too_slowly_is_given_up() -> None:
    async with running_site(body_seconds=0.3) as site:
        parts = [bytes([byte]) for byte in LABELED[:20]]
        answer = await site.send(head("issues", LABELED), *parts, pause=0.05)
        assert answer.status == 408
        assert answer.headers["connection"] == "close"
        assert (await site.deliver("issues", LABELED)).status == 202


async def test_a_connection_that_ends_early_leaves_nothing_behind(site: Site) -> None:
    async with site.connected() as (_, writer):
        writer.write(delivery("issues", LABELED)[:-10])
        await writer.drain()
    assert (await site.deliver("ping", b"{}")).status == 204
    assert not site.intake.taken


async def test_many_at_once_are_each_answered(site: Site) -> None:
    bodies = [encoded(labeled(issue__number=number)) for number in range(1, 101)]
    answers = await asyncio.gather(*[site.deliver("issues", body) for body in bodies * 2])
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [200] * 100 + [202] * 100
    assert len(site.intake.taken) == 100


async def test_large_bodies_with_wrong_signatures_cost_little_memory(site: Site) -> None:
    body = bytes(20 * 1024 * 1024)
    request = delivery("push", body, headers={"X-Hub-Signature-256": "sha256=" + "0" * 64})
    deliveries = asyncio.gather(*[site.send(request) for _ in range(8)])
    before = peak = _memory()
    while not deliveries.done():
        peak = max(peak, _memory())
        await asyncio.sleep(0.005)

    assert [answer.status for answer in await deliveries] == [401] * 8
    assert peak - before < 100 * 1024 * 1024


async def test_small_deliveries_do_not_wait_for_large_ones() -> None:
    async with running_site(body_seconds=2.0) as site:
        body = bytes(20 * 1024 * 1024)
        half = delivery("push", body)[: len(body) // 2]
        large = [asyncio.create_task(site.send(half)) for _ in range(5)]
        await asyncio.sleep(0.5)

        answer = await asyncio.wait_for(site.deliver("issues", LABELED), 1.0)

        assert answer.status == 202
        assert {(await each).status for each in large} <= {408, 503}


async def test_a_large_signed_body_is_read(site: Site) -> None:
    body = encoded({"commits": ["x" * 1000] * 20_000})
    assert [a.status for a in await _at_once(site, delivery("push", body), 6)] == [204] * 6


async def _at_once(site: Site, request: bytes, times: int) -> list[Answer]:
    return await asyncio.gather(*[site.send(request) for _ in range(times)])


def _memory() -> int:
    """This process's memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.slow
async def test_a_flood_of_refusals_is_a_few_lines_of_the_log(
    site: Site,
) -> None:
    with structlog.testing.capture_logs() as lines:
        wrong = delivery("issues", LABELED, secret=b"another")
        for _ in range(10):
            assert {(await site.send(wrong)).status for _ in range(30)} == {401}
        await asyncio.sleep(1.1)
        await site.send(wrong)
    told = [line for line in lines if line["event"] == log_events.DELIVERY_REFUSED]
    counted = [line["count"] for line in lines if line["event"] == log_events.DELIVERIES_REFUSED]
    assert len(told) + sum(counted) == 301
    assert len(told) < 100
