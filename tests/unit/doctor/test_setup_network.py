"""What doctor reports about setup's network access."""

from __future__ import annotations

import pytest

from app.doctor import setup_network
from app.settings import Settings


@pytest.mark.parametrize(
    ("setting", "said", "good"),
    [
        ("registries", "HONK_SETUP_NETWORK=policy or none allows less", True),
        ("policy", "`network.allow`", True),
        ("none", "has no network", None),
    ],
)
def test_every_setting_is_explained(setting: str, said: str, good: bool | None) -> None:
    assert setting in str(Settings.model_fields["setup_network"].annotation)
    found = setup_network(setting)
    assert said in found.told
    assert found.good is good
