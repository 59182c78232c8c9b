"""What every page of the playground has in common: headers, forms, and who may send them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import Response

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
_HOSTS = ("127.0.0.1", "localhost", "::1")
_MOST_BYTES = 1 << 20


class RefusedFormError(Exception):
    """A request that a page does not take; `status` is the answer's."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


def refuse_strangers(request: Request) -> None:
    """Only this machine's own pages may send forms, and only its own host names are accepted.

    Raises RefusedFormError.
    """
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    if host not in _HOSTS:
        raise RefusedFormError(403, "The playground answers on this machine alone.")
    origin = request.headers.get("origin")
    if request.method == "POST" and origin != f"http://{request.headers['host']}":
        raise RefusedFormError(403, "This form came from another site.")


async def form_of(request: Request) -> Mapping[str, str]:
    """The fields of a form. Raises RefusedFormError where it is too long."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise RefusedFormError(413, "This is too long for a form.")
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def not_modified(request: Request, response: Response) -> Response:
    """304 in place of a page that the browser has already."""
    if request.method != "GET" or response.status_code != 200:
        return response
    tag = f'"{hashlib.sha256(bytes(response.body)).hexdigest()[:32]}"'
    response.headers["ETag"] = tag
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=HEADERS | {"ETag": tag})
    return response
