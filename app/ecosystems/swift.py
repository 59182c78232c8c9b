"""Swift."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated

ECOSYSTEM = Ecosystem(
    name="swift",
    generated=(Generated(beside=(".build/",), manifests=("Package.swift",)),),
)
