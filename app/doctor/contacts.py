"""Checks of remote services: GitHub as the App, its delivery log, and each model.

Read-only. Each model is asked for one output token, which proves that the key is valid, the model
exists and the account has credit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping
from urllib.parse import urlsplit

import httpx

from app.agent import engines
from app.agent.engine import AgentEngine
from app.doctor.findings import DoctorFinding, DoctorSection
from app.doctor.slack import try_slack
from app.errors import HonkError, UserError
from app.github import deliveries, installations
from app.github.client import GitHubApp
from app.github.installations import App, Installation
from app.github.people import client_of
from app.github.refusals import GitHubRefusedError
from app.messages import doctor_findings
from app.outgoing import Outgoing
from app.settings import Settings

_SECONDS = 10.0
_MODEL_SECONDS = 30.0
_MOST_DELIVERIES = 100
_MOST_INSTALLATIONS = 20
_GOOD_CLOCK, _BAD_CLOCK = 10.0, 60.0
"""Seconds. GitHub refuses what an App signed more than a minute ahead."""

_WEBHOOKS = "/webhooks/github"
_UNREACHABLE = "Check GITHUB_API_URL, HTTPS_PROXY and HONK_CA_BUNDLE, and this machine's network."
_GOOD: Mapping[doctor_findings.Mark, bool | None] = {
    "good": True,
    "note": None,
    "bad": False,
    "unknown": None,
}


async def try_contacts(settings: Settings, *, web: bool, worker: bool) -> tuple[DoctorSection, ...]:
    """Check concurrently every service that this half of Honk needs."""
    try:
        outgoing = Outgoing.of(settings)
    except UserError as problem:
        found = DoctorFinding("outgoing connections", False, problem.message, problem.next_step)
        return (DoctorSection("Network", (found,)),)
    parts: list[Awaitable[DoctorSection]] = []
    if worker:
        parts += [_github(settings, outgoing), _models(settings, outgoing)]
    elif settings.github_client_id:
        parts.append(_sign_in_server(settings, outgoing))
    if settings.slack != "off":
        parts.append(try_slack(settings, outgoing, web=web, worker=worker))
    return (_network(settings, outgoing, worker=worker), *await asyncio.gather(*parts))


# Outgoing connections


def _network(settings: Settings, outgoing: Outgoing, *, worker: bool) -> DoctorSection:
    reached = {"GitHub": settings.github_api_url}
    if worker and settings.engine in engines.NAMES:
        reached["the model"] = engines.spec(settings.engine).url(settings)
    found = [_proxy(who, url, outgoing.proxy_for(url)) for who, url in reached.items()]
    return DoctorSection("Network", (*found, _certificates(outgoing)))


def _proxy(who: str, url: str, proxy: str | None) -> DoctorFinding:
    way = f"through the proxy {_without_password(proxy)}" if proxy else "without a proxy"
    return DoctorFinding(f"connection to {who}", True, f"{url}, {way}")


def _without_password(proxy: str) -> str:
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _certificates(outgoing: Outgoing) -> DoctorFinding:
    what = "certificates"
    if outgoing.bundle is None:
        return DoctorFinding(
            what,
            None,
            "This machine has no certificate store.",
            "Install the package ca-certificates, or set HONK_CA_BUNDLE.",
        )
    chosen_by = outgoing.chosen_by or "the system's store"
    return DoctorFinding(what, True, f"{outgoing.bundle} ({chosen_by})")


# GitHub


async def _github(settings: Settings, outgoing: Outgoing) -> DoctorSection:
    title = f"GitHub: {settings.github_api_url}"
    try:
        github = GitHubApp(
            settings.app_id(),
            settings.private_key(),
            settings.github_api_url,
            settings.github_server_url,
            secrets=settings.secrets,
            timeout=_SECONDS,
            outgoing=outgoing,
        )
    except UserError:
        # The settings section already reports what is missing.
        return DoctorSection(title, (DoctorFinding("not checked: a setting is missing", None),))
    try:
        return DoctorSection(title, tuple(await _as_app(settings, github)))
    finally:
        await github.close()


async def _as_app(settings: Settings, github: GitHubApp) -> list[DoctorFinding]:
    what = "GitHub accepts the App's id and key"
    try:
        app = await installations.app(github)
    except HonkError as problem:
        return [_refused(what, problem)]
    return [
        DoctorFinding(what, True, f"{app.slug}, {app.url}"),
        _slug(settings, app),
        clock(app.answered_at, app.received_at),
        *_asked_for(app, events=settings.intake != "poll"),
        *await _looks(_granted(github, app), _delivered(settings, github)),
    ]


async def _looks(*looks: Awaitable[list[DoctorFinding]]) -> list[DoctorFinding]:
    """Run the checks concurrently; one that fails is reported and does not affect the others."""

    async def one(look: Awaitable[list[DoctorFinding]]) -> list[DoctorFinding]:
        try:
            return await look
        except HonkError as problem:
            return [_refused("GitHub answers", problem)]

    return [each for found in await asyncio.gather(*map(one, looks)) for each in found]


def _refused(what: str, problem: HonkError) -> DoctorFinding:
    if isinstance(problem, GitHubRefusedError) and problem.status == 404:
        return DoctorFinding(
            what,
            False,
            "There is no GitHub API at this URL (404).",
            "Check GITHUB_API_URL. For GitHub Enterprise Server use https://HOST/api/v3.",
        )
    if isinstance(problem, UserError):
        return DoctorFinding(what, False, problem.message, problem.next_step or _UNREACHABLE)
    return DoctorFinding(what, False, str(problem), _UNREACHABLE)


def _slug(settings: Settings, app: App) -> DoctorFinding:
    what = "GITHUB_APP_SLUG"
    if app.slug == settings.github_app_slug:
        return DoctorFinding(what, True)
    text = f"The App's slug on GitHub is {app.slug}, not {settings.github_app_slug}."
    return DoctorFinding(what, False, text, f"Set GITHUB_APP_SLUG={app.slug}.")


def clock(theirs: float | None, ours: float) -> DoctorFinding:
    """This machine's clock against GitHub's, both in Unix time."""
    what = "this machine's clock"
    if theirs is None:
        return DoctorFinding(what, None, "GitHub's response has no Date header.")
    off = ours - theirs
    text = f"{abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} GitHub's"
    if abs(off) < _GOOD_CLOCK:
        return DoctorFinding(what, True)
    good = None if abs(off) <= _BAD_CLOCK else False
    return DoctorFinding(what, good, text, "Enable NTP, for example with systemd-timesyncd.")


def _asked_for(app: App, *, events: bool) -> list[DoctorFinding]:
    """The App's requested permissions and `events`, against what Honk needs."""
    todo = f"Add it at {app.url} under “Permissions & events”."
    missing = [
        DoctorFinding(
            f"permission {name}", False, f"the App does not request `{name}: {level}`", todo
        )
        for name, level in doctor_findings.missing_permissions(app.permissions).items()
    ]
    unheard = [
        DoctorFinding(
            f"event {name}", False, f"not subscribed, so {doctor_findings.EVENTS[name]}", todo
        )
        for name in doctor_findings.EVENTS
        if events and name not in app.events
    ]
    return [*missing, *unheard] or [DoctorFinding("App permissions and events", True)]


