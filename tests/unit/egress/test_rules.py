"""Whatever a client sends is refused with a reason or has a plain meaning."""

from __future__ import annotations

import re
from urllib.parse import unquote

from hypothesis import example, given
from hypothesis import strategies as st

from app.egress.rules import (
    MAX_TARGET,
    BlockedRequestError,
    authority,
    checked_path,
    outgoing,
)

PATHS = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(
            ["/", "a", "..", ".", "%2e", "%2f", "%25", "?", "#", "@s", "%2F", "\\", "é"]
        )
    ).map("".join),
)


@given(PATHS)
def test_a_path_that_passes_only_names_a_thing(path: str) -> None:
    try:
        assert checked_path(path) == path
    except BlockedRequestError:
        return
    assert path.startswith("/") and len(path) <= MAX_TARGET
    assert not re.search(r"[?#\\\s]", unquote(path)) and unquote(path).isascii()
    # An encoded slash is that of one scoped name; nothing goes upwards however it is read.
    assert len(re.findall("%2f", path, re.IGNORECASE)) <= 1
    assert not {".", ".."} & set(unquote(unquote(path)).split("/"))


@given(st.one_of(st.text(), st.from_regex(r"[\[\]a-z0-9.:%@-]{0,40}", fullmatch=True)))
@example(";.0")
def test_an_authority_is_a_host_and_a_port(text: str) -> None:
    try:
        host, port = authority(text, 443)
    except BlockedRequestError:
        return
    assert 0 < port < 65536
    assert re.fullmatch(r"[a-z0-9_.:-]+", host) and not host.endswith(".")


@given(st.lists(st.tuples(st.sampled_from([b"accept", b"range", b"cookie"]), st.binary())))
def test_headers_that_go_out_are_short(headers: list[tuple[bytes, bytes]]) -> None:
    for name, value in outgoing(headers):
        assert name != b"cookie" and len(value) <= 200 and b"\n" not in value
