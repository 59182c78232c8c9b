"""Amazon's and Google's endpoints of the Messages API, in front of the scripted model.

Each refuses what the real one refuses: a wrong path, a wrong model name, missing credentials.
Outside contracts: https://docs.aws.amazon.com/bedrock/latest/userguide/inference-messages-api.html
and https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import jwt
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.playground.model import ScriptedModel

GOOGLE_TOKEN = "ya29.a-token-that-must-not-be-seen"
_VERTEX = re.compile(
    r"/projects/(?P<project>[\w-]+)/locations/(?P<region>[\w-]+)/publishers/anthropic"
    r"/models/(?P<model>[\w.@-]+):(?P<specifier>streamRawPredict|rawPredict)"
)


@dataclass
class BedrockDoor:
    """Amazon Bedrock's endpoint: a bearer key, and models with `anthropic.` before their names."""

    model: ScriptedModel
    key: str
    names: list[str] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        body = json.loads(await request.body())
        self.names.append(body["model"])
        refused = None
        if request.headers.get("authorization") != f"Bearer {self.key}":
            refused = _refused(401, f"Invalid: {request.headers.get('authorization')}")
        elif scope["path"] != "/v1/messages" or not body["model"].startswith("anthropic."):
            refused = _refused(404, "no such model")
        if refused is not None:
            await refused(scope, receive, send)
            return
        body["model"] = body["model"].removeprefix("anthropic.")
        await _pass_on(self.model, scope, body, send)


@dataclass
class VertexDoor:
    """Vertex AI's endpoint, and the one that gives tokens for a service account's signed claim."""

    model: ScriptedModel
    public_key: str
    project: str
    region: str
    tokens_given: int = 0
    names: list[str] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        content = await request.body()
        if scope["path"] == "/token":
            form = dict(re.findall(r"(\w+)=([^&]*)", content.decode()))
            await self._token(form)(scope, receive, send)
            return
        found, body = _VERTEX.fullmatch(scope["path"]), json.loads(content)
        refused = None
        if request.headers.get("authorization") != f"Bearer {GOOGLE_TOKEN}":
            refused = _refused(401, "invalid token")
        elif not found or (found["project"], found["region"]) != (self.project, self.region):
            refused = _refused(404, "no such model")
        elif not body.pop("anthropic_version", "") or "model" in body:
            refused = _refused(400, "anthropic_version: Field required")
        if refused is not None or found is None:
            await (refused or _refused(404, ""))(scope, receive, send)
            return
        self.names.append(found["model"])
        await _pass_on(self.model, scope, {**body, "model": found["model"]}, send)

    def _token(self, form: dict[str, str]) -> Response:
        claims = jwt.decode(
            form["assertion"], self.public_key, ["RS256"], options={"verify_aud": False}
        )
        assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
        self.tokens_given += 1
        return JSONResponse({"access_token": GOOGLE_TOKEN, "expires_in": 3600})


def _refused(status: int, words: str) -> Response:
    kind = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error"}
    error = {"type": kind[status], "message": words}
    return JSONResponse({"type": "error", "error": error}, status)


async def _pass_on(model: ScriptedModel, scope: Any, body: Any, send: Any) -> None:
    content = json.dumps(body).encode()
    headers = [
        (k, v) for k, v in scope["headers"] if k not in (b"content-length", b"authorization")
    ]
    headers += [(b"content-length", str(len(content)).encode()), (b"x-api-key", b"any")]
    if not any(name == b"anthropic-version" for name, _ in headers):
        headers.append((b"anthropic-version", b"2023-06-01"))

    async def receive() -> Any:
        return {"type": "http.request", "body": content, "more_body": False}

    path = {"path": "/v1/messages", "raw_path": b"/v1/messages"}
    await model.app({**scope, **path, "headers": headers}, receive, send)
