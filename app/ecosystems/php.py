"""PHP."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated

ECOSYSTEM = Ecosystem(
    name="php",
    lock_files={"composer.lock": ("composer.json",)},
    generated=(
        Generated(
            anywhere=(".phpunit.cache/", ".phpunit.result.cache"),
            beside=("vendor/",),
            manifests=("composer.json",),
        ),
    ),
)
