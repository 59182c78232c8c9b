"""Haskell."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated

ECOSYSTEM = Ecosystem(
    name="haskell",
    generated=(Generated(anywhere=(".stack-work/", "dist-newstyle/")),),
)
