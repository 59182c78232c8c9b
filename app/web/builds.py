"""What a workflow built from a commit: its page, its files, and installing it on a phone.

The files come from a repository's CI, so none of them is ever a page of this origin: they are
downloads, except for pictures, PDFs and videos, which run nothing.

Pages and files are visible as run pages are. An iPhone's installer brings no cookies, so it gets
an address that is sealed with the session secret, names one file, and expires.
"""

from __future__ import annotations

import io
import plistlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

import msgspec
import segno
from cryptography.fernet import Fernet, InvalidToken
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from app import messages
from app.domain.build import INLINE, Build, BuildFile
from app.store.builds import BuildStore
from app.store.database import now
from app.store.previews import PreviewStore
from app.web.login import AuthMiddleware
from app.web.sessions import WebSession, sealing_key

PAGE_PATH = "/builds/{build}"

INSTALL_SECONDS = 1800
"""How long an address for an iPhone's installer works."""

_BUILD_ID = re.compile(r"[a-z2-7]{32}")
_NUMBER = re.compile(r"[0-9]{1,2}", re.ASCII)
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REPOSITORY_ID = re.compile(r"[0-9]{1,18}", re.ASCII)
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)
_MOST_TOKEN = 1_000
_NOT_HERE = (
    "This build does not exist, has been deleted or has expired, or you don't have access to its "
    "repository on GitHub."
)
_NO_LONGER = "This address does not exist or has expired. Open the build's page again.\n"

_PRIVATE = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; sandbox",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
}
# A sandboxed document has no PDF viewer; without `sandbox`, a PDF still has no origin's rights.
_SHOWN = _PRIVATE | {"content-security-policy": "default-src 'none'"}


class InstallTicket(msgspec.Struct, frozen=True):
    """What an installer's address gives access to, until `ends` (Unix time)."""

    build: str
    file: int
    ends: float


@dataclass(frozen=True)
class ByteRange:
    """The bytes from `start` up to `end` of a file."""

    start: int
    end: int


