"""What `honk doctor` says about a sandbox without one of its defenses."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.sandbox.bubblewrap import Bubblewrap, MakeFlags, Unsandboxed
from app.sandbox.checks import prove
from app.sandbox.seccomp import program
from app.sandbox.uid_pool import uid_pool_below
from tests.security.attempts.inside import inner, open_filter, with_flags, without_flags


async def _broken(sandbox: Bubblewrap | Unsandboxed) -> set[str]:
    return {each.promise for each in await prove(sandbox) if each.holds is False}


_LAST = ("--remount-ro", "/dev")


@pytest.mark.parametrize(
    ("flags", "promise"),
    [
        (without_flags("--unshare-net"), "no network"),
        (
            with_flags("--bind", "/tmp", "/tmp", *_LAST, instead_of=_LAST),
            "cannot see this machine's files",
        ),
        (without_flags("--clearenv"), ""),
    ],
)
async def test_a_missing_wall_is_found(flags: MakeFlags, promise: str, tmp_path: Path) -> None:
    broken = await _broken(
        Bubblewrap(uid_pool_below(tmp_path), flags=flags, inner=inner(scratch=[]))
    )
    if not promise:
        # Bubblewrap has no environment that it could hand on.
        assert broken == set()
    else:
        assert any(promise in each for each in broken), broken


async def test_a_missing_filter_is_found(tmp_path: Path) -> None:
    sandbox = Bubblewrap(uid_pool_below(tmp_path), filter_program=open_filter)
    assert await _broken(sandbox) == {"dangerous system calls are refused"}
    whole = Bubblewrap(uid_pool_below(tmp_path), filter_program=program)
    assert await _broken(whole) == set()


async def test_no_sandbox_is_no_sandbox() -> None:
    broken = await _broken(Unsandboxed())
    assert len(broken) >= 5, broken
