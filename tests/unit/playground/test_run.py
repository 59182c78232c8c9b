"""What the playground passes to the product that it starts."""

from __future__ import annotations

from app.playground.run import network_settings


def test_what_the_network_asks_for_reaches_the_product() -> None:
    given = {
        "HONK_EGRESS_NETWORKS": "10.0.0.0/8",
        "https_proxy": "http://proxy:3128",
        "NO_PROXY": "corp.test",
        "HONK_CA_BUNDLE": "/ca.pem",
        "DATABASE_URL": "postgresql://other",
        "GITHUB_APP_ID": "7",
    }
    assert list(network_settings(given)) == [
        "HONK_EGRESS_NETWORKS",
        "https_proxy",
        "NO_PROXY",
        "HONK_CA_BUNDLE",
    ]
