"""The client for GitHub's REST and GraphQL APIs: which failures it retries.

    RepositoryClient ──> GitHubApp ──> githubkit's connection (no retries, no cache of its own)

No response or 5xx:
  GET, or a repeatable write                 retried with backoff, three times at most
  other write                                `UnknownOutcomeError`: `ensure` checks, then resends
GraphQL, 200 with GitHub's internal error    like 5xx
401                                          retried once with a new token
rate limit of a few seconds                  waited for; longer ones raise RetryableError
404 or 409 not in `accept`                   one short retry: GitHub's replicas lag
404 of something just created                the same
403 or 404, repository was transferred       repeated with a token from its new owner's installation
other refusals                               `GitHubRefusedError`, a UserError

The rules in `app/retrying.py` say how often and how long to wait.

githubkit's own retry resends every method blindly, its typed models reject responses that differ
from the API description, and its connection is bound to the context it was opened in.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
import structlog
from githubkit.auth import UnauthAuthStrategy
from githubkit.core import GitHubCore
from githubkit.exception import RequestError, RequestFailed
from githubkit.response import Response
from pydantic import SecretStr

from app import __version__, log_events, retrying, tracing
from app.domain.sanitize import redact
from app.domain.values import RepoName
from app.errors import HonkError, RetryableError
from app.github.auth import AppKey, Clock, InstallationToken, InstallationTokens, Mint, TokenScope
from app.github.exchange import GRAPHQL, ApiCall, ApiRequest, ApiResponse, Json, NoResponse, Observe
from app.github.refusals import (
    GitHubRefusedError,
    UnknownOutcomeError,
    failed_by_itself,
    no_token,
    not_accepted,
    refusal,
)
from app.outgoing import DIRECT, Outgoing, untrusted
from app.retrying import Retries

T = TypeVar("T")

_LIMIT_UNNAMED = 60.0
"""Seconds to wait if GitHub names no time.
https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#handle-rate-limit-errors-appropriately
"""

# Longer than any step, including git's, uses a token after requesting it.
_IDLE_SECONDS = 900.0
_REVOKE_SECONDS = 60.0
_LAST_SECONDS = 3.0
_REDIRECTS = 3
_REDIRECTIONS = (301, 302, 307, 308)
_PER_PAGE = 100
_API_VERSION = "2022-11-28"
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_SLASHES_KEPT = {"ref", "path"}

_log = structlog.get_logger(__name__)


@dataclass
class _RetryState:
    """The retries of one call, by what went wrong."""

    failures: Retries = field(default_factory=lambda: Retries(retrying.GITHUB_CALL))
    limits: Retries = field(default_factory=lambda: Retries(retrying.GITHUB_RATE_LIMIT))
    credentials: Retries = field(default_factory=lambda: Retries(retrying.GITHUB_CREDENTIALS))
    lag: Retries = field(default_factory=lambda: Retries(retrying.GITHUB_REPLICA_LAG))
    redirects: int = 0


class _Credentials:
    """How to get a request's token, and to discard it after a 401."""

    def __init__(
        self,
        get: Callable[[], Awaitable[SecretStr]],
        drop: Callable[[SecretStr, ApiResponse], None],
    ) -> None:
        self.get = get
        self.drop = drop


class _PooledGitHub(GitHubCore[UnauthAuthStrategy]):
    """githubkit's connection, opened once and shared by all tasks.

    githubkit stores the client of its `async with` in a context variable: a task started elsewhere
    does not see it and pays for a new TLS context and handshake on every call.
    """

    _shared: httpx.AsyncClient | None = None

    @asynccontextmanager
    async def get_async_client(self) -> AsyncGenerator[httpx.AsyncClient, None]:
        if self._shared is None:
            self._shared = await self._create_async_client()
        yield self._shared

    async def close(self) -> None:
        if self._shared is not None:
            client, self._shared = self._shared, None
            await client.aclose()

    def _check_rate_limit(self, response: Response[Any, Any]) -> None:
        """Disabled in favor of `_limit`: githubkit's fails on a date in Retry-After."""


