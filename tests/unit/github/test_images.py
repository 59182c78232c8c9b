"""Images in issues and comments: which are loaded, from where, and which are not."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest

from app.github import conversation, images, pulls, reviews
from app.github.images import LoadedImage, TextWithImages, images_of
from tests.unit.github.conftest import Bench
from tests.unit.github.scene import NAME, Scene
from tests.unit.github.scripted import Reply

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def png(width: int = 2, height: int = 2, more: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more + chunk(b"IEND", b"")


async def test_screenshots_of_a_conversation_are_loaded(scene: Scene) -> None:
    scene.github.repository(NAME).private = True
    first, second, third = (
        scene.github.attach_image(NAME, png(width), f"{width}.png") for width in (1, 2, 3)
    )
    client, number = scene.client, scene.issue
    await scene.act("octo", "PATCH", f"/issues/{number}", {"body": f"See\n\n{first}\n\n{first}"})
    await scene.github.comment(NAME, number, "octo", f"And {second}")
    await scene.change("feat", "a.txt", "one\ntwo\n")
    pull = await scene.propose("feat")
    head = (await pulls.pull_request(client, pull)).head_sha
    place: dict[str, Any] = {"commit_id": head, "path": "a.txt", "line": 1, "body": third}
    line = await scene.act("octo", "POST", f"/pulls/{pull}/comments", place)
    issue = await conversation.issue(client, number)
    (comment,) = (await conversation.comments(client, number)).comments
    (said,) = await reviews.thread(client, pull, line["id"])
    texts = [
        TextWithImages(where="it", body=one.body, body_html=one.body_html)
        for one in (issue, comment, said)
    ]
    found = await images_of(scene.app, texts)
    assert found.left_out == ()
    assert [one.data for one in found.images] == [png(1), png(2), png(3)]
    assert {one.media_type for one in found.images} == {"image/png"}
    assert found.images[0].source in first
    assert "jwt" not in found.images[0].source
    written = found.images[0].model_dump_json()
    assert LoadedImage.model_validate_json(written) == found.images[0]


def shown(*addresses: str) -> str:
    return "".join(f'<p><img src="{one}" alt="x"></p>' for one in addresses)


def asset(number: int) -> str:
    return UUID[:-4] + f"{number:04x}"


def text(bench: Bench, *assets: str, where: str = "the issue") -> TextWithImages:
    """A text on the scripted server that names and shows these assets."""
    site = bench.app.server_url
    named = "\n".join(f"![x]({site}/user-attachments/assets/{one})" for one in assets)
    html = shown(*(f"{site}/api/v3/private/{one}.png?jwt=x" for one in assets))
    return TextWithImages(where=where, body=named, body_html=html)


@pytest.fixture
def serve(bench: Bench) -> Any:
    """Lets the scripted server give out bytes below an asset's address."""
    kept: dict[str, bytes] = {}
    real = bench.github.answer

    async def answer(seen: Any) -> Reply:
        reply = await real(seen)
        name = seen.path.removeprefix("/private/").removesuffix(".png")
        return Reply(200, raw=kept[name]) if name in kept and reply.body == {} else reply

    bench.github.answer = answer  # type: ignore[method-assign]
    return kept


async def test_what_is_too_much_or_no_image_is_left_out(
    bench: Bench, serve: dict[str, bytes]
) -> None:
    serve[asset(0)] = png(more=bytes(images.MAX_BYTES))
    serve[asset(1)] = png(8001, 1)
    serve[asset(2)] = b"<svg/>"
    bench.github.reply("GET", f"/private/{asset(3)}.png", Reply(404))
    bench.github.reply("GET", f"/private/{asset(4)}.png", *[Reply(503)] * 3)
    serve[asset(5)] = png()
    found = await images_of(bench.app, [text(bench, *map(asset, range(6)))])
    assert [one.data for one in found.images] == [png()]
    assert [one.why for one in found.left_out] == [
        "it is larger than 3.9 MB",
        "it is wider or higher than 8,000 pixels",
        "it is no PNG, JPEG, GIF or WebP",
        "GitHub did not provide it",
    ]
    for seen in bench.github.seen:
        assert "authorization" not in seen.headers


