"""Creating an App from a manifest and installing it: the pages, and the exchange of the code.

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
from html import escape
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from . import installations
from .accounts import AppRegistration
from .api import Answer, ApiEndpoint, Call
from .refusals import not_found
from .shapes import app_shape, moment, user_shape
from .world import Json, World

_CODE_LIFE = timedelta(hours=1)
_NAME_LIMIT = 34
_EVENTS_OF_EVERY_APP = {"installation", "installation_repositories", "github_app_authorization"}


def problem_of(world: World, manifest: Any) -> str | None:
    """Why GitHub would reject a manifest."""
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


def is_taken(world: World, name: str) -> bool:
    """Whether another App, a person or an organization has this name on all of GitHub."""
    slug = slug_of(name)
    taken = {world.app.slug, *world.users, *world.desk.organizations, *world.desk.taken_names}
    return slug in taken


def slug_of(name: str) -> str:
    """The last part of the App's URL."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def routes(world: World) -> list[Route]:
    """The page that a manifest is sent to, where a person may change the name and agrees."""

    async def ask(request: Request) -> Response:
        org = request.path_params.get("org", "")
        if org and org.lower() not in world.desk.organizations:
            return PlainTextResponse("Not Found", 404)
        form = await _form(request)
        try:
            manifest = json.loads(form.get("manifest", ""))
        except ValueError:
            manifest = None
        problem = problem_of(world, manifest)
        if problem is None and not isinstance(manifest.get("redirect_url"), str):
            problem = "redirect_url: is missing."
        if problem is not None:
            return PlainTextResponse(f"Invalid GitHub App configuration: {problem}", 422)
        ticket = secrets.token_hex(8)
        world.desk.asked[ticket] = (manifest, request.query_params.get("state"))
        return HTMLResponse(_page(world, ticket, org, str(manifest.get("name") or "")))

    async def agree(request: Request) -> Response:
        org, form = request.path_params.get("org", ""), await _form(request)
        asked = world.desk.asked.get(form.get("ticket", ""))
        user = world.users.get(form.get("login", "").lower())
        owners = world.desk.organizations.get(org.lower(), set())
        # GitHub has no such page for those who may not manage an organization's Apps.
        if asked is None or user is None or (org and user.login.lower() not in owners):
            return PlainTextResponse("Not Found", 404)
        manifest, state = asked
        name = form.get("name") or str(manifest.get("name") or "")
        refusal = ""
        if not name or len(name) > _NAME_LIMIT:
            refusal = f"Name is too long (maximum is {_NAME_LIMIT} characters)"
        elif is_taken(world, name):
            refusal = "Name has already been taken"
        if refusal:
            return HTMLResponse(_page(world, form["ticket"], org, name, refusal), 422)
        code = secrets.token_hex(20)
        owner = world.users[org.lower()] if org else user
        more: Json = {"name": name}
        world.desk.manifests[code] = (owner, manifest | more, world.clock.now() + _CODE_LIFE)
        redirect = manifest["redirect_url"]
        query = {"code": code} | ({"state": state} if state is not None else {})
        mark = "&" if urlsplit(redirect).query else "?"
        return RedirectResponse(f"{redirect}{mark}{urlencode(query)}", 302)

    async def offer(request: Request) -> Response:
        if request.path_params["slug"] != world.app.slug:
            return PlainTextResponse("Not Found", 404)
        return HTMLResponse(_install_page(world))

    async def put_on(request: Request) -> Response:
        form = await request.body()
        chosen = parse_qs(form.decode())
        account = world.users.get(chosen.get("account", [""])[0])
        if request.path_params["slug"] != world.app.slug or account is None:
            return PlainTextResponse("Not Found", 404)
        names = set(chosen.get("repository", []))
        made = installations.install(world, account, account)
        for repository in world.repositories.values():
            if repository.owner is account:
                repository.installed = repository.full_name in names
        return RedirectResponse(f"/settings/installations/{made.id}", 302)

    async def installed(_request: Request) -> Response:
        return HTMLResponse(f"{_HEAD}<title>Installed</title><h1>The App is installed</h1>")

    install = "/apps/{slug}/installations/new"
    of_person, of_org = "/settings/apps", "/organizations/{org}/settings/apps"
    return [
        *(Route(f"{place}/new", ask, methods=["POST"]) for place in (of_person, of_org)),
        *(Route(place, agree, methods=["POST"]) for place in (of_person, of_org)),
        Route(install, offer, methods=["GET"]),
        Route(install, put_on, methods=["POST"]),
        Route("/settings/installations/{number:int}", installed, methods=["GET"]),
    ]


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace")))


