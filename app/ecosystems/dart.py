"""Dart."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated

ECOSYSTEM = Ecosystem(
    name="dart",
    recognized_by=("pubspec.yaml",),
    test_paths={"dart": r"_test\.dart$"},
    test_folders=r"test|integration_test",
    generated=(Generated(anywhere=(".dart_tool/",)),),
)
