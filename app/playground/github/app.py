"""The simulated GitHub as an ASGI application: API, GraphQL, git, all on one port.

REST at `/api/v3`, GraphQL at `/api/graphql` (as on Enterprise Server), git at
`/{owner}/{repo}.git`. Every request passes faults, authentication, rate limit and the log.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from app.playground.serving import CutResponse

from . import (
    actions,
    attachments,
    auth,
    checks,
    comments,
    contents,
    deployments,
    forks,
    git_http,
    graphql,
    installations,
    issues,
    labels,
    lfs,
    limits,
    manifests,
    merging,
    moderation,
    objects,
    pulls,
    refs,
    repositories,
    review_comments,
    reviews,
    rules,
    sign_in,
    statuses,
    webhooks,
)
from .accounts import ApiCaller
from .api import Answer, Call, Router, answer
from .faults import AnswerFault
from .refusals import Refusal, not_found
from .request_log import RequestRecord
from .world import RateLimit, World

ROUTER = Router(
    auth.ENDPOINTS,
    webhooks.ENDPOINTS,
    comments.ENDPOINTS,
    labels.ENDPOINTS,
    issues.ENDPOINTS,
    contents.ENDPOINTS,
    objects.ENDPOINTS,
    rules.ENDPOINTS,
    refs.ENDPOINTS,
    checks.ENDPOINTS,
    statuses.ENDPOINTS,
    deployments.ENDPOINTS,
    actions.ENDPOINTS,
    installations.ENDPOINTS,
    manifests.ENDPOINTS,
    repositories.ENDPOINTS,
    review_comments.ENDPOINTS,
    reviews.ENDPOINTS,
    merging.ENDPOINTS,
    moderation.ENDPOINTS,
    forks.ENDPOINTS,
    pulls.ENDPOINTS,
)
"""Every simulated operation of the REST API."""

_API = "/api/v3"
_HOUR = 3600
_OK, _CREATED = 200, 201
Observer = Callable[[RequestRecord], None]


class Front:
    """The server's front; calls `observers` with each request after the response."""

    def __init__(self, world: World, pages: Sequence[BaseRoute] = ()) -> None:
        self.world = world
        self.observers: list[Observer] = []
        git = "/{owner}/{repo}/{tail:path}"
        self._pages = Starlette(
            routes=[
                *attachments.routes(world),
                *lfs.routes(world),
                *manifests.routes(world),
                *sign_in.routes(world),
                *pages,
                Route("/", self._index),
                Route("/api/graphql", self._graphql, methods=["POST"]),
                Route(git, self._git, methods=["GET", "POST"]),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application. The API comes before Starlette's routes, which do not match newlines."""
        if scope["type"] == "http" and scope["path"].startswith(_API):
            response = await self._rest(Request(scope, receive))
            await response(scope, receive, send)
        else:
            await self._pages(scope, receive, send)

    async def _index(self, request: Request) -> Response:
        names = sorted(one.full_name for one in self.world.repositories.values())
        return PlainTextResponse("".join(f"{self.world.url}/{name}\n" for name in names))

    # -- the API

    async def _rest(self, request: Request) -> Response:
        path = _raw_path(request).removeprefix(_API)
        return await self._api(request, path, lambda call: answer(ROUTER, call))

    async def _graphql(self, request: Request) -> Response:
        async def run(call: Call) -> tuple[str, Answer]:
            try:
                return "/graphql", await graphql.run(call)
            except Refusal as refusal:
                return "/graphql", Answer(refusal.status, refusal.body())

        return await self._api(request, "/graphql", run)

    async def _api(self, request: Request, path: str, run: Any) -> Response:
        world = self.world
        fault = world.faults.take(request.method, path)
        template, actor, body, result = "", ApiCaller("anonymous"), None, None
        if fault is not None and not fault.after:
            await asyncio.sleep(fault.delay)
        try:
            body = _parse(await request.body())
            actor = self._actor(request)
            self._count(actor)
            self._check_limits(request.method, path, actor)
            if fault is None or fault.after or not fault.status:
                call = Call(world, actor, request.method, path, body=body)
                call.query = dict(request.query_params)
                call.accept = request.headers.get("accept", "")
                template, result = await run(call)
        except Refusal as refusal:
            result = Answer(refusal.status, refusal.body(), refusal.headers)
        if fault is not None and fault.after:
            await asyncio.sleep(fault.delay)
        faulty = fault is not None and bool(fault.status)
        if fault is not None and faulty:
            result = _faulty(fault)
        result = result or Answer(500)
        if not faulty:
            self._note_new(request.method, result)
            result = self._unless_known(request, actor, result)
        result.headers |= self._rate_headers(actor)
        cut = fault is not None and fault.cut
        self._log(request, path, template, actor, body, result.status, result.body, faulty or cut)
        return CutResponse(_response(result)) if cut else _response(result)

    def _check_limits(self, method: str, path: str, actor: ApiCaller) -> None:
        now = self.world.clock.timestamp()
        self.world.limits.check(actor, method, path, now)
        if method == "GET" and self.world.faults.is_hidden(path):
            raise not_found()

    def _note_new(self, method: str, result: Answer) -> None:
        made = result.body if isinstance(result.body, dict) else {}
        if method == "POST" and result.status == _CREATED and "url" in made:
            self.world.faults.made(str(made["url"]).removeprefix(self.world.api_url))

    def _unless_known(self, request: Request, actor: ApiCaller, result: Answer) -> Answer:
        """304 for a client that has it already, which does not count toward the rate limit."""
        if request.method != "GET" or result.status != _OK:
            return result
        result.headers["ETag"] = limits.tag(actor, result.body)
        if not limits.is_known(request.headers.get("if-none-match", ""), result.headers["ETag"]):
            return result
        self._rate(actor).used -= 1
        return Answer(304, None, {"ETag": result.headers["ETag"]})

    def _actor(self, request: Request) -> ApiCaller:
        if not request.headers.get("user-agent"):
            words = "Request forbidden by administrative rules. Please make sure your request "
            raise Refusal(403, words + "has a User-Agent header.")
        return auth.actor_of(self.world, request.headers.get("authorization", ""))

    def _rate(self, actor: ApiCaller) -> RateLimit:
        now = int(self.world.clock.timestamp())
        rate = self.world.rates.get(actor.counted_as)
        if rate is None or rate.resets_at <= now:
            rate = self.world.rates[actor.counted_as] = RateLimit(0, now + _HOUR)
        return rate

    def _count(self, actor: ApiCaller) -> None:
        rate = self._rate(actor)
        if rate.used >= self.world.rate_limit:
            words = f"API rate limit exceeded for {actor.name or 'this address'}."
            raise Refusal(self.world.limits.primary_status, words)
        rate.used += 1

    def _rate_headers(self, actor: ApiCaller) -> dict[str, str]:
        rate, limit = self._rate(actor), self.world.rate_limit
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(limit - rate.used, 0)),
            "X-RateLimit-Used": str(rate.used),
            "X-RateLimit-Reset": str(rate.resets_at),
            "X-RateLimit-Resource": "core",
            "X-GitHub-Request-Id": f"{self.world.new_id():X}",
        }

    # -- git

    async def _git(self, request: Request) -> Response:
        tail = request.path_params["tail"]
        if tail not in ("info/refs", "git-upload-pack", "git-receive-pack"):
            return JSONResponse({"message": "Not Found"}, 404)
        path = _raw_path(request)
        fault = self.world.faults.take(request.method, path)
        actor = git_http.identify(self.world, request)
        if fault is not None:
            await asyncio.sleep(fault.delay)
        faulty = fault is not None and bool(fault.status)
        if fault is None or fault.after or not fault.status:
            response = await git_http.answer_git(self.world, request, actor)
        if fault is not None and faulty:
            response = _response(_faulty(fault))
        template = f"/{{owner}}/{{repo}}.git/{tail}"
        who = actor or ApiCaller("anonymous")
        self._log(request, path, template, who, None, response.status_code, None, faulty)
        return response

    def _log(
        self,
        request: Request,
        path: str,
        template: str,
        actor: ApiCaller,
        body: Any,
        status: int,
        result: Any,
        fault: bool,
    ) -> None:
        record = RequestRecord(
            method=request.method,
            template=template,
            path=path,
            query=dict(request.query_params),
            body=body,
            status=status,
            answer=None if isinstance(result, bytes) else result,
            token_kind=actor.kind,
            who=actor.name,
            at=self.world.clock.now(),
            is_json=not isinstance(result, bytes),
            fault=fault,
        )
        self.world.requests.append(record)
        for observer in self.observers:
            observer(record)


def _raw_path(request: Request) -> str:
    """The path as the client wrote it: a slash and its escape are different things in a ref."""
    raw: bytes = request.scope["raw_path"]
    return raw.decode("ascii").partition("?")[0]


def _parse(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "Problems parsing JSON") from None


def _faulty(fault: AnswerFault) -> Answer:
    body = fault.body if fault.body is not None else Refusal(fault.status, "Server Error").body()
    headers = dict(fault.headers)
    if isinstance(body, str):
        body, headers = body.encode(), {"Content-Type": "text/html; charset=utf-8"} | headers
    return Answer(fault.status, body, headers)


def _response(result: Answer) -> Response:
    if result.body is None:
        return Response(status_code=result.status, headers=result.headers)
    if isinstance(result.body, bytes):
        return Response(result.body, result.status, result.headers)
    return JSONResponse(result.body, result.status, result.headers)
