"""Images that people put into issues and comments.

An App's token does not open the address that stands in the text. The HTML of that text holds
another one, on GitHub's own image host, which carries its permission for five minutes: so read the
text with its HTML and come here at once. An image of any other site is never loaded.
https://docs.github.com/en/get-started/writing-on-github/working-with-advanced-formatting/attaching-files
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from urllib.parse import urlsplit

from pydantic import ConfigDict

from app.domain.image_info import MediaType, image_info
from app.domain.values import Value
from app.errors import RetryableError
from app.github.client import GitHubApp
from app.github.downloads import download

MAX_IMAGES = 5
MAX_BYTES = 3_900_000
"""Bytes of one image: in base64 the model takes 5 MiB.
https://docs.anthropic.com/en/docs/build-with-claude/vision
"""

MAX_ALL_BYTES = 15_000_000
MAX_PIXELS = 8_000
"""Pixels of width or height that the model takes."""

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ADDRESS = re.compile(rf"https?://[^\s\"'<>()\[\]]{{0,300}}?{_UUID.pattern}", re.IGNORECASE)
_SHOWN = re.compile(r"!\[|<img\b", re.IGNORECASE)
_PLAIN_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}")
_GITHUB = "github.com"
_HOSTS = {"private-user-images.githubusercontent.com", "user-images.githubusercontent.com"}
_STORES = re.compile(
    r"objects\.githubusercontent\.com|github-production-user-asset-[0-9a-f]+\.s3\.amazonaws\.com"
)


class TextWithImages(Value):
    """A text with its HTML, as `conversation.issue`, `conversation.comments` and `reviews` read it.

    `where` names it for people, such as `the issue`.
    """

    where: str
    body: str
    body_html: str


class LoadedImage(Value):
    """An image for the model. `source` is its address in the text, which opens nothing."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    media_type: MediaType
    data: bytes
    source: str


class OmittedImage(Value):
    """An image that the model does not get: in which text it was, and why."""

    where: str
    why: str


class ImageSet(Value):
    """The images of some texts, in their order, and those that are missing."""

    images: tuple[LoadedImage, ...]
    left_out: tuple[OmittedImage, ...]


def mentioned(body: str) -> bool:
    """Whether a text may show an image, told without reading its HTML."""
    return _SHOWN.search(body) is not None


async def images_of(github: GitHubApp, texts: Sequence[TextWithImages]) -> ImageSet:
    """Load the images of these texts, within the limits above; each is loaded once.

    An image counts when its HTML address is GitHub's own and the text names the same asset. No
    token is sent anywhere. One that cannot be had is left out, with the reason.
    """
    images: list[LoadedImage] = []
    left_out: list[OmittedImage] = []
    seen: set[str] = set()
    for text, address, sources in _shown(texts):
        asset = _asset(github, address)
        if asset in seen:
            continue
        if asset is None or asset not in sources:
            why = _foreign(address) if asset is None else "the text does not name it"
            left_out.append(OmittedImage(where=text.where, why=why))
            continue
        seen.add(asset)
        room = MAX_ALL_BYTES - sum(len(one.data) for one in images)
        got = (
            await _load(github, address, sources[asset], room)
            if len(images) < MAX_IMAGES
            else _FULL
        )
        if isinstance(got, LoadedImage):
            images.append(got)
        else:
            left_out.append(OmittedImage(where=text.where, why=got))
    return ImageSet(images=tuple(images), left_out=tuple(dict.fromkeys(left_out)))


_FULL = f"only {MAX_IMAGES} images are read"


async def _load(github: GitHubApp, address: str, source: str, room: int) -> LoadedImage | str:
    """The image, or why there is none."""

    def may_follow(url: str) -> bool:
        host, server = urlsplit(url).hostname or "", urlsplit(github.server_url).hostname
        stored = server == _GITHUB and _STORES.fullmatch(host) is not None
        return stored or is_image_host(github.server_url, url)

    try:
        found = await download(github, address, MAX_BYTES, may_follow=may_follow)
    except RetryableError:
        return "GitHub did not give it"
    if found.status != 200:
        return "GitHub did not give it"
    if not found.whole:
        return f"it is larger than {MAX_BYTES // 100_000 / 10} MB"
    if len(found.content) > room:
        return f"the images together are larger than {MAX_ALL_BYTES // 1_000_000} MB"
    picture = image_info(found.content)
    if picture is None:
        return "it is no PNG, JPEG, GIF or WebP"
    if max(picture.width, picture.height) > MAX_PIXELS:
        return f"it is wider or higher than {MAX_PIXELS:,} pixels"
    return LoadedImage(media_type=picture.media_type, data=found.content, source=source)


class _Pictures(HTMLParser):
    """The addresses of the images in a text that GitHub rendered."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "img" and "emoji" not in (given.get("class") or "").split():
            # GitHub puts its own proxy before foreign images and keeps their address here.
            self.found.append(given.get("data-canonical-src") or given.get("src") or "")


def _shown(texts: Sequence[TextWithImages]) -> Iterator[tuple[TextWithImages, str, dict[str, str]]]:
    """Every image that is shown, with its text and the assets that this one names."""
    for text in texts:
        pictures, sources = _Pictures(), _sources(text.body)
        pictures.feed(text.body_html)
        pictures.close()
        for address in pictures.found:
            yield text, address, sources


def _sources(body: str) -> dict[str, str]:
    """The addresses in a text that end in the id of an asset, by that id."""
    return {found[0][-36:].lower(): found[0] for found in _ADDRESS.finditer(body)}


def _asset(github: GitHubApp, address: str) -> str | None:
    """The id of the asset behind an address, None when it is not GitHub's."""
    try:
        last = urlsplit(address).path.rpartition("/")[2]
        ours = is_image_host(github.server_url, address)
    except ValueError:
        return None
    found = _UUID.search(last)
    return found[0].lower() if found and ours else None


def is_image_host(server_url: str, address: str) -> bool:
    """Whether GitHub itself serves images there: the server, or a host of its own for them.

    Raises ValueError for what is no address.
    """
    there, here = urlsplit(address), urlsplit(server_url)
    if there.netloc == here.netloc:
        return True
    if "@" in there.netloc or there.port is not None:
        return False
    hosts = _HOSTS if here.hostname == _GITHUB else {f"media.{here.hostname}"}
    return there.hostname in hosts


def _foreign(address: str) -> str:
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        host = ""
    named = f" ({host})" if _PLAIN_HOST.fullmatch(host) else ""
    return f"images of other sites{named} are not loaded"
