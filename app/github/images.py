"""Load images that people attach to issues and comments.

An App's token cannot fetch the URL in the Markdown. The rendered HTML has another URL, on GitHub's
image host, that is pre-signed for five minutes: so read the text with its HTML and load the images
at once. Images on any other site are never loaded.
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
"""Bytes of one image: the model accepts 5 MiB in base64.
https://docs.anthropic.com/en/docs/build-with-claude/vision"""

MAX_ALL_BYTES = 15_000_000
MAX_PIXELS = 8_000
"""The model's limit for width and height."""

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
    """A text with its HTML, as read by `conversation.issue`, `conversation.comments` or `reviews`.

    `where` names it for people, such as `the issue`.
    """

    where: str
    body: str
    body_html: str


class LoadedImage(Value):
    """An image for the model. `source` is its URL in the text, which grants no access."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    media_type: MediaType
    data: bytes
    source: str


class OmittedImage(Value):
    """An image that was not loaded: in which text, and why."""

    where: str
    why: str


class ImageSet(Value):
    """The images of some texts, in order, and those that were left out."""

    images: tuple[LoadedImage, ...]
    left_out: tuple[OmittedImage, ...]


def mentioned(body: str) -> bool:
    """Whether a Markdown text may show an image."""
    return _SHOWN.search(body) is not None


async def images_of(github: GitHubApp, texts: Sequence[TextWithImages]) -> ImageSet:
    """Load the images of these texts, each once, within the limits above.

    An image counts if its URL in the HTML is on GitHub and the Markdown names the same asset. No
    token is sent. Images that cannot be loaded are left out with a reason.
    """
    images: list[LoadedImage] = []
    left_out: list[OmittedImage] = []
    seen: set[str] = set()
    for text, address, sources in _shown(texts):
        asset = _asset(github, address)
        if asset in seen:
            continue
        if asset is None or asset not in sources:
            why = _is_elsewhere(address) if asset is None else "the text does not name it"
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
    """The image, or the reason why it was not loaded."""

    def may_follow(url: str) -> bool:
        host, server = urlsplit(url).hostname or "", urlsplit(github.server_url).hostname
        stored = server == _GITHUB and _STORES.fullmatch(host) is not None
        return stored or is_image_host(github.server_url, url)

    try:
        found = await download(github, address, MAX_BYTES, may_follow=may_follow)
    except RetryableError:
        return "GitHub did not provide it"
    if found.status != 200:
        return "GitHub did not provide it"
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


class _ImageParser(HTMLParser):
    """Collects the image URLs in HTML rendered by GitHub."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "img" and "emoji" not in (given.get("class") or "").split():
            # GitHub proxies images of other sites and puts their original URL here.
            self.found.append(given.get("data-canonical-src") or given.get("src") or "")


def _shown(texts: Sequence[TextWithImages]) -> Iterator[tuple[TextWithImages, str, dict[str, str]]]:
    """Every image shown, with its text and the assets named in that text's Markdown."""
    for text in texts:
        pictures, sources = _ImageParser(), _sources(text.body)
        pictures.feed(text.body_html)
        pictures.close()
        for address in pictures.found:
            yield text, address, sources


def _sources(body: str) -> dict[str, str]:
    """URLs in a text that end in an asset's id, by that id."""
    return {found[0][-36:].lower(): found[0] for found in _ADDRESS.finditer(body)}


def _asset(github: GitHubApp, address: str) -> str | None:
    """The asset id in a URL, None if it is not GitHub's."""
    try:
        last = urlsplit(address).path.rpartition("/")[2]
        ours = is_image_host(github.server_url, address)
    except ValueError:
        return None
    found = _UUID.search(last)
    return found[0].lower() if found and ours else None


def is_image_host(server_url: str, address: str) -> bool:
    """Whether the URL is on GitHub's server or one of its image hosts.

    Raises ValueError for an invalid URL.
    """
    there, here = urlsplit(address), urlsplit(server_url)
    if there.netloc == here.netloc:
        return True
    if "@" in there.netloc or there.port is not None:
        return False
    hosts = _HOSTS if here.hostname == _GITHUB else {f"media.{here.hostname}"}
    return there.hostname in hosts


def _is_elsewhere(address: str) -> str:
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        host = ""
    named = f" ({host})" if _PLAIN_HOST.fullmatch(host) else ""
    return f"images of other sites{named} are not loaded"
