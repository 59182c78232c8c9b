"""Sign in with Slack: the page that asks a person, and the keys of its tokens.

Outside contract: https://docs.slack.dev/authentication/sign-in-with-slack
"""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qsl, urlencode

import jwt
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from .auth import SlackSignInError, agree
from .world import SlackWorld

_FORM_BYTES = 1 << 16


def routes(world: SlackWorld) -> list[Route]:
    """The page and the keys."""

    async def authorize(request: Request) -> Response:
        asked = dict(request.query_params)
        user = None
        if request.method == "POST":
            body = (await request.body())[:_FORM_BYTES].decode("utf-8", "replace")
            form = dict(parse_qsl(body))
            user = world.users.get(form.get("user", ""))
        try:
            if user is not None:
                return RedirectResponse(agree(world, user, asked), 303)
        except SlackSignInError as error:
            return HTMLResponse(f"<!DOCTYPE html><p>{escape(str(error))}</p>", 400)
        return HTMLResponse(_page(world, asked))

    async def keys(_request: Request) -> Response:
        public = world.signing_key.public_key()
        key = jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True)
        return JSONResponse({"keys": [key | {"kid": "playground", "alg": "RS256", "use": "sig"}]})

    return [
        Route("/openid/connect/authorize", authorize, methods=["GET", "POST"]),
        Route("/openid/connect/keys", keys),
    ]


def _page(world: SlackWorld, asked: dict[str, str]) -> str:
    """Asks the person that is chosen on it."""
    people = [one for one in world.users.values() if not (one.is_bot or one.deleted)]
    choices = "".join(
        f'<button name="user" value="{one.id}">Allow as {escape(one.name)} '
        f"({escape(one.team.name)})</button> "
        for one in people
    )
    return (
        '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Sign in with Slack</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<h1>{escape(world.app.name)} wants to know who you are</h1>"
        f'<form method="post" action="?{escape(urlencode(asked))}">{choices}</form></html>'
    )
