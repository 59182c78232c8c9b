"""The page about Slack: link a Slack account, unlink it, defaults.

A GET changes nothing, since chats fetch the links that people post. A link needs both accounts: the
page shows a code to the person who is signed in with GitHub, and the Slack account that sends it is
linked. So opening a page never links an account.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from app import log_events
from app.domain.values import RepoName
from app.store.slack import SlackStore
from app.web.forms import is_same, read_form
from app.web.login import AuthMiddleware
from app.web.rendering import HEADERS
from app.web.sessions import WebSession

SLACK_PATH = "/slack"
_MOST_FORM_BYTES = 4096
_FORM_SECONDS = 5.0

_log = structlog.get_logger(__name__)

Change = Callable[[WebSession, dict[str, str]], Awaitable[Response]]


@dataclass(frozen=True)
class SlackPages:
    """The page and its forms."""

    auth: AuthMiddleware
    store: SlackStore

    def routes(self) -> list[BaseRoute]:
        posts: dict[str, Change] = {
            "code": self._code,
            "unlink": self._unlink,
            "default": self._default,
            "channel": self._channel,
        }
        return [
            Route(SLACK_PATH, self.auth.guarded(self._page)),
            *(
                Route(
                    f"{SLACK_PATH}/{name}",
                    self.auth.guarded(self._posted(change)),
                    methods=["POST"],
                )
                for name, change in posts.items()
            ),
        ]

    def _posted(self, change: Change) -> Callable[[Request], Awaitable[Response]]:
        """A form of the signed-in person, with the token that only our pages hold."""

        async def answer(request: Request) -> Response:
            session = self.auth.session(request)
            if session is None:
                return self.auth.to_login(request)
            form = await read_form(request, max_bytes=_MOST_FORM_BYTES, seconds=_FORM_SECONDS)
            if not is_same(form.get("form", ""), session.form):
                return self.auth.renderer.problem(
                    403, "Forbidden", "This form was not submitted from one of these pages."
                )
            return await change(session, form)

        return answer

    async def _page(self, request: Request) -> Response:
        session = self.auth.session(request)
        if session is None:
            return self.auth.to_login(request)
        return await self._show(session)

    async def _show(self, session: WebSession, *, code: str = "", problem: str = "") -> Response:
        return self.auth.renderer.page(
            "slack.html",
            status=400 if problem else 200,
            session=session,
            code=code,
            problem=problem,
            links=await self.store.links_of(session.id),
            channels=await self.store.channel_defaults_by(session.login),
        )

    async def _code(self, session: WebSession, _form: dict[str, str]) -> Response:
        # The account as GitHub knows it now, and proof that the session was not ended there.
        person = await self.auth.people.who(SecretStr(session.token))
        return await self._show(session, code=await self.store.new_code(person.login, person.id))

    async def _unlink(self, session: WebSession, form: dict[str, str]) -> Response:
        team, user = form.get("team", ""), form.get("user", "")
        if await self.store.unlink(team, user, session.id):
            _log.info(log_events.SLACK_UNLINKED, login=session.login, team=team, user=user)
        return _back()

    async def _default(self, session: WebSession, form: dict[str, str]) -> Response:
        repository = form.get("repository", "").strip()
        try:
            name = str(RepoName.parse(repository)) if repository else ""
        except ValueError:
            return await self._show(session, problem="Write the repository as owner/name.")
        team, user = form.get("team", ""), form.get("user", "")
        await self.store.set_default(team, user, session.id, name)
        return _back()

    async def _channel(self, session: WebSession, form: dict[str, str]) -> Response:
        team, channel = form.get("team", ""), form.get("channel", "")
        await self.store.remove_channel_default(team, channel, session.login)
        return _back()


def _back() -> Response:
    return RedirectResponse(SLACK_PATH, 303, HEADERS)
