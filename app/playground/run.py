"""`honk playground`: a GitHub and a model on this machine, with Honk running between them.

The product runs as a separate process, started as its operator would start it; this one simulates
GitHub, simulates the model if a script is given, and prints what happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import click
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from app.errors import UserError
from app.playground.github import AppRegistration, GitHub, serve
from app.playground.model import ModelScript, ScriptedModel
from app.playground.pages import github_with_pages
from app.playground.recount import recount
from app.playground.samples import UNSCRIPTED, Sample, load, scripts, title_and_body
from app.playground.serving import serve_app
from app.playground.story import Story

OWNER = "olivia"
PEOPLE = {"walter": "write", "trudy": "triage", "rita": "read", "stan": "stranger"}
"""Other people that can be selected on the pages, and their permission in every repository."""
FORKER = "frida"
"""Has a fork of the first sample, from which a pull request can be opened."""
APP_ID = 424242
KEY_OF_NOBODY = "sk-ant-playground-key-of-nobody"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
LISTENING = "Honk listening on "


@dataclass(frozen=True)
class Scene:
    """The scenario: an issue that Honk works on immediately, the other repositories, and the model.

    `samples` are the projects that come with Honk; for a person's own project there are none, and
    `source` is its path. `script` is the scripted model's script for the first issue; without one,
    the real model works.
    """

    name: str
    title: str
    body: str
    script: ModelScript | None
    source: Path | None = None
    samples: tuple[Sample, ...] = ()

    @classmethod
    def of(cls, repo: Path | None, issue: Path | None, script: Path | None) -> Scene:
        """The samples that come with Honk unless a repository and an issue are given.

        Raises UserError when neither a script nor a key of the real model is there.
        """
        chosen = ModelScript.load(script) if script else None
        has_key = bool(os.environ.get("ANTHROPIC_API_KEY"))
        if repo is None or issue is None:
            samples = load()
            name, first = samples[0].name, samples[0].issues[0]
            chosen = chosen or (None if has_key else first.script)
            return cls(name, first.title, first.body, chosen, samples=samples)
        if chosen is None and not has_key:
            raise UserError(
                "No model configured.",
                next_step="Set ANTHROPIC_API_KEY, or pass --script FILE.",
            )
        title, body = title_and_body(issue.read_text("utf-8", "replace"))
        name, title = _repository_name(repo), title or "Work to do"
        return cls(name, title, body, chosen, source=repo.resolve())


async def play(scene: Scene, *, port: int, once: bool) -> bool:
    """Run the scenario; True when there is a pull request with a correct check run."""
    with playground_home() as home:
        pages = free_port()
        github = github_with_pages(home / "github", registration(home), product_url=_at(pages))
        for login in (OWNER, *PEOPLE):
            github.add_user(login)
        async with (
            serve(github, port=port) as github_url,
            scripted_model(scene) as (model, model_url),
            concurrently(add_repositories(github, scene)) as added,
            product(
                home,
                {**product_settings(home, github_url, model_url), "HONK_PUBLIC_URL": _at(pages)},
                port=pages,
            ) as honk,
        ):
            await added
            github.webhook_url = f"{honk.url}/webhooks/github"
            let_sign_in(github, honk.url)
            repository, number = await _open_issues(github, scene)
            story = Story(github, repository, number, model, github_url)
            await github.add_label(repository, number, "honk", OWNER)
            ended = await story.tell(lambda: honk.process.poll() is not None)
            good = ended and await recount(story, home, is_sample=bool(scene.samples))
            if not once and ended:
                click.echo(f"\nThe playground is running at {github_url}. Press Ctrl-C to stop it.")
                click.echo(f"Honk's own pages are at {honk.url}/runs.")
                await interrupted()
        return good


@asynccontextmanager
async def concurrently(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run work concurrently with the block; it is canceled at the end."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class ServedProcess(Protocol):
    """The interface of a process, as of `subprocess.Popen`."""

    pid: int
    stdout: IO[bytes] | None

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, number: int, /) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class PlaygroundStart(Protocol):
    """How a process is started: the arguments after `python -m`, environment, folder, log."""

    def __call__(
        self, words: Sequence[str], environment: Mapping[str, str], folder: Path, errors: IO[bytes]
    ) -> ServedProcess: ...


def start_process(
    words: Sequence[str], environment: Mapping[str, str], folder: Path, errors: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a module in another Python process."""
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        cwd=folder,
    )


