"""Small apps as a workflow uploads them, and a repository whose workflow does."""

from __future__ import annotations

import io
import plistlib
import zipfile
from collections.abc import Mapping

from pydantic import SecretStr

from app.playground.github.records import OtherCi
from app.web.sessions import Cookies, WebSession
from tests.support.harness import PROJECT, Harness

INFO = {
    "CFBundleIdentifier": "com.example.shop",
    "CFBundleShortVersionString": "2.1",
    "CFBundleDisplayName": "Shop\u202e @olivia",
}
PREVIEW = {**PROJECT, ".github/honk.yml": b"preview: {artifact: app, keep_days: 3}\n"}
"""A project whose policy names the artifact `app`."""


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip archive of these files."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return archive.getvalue()


def ipa(info: bytes | None = None) -> bytes:
    """An iOS app with this property list."""
    content = plistlib.dumps(INFO) if info is None else info
    return zipped({"Payload/Shop.app/Info.plist": content, "Payload/Shop.app/Shop": b"code"})


def ci_that_builds(files: Mapping[str, bytes], *, conclusion: str | None = None) -> OtherCi:
    """A workflow that uploads these files as the artifact `app` when it ends."""
    archives = {"app": zipped(files), "logs": zipped({"log.txt": b"log"})}
    return OtherCi(conclusion=conclusion, works=lambda run: ("success", archives))


def signed_in(harness: Harness, login: str, secret: str, *, is_secure: bool) -> str:
    """The Cookie header of a person who is signed in to the pages."""
    user = harness.github.world.user(login)
    session = WebSession(login, user.id, harness.github.token_for(login), "form", 2.0**40)
    sealed = Cookies(SecretStr(secret), is_secure=is_secure).seal(session)
    return f"{'__Host-' if is_secure else ''}honk-session={sealed}"