class GitHubApp:
    """The App's client. It belongs to one event loop; `close` it there.

    `api_url` is https://api.github.com, an Enterprise Server's `/api/v3`, or a simulator's;
    `server_url` is for browsers and git. `observe` is called with every request that is sent.
    Request bodies are redacted: our own secrets, those in `secrets` and whatever looks like one.
    `timeout` is in seconds per request; `outgoing` is the network route.
    """

    def __init__(
        self,
        app_id: str,
        private_key_pem: SecretStr,
        api_url: str,
        server_url: str,
        observe: Observe | None = None,
        clock: Clock = time.time,
        *,
        secrets: Callable[[], Iterable[str]] = lambda: (),
        timeout: float = 30.0,
        outgoing: Outgoing = DIRECT,
        sleep: retrying.Sleep = asyncio.sleep,
    ) -> None:
        self.app_id = int(app_id)
        self.api_url = api_url.rstrip("/")
        self.server_url = server_url.rstrip("/")
        self._key = AppKey(app_id, private_key_pem, clock)
        self._tokens = InstallationTokens(clock)
        self._secrets = secrets
        self._observers = () if observe is None else (observe,)
        self.timeout = httpx.Timeout(timeout, connect=min(timeout, 10.0))
        self.outgoing = outgoing
        self._clock = clock
        self.sleep = sleep
        self._app: _OwnAppWire | None = None
        self._ids: dict[RepoName, int] = {}
        self._names: dict[RepoName, RepoName] = {}
        self._transferred: dict[RepoName, int] = {}
        self._connection = _PooledGitHub(
            base_url=self.api_url,
            user_agent=f"honk/{__version__}",
            timeout=self.timeout,
            follow_redirects=False,
            http_cache=False,
            auto_retry=False,
            trust_env=False,
            async_transport=outgoing.transport(),
        )

    def __repr__(self) -> str:
        return f"GitHubApp(app_id={self.app_id}, api_url={self.api_url!r})"

    async def close(self) -> None:
        """Revoke and forget every token, and close connections."""
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                await self.revoke_idle(0.0)
        except TimeoutError:
            _log.warning(log_events.TOKENS_NOT_REVOKED)
        await self._tokens.close()
        await self._connection.close()

    async def keep_revoking(self) -> None:
        """Revoke idle tokens until cancelled."""
        while True:
            await asyncio.sleep(_REVOKE_SECONDS)
            await self.revoke_idle(_IDLE_SECONDS)

    async def revoke_idle(self, seconds: float) -> None:
        """Revoke the tokens that have not been requested for `seconds`.

        A token that cannot be revoked expires after an hour.
        https://docs.github.com/en/rest/apps/installations#revoke-an-installation-access-token
        """
        await asyncio.gather(*map(self._revoke, self._tokens.take_idle(seconds)))

    async def _revoke(self, token: SecretStr) -> None:
        async def same() -> SecretStr:
            return token

        request = ApiRequest("DELETE", "/installation/token", kind="token", repeatable=True)
        try:
            answer = await self._send(request, _Credentials(same, lambda *_: None), ())
        except HonkError as problem:
            _log.info(log_events.TOKEN_NOT_REVOKED, why=str(problem))
        else:
            if answer.status == 204:
                self._tokens.forget(token)

    async def repository(
        self,
        installation_id: int,
        repo: RepoName,
        permissions: Mapping[str, str],
        *,
        observe: Observe | None = None,
    ) -> RepositoryClient:
        """A client for one repository, whose token has exactly these `permissions`.

        Sends nothing before the first call. `observe` is called with this client's requests, in
        addition to the App's own observer.
        """
        scope = TokenScope.of(installation_id, repo, permissions)
        return RepositoryClient(self, scope, self._observers + ((observe,) if observe else ()))

    async def token(
        self, installation_id: int, repo: RepoName, permissions: Mapping[str, str]
    ) -> SecretStr:
        """A token for git. Raises UserError if the installation does not grant the permissions."""
        scope = TokenScope.of(installation_id, repo, permissions)
        return await self._token(scope, self._observers)

    def drop_token(
        self,
        installation_id: int,
        repo: RepoName,
        permissions: Mapping[str, str],
        token: SecretStr,
    ) -> None:
        """Discard a token that git could not use, so that the next call mints another."""
        self._tokens.drop(TokenScope.of(installation_id, repo, permissions), token)

    def know(self, repo: RepoName, repository_id: int) -> None:
        """Remember a repository's id, which finds it after a rename or a transfer."""
        self._ids[repo] = repository_id

    def present_name(self, repo: RepoName) -> RepoName:
        """A repository's current name, as far as a token response has shown it."""
        return self._names.get(repo, repo)

    def redactions(self) -> set[str]:
        """Every secret in use, to be redacted from logs, comments and transcripts."""
        return self._key.secrets() | self._tokens.secrets()

    async def slug(self) -> str:
        """The App's slug; its bot is `<slug>[bot]`. Requested once."""
        return (await self._own_app()).slug

    async def asks_for(self, permissions: Mapping[str, str]) -> bool:
        """Whether the App asks its installations for these permissions. Requested once."""
        asked = (await self._own_app()).permissions
        return all(
            asked.get(name) == level or (level == "read" and name in asked)
            for name, level in permissions.items()
        )

    async def _own_app(self) -> _OwnAppWire:
        if self._app is None:
            answer = await self.send_as_app(ApiRequest("GET", "/app", repeatable=True))
            self._app = answer.read(_OwnAppWire)
        return self._app

    @property
    def graphql_url(self) -> str:
        """https://docs.github.com/en/enterprise-server/graphql/guides/forming-calls-with-graphql"""
        if self.api_url.endswith("/api/v3"):
            return self.api_url.removesuffix("/v3") + "/graphql"
        return f"{self.api_url}/graphql"

    async def send_as_installation(
        self, request: ApiRequest, scope: TokenScope, observers: Sequence[Observe]
    ) -> ApiResponse:
        """Send with a token of that scope.

        Raises GitHubRefusedError, UnknownOutcomeError, RetryableError.
        """
        credentials = _Credentials(
            lambda: self._token(scope, observers),
            lambda token, _: self._tokens.drop(scope, token),
        )
        before = self._installation_of(scope)
        answer = await self._send(request, credentials, observers)
        unseen = answer.status in (403, 404) and answer.status not in request.accept
        if unseen and await self._was_transferred(scope, before, observers):
            answer = await self._send(request, credentials, observers)
        if answer.status >= 300 and answer.status not in request.accept:
            raise refusal(request, answer, scope)
        return answer

    async def send_as_app(
        self, request: ApiRequest, observers: Sequence[Observe] | None = None
    ) -> ApiResponse:
        """Send with the App's JWT, for calls about the App and its installations."""

        async def signed() -> SecretStr:
            return self._key.jwt()

        credentials = _Credentials(signed, lambda _, answer: self._key.forget_jwt(answer.date))
        observers_of_call = self._observers if observers is None else observers
        answer = await self._send(request, credentials, observers_of_call)
        return _unless_refused(request, answer, "the App itself")

    async def send_with(self, request: ApiRequest, token: SecretStr) -> ApiResponse:
        """Send with a token that the caller requested and revokes. Raises as `send_as_app`."""

        async def same() -> SecretStr:
            return token

        answer = await self._send(request, _Credentials(same, lambda *_: None), self._observers)
        return _unless_refused(request, answer, "the call")

    async def _token(self, scope: TokenScope, observers: Sequence[Observe]) -> SecretStr:
        return await self._tokens.get(scope, self._mint(scope, observers))

    def _mint(self, scope: TokenScope, observers: Sequence[Observe]) -> Mint:
        """https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app

        Repeating is safe: an unused token expires after an hour. If GitHub does not find the
        repository by name, it may have been renamed or transferred, and is requested by id.
        """

        async def mint() -> InstallationToken:
            before = self._installation_of(scope)
            answer = await self._request_token(scope, observers)
            if answer.status in (404, 422) and await self._was_transferred(
                scope, before, observers
            ):
                answer = await self._request_token(scope, observers)
            if answer.status != 201:
                raise no_token(scope, answer)
            wire = answer.read(_TokenWire)
            if wire.repositories:
                self._names[scope.repo] = RepoName.parse(wire.repositories[0].full_name)
            return InstallationToken(SecretStr(wire.token), wire.expires_at.timestamp())

        return mint

    async def _request_token(self, scope: TokenScope, observers: Sequence[Observe]) -> ApiResponse:
        installation, known = self._installation_of(scope), self._ids.get(scope.repo)
        if known is None or scope.repo not in self._transferred:
            by_name = {"repositories": [scope.repo.name]}
            request = _token_request(installation, scope, by_name)
            answer = await self.send_as_app(request, observers)
            if known is None or not _is_of_another(answer, known):
                return answer
        request = _token_request(installation, scope, {"repository_ids": [known]})
        return await self.send_as_app(request, observers)

    def _installation_of(self, scope: TokenScope) -> int:
        return self._transferred.get(scope.repo, scope.installation_id)

    async def installation_of(
        self, repo: RepoName, observers: Sequence[Observe] | None = None
    ) -> int | None:
        """The id of the installation that covers a repository; None if there is none.

        Raises as `send_as_app`.
        https://docs.github.com/en/rest/apps/apps#get-a-repository-installation-for-the-authenticated-app
        """
        request = ApiRequest(
            "GET",
            "/repos/{owner}/{repo}/installation",
            path={"owner": repo.owner, "repo": repo.name},
            repeatable=True,
            accept={404},
        )
        answer = await self.send_as_app(request, observers)
        return None if answer.status == 404 else answer.read(_InstallationIdWire).id

    async def _was_transferred(
        self, scope: TokenScope, before: int, observers: Sequence[Observe]
    ) -> bool:
        """Whether another installation than `before` has the repository now: its new owner's.

        Tokens of the former owner's installation reach it no more, and are forgotten.
        """
        if scope.repo not in self._ids:
            return False
        try:
            present = await self.installation_of(scope.repo, observers)
        except HonkError:
            return False
        if present is None or present == before:
            return False
        self._transferred[scope.repo] = present
        self._tokens.drop_all(scope.repo)
        return True

    async def _send(
        self, request: ApiRequest, credentials: _Credentials, observers: Sequence[Observe]
    ) -> ApiResponse:
        """Send until there is a final response, by the table at the top of this file."""
        troubles = _RetryState()
        url = self.graphql_url if request.template == GRAPHQL else request.url
        while True:
            secret = await credentials.get()
            answer = await self._once(request, url, secret, observers)
            if isinstance(answer, NoResponse):
                wait = _after_silence(request, answer, troubles)
            elif answer.status in _REDIRECTIONS and answer.status not in request.accept:
                wait, url = 0.0, _followed(self.api_url, url, answer, troubles)
            else:
                if answer.status == 401:
                    credentials.drop(secret, answer)
                final = _wait(request, answer, troubles, answer.date or self._clock())
                if final is None:
                    return answer
                wait = final
            _log.info(
                log_events.GITHUB_CALL_RETRIED,
                method=request.method,
                path=request.template,
                answer=answer.status if isinstance(answer, ApiResponse) else answer.why,
                seconds=round(wait, 2),
            )
            if wait:
                await self.sleep(wait)

    async def _once(
        self, request: ApiRequest, url: str, secret: SecretStr, observers: Sequence[Observe]
    ) -> ApiResponse | NoResponse:
        started = time.monotonic()
        with tracing.span(f"{request.method} {request.template}", outside=True) as span:
            answer = await self._exchange(request, url, secret)
            status = answer.status if isinstance(answer, ApiResponse) else None
            span.set_attribute("http.response.status_code", status or 0)
        seconds = time.monotonic() - started
        for observe in observers:
            observe(
                ApiCall(
                    request.method, request.template, request.kind, request.writes, status, seconds
                )
            )
        return answer

    async def _exchange(
        self, request: ApiRequest, url: str, secret: SecretStr
    ) -> ApiResponse | NoResponse:
        headers = {
            "Authorization": f"Bearer {secret.get_secret_value()}",
            "X-GitHub-Api-Version": _API_VERSION,
            **({"Accept": request.media} if request.media else {}),
            **({"If-None-Match": request.known} if request.known else {}),
        }
        try:
            response = await self._connection.arequest(
                request.method,
                url,
                params=dict(request.query) or None,
                json=_without_secrets(request.body, self.redactions() | {*self._secrets()}),
                headers=headers,
            )
        except RequestFailed as failure:
            response = failure.response
        except RequestError as failure:
            if not isinstance(failure.exc, httpx.RequestError):
                raise
            return NoResponse(_why(failure.exc), isinstance(failure.exc, _UNSENT))
        return ApiResponse(response.status_code, response.headers, response.content)


