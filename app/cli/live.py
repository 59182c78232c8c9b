"""A run's progress on a terminal, updated in place, or line by line into a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.cli.common import known_secrets
from app.domain.sanitize import printable, redact

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from app.local.instance import Glimpse

_CALLS_SHOWN = 6
_COLUMNS_IN_A_FILE = 100


def errors_console() -> Console:
    """A console on stderr that takes no markup from texts."""
    from rich.console import Console

    width = None if sys.stderr.isatty() else _COLUMNS_IN_A_FILE
    return Console(stderr=True, markup=False, highlight=False, width=width)


def print_line(console: Console, text: str) -> None:
    """Print a line as it is, with secrets redacted."""
    console.print(redact(text, known_secrets()), soft_wrap=True)


class LiveProgress:
    """Shows what the run does: on one screen that is updated, or line by line in a file."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._phase = ""
        self._calls: list[str] = []
        self._glimpse: Glimpse | None = None
        self._is_over = False

    def watch(self, glimpse: Glimpse) -> None:
        """Show what is new."""
        from app.messages import runs as texts

        self._glimpse = glimpse
        new = [texts.call_line(call) for turn in glimpse.turns for call in turn.calls]
        self._calls = [*self._calls, *new][-_CALLS_SHOWN:]
        if self._console.is_terminal:
            return
        if glimpse.row.phase != self._phase:
            self._phase = glimpse.row.phase
            print_line(self._console, f"{self._seconds():7.1f} s  {glimpse.row.phase}")
        for line in new:
            print_line(self._console, f"{self._seconds():7.1f} s    {line}")

    def end(self) -> None:
        """Show nothing from now on."""
        self._is_over = True

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        from app.messages import local as texts

        if self._is_over:
            return Text("")
        row = self._glimpse.row if self._glimpse else None
        head = texts.now(row.phase if row else None, self._seconds(), row.cost_usd if row else 0.0)
        plan = [
            Text(f"  {'✓' if item.get('done') else '○'} {printable(str(item.get('text', '')))}")
            for item in (row.plan or [] if row else [])
        ]
        secrets = known_secrets()
        calls = [
            Text(f"  {redact(line, secrets)}", style="dim", no_wrap=True, overflow="ellipsis")
            for line in self._calls
        ]
        return Group(Text(head, style="bold"), *plan, *calls)

    def _seconds(self) -> float:
        return time.monotonic() - self._began


@contextmanager
def live_progress(console: Console) -> Iterator[LiveProgress]:
    """Show a run until the context ends, or until `end` is called."""
    from rich.live import Live

    progress = LiveProgress(console)
    if not console.is_terminal:
        yield progress
        return
    with Live(progress, console=console, refresh_per_second=4, transient=True) as live:
        end = progress.end

        def stop() -> None:
            end()
            live.stop()

        progress.end = stop  # type: ignore[method-assign]
        yield progress
