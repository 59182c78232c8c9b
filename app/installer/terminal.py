"""`honk init` in the terminal: serving the page, and `--print` without one."""

from __future__ import annotations

import asyncio
import html
import json
import re
import secrets
import signal
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from app import settings
from app.errors import UserError
from app.github import app_manifests
from app.github_urls import api_of
from app.installer import manifest
from app.installer.env_file import EnvFile
from app.installer.pages import InstallerPages
from app.installer.wizard import AppChoice, Wizard, settings_of
from app.outgoing import Outgoing
from app.web.server import serve

_HOST = "127.0.0.1"
_UNUSED_PORT = 8137
"""In the address that GitHub sends a browser to when there is no page to receive it."""
_STATE = re.compile(r"[A-Za-z0-9_-]+")

Ask = Callable[[str], str]
Say = Callable[[str], None]


async def serve_page(env: EnvFile, *, port: int, honk_port: int, say: Say) -> None:
    """Serve the page on loopback until SIGINT or SIGTERM. Raises UserError for a port in use."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    env.close()
    wizard, token = Wizard(env), secrets.token_urlsafe(32)
    pages = InstallerPages(wizard, token, f"http://{_HOST}:{honk_port}")

    def listening(at: int) -> None:
        say(
            f"Open this link in a browser; it works once:\n\n    http://{_HOST}:{at}/start/{token}\n"
        )
        say(
            "The browser is on another machine? Run this there first, then open the link:\n\n"
            f"    ssh -L {at}:{_HOST}:{at} THIS-MACHINE\n\n"
            "If no browser can reach this machine, use: honk init --print\n"
            "Ctrl-C ends it; started again, it continues where you left off."
        )

    try:
        await serve(pages.app(), host=_HOST, port=port, stop=stop, listening=listening)
    finally:
        await wizard.close()
    if wizard.unsaved is not None:
        raise UserError(
            f"The secrets of the App {wizard.unsaved.slug} were not saved.",
            next_step=f"Delete it on GitHub ({wizard.unsaved.url}) and start again.",
        )


async def print_settings(
    choice: AppChoice, honk_port: int, *, ask: Ask, say: Say, show: Say
) -> None:
    """Create the App by copy and paste; its settings go to `show`, everything else to `say`.

    Nothing is stored here. Raises UserError and RetryableError.
    """
    outgoing = Outgoing.of(settings.load())
    state = secrets.token_urlsafe(24)
    url = manifest.form_url(choice.server_url, choice.organization, state)
    body = manifest.manifest(
        name=manifest.suggested_name(choice.organization),
        intake=choice.intake,
        public_url=choice.public_url,
        redirect_url=f"http://{_HOST}:{_UNUSED_PORT}/created",
        local_url=f"http://{_HOST}:{honk_port}",
    )
    say(
        "1. Save these lines as honk-app.html on a machine with a browser, and open the file:\n\n"
        f"{page_to_save(url, body)}\n\n"
        "   If GitHub refuses a form from a file, serve it: python3 -m http.server\n\n"
        "2. Confirm on GitHub. The page that it sends you to does not load; that is expected.\n"
        "   Its URL contains a code that is valid for an hour."
    )
    code = code_in(ask("3. Paste that URL"), state)
    app = await app_manifests.exchange(api_of(choice.server_url), code, outgoing)
    for name, value in settings_of(app, choice).items():
        show(f"{name}={value}")
    say(
        "\nStore these in your platform's secret store now: GitHub does not show them again.\n"
        f"Install the App: {app.url}/installations/new\n"
        "Then set ANTHROPIC_API_KEY, and check everything with: honk doctor"
    )


def page_to_save(url: str, body: dict[str, object]) -> str:
    """A page whose only button sends the manifest to GitHub."""
    value = html.escape(json.dumps(body), quote=True)
    return (
        f'<!doctype html><meta charset="utf-8"><form method="post" action="{html.escape(url)}">\n'
        f'<input type="hidden" name="manifest" value="{value}">\n'
        "<button>Create the App on GitHub</button></form>"
    )


def code_in(pasted: str, state: str) -> str:
    """The code in a pasted address, or the code itself. Raises UserError for another start's."""
    text = pasted.strip().strip("\"'<>")
    if "code=" not in text:
        if _STATE.fullmatch(text):
            return text
        raise UserError("It contains no code.", next_step="Paste the whole URL, including `code=`.")
    query = parse_qs(urlsplit(text).query)
    given = query.get("state", [""])[0]
    if not secrets.compare_digest(given.encode(), state.encode()):
        raise UserError(
            "That URL is from another start of `honk init`.",
            next_step="Use the form that this one printed.",
        )
    return query.get("code", [""])[0]