def _why(problem: httpx.RequestError) -> str:
    if untrusted(problem):
        return "its certificate is not trusted here; the operator can set HONK_CA_BUNDLE"
    return type(problem).__name__


class RepositoryClient:
    """Calls about one repository. Fills in `{owner}` and `{repo}` of a template."""

    def __init__(
        self, github: GitHubApp, scope: TokenScope, observers: Sequence[Observe] = ()
    ) -> None:
        self.github = github
        self.repo = scope.repo
        self._scope = scope
        self._observers = tuple(observers)

    @property
    def installation_id(self) -> int:
        """The installation whose token this client uses."""
        return self._scope.installation_id

    def __repr__(self) -> str:
        return f"RepositoryClient({self.repo}, {dict(self._scope.permissions)})"

    async def send(self, request: ApiRequest) -> ApiResponse:
        """Send one call. Raises GitHubRefusedError, UnknownOutcomeError, RetryableError."""
        path = {"owner": self.repo.owner, "repo": self.repo.name, **request.path}
        return await self.github.send_as_installation(
            replace(request, path=path), self._scope, self._observers
        )

    async def get(
        self,
        template: str,
        *,
        path: Mapping[str, str | int] | None = None,
        query: Mapping[str, str | int] | None = None,
        accept: Collection[int] = (),
        just_created: bool = False,
        media: str = "",
    ) -> ApiResponse:
        """Send a GET. Statuses in `accept` are returned, other errors raised."""
        return await self.send(
            ApiRequest(
                "GET",
                template,
                path=path or {},
                query=query or {},
                repeatable=True,
                accept=accept,
                just_created=just_created,
                media=media,
            )
        )

    async def pages(
        self,
        template: str,
        *,
        path: Mapping[str, str | int] | None = None,
        query: Mapping[str, str | int] | None = None,
        media: str = "",
        most: int | None = None,
    ) -> AsyncIterator[ApiResponse]:
        """Read a list, a hundred items per page, at most `most` pages."""
        page: int | None = 1
        while page is not None and (most is None or page <= most):
            numbered = {**(query or {}), "per_page": _PER_PAGE, "page": page}
            answer = await self.get(template, path=path, query=numbered, media=media)
            yield answer
            page = answer.page("next")

    async def graphql(self, query: str, variables: Json) -> dict[str, Any]:
        """Send to the GraphQL API; returns the whole response, including `errors`.

        The call must be safe to repeat: a mutation has to set a state.
        """
        answer = await self.send(
            ApiRequest(
                "POST",
                GRAPHQL,
                body={"query": query, "variables": dict(variables)},
                repeatable=True,
            )
        )
        return answer.read(dict[str, Any])

    async def mutate(self, mutation: str, fields: str, given: Json) -> dict[str, Any]:
        """Send one GraphQL mutation; returns the whole response, including `errors`.

        `given` is its input, `fields` the selection on its payload.
        https://docs.github.com/en/graphql/reference/mutations
        """
        kind = f"{mutation[0].upper()}{mutation[1:]}Input"
        query = f"mutation($input: {kind}!) {{ {mutation}(input: $input) {{ {fields} }} }}"
        return await self.graphql(query, {"input": dict(given)})

    async def ensure(
        self,
        look: Callable[[], Awaitable[T | None]],
        create: Callable[[], Awaitable[T]],
        *,
        fresh: bool = False,
    ) -> tuple[T, bool]:
        """Look, then create; after an unknown outcome, look again before resending.

        `fresh` skips the first look: the parent was just created, or GitHub itself refuses
        duplicates. Returns the result and whether this call created it.
        """
        unsure: UnknownOutcomeError | None = None
        retries = Retries(retrying.GITHUB_WRITE, self.github.sleep)
        while retries.left:
            found = None if fresh and unsure is None else await look()
            if found is not None:
                return found, unsure is not None
            try:
                return await create(), True
            except UnknownOutcomeError as failure:
                unsure = failure
                await retries.pause()
        found = await look()
        if found is None:
            raise unsure or UnknownOutcomeError("The outcome of a write to GitHub is unknown.")
        return found, True

    async def token(self) -> SecretStr:
        """This client's token, for git."""
        return await self.github._token(self._scope, self._observers)