async def _granted(github: GitHubApp, app: App) -> list[DoctorFinding]:
    """The permissions that each installation has accepted."""
    found = [each async for each in installations.every(github)]
    if not found:
        text = "The App is not installed anywhere."
        return [DoctorFinding("installations", None, text, f"Install it: {app.url}")]
    shown = [_installed(each) for each in found]
    poor = [each for each in shown if not each.good]
    summary = DoctorFinding(
        "installations", True, f"{len(found) - len(poor)} of {len(found)} complete"
    )
    more = len(poor) - _MOST_INSTALLATIONS
    rest = (
        [DoctorFinding(f"{more} more installations", False, "missing permissions")]
        if more > 0
        else []
    )
    return [summary, *poor[:_MOST_INSTALLATIONS], *rest]


def _installed(one: Installation) -> DoctorFinding:
    what = f"installation {one.account}"
    if one.suspended_at is not None:
        return DoctorFinding(what, None, "suspended", f"Unsuspend it: {one.url}")
    missing = doctor_findings.missing_permissions(one.permissions)
    if not missing:
        return DoctorFinding(what, True)
    named = ", ".join(f"{name}: {level}" for name, level in missing.items())
    return DoctorFinding(what, False, f"has not accepted {named}", f"Accept it: {one.url}")


async def _delivered(settings: Settings, github: GitHubApp) -> list[DoctorFinding]:
    """The webhook URL and recent deliveries."""
    if settings.intake == "poll":
        text = "issues and comments are polled by the worker (HONK_INTAKE=poll)"
        return [DoctorFinding("deliveries", True, text), *_unheard(settings)]
    if settings.intake == "log":
        return [await _log_is_read(github)]
    address = await deliveries.address(github)
    return [_webhook(address, settings.public_url), *await _log(github)]


