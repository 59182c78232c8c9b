"""With a trace endpoint, an attempt is one trace from its start to its report."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.harness import FINISH, FIX, open_harness, script

SECRETIVE = "wir sind entdeckt"


@contextmanager
def _collector() -> Iterator[tuple[str, list[bytes]]]:
    """Receives an OTLP exporter's data over HTTP."""
    received: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            received.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _spans(received: list[bytes]) -> list[Span]:
    return [
        span
        for body in received
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


@pytest.mark.slow
async def test_an_attempt_is_one_trace() -> None:
    with _collector() as (url, received):
        async with open_harness(OTEL_EXPORTER_OTLP_ENDPOINT=url) as harness:
            subject = await harness.subject(body=SECRETIVE, plays=script([FIX], [FINISH]))
            await subject.label()
            await subject.settled()
            await harness.stop()
            spans = _spans(received)
    (attempt,) = [span for span in spans if span.name == "attempt"]
    assert not attempt.parent_span_id
    told = {each.key: each.value.string_value for each in attempt.attributes}
    assert told["honk.subject"] == f"{subject.repository}#1"
    ours = {span.name for span in spans if span.trace_id == attempt.trace_id}
    for name in ("step prepare", "step work", "step commit", "step verify", "step report"):
        assert name in ours
    assert {"model turn", "sandbox run"} <= ours
    assert any(name.startswith("POST /repos/{owner}/{repo}/pulls") for name in ours)
    assert all(SECRETIVE.encode() not in body for body in received)


@pytest.mark.slow
async def test_a_collector_that_is_away_holds_nothing_up() -> None:
    async with open_harness(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9") as harness:
        subject = await harness.subject(plays=script([FIX], [FINISH]))
        await subject.label()
        await subject.settled()
        assert subject.labels == ["honk:done"]
