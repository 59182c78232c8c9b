"""This machine's build tools, visible in a sandbox without the files next to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.sandbox.bubblewrap import Bubblewrap, Sandbox, Unsandboxed
from app.sandbox.spec import Completed, SandboxSpec
from app.sandbox.toolchains import Toolchains, find, installed
from tests.support.toolchains import needs

pytestmark = pytest.mark.slow


async def run(toolchains: Toolchains, sandbox: Sandbox, workspace: Path, script: str) -> Completed:
    workspace.mkdir(parents=True)
    sandbox.claim(workspace)
    spec = SandboxSpec(
        workspace,
        mounts=toolchains.mounts,
        environment=toolchains.environment(sandbox, workspace),
    )
    return await sandbox.run(spec, ["bash", "-c", script])


@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("go", "go version && go env GOMODCACHE GOCACHE"),
        ("rust", "cargo --version && echo 'fn main() {}' > a.rs && rustc a.rs && ./a"),
        ("node", "node -p 1 && npm --version"),
        ("java", "java -version && echo 'class A { }' > A.java && javac A.java"),
        ("maven", "mvn --version"),
    ],
)
async def test_what_is_installed_runs(tmp_path: Path, name: str, script: str) -> None:
    needs(name)
    sandbox = Bubblewrap.create(tmp_path / "root")
    done = await run(installed(), sandbox, tmp_path / "root" / "work", script)
    assert done.ok, done.text


def node_below(home: Path) -> Path:
    """A Node as version managers unpack it below a home, with a password in its configuration."""
    node = home / ".nvm" / "versions" / "v1"
    files = {
        "bin/node": '#!/bin/sh\necho "$(dirname "$(readlink -f "$0")")/node"\n',
        "lib/node_modules/npm/index.js": "",
        "etc/npmrc": "//registry/:_authToken=hunter2\n",
    }
    for path, text in files.items():
        (node / path).parent.mkdir(parents=True, exist_ok=True)
        (node / path).write_text(text)
    (node / "bin" / "node").chmod(0o755)
    (home / ".npmrc").write_text("hunter2")
    home.chmod(0o700)
    return node


async def test_what_lies_below_a_home_is_seen_without_the_home(tmp_path: Path) -> None:
    node = node_below(tmp_path / "home")
    found = find([str(node / "bin")], tmp_path / "home")
    sandbox = Bubblewrap.create(tmp_path / "root")
    script = f"node; ls /opt/node; cat /opt/node/etc/npmrc; ls {tmp_path}; touch /opt/node/bin/x"
    done = await run(found, sandbox, tmp_path / "root" / "work", script)
    assert done.text.splitlines()[:3] == ["/opt/node/bin/node", "bin", "lib"]
    assert "hunter2" not in done.text
    assert "Read-only file system" in done.text
    assert not done.ok


async def test_without_walls_they_are_where_they_lie(tmp_path: Path) -> None:
    node = node_below(tmp_path / "home")
    found = find([str(node / "bin")], tmp_path / "home")
    done = await run(found, Unsandboxed(), tmp_path / "work", "node; echo $YARN_GLOBAL_FOLDER")
    assert done.text.splitlines() == [
        str(node / "bin" / "node"),
        str(tmp_path / "work" / ".git" / "honk" / "yarn"),
    ]


def test_what_does_not_answer_is_not_there(tmp_path: Path) -> None:
    for name in ("go", "rustc", "node", "java", "mvn"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho no; exit 1\n")
        program.chmod(0o755)
    assert "node" not in find([str(tmp_path)], tmp_path)
    assert "java" not in find([str(tmp_path)], tmp_path)


def test_a_stand_in_of_another_home_finds_its_toolchains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUSTUP_HOME", raising=False)
    programs, toolchain = tmp_path / ".cargo" / "bin", tmp_path / ".rustup" / "stable"
    for folder in (programs, toolchain / "bin"):
        folder.mkdir(parents=True)
    (toolchain / "bin" / "cargo").write_text("")
    (programs / "rustup").write_text('#!/bin/sh\necho "$RUSTUP_HOME/stable"\n')
    (programs / "rustup").chmod(0o755)
    (programs / "rustc").symlink_to("rustup")
    found = find([str(programs)], tmp_path / "nobody").found
    assert [each.home for each in found if each.name == "rust"] == [toolchain]


def test_another_program_in_its_place_is_another_environment(tmp_path: Path) -> None:
    node = node_below(tmp_path / "home")
    found = find([str(node / "bin")], tmp_path / "home")
    before = found.fingerprint
    (node / "bin" / "corepack").write_text("")
    assert found.fingerprint != before
