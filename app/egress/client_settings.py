"""Parses the clients' own files and answers for their registries. Pure, except that it reads the
operator's files: netrc, npm's and Maven's.
"""

from __future__ import annotations

import base64
import io
import json
import netrc
import os
import re
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from pydantic import SecretStr

from app.egress.rules import HostRule, url_rule

_MAX_PROGRAM = 16 << 20


def links(url: str, page: bytes) -> list[str]:
    """https://packaging.python.org/en/latest/specifications/simple-repository-api/"""
    found = re.findall(r"<a[^>]*\shref=\"([^\"#]+)", page.decode("utf-8", "replace"))
    return [urljoin(url, link) for link in found]


def tarball(url: str, entry: bytes) -> list[str]:
    """https://github.com/npm/registry/blob/main/docs/REGISTRY-API.md"""
    return [str(json.loads(entry)["dist"]["tarball"])]


def yarns_default(url: str, archive: bytes) -> list[str]:
    """The registry that yarn 1 uses unless it is configured, from its own program."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        program = files.extractfile("package/lib/cli.js")
        text = program.read(_MAX_PROGRAM) if program else b""
    found = re.search(rb"YARN_REGISTRY = '(https://[^']+)'", text)
    return [found[1].decode()] if found else []


def downloads(url: str, index: bytes) -> list[str]:
    """https://doc.rust-lang.org/cargo/reference/registry-index.html#index-configuration"""
    return [str(json.loads(index)["dl"]).partition("{")[0]]


def composer_archive(url: str, entry: bytes) -> list[str]:
    """https://getcomposer.org/doc/05-repositories.md#metadata-url-available-packages"""
    (versions,) = json.loads(entry)["packages"].values()
    return [str(versions[0]["dist"]["url"])]


def composer_repositories(output: str) -> list[str]:
    """From `composer config --list`, which prints `https?://` where either is taken."""
    found = re.findall(r"(?m)^\[repositories\.\S+\.url\]\s+(https?\??://\S+)", output)
    return [re.sub(r"^https?\?", "https", url) if "?" in url[:7] else url for url in found]


def nuget_packages(url: str, index: bytes) -> list[str]:
    """https://learn.microsoft.com/en-us/nuget/api/service-index"""
    wanted = ("PackageBaseAddress/", "RegistrationsBaseUrl")
    resources = json.loads(index)["resources"]
    return [str(each["@id"]) for each in resources if str(each["@type"]).startswith(wanted)]


def bundler_mirrors(output: str) -> dict[str, str]:
    """Mirrors by what they replace (`all`, or a URL): `mirror.all=https://...` lines."""
    return dict(re.findall(r"(?m)^mirror\.(\S+?)=(https?://\S+)$", output))


def cargo_mirror(url: str) -> str:
    """https://doc.rust-lang.org/cargo/reference/source-replacement.html"""
    return (
        '[source.crates-io]\nreplace-with = "operators"\n'
        f"[source.operators]\nregistry = {json.dumps(f'sparse+{url}/')}\n"
    )


def is_central(mirror_of: str) -> bool:
    """Whether a Maven mirror replaces the repository that every project inherits."""
    return bool({"*", "external:*", "central"} & set(mirror_of.split(",")))


def maven_mirrors(mirrors: Sequence[tuple[str, str]]) -> str:
    """Settings with the operator's mirrors, without their credentials.

    The one for `central` has that name: Maven stores the name with each file, and offline it uses
    only files from repositories that the project knows.
    """
    entries = "".join(
        f"<mirror><id>{'central' if is_central(of) else f'mirror-{number}'}</id>"
        f"<url>{escape(url)}</url><mirrorOf>{escape(of)}</mirrorOf></mirror>"
        for number, (url, of) in enumerate(mirrors)
    )
    return f"<settings><mirrors>{entries}</mirrors></settings>\n"


def configured_rule(url: str, authorization: SecretStr | None = None) -> HostRule:
    """The rule for a URL, with the credentials in it or those in the netrc file."""
    parts = urlsplit(url)
    if authorization is None and parts.username:
        authorization = _basic(unquote(parts.username), unquote(parts.password or ""))
    return with_netrc(url_rule(url, authorization))


def with_netrc(rule: HostRule) -> HostRule:
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


def bare(url: str) -> str:
    """The URL without name and password."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], *parts[2:]))


def npm_tokens(settings: Mapping[str, object]) -> dict[str, SecretStr]:
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


def maven_settings(path: Path) -> list[tuple[str, str]]:
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


def maven_credentials(
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


def mavens_own(home: Path) -> list[str]:
    """Default repositories from Maven's super POM, which is in one of its own jars."""
    found: list[str] = []
    for archive in sorted((home / "lib").glob("maven-model-builder-*.jar")):
        with zipfile.ZipFile(archive) as file:
            text = file.read("org/apache/maven/model/pom-4.0.0.xml").decode()
        found += re.findall(r"<url>\s*(https?://[^<\s]+)", text)
    return list(dict.fromkeys(found))
