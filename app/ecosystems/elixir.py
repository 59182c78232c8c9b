"""Elixir."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated

ECOSYSTEM = Ecosystem(
    name="elixir",
    lock_files={"mix.lock": ("mix.exs",)},
    generated=(Generated(beside=("_build/", "deps/", "cover/"), manifests=("mix.exs",)),),
)
