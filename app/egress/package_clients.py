"""Find each ecosystem's package registries by asking its own client on this machine.

No registry's address is in this code. A client's answer is what the operator configured, or the
client's built-in default. If an index serves files from a second host, one fixed request to the
index (for the client's own package, or for the index's description of itself) finds it. Answers
given inside a setup never count.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import json
import netrc
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
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from xml.etree import ElementTree

import httpcore
from pydantic import SecretStr

from app.ecosystems import ECOSYSTEMS
from app.egress.addresses import Addresses
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
_CARGO_WANTED = re.compile(r"`(https?://[^`\s]+?)/(?:config\.json|ho/nk/honk-probe)`")


@dataclass(frozen=True)
class Registries:
    """One ecosystem's registries, the client settings to use them inside, and any problems."""

    rules: tuple[HostRule, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[BlockedRequest, ...] = ()


class PackageClients:
    """Asks the clients and caches their answers for ten minutes."""

    def __init__(self, addresses: Addresses, outgoing: Outgoing = DIRECT) -> None:
        self._addresses = addresses
        self._outgoing = outgoing
        self._known: dict[str, tuple[float, Registries]] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    async def resolve(self, allow: Sequence[str]) -> Registries:
        """The registries for an allow-list of hosts and ecosystem names.

        Raises UserError for an entry that is neither.
        """
        found = [await self._registries(entry) for entry in allow if entry in WITH_REGISTRY]
        plain = [host_rule(entry) for entry in allow if entry not in WITH_REGISTRY]
        rules = [*(rule for each in found for rule in each.rules), *map(_with_netrc, plain)]
        return Registries(
            rules=tuple(dict.fromkeys(rules)),
            environment={name: value for each in found for name, value in each.environment.items()},
            problems=tuple(problem for each in found for problem in each.problems),
        )

    async def _registries(self, name: str) -> Registries:
        async with self._asking.setdefault(name, asyncio.Lock()):
            known = self._known.get(name)
            if known is not None and time.monotonic() - known[0] < _FRESH_SECONDS:
                return known[1]
            try:
                found = await _ASK[_CLIENTS[name]](self)
            except FileNotFoundError as error:
                found = _unknown(name, f"its client is not installed here ({error.filename})")
            except (OSError, ValueError, KeyError, TimeoutError, zipfile.BadZipFile) as error:
                found = _unknown(name, f"its client gives no answer ({error})")
            self._known[name] = (time.monotonic(), found)
            return found

    async def _pip(self) -> Registries:
        told = await ask([*_pip(), "config", "list"])
        settings: dict[str, str] = {}
        for line in told.splitlines():
            key, _, value = line.partition("=")
            settings[key.rpartition(".")[2]] = str(ast.literal_eval(value))
        main = settings.get("index-url") or await _pips_own_index()
        others = settings.get("extra-index-url", "").split()
        links = [url for url in settings.get("find-links", "").split() if "://" in url]
        rules = [_rule(url) for url in (main, *others, *links)]
        for url in (main, *others):
            rules += await self._second_hosts(f"{url.rstrip('/')}/pip/", _links, rules)
        environment = {"PIP_INDEX_URL": _bare(main)}
        if others:
            environment["PIP_EXTRA_INDEX_URL"] = " ".join(map(_bare, others))
        return Registries(tuple(rules), environment)

    async def _npm(self) -> Registries:
        settings = json.loads(await ask(["npm", "config", "list", "--json"]))
        tokens = _npm_tokens(settings)
        urls = {
            key: str(value)
            for key, value in settings.items()
            if (key == "registry" or key.endswith(":registry")) and value
        }
        rules = []
        environment = {}
        for key, url in urls.items():
            rules.append(url_rule(_bare(url), tokens.get(urlsplit(url).netloc)))
            environment[f"npm_config_{key}"] = _bare(url)
        if "registry" in urls:
            asked = f"{urls['registry'].rstrip('/')}/npm/latest"
            rules += await self._second_hosts(asked, _tarball, rules)
        return Registries(tuple(rules), environment)

    async def _go(self) -> Registries:
        names = ["GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE"]
        settings = json.loads(await ask(["go", "env", "-json", *names]))
        proxies = [part for part in re.split("[,|]", settings["GOPROXY"]) if "://" in part]
        rules = [_rule(url) for url in proxies if not url.startswith("file:")]
        sums = settings["GOSUMDB"].split()
        if sums and sums[0] != "off":
            # The checksum database's name is its host, unless a URL follows.
            rules.append(_rule(sums[1] if len(sums) > 1 else f"https://{sums[0].split('+')[0]}"))
        environment = {name: value for name, value in settings.items() if value}
        environment["GOPROXY"] = ",".join(map(_bare, proxies)) or "off"
        return Registries(tuple(rules), environment)

    async def _cargo(self) -> Registries:
        with tempfile.TemporaryDirectory(prefix="honk-ask-") as folder:
            Path(folder, "Cargo.toml").write_text(_PROBE_CRATE)
            Path(folder, "lib.rs").write_text("")
            home = rustup_home(shutil.which("cargo") or "cargo")
            words = [*_CARGO, *(f"{key}={value}" for key, value in home.items()), "cargo", "fetch"]
            told = await ask(words, folder=folder, succeeds=False)
        wanted = _CARGO_WANTED.search(told)
        if wanted is None:
            raise ValueError(told.strip()[-300:])
        rules = [_rule(wanted[1])]
        rules += await self._second_hosts(f"{wanted[1]}/config.json", _downloads, rules)
        return Registries(tuple(rules))

    async def _maven(self) -> Registries:
        told = await ask(["mvn", "--version"])
        home = re.search(r"Maven home: (.+)", told)
        if home is None:
            raise ValueError(told[-300:])
        places = [Path(home[1].strip(), "conf/settings.xml"), Path("~/.m2/settings.xml")]
        urls, mirrored = [], False
        for path in places:
            for url, of in _maven_settings(path.expanduser()):
                urls.append(url)
                mirrored = mirrored or bool({"*", "external:*", "central"} & set(of.split(",")))
        rules = [
            _rule(url, authorization) for url, authorization in _maven_credentials(places, urls)
        ]
        if not mirrored:
            rules += [_rule(url) for url in _mavens_own(Path(home[1].strip()))]
        return Registries(tuple(rules))

    async def _second_hosts(
        self, url: str, read: Callable[[str, str], list[str]], known: Sequence[HostRule]
    ) -> list[HostRule]:
        """Hosts from which an index serves its files, found by one request to it."""
        outgoing = self._outgoing
        outside = UpstreamClient(known, self._addresses, EgressLimits(), outgoing.trust, outgoing)
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                text = await _read(outside, url)
            return list(dict.fromkeys(_rule(each) for each in read(url, text)))[:_MAX_HOSTS]
        except (
            BlockedRequestError,
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.TimeoutException,
        ):
            return []
        except (TimeoutError, ValueError, KeyError, TypeError):
            return []
        finally:
            await outside.aclose()


def _unknown(name: str, why: str) -> Registries:
    return Registries(problems=(BlockedRequest(name, why),))


_ASK: Mapping[str, Callable[[PackageClients], Awaitable[Registries]]] = {
    "pip": PackageClients._pip,
    "npm": PackageClients._npm,
    "go": PackageClients._go,
    "cargo": PackageClients._cargo,
    "maven": PackageClients._maven,
}
_CLIENTS = {each.name: each.registry for each in ECOSYSTEMS if each.registry}


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
            told, errors = await process.communicate()
    except BaseException:
        kill_group(process)
        await process.wait()
        raise
    if succeeds and process.returncode != 0:
        raise ValueError(errors.decode("utf-8", "replace").strip()[-300:])
    return told.decode("utf-8", "replace")


def _pip() -> list[str]:
    """Honk's own pip, or the machine's if Honk has none."""
    return [sys.executable, "-m", "pip"] if find_spec("pip") else ["pip3"]


async def _pips_own_index() -> str:
    """pip's default index, from its help text."""
    told = await ask(["/usr/bin/env", "COLUMNS=2000", *_pip(), "install", "--help"])
    found = re.search(r"--index-url <url>.*?\(default (https?://[^\s)]+)\)", told, re.DOTALL)
    if found is None:
        raise ValueError("pip does not say which index it uses")
    return found[1]


async def _read(outside: UpstreamClient, url: str) -> str:
    parts = urlsplit(_bare(url))
    rule = url_rule(url)
    place = Endpoint(rule.pattern, rule.port, rule.tls)
    accept = [(b"accept", b"application/json, text/html;q=0.5")]
    data = b""
    async with outside.answer(place, "GET", parts.path, accept) as response:
        if response.status != 200:
            return ""
        async for part in response.aiter_stream():
            data += part
            if len(data) > _MAX_ANSWER:
                break
    return data.decode("utf-8", "replace")


def _links(url: str, text: str) -> list[str]:
    """https://packaging.python.org/en/latest/specifications/simple-repository-api/"""
    return [urljoin(url, link) for link in re.findall(r"<a[^>]*\shref=\"([^\"#]+)", text)]


def _tarball(url: str, text: str) -> list[str]:
    """https://github.com/npm/registry/blob/main/docs/REGISTRY-API.md"""
    return [str(json.loads(text)["dist"]["tarball"])]


def _downloads(url: str, text: str) -> list[str]:
    """https://doc.rust-lang.org/cargo/reference/registry-index.html#index-configuration"""
    return [str(json.loads(text)["dl"]).partition("{")[0]]


def _rule(url: str, authorization: SecretStr | None = None) -> HostRule:
    """The rule for a URL, with the credentials in it or those in the netrc file."""
    parts = urlsplit(url)
    if authorization is None and parts.username:
        authorization = _basic(unquote(parts.username), unquote(parts.password or ""))
    return _with_netrc(url_rule(url, authorization))


def _with_netrc(rule: HostRule) -> HostRule:
    """https://www.gnu.org/software/inetutils/manual/html_node/The-_002enetrc-file.html"""
    if rule.authorization is not None or not rule.tls:
        return rule
    try:
        found = netrc.netrc().hosts.get(rule.pattern)
    except (OSError, netrc.NetrcParseError):
        found = None
    return replace(rule, authorization=_basic(found[0], found[2])) if found else rule


def _basic(name: str, password: str) -> SecretStr:
    return SecretStr("Basic " + base64.b64encode(f"{name}:{password}".encode()).decode())


def _bare(url: str) -> str:
    """The URL without name and password."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], *parts[2:]))


def _npm_tokens(settings: Mapping[str, object]) -> dict[str, SecretStr]:
    """Tokens by registry host. `npm config list` hides them, so read npm's files.

    npmrc(5), "Auth related configuration".
    """
    found: dict[str, SecretStr] = {}
    for name in ("globalconfig", "userconfig"):
        try:
            text = Path(str(settings.get(name, ""))).read_text("utf-8", "replace")
        except OSError:
            continue
        for host, kind, value in re.findall(
            r"^//([^/\s=]+)[^\s=]*?:(_authToken|_auth)\s*=\s*\"?([^\"\s]+)", text, re.MULTILINE
        ):
            scheme = "Bearer" if kind == "_authToken" else "Basic"
            found[host] = SecretStr(f"{scheme} {os.path.expandvars(value)}")
    return found


def _maven_settings(path: Path) -> list[tuple[str, str]]:
    """URLs of mirrors and repositories, each with what it is a mirror of (or an empty string).

    https://maven.apache.org/settings.html
    """
    found = []
    for element in _elements(path):
        if element.tag in ("mirror", "repository", "pluginRepository"):
            url = (element.findtext("url") or "").strip()
            blocked = (element.findtext("blocked") or "").strip() == "true"
            if "://" in url and not url.startswith("file:") and not blocked:
                found.append((url, (element.findtext("mirrorOf") or "").replace(" ", "")))
    return found


def _maven_credentials(
    places: Sequence[Path], urls: Sequence[str]
) -> list[tuple[str, SecretStr | None]]:
    """Each URL with the credentials of the `server` that has the same id."""
    elements = [element for path in places for element in _elements(path.expanduser())]
    servers = {
        element.findtext("id"): _basic(
            element.findtext("username") or "", element.findtext("password") or ""
        )
        for element in elements
        if element.tag == "server" and element.findtext("password")
    }
    ids = {
        (element.findtext("url") or "").strip(): element.findtext("id")
        for element in elements
        if element.findtext("url")
    }
    return [(url, servers.get(ids.get(url))) for url in urls]


def _elements(path: Path) -> list[ElementTree.Element]:
    """Every XML element of an operator's file, with namespaces removed."""
    try:
        root = ElementTree.parse(path).getroot()  # noqa: S314 - the operator's own file
    except (OSError, ElementTree.ParseError):
        return []
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return list(root.iter())


def _mavens_own(home: Path) -> list[str]:
    """Default repositories from Maven's super POM, which is in one of its own jars."""
    found: list[str] = []
    for archive in sorted((home / "lib").glob("maven-model-builder-*.jar")):
        with zipfile.ZipFile(archive) as file:
            text = file.read("org/apache/maven/model/pom-4.0.0.xml").decode()
        found += re.findall(r"<url>\s*(https?://[^<\s]+)", text)
    return list(dict.fromkeys(found))
