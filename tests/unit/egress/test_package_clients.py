"""What each client is configured for, read as the operator wrote it down."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.egress.addresses import Addresses
from app.egress.package_clients import PackageClients, Registries
from app.egress.rules import HostRule
from app.errors import UserError
from tests.support.toolchains import needs


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of an operator whose clients are configured there and nowhere else."""
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "GOPROXY", "GOSUMDB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


async def asked(*allow: str) -> Registries:
    async def lookup(host: str) -> list[str]:
        raise OSError(host)

    return await PackageClients(Addresses((), lookup)).resolve(allow)


def given(registries: Registries) -> dict[str, str]:
    """What is added for each location."""
    return {
        f"{rule.pattern}:{rule.port}": rule.authorization.get_secret_value()
        for rule in registries.rules
        if rule.authorization
    }


def basic(words: str) -> str:
    return "Basic " + base64.b64encode(words.encode()).decode()


async def test_pip(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://ada:s3cr%40t@packages.example:8443/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://more.example/simple")
    found = await asked("python")
    assert [(rule.pattern, rule.port) for rule in found.rules] == [
        ("packages.example", 8443),
        ("more.example", 443),
    ]
    assert given(found) == {"packages.example:8443": basic("ada:s3cr@t")}
    # The name and password are not visible inside. The other installers read no settings of pip's.
    index = "https://packages.example:8443/simple"
    assert found.environment == {
        "PIP_INDEX_URL": index,
        "PIP_EXTRA_INDEX_URL": "https://more.example/simple",
        "UV_DEFAULT_INDEX": index,
        "UV_INDEX": "https://more.example/simple",
        "PDM_PYPI_URL": index,
        "PIPENV_PYPI_MIRROR": index,
        "POETRY_PYPI_MIRROR_URL": index,
    }
    assert "s3cr" not in repr(found)


async def test_npm(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("node")
    monkeypatch.setenv("TOKEN_OF_ADA", "s3cret")
    (home / ".npmrc").write_text(
        "registry=https://packages.example/npm/\n@ours:registry=https://ours.example/\n"
        "//packages.example/npm/:_authToken=${TOKEN_OF_ADA}\n"
    )
    found = await asked("node")
    assert given(found) == {"packages.example:443": "Bearer s3cret"}
    assert found.environment == {
        "npm_config_registry": "https://packages.example/npm/",
        "npm_config_@ours:registry": "https://ours.example/",
        "YARN_NPM_REGISTRY_SERVER": "https://packages.example/npm",
    }
    # A lock file that names npm's own registry is served by the operator's.
    assert list(found.aliases.values()) == ["https://packages.example/npm"]


async def test_npm_as_it_comes(home: Path) -> None:
    needs("node")
    found = await asked("node")
    assert found.rules and found.aliases == {}


async def test_pip_as_it_comes(home: Path) -> None:
    found = await asked("python")
    # A repository's own index is not overruled by a default.
    assert set(found.environment) == {"PIP_INDEX_URL"}


async def test_cargo(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("rust")
    monkeypatch.setenv("CARGO_HOME", str(home / "cargo"))
    (home / "cargo").mkdir()
    (home / "cargo" / "config.toml").write_text(
        '[source.crates-io]\nreplace-with = "ours"\n'
        '[source.ours]\nregistry = "sparse+https://packages.example/crates/"\n'
    )
    found = await asked("rust")
    assert [rule.pattern for rule in found.rules] == ["packages.example"]
    assert (
        'registry = "sparse+https://packages.example/crates/"'
        in (found.files["$CARGO_HOME/config.toml"])
    )
    (home / "cargo" / "config.toml").unlink()
    assert (await asked("rust")).files == {}


async def test_go(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("go")
    monkeypatch.setenv("GOPROXY", "https://ada:s3cret@modules.example|direct")
    monkeypatch.setenv("GOSUMDB", "sums.example+0+abc https://sums.example/db")
    found = await asked("go")
    assert {rule.pattern for rule in found.rules} == {"modules.example", "sums.example"}
    assert given(found) == {"modules.example:443": basic("ada:s3cret")}
    assert found.environment["GOPROXY"] == "https://modules.example"


async def test_maven(home: Path) -> None:
    needs("maven")
    (home / ".m2").mkdir()
    (home / ".m2" / "settings.xml").write_text(
        '<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0"><servers><server><id>ours</id>'
        "<username>ada</username><password>s3cret</password></server></servers><mirrors><mirror>"
        "<id>ours</id><url>https://packages.example/maven</url><mirrorOf>*</mirrorOf></mirror>"
        "</mirrors></settings>"
    )
    found = await asked("java")
    # The mirror replaces everything, so no other host is used.
    assert [rule.pattern for rule in found.rules] == ["packages.example"]
    assert given(found) == {"packages.example:443": basic("ada:s3cret")}
    settings = found.files["~/.m2/settings.xml"]
    assert "<id>central</id><url>https://packages.example/maven</url>" in settings
    assert "s3cret" not in settings


def client(home: Path, name: str, *printed: str) -> None:
    """A client that prints one of these, by its number of arguments: 1, 2 and so on."""
    cases = "".join(
        f"{number}) cat <<'END'\n{text}\nEND\n;;\n" for number, text in enumerate(printed)
    )
    path = home / name
    path.write_text(f"#!/bin/sh\ncase $# in\n{cases}esac\n")
    path.chmod(0o755)


@pytest.fixture
def alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has no clients but those that a test makes."""
    monkeypatch.setenv("PATH", f"{home}:/usr/bin:/bin")
    return home


async def test_bundler(alone: Path) -> None:
    (alone / "ruby").write_text(
        "#!/bin/sh\ncase $3 in *default*) echo https://gems.example/;;"
        " *) echo https://ours.example/gems/;; esac\n"
    )
    (alone / "ruby").chmod(0o755)
    client(alone, "bundle")
    found = await asked("ruby")
    assert [rule.pattern for rule in found.rules] == ["ours.example"]
    assert found.environment == {"BUNDLE_MIRROR__ALL": "https://ours.example/gems/"}
    assert found.files == {"~/.gemrc": ':sources:\n- "https://ours.example/gems/"\n'}


async def test_a_mirror_of_bundlers(alone: Path) -> None:
    client(alone, "ruby", "", "", "", "https://gems.example/")
    client(alone, "bundle", "", "", "", "path=vendor\nmirror.all=https://ada:s3cret@ours.example/")
    found = await asked("ruby")
    assert {rule.pattern for rule in found.rules} == {"gems.example", "ours.example"}
    assert given(found) == {"ours.example:443": basic("ada:s3cret")}
    assert found.environment == {"BUNDLE_MIRROR__ALL": "https://ours.example/"}


async def test_composer(alone: Path) -> None:
    told = "[repositories.main.type] composer\n[repositories.main.url] https?://packages.example\n"
    client(alone, "composer", "", "", "", "", told + "[home] /root/.composer\n")
    assert [rule.pattern for rule in (await asked("php")).rules] == ["packages.example"]


async def test_nuget(alone: Path) -> None:
    told = "Welcome!\nE https://packages.example/v3/index.json\nD https://off.example/v3/index.json"
    client(alone, "dotnet", *[""] * 5, told)
    assert [rule.pattern for rule in (await asked("dotnet")).rules] == ["packages.example"]


async def test_hex(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = (
        "Name     URL                       Public key\nhexpm    https://packages.example  SHA256:x"
    )
    client(alone, "mix", "", "", told)
    found = await asked("elixir")
    assert ([rule.pattern for rule in found.rules], found.environment) == (["packages.example"], {})
    monkeypatch.setenv("HEX_MIRROR", "https://ours.example")
    found = await asked("elixir")
    assert [rule.pattern for rule in found.rules] == ["ours.example"]
    assert found.environment == {"HEX_MIRROR": "https://ours.example"}


async def test_plain_hosts_and_netrc(home: Path) -> None:
    netrc = home / ".netrc"
    netrc.write_text("machine files.example login ada password s3cret\n")
    netrc.chmod(0o600)
    found = await asked("files.example", "*.example.org")
    assert found.rules == (HostRule("files.example"), HostRule("*.example.org"))
    assert given(found) == {"files.example:443": basic("ada:s3cret")}


async def test_a_client_that_is_not_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))
    found = await asked("node")
    assert found.rules == ()
    assert [(problem.host, "not installed" in problem.why) for problem in found.problems] == [
        ("node", True)
    ]


async def test_a_client_that_fails_once_is_asked_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = home / "npm"
    client.write_text(
        f"#!/bin/sh\n/bin/mkdir {home}/asked 2>/dev/null && exit 1\n"
        'case "$*" in *get*) echo https://packages.example/ ;;\n'
        '*) echo \'{"registry": "https://packages.example/"}\' ;; esac\n'
    )
    client.chmod(0o755)
    monkeypatch.setenv("PATH", str(home))
    found = await asked("node")
    assert found.problems == ()
    assert [rule.pattern for rule in found.rules] == ["packages.example"]


async def test_a_client_that_hangs_is_given_up_with_its_children(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child keeps its parent's output open, so waiting for the end of the output never
    returns.
    """
    client = home / "npm"
    client.write_text(f"#!/bin/sh\n/bin/sleep 100 &\necho $! > {home}/child\nwait\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", str(home))
    asking = asyncio.create_task(asked("node"))
    child = home / "child"
    await _until(lambda: child.exists() and child.read_text().strip() != "")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(asking), 20)
    await _until(lambda: _is_dead(int(child.read_text())))


async def test_a_client_is_given_up_while_it_starts(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process runs before asyncio has connected its pipes; a cancellation may come between."""
    client = home / "npm"
    client.write_text(f"#!/bin/sh\n/bin/sleep 100 &\necho $! > {home}/child\nwait\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", str(home))
    asking = asyncio.create_task(asked("node"))
    child = home / "child"
    while not (child.exists() and child.read_text().strip()):
        await asyncio.sleep(0)
        time.sleep(0.05)  # noqa: ASYNC251 - the loop must not get far while the client starts
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(asking), 20)
    await _until(lambda: _is_dead(int(child.read_text())))


async def _until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not happened():  # noqa: ASYNC110 - another process makes it so
            await asyncio.sleep(0.01)


def _is_dead(pid: int) -> bool:
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


async def test_what_is_no_host(home: Path) -> None:
    with pytest.raises(UserError, match="neither a host"):
        await asked("https://files.example/")
