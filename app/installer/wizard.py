"""What `honk init` does, and how far an installation has come.

Nothing about progress is stored: it is read from the settings and asked of GitHub each time, so any
step can be interrupted, repeated, or have been done by hand.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, TypeVar
from urllib.parse import quote

from pydantic import SecretStr

from app import doctor, github_urls, messages, settings
from app.agent import engines
from app.doctor.findings import DoctorSection
from app.errors import HonkError, UserError
from app.github import app_manifests, deliveries, installations
from app.github.app_manifests import CodeRefusedError, NewApp
from app.github.client import GitHubApp
from app.github.deliveries import Delivery
from app.github.installations import App, InstalledRepository
from app.installer import manifest
from app.installer.env_file import EnvFile
from app.installer.manifest import Intake
from app.messages import doctor_findings
from app.outgoing import Outgoing
from app.settings import Settings

T = TypeVar("T")

GitHubStep = Literal["create", "install", "model", "deliveries", "ready"]

_GITHUB_SECONDS = 10.0
_MODEL_SECONDS = 30.0
_KNOWN_SECONDS = 15.0
"""How long the page uses what GitHub said about the App: it asks every two seconds."""
_MOST_REPOSITORIES = 200
_PING_SECONDS = 60.0
"""How long an entry may take to appear in GitHub's delivery log before it counts as missing."""
_PING_POLL_SECONDS = 1.0
_HARMLESS = ("ping", "installation", "installation_repositories")
"""Events that start nothing, so that they can be delivered once more."""


@dataclass(frozen=True)
class AppChoice:
    """What the form asks before the App is created. `public_url` is there for webhooks only."""

    server_url: str = github_urls.GITHUB_SERVER
    organization: str = ""
    intake: Intake = "poll"
    public_url: str | None = None


@dataclass
class BackgroundWork(Generic[T]):
    """Work that a page watches: at most one piece at a time, and its last result."""

    about: str = ""
    result: T | None = None
    problem: str = ""
    _task: asyncio.Task[None] | None = None

    @property
    def runs(self) -> bool:
        """Whether it is running."""
        return self._task is not None and not self._task.done()

    def start(self, about: str, work: Callable[[], Awaitable[T]]) -> None:
        """Start unless it runs already."""
        if self.runs:
            return
        self.about, self.result, self.problem = about, None, ""
        self._task = asyncio.create_task(self._work(work))

    async def _work(self, work: Callable[[], Awaitable[T]]) -> None:
        try:
            self.result = await work()
        except HonkError as problem:
            self.problem = str(problem)

    async def close(self) -> None:
        """Cancel it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


@dataclass(frozen=True)
class InstalledAccount:
    """An account with the App, and its repositories' names."""

    account: str
    repositories: tuple[str, ...]


@dataclass(frozen=True)
class InstallProgress:
    """How far the installation has come; `step` is the first that is not done.

    `problem` and `model_problem` are sentences for the person, or empty.
    """

    step: GitHubStep
    settings: Settings
    app: App | None = None
    missing: tuple[str, ...] = ()
    accounts: tuple[InstalledAccount, ...] = ()
    model_problem: str = ""
    problem: str = ""

    @property
    def app_page(self) -> str:
        """The App's page, on its own GitHub whatever that says."""
        server = self.settings.github_server_url
        if self.app is None:
            return server
        known = self.app.url
        return known if known.startswith(f"{server}/") else f"{server}/apps/{quote(self.app.slug)}"

    @property
    def takes_key(self) -> bool:
        """Whether the agent needs a key of the Anthropic API."""
        return "ANTHROPIC_API_KEY" in engines.spec(self.settings.engine).needs(self.settings)

    @property
    def repositories(self) -> tuple[str, ...]:
        """All repositories that the App is installed on."""
        return tuple(name for account in self.accounts for name in account.repositories)