def _without_secrets(value: Any, secrets: Collection[str]) -> Any:
    """The same JSON with every string redacted."""
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, Mapping):
        return {name: _without_secrets(part, secrets) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(part, secrets) for part in value]
    return value


def _unless_refused(request: ApiRequest, answer: ApiResponse, what: str) -> ApiResponse:
    """The answer. Raises GitHubRefusedError unless the request accepts its status."""
    if answer.status >= 300 and answer.status not in request.accept:
        raise GitHubRefusedError(
            f"GitHub refuses {what} ({answer.status}: {answer.reason}).",
            status=answer.status,
            reason=answer.reason,
        )
    return answer


class _OwnAppWire(msgspec.Struct):
    id: int
    slug: str
    permissions: dict[str, str] = {}


class _TokenRepositoryWire(msgspec.Struct):
    full_name: str
    id: int | None = None


class _TokenWire(msgspec.Struct):
    token: str
    expires_at: datetime
    repositories: list[_TokenRepositoryWire] = []


class _InstallationIdWire(msgspec.Struct):
    id: int


def _is_of_another(answer: ApiResponse, repository_id: int) -> bool:
    """Whether GitHub finds no repository of that name, or another one than that with this id."""
    if answer.status != 201:
        return answer.status == 422
    found = answer.read(_TokenWire).repositories
    return any(each.id not in (None, repository_id) for each in found)


