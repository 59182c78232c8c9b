"""Attestations as files, for those who can read the repository, and the keys to check them with,
for everybody."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app import log_events
from app.domain.attestation import ID_LENGTH
from app.domain.values import short
from app.errors import RetryableError
from app.store.attestations import Attestations, StoredAttestation
from app.web.login import AuthMiddleware
from app.web.sessions import WebSession

DOWNLOAD_PATH = "/attestations/{attestation}"
KEYS_PATH = "/.well-known/honk-attestation-keys.json"

_MEDIA_TYPE = "application/vnd.in-toto.test-result+dsse"
"""https://github.com/in-toto/attestation/blob/main/spec/v1/envelope.md#storage-convention"""

_ID = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}")
_NOT_HERE = (
    "This attestation does not exist or has been deleted, or you don't have access to its "
    "repository on GitHub."
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class AttestationDownloads:
    """Attestations are visible as run pages are; for anybody else they do not exist."""

    auth: AuthMiddleware
    attestations: Attestations

    def route(self) -> Route:
        return Route(DOWNLOAD_PATH, self.auth.guarded(self._download))

    async def _download(self, request: Request) -> Response:
        session = self.auth.session(request)
        if session is None:
            return self.auth.to_login(request)
        name = request.path_params["attestation"]
        found = await self.attestations.find(name) if _ID.fullmatch(name) else None
        if found is None or not await self._may_see(session, found):
            # The same response in both cases, so that it does not reveal whether it exists.
            return self.auth.renderer.problem(404, "Not found", _NOT_HERE, session=session)
        body = await asyncio.to_thread(found.envelope.as_json)
        return Response(
            body,
            media_type=_MEDIA_TYPE,
            headers={
                "content-disposition": f'attachment; filename="{_file_name(found)}"',
                "x-content-type-options": "nosniff",
            },
        )

    async def _may_see(self, session: WebSession, found: StoredAttestation) -> bool:
        return await self.auth.access.may_read(session.token, found.repository, found.repository_id)


def key_route(attestations: Attestations) -> Route:
    """The public keys as a JWK set (RFC 7517), retired ones included while they are needed."""

    async def keys(_request: Request) -> Response:
        try:
            found = await attestations.keys()
        except RetryableError as problem:
            _log.warning(log_events.PAGE_UNAVAILABLE, path=KEYS_PATH, why=str(problem))
            return JSONResponse({"error": "Temporarily unavailable. Try again in a minute."}, 503)
        # Programs in a browser may check attestations too.
        headers = {"access-control-allow-origin": "*"}
        return JSONResponse({"keys": [key.as_jwk() for key in found.values()]}, headers=headers)

    return Route(KEYS_PATH, keys)


def _file_name(found: StoredAttestation) -> str:
    repository = found.repository.replace("/", "-")
    return f"{repository}-{short(found.head_sha)}.intoto.json"