@dataclass(frozen=True)
class Product:
    """`honk serve` as a process, and where it listens."""

    process: ServedProcess
    url: str


@asynccontextmanager
async def product(
    home: Path,
    settings: Mapping[str, str],
    *,
    command: str = "serve",
    module: str = "app",
    start: PlaygroundStart = start_process,
    port: int = 0,
) -> AsyncIterator[Product]:
    """Start `honk serve` (or `web`) with these settings alone, and stop it at the end.

    It listens on `port`, or on any free one. Its log goes to `honk.log` in `home`. Raises UserError
    when it does not start.
    """
    log = (home / "honk.log").open("ab")
    process = start((module, command, "--port", str(port)), environment(settings), home, log)
    try:
        yield Product(process, await _address(process, home))
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(process.wait, STOP_SECONDS)
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        log.close()


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _at(port: int) -> str:
    return f"http://127.0.0.1:{port}"


async def _address(process: ServedProcess, home: Path) -> str:
    assert process.stdout is not None
    reading = asyncio.to_thread(process.stdout.readline)
    line = (await asyncio.wait_for(reading, START_SECONDS)).decode()
    if not line.startswith(LISTENING):
        words = (home / "honk.log").read_text("utf-8", "replace").strip()
        raise UserError(f"Honk did not start:\n{words[-3000:]}")
    return line.removeprefix(LISTENING).strip()


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The product's whole environment; from this process, only what Python needs."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "LOG_LEVEL")
    }
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [package, kept.get("PYTHONPATH")]))
    return {**kept, "PYTHONPATH": path, **settings}


def github_settings(home: Path, github_url: str) -> dict[str, str]:
    """The product's settings for the playground's GitHub, as the App of `registration`."""
    return {
        "GITHUB_APP_ID": str(APP_ID),
        "GITHUB_PRIVATE_KEY_PATH": str(home / "app.pem"),
        "GITHUB_WEBHOOK_SECRET_FILE": str(home / "webhook-secret"),
        "GITHUB_API_URL": f"{github_url}/api/v3",
        "GITHUB_SERVER_URL": github_url,
        "HONK_HOME": str(home / "honk"),
        "HONK_WORKSPACE_DISK": "watched",
    }


def sign_in_settings() -> dict[str, str]:
    """The settings with which people of the playground's GitHub can sign in to the product's
    pages.
    """
    return {
        "GITHUB_CLIENT_ID": f"Iv23li{APP_ID:014d}",
        "GITHUB_CLIENT_SECRET": "playground-client-secret",
        "HONK_SESSION_SECRET": secrets.token_hex(32),
    }


def let_sign_in(github: GitHub, honk_url: str) -> None:
    """Tell GitHub where people who signed in go, as an App's owner does on its settings page."""
    back = f"{honk_url}/login/callback"
    github.world.app = dataclasses.replace(github.world.app, callback_urls=(back,))


_HANDED_ON = (
    "HONK_EGRESS_NETWORKS",
    "HONK_CA_BUNDLE",
    "SSL_CERT_FILE",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "HONK_SETUP_NETWORK",
)
"""This machine's network settings: setup and the real model need them in a demo, too."""


def network_settings(given: Mapping[str, str]) -> dict[str, str]:
    """The network settings of an environment."""
    return {name: value for name, value in given.items() if name.upper() in _HANDED_ON}


