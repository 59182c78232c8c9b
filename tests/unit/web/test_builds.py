"""Which part of a file a request gets."""

from __future__ import annotations

import pytest

from app.domain.build import BuildFile
from app.web.builds import ByteRange, requested_range

FILE = BuildFile(name="a", kind="file", media_type="b/c", size=10, sha256="s")


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("", (0, 10)),
        ("bytes=0-", (0, 10)),
        ("bytes=0-0", (0, 1)),
        ("bytes=3-5", (3, 6)),
        ("bytes=3-500", (3, 10)),
        ("bytes=-4", (6, 10)),
        ("bytes=-400", (0, 10)),
        ("bytes=-0", None),
        ("bytes=10-", None),
        ("bytes=10-20", None),
        # What is not a valid single range is ignored.
        ("bytes=5-3", (0, 10)),
        ("bytes=0-1,3-4", (0, 10)),
        ("bytes=-", (0, 10)),
        ("lines=1-2", (0, 10)),
        ("bytes=\u0661-", (0, 10)),
        ("bytes=" + "9" * 30 + "-", (0, 10)),
    ],
)
def test_one_range_is_sent(header: str, wanted: tuple[int, int] | None) -> None:
    found = requested_range({"range": header} if header else {}, FILE)
    assert found == (None if wanted is None else ByteRange(*wanted))


def test_a_part_of_another_version_is_not_sent() -> None:
    headers = {"range": "bytes=3-5", "if-range": '"s"'}
    assert requested_range(headers, FILE) == ByteRange(3, 6)
    assert requested_range(headers | {"if-range": '"old"'}, FILE) == ByteRange(0, 10)
