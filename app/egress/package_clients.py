"""Find each ecosystem's package registries by asking its own client on this machine.

No registry's address is in this code. A client's answer is what the operator configured, or the
client's built-in default. If an index serves files from a second host, one fixed request to the
index (for the client's own package, or for the index's description of itself) finds it. Answers
given inside a setup never count.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import httpcore

from app.ecosystems import ECOSYSTEMS
from app.egress.addresses import Addresses
from app.egress.client_settings import (
    bare,
    bundler_mirrors,
    cargo_mirror,
    composer_archive,
    composer_repositories,
    configured_rule,
    downloads,
    is_central,
    links,
    maven_credentials,
    maven_mirrors,
    maven_settings,
    mavens_own,
    npm_tokens,
    nuget_packages,
    tarball,
    with_netrc,
    yarns_default,
)
from app.egress.go_proxy import ModuleServer
from app.egress.proxy import (
    BlockedRequest,
    EgressLimits,
    Endpoint,
    UpstreamClient,
)
from app.egress.rules import (
    WITH_REGISTRY,
    BlockedRequestError,
    HostRule,
    host_rule,
    url_rule,
)
from app.outgoing import DIRECT, Outgoing
from app.sandbox.toolchains import rustup_home
from app.shielded import kill_group, start_process

_ASK_SECONDS = 30.0
_FRESH_SECONDS = 600.0
_UNKNOWN_SECONDS = 10.0
_MAX_ANSWER = 4 << 20
_MAX_HOSTS = 8

_PROBE_CRATE = """[package]
name = "probe"
version = "0.1.0"
edition = "2021"
[lib]
path = "lib.rs"
[dependencies]
honk-probe = "1"
"""
# Cargo's error names the address it tried; this proxy address accepts no connections.
_CARGO = [
    "/usr/bin/env",
    "CARGO_NET_RETRY=0",
    "CARGO_HTTP_PROXY=http://127.0.0.1:1",
    "CARGO_TERM_COLOR=never",
]
_NPM_ALONE = [
    *("/usr/bin/env", "-u", "npm_config_registry", "-u", "NPM_CONFIG_REGISTRY"),
    *("npm_config_userconfig=/dev/null", "npm_config_globalconfig=/dev/null/none"),
]
_RUBY = ("ruby", "-rrubygems", "-e")
_URL = re.compile(r"https?://[^\s|]+")
_NO_ANSWER = (
    BlockedRequestError,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
)
_CARGO_WANTED = re.compile(r"`(https?://[^`\s]+?)/(?:config\.json|ho/nk/honk-probe)`")


@dataclass(frozen=True)
class Registries:
    """One ecosystem's registries, the client settings to use them inside, and any problems.

    `files`: settings that a client reads only from a file, by path (`~` and `$NAME` are the
    sandbox's). `aliases`: by host, the registry to use instead. Lock files name the public registry
    even if the operator's clients use another one. `modules`: the registries that serve Go modules.
    """

    rules: tuple[HostRule, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    modules: tuple[ModuleServer, ...] = ()
    problems: tuple[BlockedRequest, ...] = ()


class PackageClients:
    """Asks the clients and caches their answers for ten minutes."""

    def __init__(self, addresses: Addresses, outgoing: Outgoing = DIRECT) -> None:
        self._addresses = addresses
        self._outgoing = outgoing
        self._known: dict[str, tuple[float, Registries]] = {}
        self._asking: dict[str, asyncio.Lock] = {}
        self._yarn: list[str] | None = None

    async def resolve(self, allow: Sequence[str]) -> Registries:
        """The registries for an allow-list of hosts and ecosystem names.

        Raises UserError for an entry that is neither.
        """
        found = [await self._registries(entry) for entry in allow if entry in WITH_REGISTRY]
        plain = [host_rule(entry) for entry in allow if entry not in WITH_REGISTRY]
        rules = [*(rule for each in found for rule in each.rules), *map(with_netrc, plain)]
        return Registries(
            rules=tuple(dict.fromkeys(rules)),
            environment={name: value for each in found for name, value in each.environment.items()},
            files={path: text for each in found for path, text in each.files.items()},
            aliases={host: url for each in found for host, url in each.aliases.items()},
            modules=tuple(
                replace(server, alone=not _is_shared(server, each, found, plain))
                for each in found
                for server in each.modules
            ),
            problems=tuple(problem for each in found for problem in each.problems),
        )

    async def _registries(self, name: str) -> Registries:
        async with self._asking.setdefault(name, asyncio.Lock()):
            known = self._known.get(name)
            if known is not None and time.monotonic() < known[0]:
                return known[1]
            found = await self._asked(name)
            # A busy machine's client may not answer; the next setup should not suffer from it.
            fresh = _UNKNOWN_SECONDS if found.problems else _FRESH_SECONDS
            self._known[name] = (time.monotonic() + fresh, found)
            return found

    async def _asked(self, name: str) -> Registries:
        """The registries according to the client, which is asked once more if it does not
        answer.
        """
        for is_last in (False, True):
            try:
                return await _ASK[_CLIENTS[name]](self)
            except FileNotFoundError as error:
                return _unknown(name, f"its client is not installed here ({error.filename})")
            except (OSError, ValueError, KeyError, TimeoutError, zipfile.BadZipFile) as error:
                if is_last:
                    return _unknown(name, f"its client gives no answer ({error})")
        raise AssertionError("the second try returns")

    async def _pip(self) -> Registries:
        output = await ask([*_pip(), "config", "list"])
        settings: dict[str, str] = {}
        for line in output.splitlines():
            key, _, value = line.partition("=")
            settings[key.rpartition(".")[2]] = str(ast.literal_eval(value))
        own = await _pips_own_index()
        main = settings.get("index-url") or own
        others = settings.get("extra-index-url", "").split()
        files = [url for url in settings.get("find-links", "").split() if "://" in url]
        rules = [configured_rule(url) for url in (main, *others, *files)]
        for url in (main, *others):
            rules += await self._second_hosts(f"{url.rstrip('/')}/pip/", links, rules)
        environment = {"PIP_INDEX_URL": bare(main)}
        if others:
            environment["PIP_EXTRA_INDEX_URL"] = " ".join(map(bare, others))
        if _place(main) != _place(own) or others:
            # The other clients have the same default as pip, and a lock file may name it.
            environment |= _for_other_installers(bare(main), [bare(url) for url in others])
        return Registries(tuple(rules), environment)

    async def _npm(self) -> Registries:
        settings = json.loads(await ask(["npm", "config", "list", "--json"]))
        tokens = npm_tokens(settings)
        urls = {
            key: str(value)
            for key, value in settings.items()
            if (key == "registry" or key.endswith(":registry")) and value
        }
        rules = []
        environment = {}
        for key, url in urls.items():
            rules.append(url_rule(bare(url), tokens.get(urlsplit(url).netloc)))
            environment[f"npm_config_{key}"] = bare(url)
        if "registry" not in urls:
            return Registries(tuple(rules), environment)
        main = bare(urls["registry"]).rstrip("/")
        rules += await self._second_hosts(f"{main}/npm/latest", tarball, rules)
        environment["YARN_NPM_REGISTRY_SERVER"] = main
        own = (await ask([*_NPM_ALONE, "npm", "config", "get", "registry"])).strip()
        yarns = await self._yarns_registry(main, rules)
        if _place(main) == _place(own):
            return Registries((*rules, *map(url_rule, yarns)), environment)
        public = [url_rule(url).pattern for url in (own, *yarns)]
        return Registries(tuple(rules), environment, aliases=dict.fromkeys(public, main))

    async def _yarns_registry(self, registry: str, rules: Sequence[HostRule]) -> list[str]:
        """Yarn's own name for the public registry, which its lock files contain: read from yarn
        itself.
        """
        if self._yarn is None:
            (archive, *_) = [*await self._links(f"{registry}/yarn/latest", tarball, rules), ""]
            found = await self._links(archive, yarns_default, rules) if archive else []
            self._yarn = found or None
        return self._yarn or []

    async def _go(self) -> Registries:
        names = ["GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE"]
        settings = json.loads(await ask(["go", "env", "-json", *names]))
        proxies = [part for part in re.split("[,|]", settings["GOPROXY"]) if "://" in part]
        urls = [url for url in proxies if not url.startswith("file:")]
        sums = settings["GOSUMDB"].split()
        if sums and sums[0] != "off":
            # The checksum database's name is its host, unless a URL follows.
            urls.append(sums[1] if len(sums) > 1 else f"https://{sums[0].split('+')[0]}")
        modules = [ModuleServer(configured_rule(u), urlsplit(u).path.rstrip("/")) for u in urls]
        environment = {name: value for name, value in settings.items() if value}
        environment["GOPROXY"] = ",".join(map(bare, proxies)) or "off"
        rules = tuple(each.rule for each in modules)
        return Registries(rules, environment, modules=tuple(modules))

    async def _cargo(self) -> Registries:
        output = await _cargo_fetches()
        wanted = _CARGO_WANTED.search(output)
        if wanted is None:
            raise ValueError(output.strip()[-300:])
        rules = [configured_rule(wanted[1])]
        rules += await self._second_hosts(f"{wanted[1]}/config.json", downloads, rules)
        with tempfile.TemporaryDirectory(prefix="honk-ask-") as empty:
            own = _CARGO_WANTED.search(await _cargo_fetches(f"CARGO_HOME={empty}"))
        if own is None or own[1] == wanted[1]:
            return Registries(tuple(rules))
        # Stored with the checkout's caches: cargo separates packages by source.
        return Registries(tuple(rules), files={"$CARGO_HOME/config.toml": cargo_mirror(wanted[1])})

    async def _maven(self) -> Registries:
        output = await ask(["mvn", "--version"])
        home = re.search(r"Maven home: (.+)", output)
        if home is None:
            raise ValueError(output[-300:])
        places = [Path(home[1].strip(), "conf/settings.xml"), Path("~/.m2/settings.xml")]
        settings = [each for path in places for each in maven_settings(path.expanduser())]
        urls = [url for url, _ in settings]
        mirrors = [(bare(url), of) for url, of in settings if of]
        rules = [
            configured_rule(url, authorization)
            for url, authorization in maven_credentials(places, urls)
        ]
        if not any(is_central(of) for _, of in mirrors):
            rules += [configured_rule(url) for url in mavens_own(Path(home[1].strip()))]
        files = {"~/.m2/settings.xml": maven_mirrors(mirrors)} if mirrors else {}
        return Registries(tuple(rules), files=files)

    async def _bundler(self) -> Registries:
        own, settings = await ask([*_RUBY, "puts Gem.default_sources"]), {}
        used = await ask([*_RUBY, "puts Gem.sources.to_a"])
        with contextlib.suppress(FileNotFoundError):
            settings = bundler_mirrors(await ask(["bundle", "config", "list", "--parseable"]))
        sources = [url for url in used.split() if "://" in url]
        mirror = settings.get("all") or next(iter(settings.values()), "")
        if not mirror and sources and {*map(_place, sources)} != {*map(_place, own.split())}:
            mirror = sources[0]
        rules = [configured_rule(url) for url in dict.fromkeys([*sources, *settings.values()])]
        if not mirror:
            return Registries(tuple(rules))
        gemrc = f":sources:\n- {json.dumps(bare(mirror))}\n"
        environment = {"BUNDLE_MIRROR__ALL": bare(mirror)}
        return Registries(tuple(rules), environment, files={"~/.gemrc": gemrc})

    async def _composer(self) -> Registries:
        output = await ask(["composer", "config", "--global", "--list", "--no-ansi"])
        urls = composer_repositories(output)
        rules = [configured_rule(url) for url in urls]
        for url in urls:
            asked = f"{url.rstrip('/')}/p2/composer/semver.json"
            archives = await self._links(asked, composer_archive, rules)
            rules += [configured_rule(each) for each in archives]
            for archive in archives:
                rules += await self._redirects(archive, rules)
        return Registries(tuple(dict.fromkeys(rules)))

    async def _hex(self) -> Registries:
        output = await ask(["mix", "hex.repo", "list"])
        urls = list(dict.fromkeys(_URL.findall(output)))
        mirror = os.environ.get("HEX_MIRROR", "")
        rules = [configured_rule(url) for url in ([mirror] if mirror else urls)]
        return Registries(tuple(rules), {"HEX_MIRROR": bare(mirror)} if mirror else {})

    async def _nuget(self) -> Registries:
        output = await ask(["dotnet", "nuget", "list", "source", "--format", "Short"])
        # `E` is an enabled source, `D` a disabled one; other words may come before the list.
        urls = re.findall(r"(?m)^\s*E\w*\s+(https?://\S+)", output)
        rules = [configured_rule(url) for url in urls]
        for url in urls:
            rules += await self._second_hosts(url, nuget_packages, rules)
        return Registries(tuple(dict.fromkeys(rules)))

    async def _links(
        self, url: str, read: Callable[[str, bytes], list[str]], known: Sequence[HostRule]
    ) -> list[str]:
        """URLs in the registry's answer to one request; none if it does not answer."""
        outgoing = self._outgoing
        outside = UpstreamClient(known, self._addresses, EgressLimits(), outgoing.trust, outgoing)
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                return read(url, await _read(outside, url))
        except (*_NO_ANSWER, TimeoutError, ValueError, KeyError, TypeError, IndexError):
            return []
        finally:
            await outside.aclose()

    async def _redirects(self, url: str, known: Sequence[HostRule]) -> list[HostRule]:
        """The host that a URL redirects to, if any."""
        outgoing = self._outgoing
        outside = UpstreamClient(known, self._addresses, EgressLimits(), outgoing.trust, outgoing)
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                found = await outside.redirect(_endpoint(url), urlsplit(url).path)
        except (*_NO_ANSWER, TimeoutError, ValueError):
            return []
        finally:
            await outside.aclose()
        return [configured_rule(found)] if found else []

    async def _second_hosts(
        self, url: str, read: Callable[[str, bytes], list[str]], known: Sequence[HostRule]
    ) -> list[HostRule]:
        """Hosts from which an index serves its files, found by one request to it."""
        found: list[HostRule] = []
        for each in await self._links(url, read, known):
            with contextlib.suppress(ValueError):
                found.append(configured_rule(each))
        return list(dict.fromkeys(found))[:_MAX_HOSTS]


def _unknown(name: str, why: str) -> Registries:
    return Registries(problems=(BlockedRequest(name, why),))


_ASK: Mapping[str, Callable[[PackageClients], Awaitable[Registries]]] = {
    "pip": PackageClients._pip,
    "npm": PackageClients._npm,
    "go": PackageClients._go,
    "cargo": PackageClients._cargo,
    "maven": PackageClients._maven,
    "bundler": PackageClients._bundler,
    "composer": PackageClients._composer,
    "hex": PackageClients._hex,
    "nuget": PackageClients._nuget,
}
_CLIENTS = {each.name: each.registry for each in ECOSYSTEMS if each.registry}


def _is_shared(
    server: ModuleServer, own: Registries, found: Sequence[Registries], plain: Sequence[HostRule]
) -> bool:
    """Whether anything other than Go modules may be requested from the server's host."""
    others = [rule for each in found if each is not own for rule in each.rules]
    host, port, tls = server.rule.pattern, server.rule.port, server.rule.tls
    return any(rule.covers(host, port, tls=tls) for rule in (*others, *plain))


def _place(url: str) -> tuple[str, str]:
    """What makes two addresses the same registry."""
    parts = urlsplit(bare(url))
    return parts.netloc, parts.path.rstrip("/")


def _for_other_installers(index: str, others: Sequence[str]) -> dict[str, str]:
    """Python's other installers do not read pip's settings."""
    output = ("UV_DEFAULT_INDEX", "PDM_PYPI_URL", "PIPENV_PYPI_MIRROR", "POETRY_PYPI_MIRROR_URL")
    return {**dict.fromkeys(output, index), **({"UV_INDEX": " ".join(others)} if others else {})}


async def _cargo_fetches(*settings: str) -> str:
    """cargo's message about a fetch without network."""
    with tempfile.TemporaryDirectory(prefix="honk-ask-") as folder:
        Path(folder, "Cargo.toml").write_text(_PROBE_CRATE)
        Path(folder, "lib.rs").write_text("")
        home = rustup_home(shutil.which("cargo") or "cargo")
        set_here = [*settings, *(f"{key}={value}" for key, value in home.items())]
        return await ask([*_CARGO, *set_here, "cargo", "fetch"], folder=folder, succeeds=False)


async def ask(argv: Sequence[str], *, folder: str = "/", succeeds: bool = True) -> str:
    """Run a client with the worker's own environment, outside any project.

    Raises FileNotFoundError, and ValueError when it fails (unless `succeeds` is False).
    """
    process = await start_process(
        *argv,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE if succeeds else asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_ASK_SECONDS):
            output, errors = await process.communicate()
    except BaseException:
        await kill_group(process)
        raise
    if succeeds and process.returncode != 0:
        raise ValueError(errors.decode("utf-8", "replace").strip()[-300:])
    return output.decode("utf-8", "replace")


def _pip() -> list[str]:
    """Honk's own pip, or the machine's if Honk has none."""
    return [sys.executable, "-m", "pip"] if find_spec("pip") else ["pip3"]


async def _pips_own_index() -> str:
    """pip's default index, from its help text."""
    output = await ask(["/usr/bin/env", "COLUMNS=2000", *_pip(), "install", "--help"])
    found = re.search(r"--index-url <url>.*?\(default (https?://[^\s)]+)\)", output, re.DOTALL)
    if found is None:
        raise ValueError("pip does not say which index it uses")
    return found[1]


def _endpoint(url: str) -> Endpoint:
    rule = url_rule(url)
    return Endpoint(rule.pattern, rule.port, rule.tls)


async def _read(outside: UpstreamClient, url: str) -> bytes:
    accept = [(b"accept", b"application/json, text/html;q=0.5, */*;q=0.1")]
    data = b""
    path = urlsplit(bare(url)).path
    async with outside.answer(_endpoint(url), "GET", path, accept) as response:
        if response.status != 200:
            return b""
        async for part in response.aiter_stream():
            data += part
            if len(data) > _MAX_ANSWER:
                break
    return data
