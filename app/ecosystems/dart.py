"""Dart."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated

ECOSYSTEM = Ecosystem(
    name="dart",
    generated=(Generated(anywhere=(".dart_tool/",)),),
)