@dataclass
class Wizard:
    """One `honk init`. `port` is where `honk serve` will listen on this machine."""

    env: EnvFile
    choice: AppChoice = field(default_factory=AppChoice)
    unsaved: NewApp | None = None
    """An App whose secrets could not be written yet: GitHub shows them only once."""
    code: str = ""
    """A code that GitHub did not respond to; it remains valid for an hour."""
    doctor: BackgroundWork[tuple[DoctorSection, ...]] = field(default_factory=BackgroundWork)
    deliveries: BackgroundWork[str] = field(default_factory=BackgroundWork)
    probe: BackgroundWork[str] = field(default_factory=BackgroundWork)
    _github: tuple[tuple[str, str, str], GitHubApp] | None = None
    _app: tuple[float, str, App] | None = None
    _installed: tuple[float, str, tuple[InstalledAccount, ...]] | None = None
    _models: dict[str, str] = field(default_factory=dict)
    """The result of trying each model key: a problem, or empty."""

    async def close(self) -> None:
        """Stop what runs, and close connections."""
        for each in (self.doctor, self.deliveries, self.probe):
            await each.close()
        if self._github is not None:
            await self._github[1].close()

    # -- progress

    async def progress(self) -> InstallProgress:
        """Check the settings, GitHub and the model. Raises UserError for invalid settings."""
        found = settings.load()
        if not found.has_app:
            return InstallProgress("create", found, problem=leftover(found))
        try:
            app = await self._own_app(found)
        except HonkError as problem:
            return InstallProgress("create", found, problem=_not_our_app(problem))
        missing = doctor_findings.missing_permissions(app.permissions)
        named = tuple(f"{name}: {level}" for name, level in missing.items())
        reached = InstallProgress("install", found, app, named)
        try:
            accounts = await self._accounts(found)
        except HonkError as problem:
            return replace(reached, problem=str(problem))
        if not accounts:
            return reached
        reached = replace(reached, accounts=accounts, step="model")
        problem_of_model = await self.model_problem(found)
        if problem_of_model:
            return replace(reached, model_problem=problem_of_model)
        return replace(reached, step="ready")

    async def _own_app(self, found: Settings) -> App:
        github, now = await self._client(found), time.monotonic()
        if self._app is None or self._app[1] != repr(github) or self._app[0] < now:
            app = await installations.app(github)
            self._app = (now + _KNOWN_SECONDS, repr(github), app)
        return self._app[2]

    async def _client(self, found: Settings) -> GitHubApp:
        """A client for the App in the settings, kept while they stay as they are."""
        key = found.private_key()
        wanted = (found.app_id(), key.get_secret_value(), found.github_api_url)
        if self._github is None or self._github[0] != wanted:
            if self._github is not None:
                await self._github[1].close()
            client = GitHubApp(
                found.app_id(),
                key,
                found.github_api_url,
                found.github_server_url,
                secrets=found.secrets,
                timeout=_GITHUB_SECONDS,
                outgoing=Outgoing.of(found),
            )
            self._github = (wanted, client)
        return self._github[1]

    async def _accounts(self, found: Settings) -> tuple[InstalledAccount, ...]:
        """The accounts with the App. While there are none, GitHub is asked each time, because a
        person is waiting.
        """
        github, now = await self._client(found), time.monotonic()
        known = self._installed
        if known is not None and known[0] > now and known[1] == repr(github):
            return known[2]
        accounts = []
        async for each in installations.every(github):
            if each.suspended_at is None:
                names = [str(one.name) async for one in _covered(github, each.id)]
                accounts.append(InstalledAccount(each.account, tuple(sorted(names))))
        if accounts:
            self._installed = (now + _KNOWN_SECONDS, repr(github), tuple(accounts))
        return tuple(accounts)

    async def model_problem(self, found: Settings) -> str:
        """Why the agent cannot use its model, after one cheap call; empty if it can."""
        try:
            spec = engines.spec(found.engine)
            for read in spec.needs(found).values():
                read(found)
            engine = spec.create(found, Outgoing.of(found))
        except UserError as problem:
            return str(problem)
        key = found.anthropic_api_key.get_secret_value() if found.anthropic_api_key else ""
        asked = f"{found.engine} {found.model} {spec.url(found)} {key}"
        try:
            if asked not in self._models:
                async with asyncio.timeout(_MODEL_SECONDS):
                    await engine.probe(found.model)
                self._models[asked] = ""
        except TimeoutError:
            return f"{found.model} did not answer within {_MODEL_SECONDS:.0f} s."
        except UserError as problem:
            self._models[asked] = problem.message
        except HonkError as problem:
            return str(problem)
        finally:
            await engine.aclose()
        return self._models[asked]

    # -- the App

    async def choose(self, choice: AppChoice) -> None:
        """Store which App is wanted. Raises UserError when it cannot be created or stored."""
        found = settings.load()
        problem = leftover(found)
        if found.has_app:
            problem = f"{self.env.path} already has an App."
        elif not problem and found.github_server_url not in (
            github_urls.GITHUB_SERVER,
            choice.server_url,
        ):
            problem = f"GITHUB_SERVER_URL is already {found.github_server_url}."
        if problem:
            raise UserError(problem, next_step="Delete those lines, or continue with them.")
        manifest.form_url(choice.server_url, choice.organization, "")
        self.env.check_writable()
        api_url = _api_of(choice.server_url)
        await app_manifests.check_server(api_url, Outgoing.of(found))
        self.choice = choice

    async def take(self, code: str) -> None:
        """Exchange a code for the App and store what GitHub tells.

        Raises UserError and RetryableError; `code` and `unsaved` keep what can still be used.
        """
        found = settings.load()
        self.code = code
        try:
            api_url = _api_of(self.choice.server_url)
            self.unsaved = await app_manifests.exchange(api_url, code, Outgoing.of(found))
        except CodeRefusedError:
            self.code = ""
            raise
        self.code = ""
        self.save()

    def save(self) -> None:
        """Write the new App to `.env`, if that is still to be done. Raises UserError."""
        if self.unsaved is None:
            return
        given = settings_of(self.unsaved, self.choice)
        self.env.add(given, replacing={"GITHUB_APP_SLUG", "HONK_INTAKE", "HONK_PUBLIC_URL"})
        self.unsaved = None

    # -- the model

    async def use_key(self, key: SecretStr) -> str:
        """Store the model's key if the model accepts it; gives why not, or empty."""
        found = settings.load()
        problem = await self.model_problem(found.model_copy(update={"anthropic_api_key": key}))
        if not problem:
            name = "ANTHROPIC_API_KEY"
            self.env.add({name: key.get_secret_value()}, replacing={name})
            if settings.load().anthropic_api_key != key:
                problem = f"{name} in the environment differs and takes precedence over .env."
        return problem

    # -- deliveries

    def use_intake(self, intake: Intake) -> None:
        """Change how events reach Honk. Raises UserError."""
        self.env.add({"HONK_INTAKE": intake}, replacing={"HONK_INTAKE"})

    def check_deliveries(self) -> None:
        """Try in the background whether events arrive the chosen way."""
        self.deliveries.start("", self._deliveries_work)

    async def _deliveries_work(self) -> str:
        found = settings.load()
        github = await self._client(found)
        if found.intake == "poll":
            count = sum(len(each.repositories) for each in await self._accounts(found))
            return f"Honk can read {count} {'repository' if count == 1 else 'repositories'}."
        if found.intake == "log":
            return await _log_is_readable(github)
        return await _redelivered(github)

    # -- checking and trying

    def check_all(self) -> None:
        """Run `honk doctor` in the background."""

        async def examine() -> tuple[DoctorSection, ...]:
            return await doctor.examine(settings.load(), web=True, worker=True)

        self.doctor.start("", examine)

    def try_repository(self, name: str, known: tuple[str, ...]) -> None:
        """Run `honk probe` on an installed repository. Raises UserError for any other."""
        if name not in known:
            raise UserError("The App is not installed on that repository.")
        self.probe.start(name, lambda: _probed(name))


