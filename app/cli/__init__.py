"""The command line: `honk serve | web | worker | migrate | backup | doctor | probe | ...`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from app import build_info, logs, settings, tracing
from app.cli.attempt import try_task
from app.cli.common import (
    needs_playground,
    open_database,
    readable_repository,
    reports_errors,
    say,
)
from app.cli.evaluation import evaluate
from app.cli.export import export
from app.cli.init import init
from app.cli.replay import replay
from app.cli.runs import runs
from app.errors import HonkError, UserError
from app.outgoing import Outgoing
from app.private_files import close_home
from app.settings import Settings

if TYPE_CHECKING:
    from app.domain.attestation import Attestation
    from app.domain.reproduction import Reproduction
    from app.domain.values import RepoName

Check = Callable[[], Awaitable[object]]


def main() -> None:
    """Exit 0 on success, 1 on failure, 2 on wrong usage."""
    honk(prog_name="honk")


def _show_version(context: click.Context, _option: click.Parameter, given: bool) -> None:
    if given:
        click.echo(f"honk {build_info.described()}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version, its commit and its build.",
)
def honk() -> None:
    """A GitHub App that turns a labeled issue into a pull request you can trust."""


honk.add_command(runs)
honk.add_command(export)
honk.add_command(try_task)
honk.add_command(replay)
honk.add_command(evaluate)
honk.add_command(init)


@honk.command()
@click.option("--host", help="Address to listen on. Default: HOST or 127.0.0.1.")
@click.option("--port", type=int, help="Port to listen on. Default: PORT or 8000.")
@reports_errors
def serve(host: str | None, port: int | None) -> None:
    """Run the web server and the worker in one process."""
    _run(_settings(host, port), web=True, worker=True)


@honk.command()
@click.option("--host", help="Address to listen on. Default: HOST or 127.0.0.1.")
@click.option("--port", type=int, help="Port to listen on. Default: PORT or 8000.")
@reports_errors
def web(host: str | None, port: int | None) -> None:
    """Run only the web server. Needs the webhook secret, but no private key or model key."""
    _run(_settings(host, port), web=True, worker=False)


@honk.command()
@reports_errors
def worker() -> None:
    """Run only a worker. Needs the App's private key and the model key."""
    _run(_settings(None, None), web=False, worker=True)


@honk.command()
@reports_errors
def migrate() -> None:
    """Migrate the database to this version's schema and register the queues."""
    from app.runs import engine
    from app.store.database import Database

    found = _settings(None, None)
    if found.database.startswith("sqlite"):
        close_home(found.home_path)
    database = Database(found.database)
    engine.migrate(database, concurrency=found.concurrency)
    database.close()
    click.echo("The database is up to date.")


@honk.command()
@click.argument("path", type=click.Path(path_type=Path))
@reports_errors
def backup(path: Path) -> None:
    """Copy the SQLite database to the new file PATH, even while Honk is running."""
    from app.store.backup import backup as copy
    from app.store.database import Database, database_exists

    url = settings.load().database
    if not database_exists(url):
        raise UserError(f"{url} does not exist yet: Honk creates it at its first start.")
    database = Database(url)
    size = copy(database, path)
    database.close()
    click.echo(f"Saved a snapshot of the database to {path} ({size:,} bytes).")