_HEAD = (
    "<!DOCTYPE html><html lang=en><meta charset=utf-8>"
    '<meta name=viewport content="width=device-width">'
)


def _page(world: World, ticket: str, org: str, name: str, refusal: str = "") -> str:
    """One button for each person, as whom the App is created."""
    people = [user.login for user in world.users.values() if user.type == "User"]
    buttons = "".join(
        f'<p><button name="login" value="{escape(login.lower())}">'
        f"Create GitHub App as {escape(login)}</button></p>"
        for login in people
        if login.lower() not in world.desk.organizations
    )
    action = f"/organizations/{quote(org)}/settings/apps" if org else "/settings/apps"
    said = f'<p class="error" role="alert">{escape(refusal)}</p>' if refusal else ""
    return (
        f"{_HEAD}<title>Create GitHub App</title><h1>Create GitHub App for "
        f'{escape(org or "your account")}</h1>{said}<form method=post action="{action}">'
        f'<input type=hidden name=ticket value="{escape(ticket)}">'
        f'<p><label>GitHub App name <input name=name value="{escape(name)}"></label></p>'
        f"{buttons}</form></html>"
    )


def _install_page(world: World) -> str:
    """A form for each account that has repositories."""
    name = escape(world.app.name or world.app.slug)
    owners = {one.owner.login.lower(): one.owner for one in world.repositories.values()}
    forms = ""
    for login, owner in owners.items():
        boxes = "".join(
            f'<p><label><input type=checkbox name=repository value="{escape(one.full_name)}" '
            f"checked> {escape(one.full_name)}</label></p>"
            for one in world.repositories.values()
            if one.owner is owner
        )
        forms += (
            f"<form method=post>{boxes}<p><button name=account "
            f'value="{escape(login)}">Install on {escape(owner.login)}</button></p></form>'
        )
    return f"{_HEAD}<title>Install {name}</title><h1>Install {name}</h1>{forms}</html>"


async def convert(call: Call) -> Answer:
    found = call.world.desk.manifests.pop(call.params["code"], None)
    if found is None or found[2] <= call.world.clock.now():
        raise not_found()
    pem = await asyncio.to_thread(_new_key)
    app = _registration(call.world, found[1], pem)
    call.world.register(app)
    hook = found[1].get("hook_attributes") or {}
    call.world.webhooks.url = hook.get("url") if hook.get("active", True) else None
    if hook:
        _ping(call.world, app)
    secret: Json = {"webhook_secret": app.webhook_secret if hook else None, "pem": pem}
    more = secret | {"client_id": app.client_id, "client_secret": app.client_secret}
    owner = {"owner": user_shape(call.world, found[0])}
    return Answer(201, app_shape(call.world) | owner | more)


def _ping(world: World, app: AppRegistration) -> None:
    """What GitHub sends to a new hook first."""
    hook: Json = {
        "type": "App",
        "id": app.app_id,
        "name": "web",
        "active": True,
        "app_id": app.app_id,
        "events": list(app.events),
        "config": {"content_type": "json", "insecure_ssl": "0", "url": world.webhooks.url or ""},
        "updated_at": moment(world.clock.now()),
        "created_at": moment(world.clock.now()),
        "deliveries_url": f"{world.api_url}/app/hook/deliveries",
    }
    payload: Json = {"zen": "Keep it logically awesome.", "hook_id": app.app_id, "hook": hook}
    world.webhooks.send("ping", None, payload, None, None)


def _registration(world: World, manifest: Json, pem: str) -> AppRegistration:
    name = str(manifest.get("name") or f"app-{world.new_id()}")
    slug = slug_of(name)
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