def _unheard(settings: Settings) -> list[DoctorFinding]:
    """What is asked for and cannot work with polling."""
    if settings.check == "own":
        return []
    text = f"HONK_CHECK={settings.check} has no effect: polling does not see pull requests"
    return [DoctorFinding("HONK_CHECK", False, text, "Set HONK_INTAKE=webhook or log.")]


async def _log_is_read(github: GitHubApp) -> DoctorFinding:
    async for _ in deliveries.recent(github, since=time.time() - deliveries.KEPT_SECONDS):
        break
    return DoctorFinding("delivery log", True, "read by the worker (HONK_INTAKE=log)")


def _webhook(address: str, public_url: str | None) -> DoctorFinding:
    what = "webhook URL"
    todo = f"Set the webhook URL in the App's settings to https://YOUR-HOST{_WEBHOOKS}"
    if not address:
        return DoctorFinding(what, False, "none", f"{todo}, or set HONK_INTAKE=poll.")
    if urlsplit(address).path.rstrip("/") != _WEBHOOKS:
        return DoctorFinding(what, False, f"{address} does not end in {_WEBHOOKS}", f"{todo}.")
    if public_url is not None and not address.startswith(f"{public_url}/"):
        return DoctorFinding(what, None, f"{address} is not at HONK_PUBLIC_URL ({public_url})")
    return DoctorFinding(what, True, address)


async def _log(github: GitHubApp) -> list[DoctorFinding]:
    now, seen, lost = time.time(), 0, 0
    last = None
    async for delivery in deliveries.recent(github, since=now - deliveries.KEPT_SECONDS):
        last = last or delivery
        seen += 1
        lost += not 200 <= delivery.status_code < 300
        if seen == _MOST_DELIVERIES:
            break
    if last is None:
        return [DoctorFinding("deliveries", None, "GitHub has sent nothing in three days.")]
    ago = now - last.delivered_at
    found = doctor_findings.deliveries(last.event, last.status_code, ago, lost, seen)
    return [DoctorFinding("deliveries", _GOOD[each.mark], each.text, each.todo) for each in found]


async def _sign_in_server(settings: Settings, outgoing: Outgoing) -> DoctorSection:
    """The web server has no key, so only check that a GitHub API answers."""
    what, url = "GitHub answers", settings.github_api_url
    try:
        async with client_of(outgoing) as client:
            answer = await client.get(f"{url}/meta")
    except httpx.HTTPError as problem:
        text = f"It did not answer ({type(problem).__name__})."
        return DoctorSection(f"GitHub: {url}", (DoctorFinding(what, False, text, _UNREACHABLE),))
    if "x-github-request-id" in answer.headers and "json" in answer.headers.get("content-type", ""):
        return DoctorSection(f"GitHub: {url}", (DoctorFinding(what, True),))
    text = "The server at this URL is not a GitHub API."
    todo = "Check GITHUB_API_URL. For GitHub Enterprise Server use https://HOST/api/v3."
    return DoctorSection(f"GitHub: {url}", (DoctorFinding(what, False, text, todo),))


# The model


async def _models(settings: Settings, outgoing: Outgoing) -> DoctorSection:
    try:
        spec = engines.spec(settings.engine)
        engine = spec.create(settings, outgoing)
    except UserError:
        # The settings section already reports what is missing.
        return DoctorSection("Model", (DoctorFinding("not checked: a setting is missing", None),))
    names = dict.fromkeys((settings.model, settings.model_max))
    try:
        found = await asyncio.gather(*(_answers(engine, name) for name in names))
    finally:
        await engine.aclose()
    return DoctorSection(f"Model: {spec.url(settings)}", tuple(found))


async def _answers(engine: AgentEngine, model: str) -> DoctorFinding:
    what = f"{model} answers"
    todo = "Check ANTHROPIC_BASE_URL, HTTPS_PROXY and HONK_CA_BUNDLE."
    try:
        async with asyncio.timeout(_MODEL_SECONDS):
            await engine.probe(model)
    except UserError as problem:
        return DoctorFinding(what, False, problem.message, problem.next_step)
    except HonkError as problem:
        return DoctorFinding(what, False, str(problem), todo)
    except TimeoutError:
        return DoctorFinding(what, False, f"no answer within {_MODEL_SECONDS:.0f} s", todo)
    return DoctorFinding(what, True)