@honk.command()
@click.option(
    "--for",
    "half",
    type=click.Choice(["web", "worker", "both"]),
    default="both",
    show_default=True,
    help="The processes that will run on this machine.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@reports_errors
def doctor(half: str, as_json: bool) -> None:
    """Check this machine: settings, database, GitHub, the model, the sandbox.

    Calls GitHub and the model, but changes nothing. Exits with 1 if a check fails.
    """
    from app import doctor as surgery

    found = _settings(None, None)
    web, worker = half != "worker", half != "web"
    parts = asyncio.run(surgery.examine(found, web=web, worker=worker))
    say(json.dumps(surgery.as_json(parts), indent=2) if as_json else surgery.as_text(parts))
    sys.exit(0 if surgery.good(parts) else 1)


@honk.command()
@click.argument("target", metavar="FILE | OWNER/REPO SHA")
@click.argument("sha", required=False, metavar="")
@click.option(
    "--keys",
    help="The keys to trust: a JWK set's file, or the URL "
    "https://HONK/.well-known/honk-attestation-keys.json of the Honk that signed it. "
    "Default: the keys in this installation's database.",
)
@click.option(
    "--repository",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A local clone that has the commits. Default: GitHub, with the App's token.",
)
@click.option("--signature-only", is_flag=True, help="Only check the signature; run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(
    target: str,
    sha: str | None,
    keys: str | None,
    repository: Path | None,
    signature_only: bool,
    as_json: bool,
) -> None:
    """Check a verdict: its signature, and whether rerunning the tests here gives the same results.

    FILE is an attestation, downloaded from the link in a check or pull request. With OWNER/REPO and
    the full SHA of a commit, it comes from this installation's database.

    Exits with 0 if the results are the same, with 1 if they differ, and with 2 if it cannot be
    checked.
    """
    try:
        code = asyncio.run(
            _verify(
                target,
                sha,
                keys=keys,
                clone=repository,
                signature_only=signature_only,
                as_json=as_json,
            )
        )
    except HonkError as problem:
        say(f"honk: {problem}", err=True)
        code = _CANNOT_CHECK
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


_CANNOT_CHECK = 2


async def _verify(
    target: str,
    sha: str | None,
    *,
    keys: str | None,
    clone: Path | None,
    signature_only: bool,
    as_json: bool,
) -> int:
    """Print the result; return the exit code. Raises HonkError when it cannot be checked."""
    from app import messages
    from app.domain.reproduction import EXIT_CODES
    from app.runs import attestation_files as files

    found = _settings(None, None)
    database = open_database()
    if sha is None:
        envelope = await files.read_file(Path(target))
    else:
        envelope = await files.stored(database, target, sha)
    trusted, source = await files.keys(keys, database, Outgoing.of(found))
    attested, key_id = files.check(envelope, trusted)
    if not as_json:
        say(messages.reproduction.signed(attested, key_id, source))
    result = None if signature_only else await _run_again(found, attested, clone)
    if as_json:
        say(json.dumps(messages.reproduction.as_json(attested, key_id, result), indent=2))
    elif result is not None:
        say(messages.reproduction.compared(result))
    return 0 if result is None else EXIT_CODES[result.answer]


async def _run_again(found: Settings, attested: Attestation, clone: Path | None) -> Reproduction:
    """Run the cells of an attestation in a separate folder."""
    from app.runs import reproduce
    from app.worker import services_for_once

    if clone is None and not found.has_app:
        raise UserError(
            "Where are the commits?",
            next_step="Give a local clone (--repository PATH), or set GITHUB_APP_ID and "
            "GITHUB_PRIVATE_KEY to read them from GitHub.",
        )
    async with services_for_once(found) as services:
        if clone is not None:
            origin = reproduce.local(clone)
        else:
            origin = await reproduce.on_github(services, attested)
        return await reproduce.reproduce(services, attested, origin)


@honk.command()
@click.argument("target", metavar="PATH | OWNER/REPO")
@click.option(
    "--write",
    is_flag=True,
    help="Write the commands that worked to .github/honk.yml (PATH only).",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def probe(target: str, write: bool, as_json: bool) -> None:
    """Set up a repository in the sandbox and run its tests, without a model.

    PATH is a local checkout, whose last commit is used, or a plain folder; it needs no settings.
    OWNER/REPO is read with the App's token, and nothing is written to GitHub.

    Exits with 0 if all tests ran and passed, with 1 if some failed or could not run, and with 2 if
    none ran or the repository cannot be probed.
    """
    try:
        code = asyncio.run(_probe(target, write=write, as_json=as_json))
    except HonkError as problem:
        say(f"honk: {problem}", err=True)
        code = _CANNOT_CHECK
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


async def _probe(target: str, *, write: bool, as_json: bool) -> int:
    """Print the result; return the exit code. Raises HonkError when it cannot be probed."""
    from app import messages
    from app.domain.probe import EXIT_CODES
    from app.runs import probe
    from app.worker import services_for_once

    found, path = _settings(None, None), Path(target)
    is_local = path.is_dir()
    repo = None if is_local else _repository_named(target, found, write=write)
    if write:
        probe.check_no_policy(path)
    async with services_for_once(found) as services:
        if repo is not None:
            result = await probe.probe(services, await probe.github_target(services, repo))
        else:
            async with probe.local_target(services, path) as local:
                result = await probe.probe(services, local)
    text = json.dumps(messages.probe.as_json(result), indent=2)
    say(text if as_json else messages.probe.report(result, target))
    if write:
        written = await asyncio.to_thread(probe.write_policy, path, result)
        say(messages.probe.written(str(written)), err=as_json)
    return EXIT_CODES[result.ending]


def _repository_named(target: str, found: Settings, *, write: bool) -> RepoName:
    """Raises UserError unless the target can be read from GitHub."""
    from app.domain.values import RepoName

    try:
        repo = RepoName.parse(target)
    except ValueError:
        raise UserError(
            f"{target} is neither a folder nor the name of a repository.",
            next_step="Give the path of a checkout, or OWNER/REPO.",
        ) from None
    if write:
        raise UserError(
            "--write needs a local checkout.",
            next_step=f"Clone {repo} and probe the clone, or comment /honk setup on an issue.",
        )
    if not found.has_app:
        raise UserError(
            f"{target} is not a folder here, and reading it from GitHub needs the App.",
            next_step="Set GITHUB_APP_ID and GITHUB_PRIVATE_KEY, or give the path of a checkout.",
        )
    return repo


@honk.command("report")
@click.argument("repository", metavar="OWNER/REPO")
@click.option("--since", "age", metavar="DAYS", help="Opened since, such as 30d. Default: 30d.")
@click.option("--last", type=click.IntRange(1, 1000), help="The last N merged, instead of --since.")
@click.option("--replay", is_flag=True, help="Measure the verdict of each merged one in sandboxes.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["markdown", "csv", "json"]),
    default="markdown",
    show_default=True,
)
@reports_errors
def pull_report(
    repository: str, age: str | None, last: int | None, replay: bool, form: str
) -> None:
    """Report on a repository's pull requests: by people, Honk and other agents.

    Shows verdicts, reverts, rework, time to review and machine minutes. GitHub is only read. The
    report goes to stdout and progress to stderr; a replay that was interrupted resumes.
    """
    if age is not None and last is not None:
        raise click.UsageError("--since and --last cannot be used together.")
    if replay and last is None:
        raise click.UsageError("--replay needs --last: it measures merged pull requests.")
    days = None if last is not None else _days(age or "30d")
    say(asyncio.run(_report(repository, days, last, replay=replay, form=form)))


def _days(age: str) -> float:
    """Raises click.UsageError for anything but a number of days or weeks."""
    units = {"d": 1.0, "w": 7.0}
    number, unit = age[:-1], age[-1:].lower()
    if unit not in units or not number.isdecimal() or not 0 < int(number) <= 3650:
        raise click.UsageError(f"--since takes days or weeks, such as 30d or 4w, not {age!r}.")
    return int(number) * units[unit]


async def _report(
    name: str, days: float | None, last: int | None, *, replay: bool, form: str
) -> str:
    """The report's text. Raises HonkError when GitHub cannot be read or nothing can run here."""
    from app import messages
    from app.runs import pull_report as collecting
    from app.runs import replay as replaying
    from app.worker import services_for_once

    found = settings.load()
    repo = readable_repository(name, found)
    database = await asyncio.to_thread(open_database)
    if replay and database is None:
        raise UserError(
            "A replay keeps its results in Honk's database, which does not exist yet.",
            next_step="Run `honk migrate` first.",
        )
    said = messages.pull_report.last(last) if last else messages.pull_report.since(days or 0)
    async with services_for_once(found) as services:
        target = await collecting.target(services, repo)
        since = collecting.since(days) if days is not None else None
        chosen = await collecting.select(target, collecting.Selection(since, last))

        def progress(done: int, of: int, number: int, told: str = "") -> None:
            say(messages.pull_report.progress(done, of, number, told), err=True)

        pulls = await collecting.report(services, target, chosen, database, progress)
        if replay and database is not None:
            verdicts = await replaying.replay(services, target, chosen, database, progress)
            pulls = replaying.with_verdicts(pulls, verdicts)
    if form == "csv":
        return messages.pull_report.as_csv(pulls)
    if form == "json":
        return messages.pull_report.as_json(str(repo), said, pulls)
    return messages.pull_report.as_markdown(str(repo), said, pulls, each=replay)


@honk.command()
@click.option(
    "--repo",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A local git repository to copy. Default: Honk's sample.",
)
@click.option(
    "--issue",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the issue's text; its first line is the title.",
)
@click.option(
    "--script",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A script for a scripted model. Without it, ANTHROPIC_API_KEY selects the real model.",
)
@click.option(
    "--port", type=int, default=0, help="Port of the playground's GitHub. Default: any free port."
)
@click.option(
    "--once", is_flag=True, help="Exit after the run, with 0 only if it ended as expected."
)
@click.option(
    "--story",
    type=click.Choice(["commute-slack"]),
    help="Another story: commute-slack asks in a simulated Slack, and merges there.",
)
@reports_errors
def playground(
    repo: Path | None,
    issue: Path | None,
    script: Path | None,
    port: int,
    once: bool,
    story: str | None,
) -> None:
    """Try Honk on a simulated GitHub on this machine."""
    with needs_playground():
        from app.playground.commute import play_in_slack
        from app.playground.run import Scene, play

    if (repo is None) != (issue is None):
        raise click.UsageError("--repo and --issue must be used together.")
    if story and repo:
        raise click.UsageError(
            f"--story {story} plays on Honk's sample: remove --repo and --issue."
        )
    told = play_in_slack if story else play
    good = asyncio.run(told(Scene.of(repo, issue, script), port=port, once=once))
    sys.exit(0 if good else 1)


def _settings(host: str | None, port: int | None) -> Settings:
    chosen: dict[str, Any] = {"host": host, "port": port}
    found = settings.load().model_copy(
        update={name: value for name, value in chosen.items() if value is not None}
    )
    logs.configure(level=found.log_level, form=found.log_format, secrets=found.secrets)
    return found


def _run(found: Settings, *, web: bool, worker: bool) -> NoReturn:
    """Run the requested parts until SIGINT or SIGTERM, then exit without joining threads.

    The engine's threads retry forever while the database is locked, and Python would wait for them.
    """
    asyncio.run(_serve(found, web=web, worker=worker))
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


async def _serve(found: Settings, *, web: bool, worker: bool) -> None:
    """Run the requested halves until SIGINT or SIGTERM."""
    from app.runs.queue import trigger_queue
    from app.store.database import Database
    from app.web.server import serve as serve_web

    if sys.version_info < (3, 12):
        # The default of later versions: no thread per child process.
        watcher = asyncio.PidfdChildWatcher()
        watcher.attach_loop(asyncio.get_running_loop())
        asyncio.set_child_watcher(watcher)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if worker or found.database.startswith("sqlite"):
        close_home(found.home_path)
    database = Database(found.database)
    async with AsyncExitStack() as stack:
        stack.callback(database.close)
        stack.callback(tracing.configure(found.otel_endpoint, Outgoing.of(found)))
        queue = stack.enter_context(trigger_queue(database))
        checks: list[Check] = []
        if worker:
            # It creates the tables and queues. After that it survives a database outage.
            checks.append(await _begin_to_work(found, database, stack))
        else:
            database.check_migrated()
            await queue.check()
        if web:
            from app.web.pages import open_pages

            pages = await stack.enter_async_context(open_pages(found, database, queue, stop))
            pages += _slack_routes(found, database)
            application = _web(found, database, queue, checks, pages)
            await serve_web(
                application,
                host=found.host,
                port=found.port,
                stop=stop,
                listening=_tell(found.host, "Honk listening"),
            )
        elif found.metrics_port is not None:
            application = _watching(found, database, queue, checks)
            await serve_web(
                application,
                host=found.metrics_host,
                port=found.metrics_port,
                stop=stop,
                listening=_tell(found.metrics_host, "Metrics"),
            )
        await stop.wait()
    # asyncio.run would join the threads of the executor that was in use.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())


async def _begin_to_work(found: Settings, database: Any, stack: AsyncExitStack) -> Check:
    """Run the worker until the stack exits; returns its readiness check."""
    from app.worker import running_worker

    at_work = await stack.enter_async_context(running_worker(found, database))
    logs.configure(
        level=found.log_level,
        form=found.log_format,
        secrets=lambda: found.secrets() | at_work.github.redactions(),
    )
    return at_work.ready


def _web(found: Settings, database: Any, queue: Any, checks: list[Check], pages: list[Any]) -> Any:
    from app.domain.trigger import AppIdentity
    from app.web.app import create_app

    async def schema() -> None:
        await asyncio.to_thread(database.check_old_enough)

    return create_app(
        secrets=found.webhook_secrets(),
        app=AppIdentity(app_id=int(found.app_id()), slug=found.github_app_slug),
        intake=queue,
        watched=_watched(found, database, queue, [*checks, schema, queue.check]),
        pages=pages,
        is_https=found.is_https,
    )


def _slack_routes(found: Settings, database: Any) -> list[Any]:
    """Where Slack delivers, with HONK_SLACK=http."""
    if found.slack != "http":
        return []
    from starlette.routing import Route

    from app.chat.receiving import WEBHOOK_PATH, SlackReceiver
    from app.store.slack import SlackStore

    receiver = SlackReceiver(SlackStore(database), found.slack_secret())
    return [Route(WEBHOOK_PATH, receiver, methods=["POST"])]


def _watching(found: Settings, database: Any, queue: Any, checks: list[Check]) -> Any:
    from app.web.health import create_health_app

    return create_health_app(_watched(found, database, queue, checks))


def _watched(found: Settings, database: Any, queue: Any, checks: list[Check]) -> Any:
    """The process's health endpoints; it is ready when every check passes."""
    from app import metrics
    from app.runs.shared_metrics import shared_metrics
    from app.web.health import HealthChecks

    async def ready() -> None:
        for check in checks:
            await check()

    async def told() -> bytes:
        return metrics.exposition(await shared_metrics(database, queue))

    token = found.metrics_token.get_secret_value() if found.metrics_token else ""
    return HealthChecks(ready, told, metrics.CONTENT_TYPE, token)


def _tell(host: str, what: str) -> Callable[[int], None]:
    return lambda port: click.echo(f"{what} on http://{host}:{port}")
