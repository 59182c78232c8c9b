"""PHP."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated

ECOSYSTEM = Ecosystem(
    name="php",
    lock_files={"composer.lock": ("composer.json",)},
    mixed={r"composer\.lock": "composer_lock"},
    ca_variables=("COMPOSER_CAFILE",),
    setup_environment={"COMPOSER_NO_AUDIT": "1", "COMPOSER_FUND": "0"},
    registry="composer",
    test_paths={"php": r"Test\.php$"},
    test_folders=r"[tT]ests?",
    runner_files=r"(?:^|/)(?:phpunit\.xml(?:\.dist)?|phpstan\.neon(?:\.dist)?)$",
    generated=(
        Generated(
            anywhere=(".phpunit.cache/", ".phpunit.result.cache"),
            beside=("vendor/",),
            manifests=("composer.json",),
        ),
    ),
)
