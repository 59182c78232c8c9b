"""Authentication: App JWTs, installation tokens, user tokens.

Outside contract: https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app
"""

from __future__ import annotations

import base64
import functools
import hmac
import json
import secrets
import string
from datetime import timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from .accounts import ApiCaller, SimulatedInstallation, Token, User
from .api import Answer, ApiEndpoint, Call, covers
from .refusals import Moved, Refusal, invalid_request, not_found
from .shapes import (
    app_shape,
    full_repository_shape,
    granted,
    installation_shape,
    moment,
)
from .world import Json, Repository, World

TOKEN_LIFE = timedelta(hours=1)
_LONGEST_JWT = 600
_CLOCK_SKEW = 30
_LEVELS = ("read", "write", "admin")
_LETTERS = string.ascii_letters + string.digits


def actor_of(world: World, authorization: str) -> ApiCaller:
    """Who an Authorization header belongs to. Refuses with 401."""
    scheme, _, credential = authorization.partition(" ")
    credential = credential.strip()
    if not authorization:
        return ApiCaller("anonymous")
    if scheme.lower() == "basic":
        return actor_of_basic(world, credential)
    if scheme.lower() not in ("bearer", "token"):
        raise Refusal(401, "Bad credentials")
    if credential.count(".") == 2 and not credential.startswith("ghs_"):
        check_jwt(world, credential)
        return ApiCaller("app", world.bot)
    return actor_of_token(world, credential)


def actor_of_basic(world: World, credential: str) -> ApiCaller:
    """Who a Basic credential belongs to: the App's own, or a token under any name."""
    try:
        text = base64.b64decode(credential, validate=True).decode()
    except ValueError:
        raise Refusal(401, "Bad credentials") from None
    name, _, password = text.partition(":")
    if name == world.app.client_id and hmac.compare_digest(
        password.encode(), world.app.client_secret.encode()
    ):
        return ApiCaller("app", world.bot)
    return actor_of_token(world, password)


def actor_of_token(world: World, text: str) -> ApiCaller:
    """Who a token belongs to. Refuses with 401."""
    token = world.tokens.get(text)
    if token is None or (token.expires_at and token.expires_at <= world.clock.now()):
        raise Refusal(401, "Bad credentials")
    if token.installation is None:
        return ApiCaller("person", token.user, token)
    if token.installation.suspended_at:
        raise Refusal(403, "This installation has been suspended")
    return ApiCaller("installation", token.user, token)


@functools.lru_cache
def _public_key(private_key_pem: str) -> RSAPublicKey:
    private = load_pem_private_key(private_key_pem.encode(), None)
    if not isinstance(private, RSAPrivateKey):
        raise TypeError("An App's key is an RSA key")
    return private.public_key()


def check_jwt(world: World, credential: str) -> None:
    """Check an App's JWT as GitHub does. Refuses with 401."""
    key = _public_key(world.app.private_key_pem)
    options: Any = {"verify_exp": False, "verify_iat": False, "verify_iss": False}
    try:
        claims = jwt.decode(credential, key, algorithms=["RS256"], options=options)
    except jwt.PyJWTError:
        raise Refusal(401, "A JSON web token could not be decoded") from None
    now = world.clock.timestamp()
    issued, expires = claims.get("iat"), claims.get("exp")
    if str(claims.get("iss")) not in (str(world.app.app_id), app_shape(world)["client_id"]):
        raise Refusal(401, "'Issuer' claim ('iss') must be an Integer")
    if not isinstance(issued, int) or issued > now + _CLOCK_SKEW:
        raise Refusal(
            401,
            "'Issued at' claim ('iat') must be an Integer representing the time that the "
            "assertion was issued",
        )
    if not isinstance(expires, int) or expires <= now:
        raise Refusal(
            401,
            "'Expiration time' claim ('exp') must be a numeric value representing the future "
            "time at which the assertion expires",
        )
    if expires > now + _LONGEST_JWT:
        raise Refusal(401, "'Expiration time' claim ('exp') is too far in the future")


def new_person_token(world: World, user: User) -> str:
    """A person's own token, good for ever."""
    text = "ghp_" + _random(36)
    world.tokens[text] = Token(text, user)
    return text


def _new_token_text(world: World) -> str:
    """The two shapes that GitHub gives out, in turn."""
    if len([token for token in world.tokens.values() if token.installation]) % 2 == 0:
        return "ghs_" + _random(36)
    header = _base64({"alg": "RS256", "typ": "JWT"})
    claims = _base64({"iss": str(world.app.app_id), "jti": secrets.token_hex(16)})
    text = f"ghs_{header}.{claims}."
    return text + _random(520 - len(text))


