"""How Podman is called, and what is refused before it is."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import UserError
from app.sandbox import seccomp
from app.sandbox.bubblewrap import Bubblewrap
from app.sandbox.checks import prove
from app.sandbox.container import (
    Container,
    by_digest,
    probe_container,
    run_words,
)
from app.sandbox.spec import Mount, ResourceLimits, SandboxSpec

IMAGE = "registry.test/honk@sha256:" + "a" * 64


def words(user: int | None = 200_001, **spec: object) -> list[str]:
    given = {"workspace": Path("/w"), "limits": ResourceLimits(processes=10)} | spec
    return run_words(
        SandboxSpec(**given),  # type: ignore[arg-type]
        image=IMAGE,
        name="honk-x",
        user=user,
        profile=Path("/p.json"),
        helper=Path("/inside.py"),
        hosts=Path("/hosts"),
        descriptors=7,
        channel=5,
    )


def test_the_walls_stand_in_the_command() -> None:
    said = " ".join(words())
    for wall in (
        "--network none",
        "--cap-drop all",
        "--security-opt no-new-privileges",
        "--security-opt seccomp=/p.json",
        "--read-only ",
        "--pull never",
        "--unsetenv-all",
        "--http-proxy=false",
        "--user 200001:200001",
        "source=/hosts,destination=/etc/hosts,ro",
        "--preserve-fds=7",
    ):
        assert wall in said, wall
    assert words()[-1] == IMAGE
    assert not any(word in said for word in ("--privileged", "--env ", "--device"))


def test_mounts_are_read_only_unless_they_say_otherwise() -> None:
    mounts = (Mount(Path("/a"), "/in/a"), Mount(Path("/b"), "/in/b", writable=True))
    said = words(mounts=mounts, workspace_writable=False)
    assert "type=bind,source=/w,destination=/workspace,ro" in said
    assert "type=bind,source=/a,destination=/in/a,ro" in said
    assert "type=bind,source=/b,destination=/in/b" in said
    with pytest.raises(UserError, match="comma"):
        words(mounts=(Mount(Path("/a,ro=false"), "/in/a"),))


def test_an_ordinary_worker_keeps_its_own_user() -> None:
    assert "keep-id:uid=1000,gid=1000" in words(user=None)


@pytest.mark.parametrize(
    "name", ["python:3.12", "honk", "a@sha256:12", "--privileged", f"-v{IMAGE}", ""]
)
def test_an_image_is_named_by_its_digest(name: str) -> None:
    with pytest.raises(UserError, match="digest"):
        by_digest(name)


def test_the_profile_forbids_what_the_filter_forbids() -> None:
    profile = json.loads(json.dumps(seccomp.profile()))
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert profile["defaultErrnoRet"] == errno.ENOSYS
    allowed = {
        name
        for rule in profile["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW" and "args" not in rule
        for name in rule["names"]
    }
    assert allowed == seccomp.ALLOWED
    bounded = {name for rule in profile["syscalls"] if "args" in rule for name in rule["names"]}
    assert bounded == seccomp.BY_ARGUMENTS


async def test_an_image_needs_containers(tmp_path: Path) -> None:
    sandbox = Bubblewrap.create(tmp_path)
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    sandbox.claim(workspace)
    spec = SandboxSpec(workspace)
    with pytest.raises(UserError, match="requires container sandboxes"):
        await sandbox.run(replace(spec, image=IMAGE), ["true"])
    assert (await sandbox.run(spec, ["true"])).ok


if _LOCAL_IMAGE := os.environ.get("HONK_TEST_IMAGE"):

    async def test_every_property_holds_in_a_container(tmp_path: Path) -> None:
        """Only where HONK_TEST_IMAGE names an image, by digest, that this machine has."""
        sandbox = Container.create(tmp_path / "workspaces", str(_LOCAL_IMAGE))
        assert [each for each in await prove(sandbox) if each.holds is False] == []
        listed = subprocess.run(["podman", "ps", "-aq"], capture_output=True, check=True)  # noqa: ASYNC221
        assert listed.stdout == b""


async def test_without_podman_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    found = await probe_container(IMAGE)
    assert not found.ok and "Podman is not installed" in found.problem