def settings_of(app: NewApp, choice: AppChoice) -> dict[str, str]:
    """The settings that a new App needs. Every value is one line of plain characters."""
    key = app.private_key.get_secret_value().encode()
    secret = app.webhook_secret
    found = {
        "GITHUB_APP_ID": str(app.id),
        "GITHUB_APP_SLUG": app.slug,
        "GITHUB_PRIVATE_KEY": base64.b64encode(key).decode(),
        # Without a webhook GitHub makes no secret; `honk serve` must refuse everything then.
        "GITHUB_WEBHOOK_SECRET": secret.get_secret_value() if secret else secrets.token_hex(32),
        "GITHUB_CLIENT_ID": app.client_id,
        "GITHUB_CLIENT_SECRET": app.client_secret.get_secret_value(),
        "HONK_SESSION_SECRET": secrets.token_hex(32),
        "HONK_INTAKE": choice.intake,
    }
    if choice.public_url is not None:
        found["HONK_PUBLIC_URL"] = choice.public_url
    if choice.server_url != github_urls.GITHUB_SERVER:
        found["GITHUB_SERVER_URL"] = choice.server_url
        found["GITHUB_API_URL"] = _api_of(choice.server_url)
    return found


def choice_of(server: str, organization: str, intake: Intake, address: str) -> AppChoice:
    """What a person typed; `address` counts for webhooks only. Raises UserError."""
    return AppChoice(
        server_url=server_url(server),
        organization=organization.strip(),
        intake=intake,
        public_url=manifest.public_address(address) if intake == "webhook" else None,
    )


def server_url(given: str) -> str:
    """The address of a GitHub server, as typed; empty is github.com. Raises UserError."""
    text = given.strip().rstrip("/") or github_urls.GITHUB_SERVER
    text = text if "://" in text else f"https://{text}"
    _api_of(text)
    return text