class BuildPages:
    """The routes about builds. `public_url` is our own base URL, or empty."""

    def __init__(
        self,
        auth: AuthMiddleware,
        builds: BuildStore,
        previews: PreviewStore,
        session_secret: SecretStr,
        public_url: str,
        server_url: str,
    ) -> None:
        self._auth = auth
        self._builds = builds
        self._previews = previews
        self._key: Fernet = sealing_key(session_secret, "install")
        self._public_url = public_url
        self._server_url = server_url

    def routes(self) -> list[BaseRoute]:
        guarded = self._auth.guarded
        return [
            Route(PAGE_PATH, guarded(self._page)),
            Route("/builds/{build}/files/{file}", guarded(self._file)),
            Route("/install/{ticket}/manifest.plist", self._manifest),
            Route("/install/{ticket}/app.ipa", self._app),
            Route("/qr/{repository_id}/{sha}.svg", self._qr_code),
        ]

    # -- for signed-in people

    async def _page(self, request: Request) -> Response:
        viewed = await self._viewed(request)
        if isinstance(viewed, Response):
            return viewed
        session, build = viewed
        github = f"{self._server_url}/{build.repository}"
        response = self._auth.renderer.page(
            "build.html",
            session=session,
            build=build,
            files=[self._shown(build, number) for number in range(len(build.files))],
            pull_url=f"{github}/pull/{build.number}",
            commit_url=f"{github}/commit/{build.sha}",
            megabytes=messages.preview.megabytes,
        )
        policy = response.headers["content-security-policy"]
        response.headers["content-security-policy"] = f"{policy}; media-src 'self'"
        response.headers["x-robots-tag"] = "noindex"
        return response

    def _shown(self, build: Build, number: int) -> Mapping[str, object]:
        file, url = build.files[number], f"/builds/{build.id}/files/{number}"
        return {
            "file": file,
            "url": url,
            "inline_url": f"{url}?inline=1" if file.kind in INLINE else "",
            "install_url": self._install_url(build, number),
        }

    def _install_url(self, build: Build, number: int) -> str:
        """The link that makes an iPhone install the app: it takes HTTPS with a trusted certificate.

        https://support.apple.com/guide/deployment/distribute-proprietary-in-house-apps-depce7cefc4d/web
        """
        if not build.files[number].bundle or not self._public_url.startswith("https://"):
            return ""
        ticket = InstallTicket(build.id, number, now() + INSTALL_SECONDS)
        manifest = f"{self._public_url}/install/{self._seal(ticket)}/manifest.plist"
        return f"itms-services://?action=download-manifest&url={quote(manifest, safe='')}"

    async def _file(self, request: Request) -> Response:
        viewed = await self._viewed(request)
        if isinstance(viewed, Response):
            return viewed
        session, build = viewed
        given = request.path_params["file"]
        if not _NUMBER.fullmatch(given) or int(given) >= len(build.files):
            return self._auth.renderer.problem(404, "Not found", _NOT_HERE, session=session)
        is_inline = "inline" in request.query_params
        return self._sent(request, build, int(given), is_inline=is_inline)

    async def _viewed(self, request: Request) -> tuple[WebSession, Build] | Response:
        session = self._auth.session(request)
        if session is None:
            return self._auth.to_login(request)
        name = request.path_params["build"]
        build = await self._builds.find(name) if _BUILD_ID.fullmatch(name) else None
        if build is None or not await self._auth.access.may_read(
            session.token, str(build.repository), build.repository_id
        ):
            # The same response in both cases, so that it does not reveal whether it exists.
            return self._auth.renderer.problem(404, "Not found", _NOT_HERE, session=session)
        return session, build

    def _sent(self, request: Request, build: Build, number: int, *, is_inline: bool) -> Response:
        file = build.files[number]
        shown = is_inline and file.kind in INLINE
        headers = (_SHOWN if shown else _PRIVATE) | {
            "accept-ranges": "bytes",
            "content-disposition": f'{"inline" if shown else "attachment"}; filename="{file.name}"',
            "content-type": file.media_type,
            "etag": f'"{file.sha256}"',
        }
        wanted = requested_range(request.headers, file)
        if wanted is None:
            headers = _PRIVATE | {"content-range": f"bytes */{file.size}"}
            return PlainTextResponse("This range is not in the file.\n", 416, headers)
        headers["content-length"] = str(wanted.end - wanted.start)
        is_part = wanted.end - wanted.start < file.size
        if is_part:
            headers["content-range"] = f"bytes {wanted.start}-{wanted.end - 1}/{file.size}"
        body = self._builds.content(build, number, wanted.start, wanted.end)
        return StreamingResponse(body, 206 if is_part else 200, headers)

    # -- for an iPhone's installer

    async def _manifest(self, request: Request) -> Response:
        found = await self._ticket(request)
        if found is None:
            return PlainTextResponse(_NO_LONGER, 404, _PRIVATE)
        ticket, build = found
        file = build.files[ticket.file]
        address = f"{self._public_url}/install/{self._seal(ticket)}/app.ipa"
        item = {
            "assets": [{"kind": "software-package", "url": address}],
            "metadata": {
                "bundle-identifier": file.bundle,
                "bundle-version": file.version or "1",
                "kind": "software",
                "title": file.title or file.name,
            },
        }
        body = plistlib.dumps({"items": [item]})
        return Response(body, media_type="text/xml", headers=_PRIVATE)

    async def _app(self, request: Request) -> Response:
        found = await self._ticket(request)
        if found is None:
            return PlainTextResponse(_NO_LONGER, 404, _PRIVATE)
        ticket, build = found
        return self._sent(request, build, ticket.file, is_inline=False)

    async def _ticket(self, request: Request) -> tuple[InstallTicket, Build] | None:
        """What an address gives access to; None when it is forged, has expired, or its build is
        gone."""
        sealed = request.path_params["ticket"]
        if len(sealed) > _MOST_TOKEN:
            return None
        try:
            opened = self._key.decrypt(sealed.encode("ascii"))
            ticket = msgspec.json.decode(opened, type=InstallTicket)
        except (InvalidToken, msgspec.DecodeError, UnicodeError):
            return None
        build = await self._builds.find(ticket.build) if ticket.ends > now() else None
        return (ticket, build) if build and ticket.file < len(build.files) else None

    def _seal(self, ticket: InstallTicket) -> str:
        return self._key.encrypt(msgspec.json.encode(ticket)).decode()

    # -- for a camera

    async def _qr_code(self, request: Request) -> Response:
        """The first address of a commit as a QR code, for those who know its SHA: GitHub loads
        images without signing in. It is the address that the text beside it has."""
        sha, given = request.path_params["sha"], request.path_params["repository_id"]
        address = ""
        if _SHA.fullmatch(sha) and _REPOSITORY_ID.fullmatch(given):
            address = await self._address(int(given), sha)
        if not address:
            return PlainTextResponse("There is nothing to try.\n", 404, _PRIVATE)
        drawn = io.BytesIO()
        segno.make(address, error="m").save(drawn, kind="svg", scale=5, light="#ffffff")
        return Response(drawn.getvalue(), media_type="image/svg+xml", headers=_PRIVATE)

    async def _address(self, repository_id: int, sha: str) -> str:
        found = await self._previews.of_commit(repository_id, sha)
        if found:
            return found[0].url
        build = await self._builds.of_commit(repository_id, sha)
        return f"{self._public_url}/builds/{build.id}" if build and build.files else ""


def requested_range(headers: Mapping[str, str], file: BuildFile) -> ByteRange | None:
    """The part of a file that a request wants: all of it, unless it names one range; None when
    that is outside the file.

    https://www.rfc-editor.org/rfc/rfc9110#name-range
    """
    whole = ByteRange(0, file.size)
    if headers.get("if-range", f'"{file.sha256}"') != f'"{file.sha256}"':
        return whole
    found = _RANGE.fullmatch(headers.get("range", "").strip())
    if found is None or not (found[1] or found[2]):
        return whole
    if not found[1]:
        start, end = max(0, file.size - int(found[2])), file.size
    else:
        start = int(found[1])
        end = min(file.size, int(found[2]) + 1) if found[2] else file.size
    if start >= file.size or end <= start:
        return whole if found[2] and found[1] and int(found[2]) < int(found[1]) else None
    return ByteRange(start, end)
