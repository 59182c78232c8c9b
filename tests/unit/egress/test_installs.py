"""Each ecosystem's own client installs a package through the proxy, from where this machine is
configured to get packages. Nothing of that is written here: the clients are asked."""

from __future__ import annotations

import contextlib
import ipaddress
import os
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.go_modules import go_modules
from app.egress.addresses import Addresses, Network, system_lookup
from app.egress.package_clients import PackageClients, Registries
from app.egress.rules import Mode
from app.egress.setup_proxy import BlockedRequest, SetupProxies
from app.sandbox.bubblewrap import (
    Bubblewrap,
    Completed,
    Mount,
    SandboxSpec,
)
from tests.support.toolchains import needs

pytestmark = pytest.mark.slow

ANYWHERE = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
"""For finding out what the operator of this machine has to allow."""

TOOLCHAIN = "/run/honk/toolchain"


def without(reason: str) -> None:
    """CI has to have what its toolchains need; a person's machine may lack it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


async def operators_networks(registries: Registries) -> list[Network]:
    """What the operator of this machine would allow: where its registries really are."""
    found: list[Network] = []
    for rule in registries.rules:
        with contextlib.suppress(OSError):
            found += [ipaddress.ip_network(a) for a in await system_lookup(rule.pattern)]
    if not found:
        without("no registry of this machine has an address")
    return found


@pytest.fixture
def sandbox(tmp_path: Path) -> Bubblewrap:
    return Bubblewrap.create(tmp_path)


@pytest.fixture
def workspace(sandbox: Bubblewrap, tmp_path: Path) -> Path:
    path = tmp_path / "workspace"
    path.mkdir()
    sandbox.claim(path)
    return path


class Setup:
    def __init__(self, sandbox: Bubblewrap, workspace: Path, ecosystem: str, mode: Mode) -> None:
        self.sandbox = sandbox
        self.spec = SandboxSpec(workspace)
        self.ecosystem = ecosystem
        self.mode = mode
        self.tried: tuple[BlockedRequest, ...] = ()
        self.only_go_modules: frozenset[str] | None = None

    def has(self, name: str, text: str) -> None:
        """A file that the project has."""
        path = self.spec.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if os.geteuid() == 0:
            uid = self.spec.workspace.stat().st_uid
            os.chown(path, uid, uid)
            os.chown(path.parent, uid, uid)

    async def run(self, script: str, *mounts: Mount) -> Completed:
        asked = await PackageClients(Addresses(ANYWHERE)).resolve([self.ecosystem])
        if asked.problems:
            without(asked.problems[0].why)
        egress = SetupProxies(self.sandbox, await operators_networks(asked))
        async with egress.open(
            [self.ecosystem],
            self.mode,
            self.spec.workspace,
            only_go_modules=self.only_go_modules,
        ) as door:
            spec = replace(
                self.spec,
                mounts=(door.mount, *mounts),
                environment={
                    **door.environment,
                    "PATH": f"{TOOLCHAIN}/bin:/usr/local/bin:/usr/bin:/bin",
                },
            )
            done = await self.sandbox.run(spec, door.command(["bash", "-euc", script]))
            self.tried = door.tried
        return done


async def test_pip(sandbox: Bubblewrap, workspace: Path) -> None:
    setup = Setup(sandbox, workspace, "python", "fetch-only")
    done = await setup.run(
        "python3 -m pip install -q --disable-pip-version-check --target lib six && "
        "PYTHONPATH=lib python3 -c 'import six; print(six.__name__)'"
    )
    assert done.ok and done.text.endswith("six\n"), (done.text, setup.tried)
    assert setup.tried == ()


@pytest.mark.parametrize("mode", ["fetch-only", "connect"])
async def test_npm(sandbox: Bubblewrap, workspace: Path, mode: Mode) -> None:
    node = needs("node").home
    setup = Setup(sandbox, workspace, "node", mode)
    # A scoped name is asked for with an encoded slash.
    setup.has("package.json", '{"dependencies": {"isarray": "2.0.5", "@types/ms": "*"}}')
    done = await setup.run(
        "npm install --no-audit --no-fund --no-update-notifier --loglevel=error && "
        "node -p 'require(\"isarray\")([])' && test -e node_modules/@types/ms/index.d.ts",
        Mount(node, TOOLCHAIN),
    )
    assert done.ok and "true" in done.text, (done.text, setup.tried)


MANAGERS = {
    # Without npm's settings it asks the host that its lock files name.
    "yarn 1": ("yarn@1", "env -u npm_config_registry", "yarn/bin/yarn.js install"),
    "yarn 4": ("@yarnpkg/cli-dist@4", "", "@yarnpkg/cli-dist/bin/yarn.js install"),
    "pnpm": ("pnpm@9", "", "pnpm/bin/pnpm.cjs install"),
}


@pytest.mark.parametrize("name", MANAGERS)
async def test_other_managers_of_node(sandbox: Bubblewrap, workspace: Path, name: str) -> None:
    """Yarn 1 locks name a host of Yarn's; Yarn 4 reads none of npm's settings."""
    package, before, command = MANAGERS[name]
    setup = Setup(sandbox, workspace, "node", "fetch-only")
    setup.has("package.json", '{"dependencies": {"isarray": "2.0.5"}}')
    setup.has("yarn.lock", "")
    done = await setup.run(
        f"npm install --prefix /tmp/tools --loglevel=error {package} && "
        f"YARN_NODE_LINKER=node-modules {before} node /tmp/tools/node_modules/{command} && "
        "test -e node_modules/isarray/index.js",
        Mount(needs("node").home, TOOLCHAIN),
    )
    assert done.ok, (done.text, setup.tried)
    assert setup.tried == ()


async def test_uv(sandbox: Bubblewrap, workspace: Path) -> None:
    setup = Setup(sandbox, workspace, "python", "fetch-only")
    setup.has(
        "pyproject.toml",
        '[project]\nname = "a"\nversion = "1"\nrequires-python = ">=3.8"\n'
        'dependencies = ["six==1.16.0"]\n',
    )
    done = await setup.run(
        "python3 -m pip install -q --target /tmp/tools uv && /tmp/tools/bin/uv -q sync && "
        ".venv/bin/python -c 'import six; print(six.__version__)'"
    )
    assert done.ok and done.text.endswith("1.16.0\n"), (done.text, setup.tried)
    assert setup.tried == ()


async def test_go(sandbox: Bubblewrap, workspace: Path) -> None:
    root = needs("go").home
    setup = Setup(sandbox, workspace, "go", "fetch-only")
    setup.has("go.mod", "module example.com/a\n\ngo 1.21\n")
    setup.has("a.go", 'package a\n\nimport _ "github.com/pkg/errors"\n')
    done = await setup.run(
        "go get github.com/pkg/errors@v0.9.1 && go list -m all && test -s go.sum",
        Mount(root, TOOLCHAIN),
    )
    assert done.ok and "github.com/pkg/errors v0.9.1" in done.text, (done.text, setup.tried)
    assert setup.tried == ()


async def test_only_modules_that_the_repository_names(sandbox: Bubblewrap, workspace: Path) -> None:
    setup = Setup(sandbox, workspace, "go", "fetch-only")
    files = {
        "go.mod": "module example.com/a\n\ngo 1.21\n\nrequire github.com/pkg/errors v0.9.1\n",
        "go.sum": (
            "github.com/pkg/errors v0.9.1 h1:FEBLx1zS214owpjy7qsBeixbURkuhQAwrK5UwLGTwt4=\n"
            "github.com/pkg/errors v0.9.1/go.mod h1:bwawxfHBFNV+L2hUp1rHADufV3IMtnDRdf1r5NINEl0=\n"
        ),
    }
    for name, text in files.items():
        setup.has(name, text)
    setup.only_go_modules = go_modules(files.values())
    root = Mount(needs("go").home, TOOLCHAIN)
    done = await setup.run("go mod download && go mod verify", root)
    assert done.ok, (done.text, setup.tried)
    assert not setup.tried
    done = await setup.run("go get github.com/pkg/secret-that-code-read", root)
    assert not done.ok and "is in no go.mod or go.sum of the base branch" in done.text
    assert setup.tried
    assert all("go mod tidy" in each.why for each in setup.tried), setup.tried


async def test_cargo(sandbox: Bubblewrap, workspace: Path) -> None:
    root = needs("rust").home
    setup = Setup(sandbox, workspace, "rust", "fetch-only")
    setup.has("src/lib.rs", "pub use cfg_if::cfg_if;\n")
    setup.has(
        "Cargo.toml",
        '[package]\nname = "a"\nversion = "0.1.0"\nedition = "2021"\n'
        '[dependencies]\ncfg-if = "=1.0.0"\n',
    )
    done = await setup.run("cargo check --quiet && test -s Cargo.lock", Mount(root, TOOLCHAIN))
    assert done.ok, (done.text, setup.tried)
    assert setup.tried == ()


async def test_maven(sandbox: Bubblewrap, workspace: Path) -> None:
    needs("maven")
    setup = Setup(sandbox, workspace, "java", "fetch-only")
    setup.has(
        "pom.xml",
        "<project><modelVersion>4.0.0</modelVersion><groupId>a</groupId><artifactId>a</artifactId>"
        "<version>1</version><packaging>pom</packaging><build><extensions><extension>"
        "<groupId>org.hamcrest</groupId><artifactId>hamcrest</artifactId><version>2.2</version>"
        "</extension></extensions></build></project>",
    )
    done = await setup.run(
        "mvn -q -B -Dmaven.repo.local=m2 validate && "
        "test -s m2/org/hamcrest/hamcrest/2.2/hamcrest-2.2.jar",
        # Debian keeps what its Java and Maven cannot start without in /etc.
        *(Mount(path, str(path)) for path in Path("/etc").glob("java-*")),
        *(Mount(path, str(path)) for path in Path("/etc/maven").glob("[lm]*")),
    )
    assert done.ok, (done.text[:5000], setup.tried)