def _base64(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


# -- endpoints of the App


async def get_app(call: Call) -> Answer:
    installations = {"installations_count": len(call.world.installations)}
    return Answer(200, app_shape(call.world) | installations)


async def list_installations(call: Call) -> Answer:
    found = list(call.world.installations.values())
    return call.page(found, lambda one: installation_shape(call.world, one))


async def get_installation(call: Call) -> Answer:
    return Answer(200, installation_shape(call.world, find_installation(call)))


async def repository_installation(call: Call) -> Answer:
    full_name = f"{call.params['owner']}/{call.params['repo']}"
    former = call.world.renamed.get(full_name.lower())
    if former is not None and full_name.lower() not in call.world.repositories:
        raise Moved(f"{call.world.api_url}/repositories/{former.id}/installation")
    repository = call.world.repository(full_name)
    installation = call.world.installation_of(repository)
    if installation is None:
        raise not_found()
    return Answer(200, installation_shape(call.world, installation))


async def create_token(call: Call) -> Answer:
    world, installation = call.world, find_installation(call)
    if installation.suspended_at:
        raise Refusal(403, "This installation has been suspended")
    permissions = _narrowed_permissions(call, installation)
    repositories = _narrowed_repositories(call, installation)
    expires = world.clock.now() + TOKEN_LIFE
    token = Token(_new_token_text(world), world.bot, expires, installation, permissions)
    body: Json = {
        "token": token.text,
        "expires_at": moment(expires),
        "permissions": permissions,
        "repository_selection": "all" if repositories is None else "selected",
    }
    if repositories is not None:
        token.repositories = frozenset(repository.id for repository in repositories)
        body["repositories"] = [full_repository_shape(world, one) for one in repositories]
    world.tokens[token.text] = token
    return Answer(201, body)


def find_installation(call: Call) -> SimulatedInstallation:
    """The installation of the path. Refuses with 404."""
    number = call.number("installation_id")
    for installation in call.world.installations.values():
        if installation.id == number:
            return installation
    raise not_found()


def _narrowed_permissions(call: Call, installation: SimulatedInstallation) -> dict[str, str]:
    whole = {"metadata": "read"} | granted(call.world, installation)
    asked = call.value("permissions", dict, {})
    for name, level in asked.items():
        if level not in _LEVELS:
            raise invalid_request(
                f"For 'permissions/{name}', {level!r} is not a member of the enum."
            )
        most = whole.get(name)
        if most is None or _LEVELS.index(level) > _LEVELS.index(most):
            raise Refusal(422, "The permissions requested are not granted to this installation.")
    return {"metadata": "read"} | asked if asked else whole


def _narrowed_repositories(
    call: Call, installation: SimulatedInstallation
) -> list[Repository] | None:
    if not call.given("repositories") and not call.given("repository_ids"):
        return None
    theirs = [r for r in call.world.repositories.values() if r.owner is installation.account]
    by_name = {r.name.lower(): r for r in theirs if r.installed}
    by_id = {r.id: r for r in theirs if r.installed}
    chosen = [by_name.get(name.lower()) for name in call.strings("repositories")]
    chosen += [by_id.get(number) for number in call.value("repository_ids", list, [])]
    found = [repository for repository in chosen if repository is not None]
    if not chosen or len(found) < len(chosen):
        raise Refusal(
            422,
            "There is at least one repository that does not exist or is not accessible to the "
            "parent installation.",
        )
    return found


async def revoke_token(call: Call) -> Answer:
    if call.actor.token is not None:
        del call.world.tokens[call.actor.token.text]
    return Answer(204)


async def forget_user_token(call: Call) -> Answer:
    text = call.value("access_token", str, "")
    token = call.world.tokens.get(text)
    if call.params["client_id"] != call.world.app.client_id or token is None or not token.via_app:
        raise not_found()
    del call.world.tokens[text]
    return Answer(204)


async def installation_repositories(call: Call) -> Answer:
    found = [r for r in call.world.repositories.values() if covers(call.world, call.actor, r)]
    return call.page(
        found, lambda one: full_repository_shape(call.world, one), under="repositories"
    )


async def rate_limit(call: Call) -> Answer:
    rate = call.world.rates.get(call.actor.counted_as)
    limit, used = call.world.rate_limit, rate.used if rate else 0
    reset = rate.resets_at if rate else int(call.world.clock.timestamp()) + 3600
    core = {"limit": limit, "used": used, "remaining": max(limit - used, 0), "reset": reset}
    return Answer(200, {"resources": {"core": core, "search": core}, "rate": core})


ENDPOINTS = [
    ApiEndpoint("GET", "/app", get_app, "app"),
    ApiEndpoint("GET", "/app/installations", list_installations, "app"),
    ApiEndpoint("GET", "/app/installations/{installation_id}", get_installation, "app"),
    ApiEndpoint("POST", "/app/installations/{installation_id}/access_tokens", create_token, "app"),
    ApiEndpoint("GET", "/repos/{owner}/{repo}/installation", repository_installation, "app"),
    ApiEndpoint("DELETE", "/installation/token", revoke_token, "installation"),
    ApiEndpoint("DELETE", "/applications/{client_id}/token", forget_user_token, "app"),
    ApiEndpoint("GET", "/installation/repositories", installation_repositories, "installation"),
    ApiEndpoint("GET", "/rate_limit", rate_limit, "any"),
]
