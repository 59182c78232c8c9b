"""`honk init`: create the GitHub App, install it, and check that everything works."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app import settings
from app.cli.common import reports_errors

if TYPE_CHECKING:
    from app.installer.manifest import Intake


@click.command()
@click.option("--port", type=int, default=0, help="Port of the page. Default: any free port.")
@click.option(
    "--print",
    "prints",
    is_flag=True,
    help="Create the App by copy and paste, without a page, and print its settings for a secret "
    "store instead of writing .env.",
)
@click.option("--organization", default="", help="With --print: the App's owner. Default: you.")
@click.option("--server", default="", help="With --print: an Enterprise Server's address.")
@click.option("--address", default="", help="With --print: your public address, for webhooks.")
@reports_errors
def init(port: int, prints: bool, organization: str, server: str, address: str) -> None:
    """Create the GitHub App, install it, and check that everything works, on one page.

    Only this machine can reach the page. Each step can be interrupted; running this again
    continues, changes nothing that works, and writes only to .env in this folder.
    """
    from app.installer import terminal
    from app.installer.env_file import EnvFile
    from app.installer.wizard import choice_of

    if not prints and (organization or server or address):
        raise click.UsageError("--organization, --server and --address belong to --print.")
    env = EnvFile(Path(settings.ENV_FILE))
    env.close()
    honk_port = settings.load().port
    if not prints:
        asyncio.run(
            terminal.serve_page(
                env, port=port, honk_port=honk_port, say=lambda text: click.echo(text)
            )
        )
        return
    intake: Intake = "webhook" if address else "poll"
    choice = choice_of(server, organization, intake, address)
    asyncio.run(
        terminal.print_settings(
            choice,
            honk_port,
            ask=lambda text: str(click.prompt(text, hide_input=True, err=True)),
            say=lambda text: click.echo(text, err=True),
            show=click.echo,
        )
    )
