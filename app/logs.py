"""Structured logging. Every line is redacted, both by secret value and by the shape of tokens."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from typing import Literal

import structlog

from app.domain.sanitize import redact

Secrets = Callable[[], Iterable[str]]


def configure(*, level: str, form: Literal["console", "json"], secrets: Secrets) -> None:
    """Send this process's log lines to standard error, redacted."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacting(shared, form, secrets))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    _quieten(level)


class _Redacting(structlog.stdlib.ProcessorFormatter):
    """Redacts the rendered line, after every other processor."""

    def __init__(
        self,
        shared: list[structlog.typing.Processor],
        form: Literal["console", "json"],
        secrets: Secrets,
    ) -> None:
        colors = form == "console" and sys.stderr.isatty()
        renderer: structlog.typing.Processor = (
            structlog.processors.JSONRenderer()
            if form == "json"
            else structlog.dev.ConsoleRenderer(
                colors=colors, exception_formatter=structlog.dev.plain_traceback
            )
        )
        trace = [structlog.processors.format_exc_info] if form == "json" else []
        super().__init__(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *trace,
                renderer,
            ],
            foreign_pre_chain=shared,
        )
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record), self._secrets())


def _quieten(level: str) -> None:
    """Limit libraries to warnings and above, unless the level is debug."""
    if level == "debug":
        return
    for name in (
        "dbos",
        "httpx",
        "httpx2",
        "httpcore",
        "anthropic",
        "githubkit",
        "alembic",
        "uvicorn",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)
