"""Swift."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated

ECOSYSTEM = Ecosystem(
    name="swift",
    test_paths={"swift": r"(?:^|/)Tests/.*\.swift$|Tests?\.swift$"},
    test_folders=r"Tests",
    generated=(Generated(beside=(".build/",), manifests=("Package.swift",)),),
)
