"""Checks of Slack: its settings, the packages, the tokens, and how people link their accounts."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from app.doctor.findings import DoctorFinding, DoctorSection, of_setting
from app.errors import HonkError, UserError
from app.outgoing import Outgoing
from app.settings import Settings

_SCOPES = "Create the Slack app from docs/slack-manifest.yml, and install it in the workspace."


async def try_slack(
    settings: Settings, outgoing: Outgoing, *, web: bool, worker: bool
) -> DoctorSection:
    """Check what this half of Honk needs for HONK_SLACK."""
    found = list(_settings(settings, web=web, worker=worker))
    if worker and all(each.good is not False for each in found):
        found += await _contacts(settings, outgoing)
    return DoctorSection(f"Slack: {settings.slack}", tuple(found))


def _settings(settings: Settings, *, web: bool, worker: bool) -> list[DoctorFinding]:
    wanted: list[tuple[str, Callable[[], object]]] = []
    if worker:
        wanted.append(("SLACK_BOT_TOKEN", settings.slack_token))
    if worker and settings.slack == "socket":
        wanted.append(("SLACK_APP_TOKEN", settings.slack_socket_token))
    if web and settings.slack == "http":
        wanted.append(("SLACK_SIGNING_SECRET", settings.slack_secret))
    found = [of_setting(name, read) for name, read in wanted]
    if web:
        found.append(_linking(settings))
    if worker:
        found.append(_packages())
    return found


def _linking(settings: Settings) -> DoctorFinding:
    what = "people can link their accounts"
    try:
        works = settings.sign_in() is not None
    except UserError:
        works = False
    if not works:
        return DoctorFinding(
            what,
            False,
            "Honk works only for linked people, and sign-in for the pages is off.",
            "Set GITHUB_CLIENT_ID, GITHUB_CLIENT_SECRET and HONK_SESSION_SECRET.",
        )
    if settings.public_url is None:
        return DoctorFinding(
            what,
            None,
            "Honk cannot name the address of the page /slack.",
            "Set HONK_PUBLIC_URL to the address of web.",
        )
    return DoctorFinding(what, True, f"{settings.public_url}/slack")


def _packages() -> DoctorFinding:
    what = "the extra `slack` is installed"
    missing = [name for name in ("aiohttp", "slack_sdk") if find_spec(name) is None]
    if missing:
        text = f"The package {missing[0]} is missing."
        return DoctorFinding(what, False, text, "Install honk-app[slack].")
    return DoctorFinding(what, True)


async def _contacts(settings: Settings, outgoing: Outgoing) -> list[DoctorFinding]:
    """Ask Slack who the tokens belong to. Nothing is posted."""
    from app.chat.api import SlackApi, open_session, socket_url, web_client

    found: list[DoctorFinding] = []
    url = settings.slack_api_url
    async with open_session() as session:
        what = "Slack accepts the bot token"
        try:
            us = await SlackApi(
                web_client(settings.slack_token(), url, outgoing, session)
            ).identity()
        except HonkError as problem:
            found.append(DoctorFinding(what, False, str(problem), _SCOPES))
        else:
            found.append(DoctorFinding(what, True, f"the workspace {us.team_name} ({us.team})"))
        if settings.slack == "socket":
            what = "Slack accepts the app-level token"
            try:
                await socket_url(web_client(settings.slack_socket_token(), url, outgoing, session))
            except HonkError as problem:
                step = "Create an app-level token with the scope connections:write."
                found.append(DoctorFinding(what, False, str(problem), step))
            else:
                found.append(DoctorFinding(what, True))
    return found
