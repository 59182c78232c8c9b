"""The sandbox that the operator chose, or a refusal that says what to set."""

from __future__ import annotations

import pytest

from app.errors import UserError
from app.sandbox.bubblewrap import Unsandboxed
from app.sandbox.factory import chosen_sandbox
from app.settings import Settings


async def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="Unknown sandbox `hope`") as refused:
        await chosen_sandbox(Settings(_env_file=None, HONK_SANDBOX="hope"))
    assert refused.value.next_step == "Set HONK_SANDBOX to one of: bubblewrap, container, none."


async def test_no_sandbox_needs_a_second_setting() -> None:
    with pytest.raises(UserError, match="HONK_SANDBOX=none"):
        await chosen_sandbox(Settings(_env_file=None, HONK_SANDBOX="none"))
    allowed = Settings(_env_file=None, HONK_SANDBOX="none", HONK_ALLOW_UNSANDBOXED="yes")
    assert isinstance(await chosen_sandbox(allowed), Unsandboxed)


async def test_a_container_needs_an_image() -> None:
    with pytest.raises(UserError, match="HONK_IMAGE is not set"):
        await chosen_sandbox(Settings(_env_file=None, HONK_SANDBOX="container"))
