"""Ruby."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated

ECOSYSTEM = Ecosystem(
    name="ruby",
    order=60,
    lock_files={"Gemfile.lock": ("Gemfile",)},
    generated=(
        Generated(
            anywhere=(".bundle/",),
            beside=("vendor/bundle/", "coverage/"),
            manifests=("Gemfile",),
        ),
    ),
    lint_config=r"(?:^|/)\.rubocop\.yml$",
    command_files=r"(?:^|/)Rakefile$",
)
