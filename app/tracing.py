"""OpenTelemetry traces of a worker: attempts, steps, calls to GitHub and to the model.

Without an endpoint, spans are no-ops. A span carries names, ids and numbers, never text from
people, the model or a repository.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode

from app import __version__
from app.errors import UserError
from app.outgoing import Outgoing

_SHUT_DOWN_MILLISECONDS = 3_000

Attribute = str | int | float | bool

_tracer = trace.get_tracer("honk", __version__)


def configure(endpoint: str | None, outgoing: Outgoing) -> Callable[[], None]:
    """Export this process's spans to an OTLP endpoint over HTTP; the returned function stops it.

    `endpoint` is the base URL, as in OTEL_EXPORTER_OTLP_ENDPOINT
    (https://opentelemetry.io/docs/specs/otel/protocol/exporter/). Raises UserError when the
    required packages are not installed.
    """
    if not endpoint:
        return lambda: None
    try:
        import requests
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise UserError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but its packages are not installed.",
            next_step="Run pip install 'honk-app[otel]', or remove the setting.",
        ) from None
    resource = Resource.create({"service.name": "honk", "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    session = requests.Session()
    session.trust_env = False
    proxy = outgoing.proxy_for(endpoint)
    session.proxies = {} if proxy is None else dict.fromkeys(("http", "https"), proxy)
    exporter = OTLPSpanExporter(
        endpoint=f"{endpoint.rstrip('/')}/v1/traces",
        certificate_file=str(outgoing.bundle) if outgoing.chosen_by else None,
        timeout=5,
        session=session,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

    def end() -> None:
        provider.force_flush(_SHUT_DOWN_MILLISECONDS)
        provider.shutdown()

    return end


@contextmanager
def span(name: str, *, outside: bool = False, **attributes: Attribute) -> Iterator[Span]:
    """Run the block in a span, as a child of the current one.

    `outside` marks a call to another service. Of an exception only the type's name is recorded.
    """
    named = {f"honk.{key}": value for key, value in attributes.items()}
    kind = SpanKind.CLIENT if outside else SpanKind.INTERNAL
    with _tracer.start_as_current_span(
        name, kind=kind, attributes=named, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except BaseException as problem:
            current.set_status(StatusCode.ERROR, type(problem).__name__)
            raise
