"""Identifies images by their bytes, since names and content types cannot be trusted. Pure."""

from __future__ import annotations

from typing import Literal

from app.domain.values import Value

MediaType = Literal["image/png", "image/jpeg", "image/gif", "image/webp"]


class ImageInfo(Value):
    """The kind of an image and its size in pixels."""

    media_type: MediaType
    width: int
    height: int


def image_info(data: bytes) -> ImageInfo | None:
    """Identify an image. None if it is not PNG, JPEG, GIF or WebP, or is truncated before its
    size.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
        return _picture("image/png", _big(data[16:20]), _big(data[20:24]))
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return _picture("image/gif", _little(data[6:8]), _little(data[8:10]))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    return None


def _webp(data: bytes) -> ImageInfo | None:
    """https://developers.google.com/speed/webp/docs/riff_container"""
    kind = data[12:16]
    if kind == b"VP8X":
        return _picture("image/webp", _little(data[24:27]) + 1, _little(data[27:30]) + 1)
    if kind == b"VP8L" and data[20:21] == b"\x2f":
        bits = _little(data[21:25])
        return _picture("image/webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = _little(data[26:28]), _little(data[28:30])
        return _picture("image/webp", width & 0x3FFF, height & 0x3FFF)
    return None


def _jpeg(data: bytes) -> ImageInfo | None:
    """The size is in the first start-of-frame segment: ITU-T T.81, B.2.2."""
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], _big(data[place + 2 : place + 4])
        if marker == 0xFF:
            place += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = _big(data[place + 5 : place + 7]), _big(data[place + 7 : place + 9])
            return _picture("image/jpeg", width, height)
        else:
            place += 2 + length
    return None


def _picture(media_type: MediaType, width: int, height: int) -> ImageInfo | None:
    if not width or not height:
        return None
    return ImageInfo(media_type=media_type, width=width, height=height)


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")
