"""What the commands share: printing, errors that people can fix, the database, tables."""

from __future__ import annotations

import functools
import io
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from app import settings
from app.domain.sanitize import redact
from app.errors import HonkError, UserError
from app.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from app.domain.values import RepoName
    from app.store.database import Database

P = ParamSpec("P")

_COLUMNS_IN_A_FILE = 160
"""If the output is not a terminal, lines are for `grep` and not cut at 80 columns."""


def say(text: str, *, err: bool = False) -> None:
    """Print a line with secrets redacted, by value and by shape."""
    click.echo(redact(text, known_secrets()), err=err)


def known_secrets() -> set[str]:
    """Secrets that must not be printed; empty if the settings cannot be read."""
    try:
        return settings.load().secrets()
    except HonkError:
        return set()


def reports_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Print errors that a person can fix on one line, without a traceback."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except HonkError as problem:
            say(f"honk: {problem}", err=True)
            sys.exit(1)
        except KeyboardInterrupt:
            sys.exit(130)

    return wrapped


@contextmanager
def needs_playground() -> Iterator[None]:
    """Raises UserError where the packages of the simulated GitHub are missing."""
    try:
        yield
    except ModuleNotFoundError as missing:
        if missing.name != "graphql":
            raise
        raise UserError(
            "The playground's packages are not installed.",
            next_step="Install them: pip install 'honk-app[playground]'.",
        ) from None


def open_database() -> Database | None:
    """The database, or None if Honk has not created it yet. Never creates it."""
    from app.store.database import Database, database_exists

    url = settings.load().database
    if not database_exists(url):
        return None
    database = Database(url)
    if database.is_sqlite and database.is_empty():
        return None
    database.check_migrated()
    return database


def console(file: Any = None) -> Console:
    """A console on stdout, or on `file`, that takes no markup from texts."""
    from rich.console import Console

    is_terminal = sys.stdout.isatty()
    columns = shutil.get_terminal_size().columns if is_terminal else _COLUMNS_IN_A_FILE
    return Console(
        file=file, width=columns, force_terminal=is_terminal, markup=False, highlight=False
    )


def show(*parts: RenderableType) -> None:
    """Print tables and texts, with secrets redacted."""
    written = io.StringIO()
    target = console(written)
    for part in parts:
        target.print(part)
    say("\n".join(line.rstrip() for line in written.getvalue().rstrip("\n").split("\n")))


def readable_repository(name: str, found: Settings) -> RepoName:
    """Raises UserError unless the repository can be read from GitHub."""
    from app.domain.values import RepoName

    try:
        repo = RepoName.parse(name)
    except ValueError:
        raise UserError(
            f"{name} is not the name of a repository.", next_step="Give OWNER/REPO."
        ) from None
    if not found.has_app:
        raise UserError(
            "Reading pull requests from GitHub needs the App.",
            next_step="Set GITHUB_APP_ID and GITHUB_PRIVATE_KEY, as for `honk worker`.",
        )
    return repo