def _token_request(installation_id: int, scope: TokenScope, repository: Json) -> ApiRequest:
    return ApiRequest(
        "POST",
        "/app/installations/{installation_id}/access_tokens",
        path={"installation_id": installation_id},
        body={**repository, "permissions": dict(scope.permissions)},
        kind="token",
        repeatable=True,
        # The installation may have been created a second ago.
        just_created=True,
        accept={403, 404, 422},
    )


def _wait(
    request: ApiRequest, answer: ApiResponse, troubles: _RetryState, now: float
) -> float | None:
    """Seconds until the call is resent, None if the response is final; raises to give up."""
    if answer.status >= 500:
        return _after_failure(request, f"answered {answer.status}", troubles, unsent=False)
    if request.template == GRAPHQL and _failed_by_itself(answer):
        return _after_failure(request, f"said: {answer.reason}", troubles, unsent=False)
    limit = _limit(answer, now)
    if limit is not None:
        wait = troubles.limits.next_wait(limit)
        if wait is None:
            raise RetryableError("GitHub's rate limit is reached.", retry_after=limit)
        return wait
    if answer.status == 401:
        wait = troubles.credentials.next_wait()
        if wait is None:
            raise not_accepted(answer)
        return wait
    return troubles.lag.next_wait() if _may_be_lag(request, answer) else None