async def test_there_is_room_for_five_images_and_fifteen_megabytes(
    bench: Bench, serve: dict[str, bytes]
) -> None:
    for number in range(7):
        serve[asset(number)] = png(more=bytes(3_800_000))
    found = await images_of(bench.app, [text(bench, *map(asset, range(7)))])
    assert len(found.images) == 3
    assert "larger than 15 MB" in found.left_out[0].why
    for number in range(7):
        serve[asset(number)] = png()
    found = await images_of(bench.app, [text(bench, *map(asset, range(7)))])
    assert len(found.images) == 5
    assert [one.why for one in found.left_out] == ["only 5 images are read"]


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (f"https://evil.example/{UUID}.png", "images of other sites (evil.example) are not loaded"),
        (f"https://private-user-images.evil.example/{UUID}", "evil.example"),
        (f"http://169.254.169.254/{UUID}", "169.254.169.254"),
        ("//[", "images of other sites are not loaded"),
        (f"https://<b>/{UUID}", "images of other sites are not loaded"),
        ("data:image/png;base64,AAAA", "images of other sites are not loaded"),
        ("{site}/octo/widget/raw/main/x.png", "other sites"),
        (f"{{site}}/api/v3/private/{UUID}.png", "the text does not name it"),
    ],
)
async def test_no_other_site_is_ever_asked(bench: Bench, address: str, why: str) -> None:
    address = address.replace("{site}", bench.app.server_url)
    body = "" if "{site}" in why or "name" in why else f"![x](https://evil.example/{UUID})"
    one = TextWithImages(where="a comment", body=body, body_html=shown(address))
    found = await images_of(bench.app, [one, one])
    assert found.images == ()
    assert [one.where for one in found.left_out] == ["a comment"]
    assert why in found.left_out[0].why
    assert bench.github.seen == []


async def test_the_proxy_of_github_hides_no_other_site(bench: Bench) -> None:
    camo = f"{bench.app.server_url}/camo/{UUID}"
    html = f'<img src="{camo}" data-canonical-src="https://evil.example/{UUID}">'
    emoji = '<img class="emoji" src="https://github.githubassets.com/x.png">'
    one = TextWithImages(where="it", body=f"https://evil.example/{UUID}", body_html=html + emoji)
    found = await images_of(bench.app, [one])
    assert [one.why for one in found.left_out] == [
        "images of other sites (evil.example) are not loaded"
    ]
    assert bench.github.seen == []


@pytest.mark.parametrize(
    ("address", "is_ours"),
    [
        ("https://private-user-images.githubusercontent.com/1/2", True),
        ("https://user-images.githubusercontent.com/1/2", True),
        ("https://github.com/user-attachments/assets/1", True),
        ("http://github.com/user-attachments/assets/1", True),
        ("https://camo.githubusercontent.com/1", False),
        ("https://raw.githubusercontent.com/1", False),
        ("https://u:p@user-images.githubusercontent.com/1", False),
        ("https://user-images.githubusercontent.com:8443/1", False),
        ("https://evil.example/github.com", False),
    ],
)
def test_the_hosts_of_github(address: str, is_ours: bool) -> None:
    assert images.is_image_host("https://github.com", address) is is_ours


@pytest.mark.parametrize(
    ("address", "is_ours"),
    [
        ("https://ghe.example/storage/user/1/2", True),
        ("https://media.ghe.example/user/1", True),
        ("https://user-images.githubusercontent.com/1/2", False),
        ("https://ghe.example.evil.example/1", False),
    ],
)
def test_the_hosts_of_an_enterprise_server(address: str, is_ours: bool) -> None:
    assert images.is_image_host("https://ghe.example", address) is is_ours