def product_settings(home: Path, github_url: str, model_url: str | None) -> dict[str, str]:
    """The product's whole settings, with the scripted model at this URL, or the real one."""
    if model_url:
        model = {"ANTHROPIC_BASE_URL": model_url, "ANTHROPIC_API_KEY": KEY_OF_NOBODY}
    else:
        names = ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "HONK_MODEL")
        model = {name: os.environ[name] for name in names if name in os.environ}
    network = network_settings(os.environ)
    return {**github_settings(home, github_url), **sign_in_settings(), **network, **model}


@asynccontextmanager
async def scripted_model(scene: Scene) -> AsyncIterator[tuple[ScriptedModel | None, str | None]]:
    """The scripted model behind the Messages API; nothing if the real one works."""
    if scene.script is None:
        yield None, None
        return
    model = ScriptedModel(default=scene.script)
    if scene.samples:
        model = ScriptedModel(default=UNSCRIPTED, scripts=scripts(scene.samples, OWNER))
        model.scripts[f"{OWNER}/{scene.name}#1"] = scene.script
    async with serve_app(model.app) as url:
        yield model, url


def registration(home: Path) -> AppRegistration:
    """A new App; its private key and webhook secret are left in `home` for the product."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()
    secret = secrets.token_hex(20)
    for name, text in (("app.pem", pem), ("webhook-secret", secret)):
        path = home / name
        path.touch(mode=0o600)
        path.write_text(text)
    return AppRegistration(
        app_id=APP_ID, slug="honk", private_key_pem=pem, webhook_secret=secret, name="Honk"
    )


async def add_repositories(github: GitHub, scene: Scene) -> None:
    """Make the repositories of the scenario, without issues. Raises UserError."""
    team = {login: level for login, level in PEOPLE.items() if level != "stranger"}
    owned = {OWNER: "admin", **team}
    for sample in scene.samples:
        name = f"{OWNER}/{sample.name}"
        await github.add_repository(name, files=sample.files, permissions=owned)
    if scene.samples:
        await github.fork(f"{OWNER}/{scene.samples[0].name}", FORKER)
    if scene.source is None:
        return
    if not await _is_repository(scene.source):
        raise UserError(f"{scene.source} is not a git repository.", next_step="Run git init in it.")
    await github.add_repository(f"{OWNER}/{scene.name}", source=scene.source, permissions=owned)


async def _is_repository(folder: Path) -> bool:
    """Whether the folder itself is a checkout or a bare repository."""
    command = ("git", "-C", str(folder), "rev-parse", "--resolve-git-dir")
    for git_dir in (folder / ".git", folder):
        process = await asyncio.create_subprocess_exec(
            *command, str(git_dir), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if await process.wait() == 0:
            return True
    return False


async def _open_issues(github: GitHub, scene: Scene) -> tuple[str, int]:
    """Open every issue; return the repository and the number of the scenario's own."""
    if not scene.samples:
        name = f"{OWNER}/{scene.name}"
        return name, (await github.open_issue(name, OWNER, scene.title, scene.body)).number
    for sample in scene.samples:
        for issue in sample.issues:
            await github.open_issue(f"{OWNER}/{sample.name}", OWNER, issue.title, issue.body)
    return f"{OWNER}/{scene.name}", 1


def _repository_name(repo: Path) -> str:
    name = "".join(
        letter if letter.isalnum() or letter in "._-" else "-"
        for letter in repo.resolve().name.removesuffix(".git")
    )
    return name.encode("ascii", "ignore").decode().strip(".-") or "project"


@contextmanager
def playground_home() -> Iterator[Path]:
    """A temporary directory for this playground."""
    home = Path(tempfile.mkdtemp(prefix="honk-playground-"))
    # Sandboxes run as separate users, which must be able to traverse the folder.
    home.chmod(0o711)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def interrupted() -> None:
    """Wait until the person ends the playground."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
