"""The type and size of images are read from their bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.image_info import image_info

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 640, 480) + bytes(9)
GIF = b"GIF89a" + struct.pack("<HH", 640, 480) + bytes(3)
JPEG = (
    b"\xff\xd8\xff\xe0"
    + struct.pack(">H", 16)
    + bytes(14)
    + b"\xff\xff\xc4\x00\x05\x00\x00\x00"
    + b"\xff\xc2"
    + struct.pack(">HBHH", 11, 8, 480, 640)
    + bytes(4)
)
LOSSY = b"RIFF\x00\x00\x00\x00WEBPVP8 " + bytes(7) + b"\x9d\x01\x2a" + struct.pack("<HH", 640, 480)
LOSSLESS = b"RIFF\x00\x00\x00\x00WEBPVP8L" + bytes(4) + b"\x2f" + struct.pack("<I", 639 | 479 << 14)
EXTENDED = (
    b"RIFF\x00\x00\x00\x00WEBPVP8X"
    + bytes(8)
    + (639).to_bytes(3, "little")
    + (479).to_bytes(3, "little")
)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "png"),
        (GIF, "gif"),
        (JPEG, "jpeg"),
        (LOSSY, "webp"),
        (LOSSLESS, "webp"),
        (EXTENDED, "webp"),
    ],
)
def test_the_kind_and_the_size(data: bytes, kind: str) -> None:
    found = image_info(data)
    assert found is not None
    assert (found.media_type, found.width, found.height) == (f"image/{kind}", 640, 480)


@pytest.mark.parametrize("data", [b"", b"<svg/>", b"%PDF-1.7", PNG[:10], GIF[:6], JPEG[:20]])
def test_what_is_no_image_or_is_cut_off(data: bytes) -> None:
    assert image_info(data) is None


@given(st.sampled_from([PNG, GIF, JPEG, LOSSY, LOSSLESS, EXTENDED]), st.binary(), st.data())
def test_any_bytes_are_looked_at_without_harm(
    start: bytes, rest: bytes, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(start)))
    found = image_info(start[:cut] + rest)
    assert found is None or (found.width > 0 and found.height > 0)
