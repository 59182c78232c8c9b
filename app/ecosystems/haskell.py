"""Haskell."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated

ECOSYSTEM = Ecosystem(
    name="haskell",
    recognized_by=("*.cabal", "stack.yaml"),
    generated=(Generated(anywhere=(".stack-work/", "dist-newstyle/")),),
)
