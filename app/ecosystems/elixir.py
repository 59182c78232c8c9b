"""Elixir."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated

ECOSYSTEM = Ecosystem(
    name="elixir",
    lock_files={"mix.lock": ("mix.exs",)},
    ca_variables=("HEX_CACERTS_PATH",),
    setup_environment={"HEX_NO_VERSION_CHECK": "1"},
    registry="hex",
    test_paths={"exs": r"_test\.exs$|(?:^|/)test_helper\.exs$"},
    helper_paths=r"(?:^|/)test_helper\.exs$",
    test_folders=r"test",
    generated=(Generated(beside=("_build/", "deps/", "cover/"), manifests=("mix.exs",)),),
)
