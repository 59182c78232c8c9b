"""Groups for sandboxes, in a folder that looks like a delegated cgroup v2."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.sandbox.cgroups import Groups


@pytest.fixture(name="mount")
def _mount(tmp_path: Path) -> Path:
    mount = tmp_path / "cgroup"
    unit = mount / "system.slice" / "honk.service"
    unit.mkdir(parents=True)
    (mount / "cgroup.controllers").write_text("cpu memory pids\n")
    (unit / "cgroup.controllers").write_text("cpu memory pids\n")
    (unit / "cgroup.type").write_text("domain\n")
    (unit / "cgroup.procs").write_text(f"{os.getpid()}\n")
    (unit / "cgroup.subtree_control").write_text("")
    os.setxattr(unit, "user.delegate", b"1")
    return mount


def _own(tmp_path: Path, group: str = "/system.slice/honk.service") -> Path:
    own = tmp_path / "own"
    own.write_text(f"4:memory:/old\n0::{group}\n")
    return own


def test_a_sandbox_has_its_limits(mount: Path, tmp_path: Path) -> None:
    groups = Groups.delegated(mount, _own(tmp_path))
    assert groups is not None
    unit = mount / "system.slice" / "honk.service"
    assert (unit / "honk-worker" / "cgroup.procs").read_text() == str(os.getpid())
    assert (unit / "cgroup.subtree_control").read_text() == "+memory +pids"
    group = groups.make(1 << 30, 100)
    group.add(17)
    found = {path.name: path.read_text() for path in group.path.iterdir()}
    assert found == {
        "memory.max": str(1 << 30),
        "memory.oom.group": "1",
        "memory.swap.max": "0",
        "pids.max": "164",
        "cgroup.procs": "17",
    }
    calm = group.ran_out
    (group.path / "memory.events").write_text("low 0\nmax 9\noom 1\noom_kill 2\n")
    assert (calm, group.ran_out) == (False, True)
    for path in group.path.iterdir():
        path.unlink()
    group.remove()
    assert not group.path.exists()


def test_a_worker_that_has_moved_finds_its_group(mount: Path, tmp_path: Path) -> None:
    assert Groups.delegated(mount, _own(tmp_path)) is not None
    (mount / "system.slice" / "honk.service" / "cgroup.procs").write_text("")
    again = _own(tmp_path, "/system.slice/honk.service/honk-worker")
    assert Groups.delegated(mount, again) is not None


@pytest.mark.parametrize("missing", ["delegation", "memory", "alone", "version 2", "type"])
def test_what_is_not_delegated_is_left_alone(mount: Path, tmp_path: Path, missing: str) -> None:
    unit = mount / "system.slice" / "honk.service"
    if missing == "delegation":
        os.setxattr(unit, "user.delegate", b"0")
        if os.geteuid() != 0:
            return
    elif missing == "memory":
        (unit / "cgroup.controllers").write_text("cpu pids\n")
    elif missing == "alone":
        (unit / "cgroup.procs").write_text(f"1\n{os.getpid()}\n")
    elif missing == "version 2":
        (mount / "cgroup.controllers").unlink()
    else:
        (unit / "cgroup.type").unlink()
    assert Groups.delegated(mount, _own(tmp_path)) is None
    assert not (unit / "honk-worker").exists()
