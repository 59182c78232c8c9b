"""Creating an App from a manifest: the confirmation page, and the exchange of its code.

The playground knows one App: the new one takes the place of the one before.
Outside contract: https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from .accounts import AppRegistration
from .api import Answer, ApiEndpoint, Call
from .refusals import not_found
from .shapes import app_shape
from .world import Json, World

_CODE_LIFE = timedelta(hours=1)
_NAME_LIMIT = 34
_EVENTS_OF_EVERY_APP = {"installation", "installation_repositories", "github_app_authorization"}


def problem_of(world: World, manifest: Any) -> str | None:
    """Why GitHub would make no App of a manifest."""
    if not isinstance(manifest, dict):
        return "The manifest is not a JSON object."
    hook = manifest.get("hook_attributes") or {}
    addresses = [hook.get("url"), manifest.get("redirect_url"), manifest.get("url")]
    if not isinstance(manifest.get("url"), str):
        return "url: is missing."
    if hook and not isinstance(hook.get("url"), str):
        return "hook_attributes: url is missing."
    if len(str(manifest.get("name") or "")) > _NAME_LIMIT:
        return f"name: is too long (maximum is {_NAME_LIMIT} characters)."
    for address in addresses:
        if address is not None and urlsplit(str(address)).scheme not in ("http", "https"):
            return f"{address}: is not a valid URL."
    if hook and _is_local(str(hook["url"])):
        return "Hook url is not supported because it isn't reachable over the public Internet."
    forbidden = _EVENTS_OF_EVERY_APP & set(manifest.get("default_events") or [])
    if forbidden:
        return f"Default events unsupported: {', '.join(sorted(forbidden))}."
    return None


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def routes(world: World) -> list[Route]:
    """The page that the manifest is sent to; here the person agrees at once."""

    async def agree(request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        try:
            manifest = json.loads(form.get("manifest", ""))
        except ValueError:
            manifest = None
        problem = problem_of(world, manifest)
        if problem is not None:
            return PlainTextResponse(f"Invalid GitHub App configuration: {problem}", 422)
        redirect = manifest.get("redirect_url")
        if redirect is None:
            return PlainTextResponse("The manifest names no redirect_url.", 422)
        code = secrets.token_hex(20)
        owner = world.users.get(form.get("login", "").lower()) or world.bot
        world.desk.manifests[code] = (owner, manifest, world.clock.now() + _CODE_LIFE)
        state = request.query_params.get("state")
        more = {"code": code} | ({"state": state} if state is not None else {})
        mark = "&" if urlsplit(redirect).query else "?"
        return RedirectResponse(f"{redirect}{mark}{urlencode(more)}", 302)

    return [
        Route("/settings/apps/new", agree, methods=["POST"]),
        Route("/organizations/{org}/settings/apps/new", agree, methods=["POST"]),
    ]


async def convert(call: Call) -> Answer:
    found = call.world.desk.manifests.pop(call.params["code"], None)
    if found is None or found[2] <= call.world.clock.now():
        raise not_found()
    pem = await asyncio.to_thread(_new_key)
    app = _registration(call.world, found[1], pem)
    call.world.register(app)
    hook = found[1].get("hook_attributes") or {}
    call.world.webhooks.url = hook.get("url") if hook.get("active", True) else None
    secret: Json = {"webhook_secret": app.webhook_secret, "pem": pem}
    more = secret | {"client_id": app.client_id, "client_secret": app.client_secret}
    return Answer(201, app_shape(call.world) | more)


def _registration(world: World, manifest: Json, pem: str) -> AppRegistration:
    name = str(manifest.get("name") or f"app-{world.new_id()}")
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return AppRegistration(
        app_id=world.new_id(),
        slug=slug,
        private_key_pem=pem,
        webhook_secret=secrets.token_hex(20),
        permissions={"metadata": "read"} | dict(manifest.get("default_permissions") or {}),
        events=tuple(manifest.get("default_events") or ()),
        name=name,
        client_secret=secrets.token_hex(20),
        callback_urls=tuple(manifest.get("callback_urls") or ()),
    )


def _new_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return key.private_bytes(*form).decode()


ENDPOINTS = [ApiEndpoint("POST", "/app-manifests/{code}/conversions", convert, "any")]