def _failed_by_itself(answer: ApiResponse) -> bool:
    # Parse only responses that mention errors; the caller parses the response again.
    if answer.status != 200 or b'"errors"' not in answer.content:
        return False
    try:
        return failed_by_itself(msgspec.json.decode(answer.content))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def _may_be_lag(request: ApiRequest, answer: ApiResponse) -> bool:
    """Whether a replica may not have caught up with a recent change yet."""
    unexpected = answer.status not in request.accept
    return (answer.status == 404 and (unexpected or request.just_created)) or (
        answer.status == 409 and unexpected
    )


def _after_silence(request: ApiRequest, silence: NoResponse, troubles: _RetryState) -> float:
    what = f"did not answer ({silence.why})"
    return _after_failure(request, what, troubles, unsent=silence.unsent)


def _after_failure(request: ApiRequest, what: str, troubles: _RetryState, *, unsent: bool) -> float:
    where = f"{request.method} {request.template}"
    if not (request.repeatable or unsent):
        raise UnknownOutcomeError(f"GitHub {what} to {where}; whether it took effect is not known.")
    wait = troubles.failures.next_wait()
    if wait is None:
        attempts = retrying.GITHUB_CALL.attempts
        raise RetryableError(f"GitHub {what} to {where}, {attempts} times.")
    return wait


def _limit(answer: ApiResponse, now: float) -> float | None:
    """Seconds until a rate limit allows more; None if this is not a rate limit.

    https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
    """
    if answer.status not in (403, 429):
        return None
    after = _retry_after(answer.headers.get("retry-after", ""), now)
    if after is not None:
        return after
    if answer.headers.get("x-ratelimit-remaining") == "0":
        reset = answer.headers.get("x-ratelimit-reset", "")
        return max(1.0, int(reset) - now) if reset.isdecimal() else _LIMIT_UNNAMED
    words = answer.reason.lower()
    if answer.status == 429 or "secondary rate limit" in words or "abuse detection" in words:
        return _LIMIT_UNNAMED
    return None


def _retry_after(text: str, now: float) -> float | None:
    if not text:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except ValueError:
        return _LIMIT_UNNAMED


def _followed(api_url: str, url: str, answer: ApiResponse, troubles: _RetryState) -> str:
    """The target of a redirect from a renamed repository; method and body stay the same.

    https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects
    An HTTP client's own redirect handling would turn a POST into a GET. Never follows to another
    host, which would get the token.
    """
    target = httpx.URL(api_url + "/").join(answer.headers.get("location", ""))
    here = httpx.URL(api_url)
    troubles.redirects += 1
    another = (target.scheme, target.netloc) != (here.scheme, here.netloc)
    if another or troubles.redirects > _REDIRECTS:
        raise RetryableError(f"GitHub sends {urlsplit(url).path} elsewhere, too often or too far.")
    return str(target)