def leftover(found: Settings) -> str:
    """Which settings of another App are left without its id or key; empty for none.

    Existing values are never replaced, so a new App would get another one's secrets.
    """
    parts = {
        "GITHUB_APP_ID": found.github_app_id,
        "GITHUB_PRIVATE_KEY": found.github_private_key or found.github_private_key_path,
        "GITHUB_WEBHOOK_SECRET": found.github_webhook_secret,
        "GITHUB_CLIENT_ID": found.github_client_id,
        "GITHUB_CLIENT_SECRET": found.github_client_secret,
    }
    named = [name for name, value in parts.items() if value]
    if not named:
        return ""
    return (
        f"{' and '.join(named)} {'is' if len(named) == 1 else 'are'} set, but not the App's id and "
        "key together. Complete them by hand, or delete these lines to create a new App."
    )


def _api_of(server: str) -> str:
    try:
        return github_urls.api_of(server)
    except ValueError as problem:
        raise UserError(str(problem)) from None


def _not_our_app(problem: HonkError) -> str:
    return (
        f"{problem} If the App was deleted, delete the lines GITHUB_APP_ID, GITHUB_PRIVATE_KEY, "
        "GITHUB_WEBHOOK_SECRET, GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET to create a new one."
    )


async def _covered(github: GitHubApp, installation_id: int) -> AsyncIterator[InstalledRepository]:
    count = 0
    async for each in installations.covered(github, installation_id):
        if not each.archived:
            yield each
            count += 1
        if count == _MOST_REPOSITORIES:
            return


async def _log_is_readable(github: GitHubApp) -> str:
    """Wait for GitHub's ping in the log. Raises UserError when it does not appear with payload."""
    deadline, began = time.monotonic() + _PING_SECONDS, time.time()
    while True:
        ping = await _newest(github, lambda each: each.event == "ping")
        if ping is not None and await deliveries.has_payload(github, ping):
            late = max(0.0, time.time() - began)
            return (
                f"GitHub's log has the App's ping, {_ago(ping)} old, with its payload "
                f"(found after {late:.0f} s). Honk reads the log every 10 s, and GitHub may list "
                "a delivery some minutes late."
            )
        if time.monotonic() > deadline:
            raise UserError(
                "GitHub's delivery log has no ping with a payload, so it is not reliable here.",
                next_step="Use polling instead.",
            )
        await asyncio.sleep(_PING_POLL_SECONDS)


async def _redelivered(github: GitHubApp) -> str:
    """Have GitHub deliver a harmless event once more. Raises UserError when it does not arrive."""
    address = await deliveries.address(github)
    first = await _newest(github, lambda each: each.event in _HARMLESS)
    if first is None:
        raise UserError(
            "GitHub has no ping of this App from the last three days to deliver once more.",
            next_step="Install the App on one more repository, which makes one, and try again.",
        )
    began, deadline = time.time() - 5, time.monotonic() + _PING_SECONDS
    await deliveries.send_again(github, first)
    while time.monotonic() < deadline:
        again = await _newest(
            github,
            lambda each: each.guid == first.guid and each.id != first.id and each.status_code != 0,
        )
        if again is not None and again.delivered_at >= began:
            if 200 <= again.status_code < 300:
                return f"GitHub delivered its ping to {address} ({again.status_code})."
            raise UserError(
                f"GitHub could not deliver its ping to {address}: the answer was "
                f"{again.status_code}.",
                next_step="Start `honk serve` behind this address and test again. 401 means "
                "another webhook secret, 502 that nothing answers there.",
            )
        await asyncio.sleep(_PING_POLL_SECONDS)
    raise UserError(
        "GitHub's log does not show the repeated ping yet.", next_step="Test again in a minute."
    )


async def _newest(github: GitHubApp, wanted: Callable[[Delivery], bool]) -> Delivery | None:
    since = time.time() - deliveries.KEPT_SECONDS
    async for each in deliveries.recent(github, since=since):
        if wanted(each):
            return each
    return None


def _ago(delivery: Delivery) -> str:
    seconds = max(0.0, time.time() - delivery.delivered_at)
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


async def _probed(name: str) -> str:
    """What `honk probe` prints. Raises HonkError."""
    from app.domain.values import RepoName
    from app.runs import probe
    from app.worker import services_for_once

    async with services_for_once(settings.load()) as services:
        target = await probe.github_target(services, RepoName.parse(name))
        result = await probe.probe(services, target)
    return messages.probe.report(result, name)
