"""`honk export`: a run as files for other programs and for people."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app import __version__
from app.cli.common import known_secrets, reports_errors, say
from app.cli.runs import found_run
from app.domain.sanitize import redact
from app.errors import UserError

if TYPE_CHECKING:
    from app.domain.atif import ExportedRun


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option(
    "--format",
    "form",
    type=click.Choice(["atif", "markdown", "both"]),
    default="both",
    show_default=True,
    help="ATIF 1.8 (JSON), or Markdown for people.",
)
@click.option(
    "-o",
    "--output",
    "folder",
    default=".",
    show_default=True,
    help="The folder to write RUN.atif.json and RUN.md to; - prints one format.",
)
@reports_errors
def export(run_id: str, form: str, folder: str) -> None:
    """Write a run's transcript as ATIF 1.8 and as Markdown. Secrets are redacted."""
    from app.runs.exporting import exported_run

    if folder == "-" and form == "both":
        raise click.UsageError("-o - prints one format: add --format atif or --format markdown.")
    database, row = found_run(run_id)
    exported = asyncio.run(exported_run(database, row))
    texts = {"atif": as_atif, "markdown": as_markdown}
    names = {"atif": f"{row.id}.atif.json", "markdown": f"{row.id}.md"}
    for name in names if form == "both" else (form,):
        text = texts[name](exported)
        if folder == "-":
            click.echo(text, nl=False)
        else:
            say(f"Wrote {_write(Path(folder) / names[name], text)}")


def as_atif(exported: ExportedRun) -> str:
    """The run as JSON, with secrets redacted."""
    from app.domain.atif import trajectory

    whole = _redacted(trajectory(exported, __version__), known_secrets())
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def as_markdown(exported: ExportedRun) -> str:
    """The run as Markdown, with secrets redacted."""
    from app.messages import transcript

    return redact(transcript.as_markdown(exported), known_secrets())


def _redacted(value: Any, secrets: set[str]) -> Any:
    """Redact each text by itself: in JSON a key's line ends would be written otherwise."""
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, list):
        return [_redacted(each, secrets) for each in value]
    if isinstance(value, dict):
        return {redact(name, secrets): _redacted(each, secrets) for name, each in value.items()}
    return value


def _write(path: Path, text: str) -> Path:
    """Raises UserError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as problem:
        raise UserError(f"{path} cannot be written ({problem.strerror}).") from None
    return path
