"""Nix."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem

ECOSYSTEM = Ecosystem(
    name="nix",
    lock_files={"flake.lock": ("flake.nix",)},
)
