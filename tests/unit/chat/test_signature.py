"""Signatures of Slack's requests."""

from __future__ import annotations

import pytest

from app.chat import signature

SECRET, NOW, BODY = b"8f742231b10e8888abcd99yyyzzz85a5", 1_531_420_618.0, b"token=x&team_id=T1"
STAMP = b"1531420618"


def test_a_signed_body_holds() -> None:
    signed = signature.sign(SECRET, STAMP, BODY)
    assert signature.holds(SECRET, STAMP, signed, BODY, now=NOW)


def test_slacks_own_example() -> None:
    """The example of Slack's documentation, with its secret."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
        b"&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
        b"&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands"
        b"%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    secret = b"8f742231b10e8888abcd99yyyzzz85a5"
    assert signature.sign(secret, b"1531420618", body) == (
        b"v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    )


@pytest.mark.parametrize(
    ("stamp", "signed"),
    [
        (b"abc", None),
        (b"-1531420618", None),
        (b"9" * 400, None),
        (b"", None),
        ("１５３１４２０６１８".encode(), None),
        (STAMP, b""),
        (STAMP, b"v0="),
        (STAMP, "v0=ü".encode()),
        (STAMP, b"v0=" + b"0" * 64),
        (STAMP, b"v1=" + b"0" * 64),
    ],
)
def test_junk_does_not_hold_and_never_raises(stamp: bytes, signed: bytes | None) -> None:
    given = signature.sign(SECRET, stamp, BODY) if signed is None else signed
    assert not signature.holds(SECRET, stamp, given, BODY, now=NOW)


@pytest.mark.parametrize("seconds", [301, -301])
def test_an_old_or_early_request_does_not_hold(seconds: int) -> None:
    signed = signature.sign(SECRET, STAMP, BODY)
    assert not signature.holds(SECRET, STAMP, signed, BODY, now=NOW + seconds)


def test_another_body_or_secret_does_not_hold() -> None:
    signed = signature.sign(SECRET, STAMP, BODY)
    assert not signature.holds(SECRET, STAMP, signed, BODY + b" ", now=NOW)
    assert not signature.holds(b"other", STAMP, signed, BODY, now=NOW)
    assert not signature.holds(SECRET, STAMP, signed, b"\xff\xfe", now=NOW)
