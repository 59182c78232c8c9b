"""Cargo packages: one for each row of the table of recipes."""

from __future__ import annotations

from typing import Final

from tests.support.probe_fixtures import ProbeFixture

_PACKAGE = '[package]\nname = "halves"\nversion = "1.0.0"\nedition = "2021"\n'
_REQUIRES = f'{_PACKAGE}\n[dependencies]\nitoa = "1"\n'
_CODE = (
    "pub fn half(n: u32) -> u32 {\n    itoa::Buffer::new().format(n / 2).parse().unwrap()\n}\n\n"
    "#[cfg(test)]\nmod tests {\n    #[test]\n    fn halves() {\n"
    "        assert_eq!(super::half(4), 2);\n    }\n}\n"
)
_FILES = {"src/lib.rs": _CODE, ".gitignore": "target/\n"}
_LOCK = "cargo generate-lockfile"

FIXTURES: Final = (
    ProbeFixture("cargo, no lock", "Cargo.toml", {**_FILES, "Cargo.toml": _REQUIRES}, tests=1),
    ProbeFixture(
        "cargo, a lock",
        "Cargo.lock",
        {**_FILES, "Cargo.toml": _REQUIRES},
        prepare=(_LOCK,),
        tests=1,
        programs=("cargo",),
    ),
    ProbeFixture(
        "cargo, a lock out of step",
        "Cargo.lock: mismatch",
        {
            **_FILES,
            "Cargo.toml": _REQUIRES,
            "Cargo.lock": 'version = 3\n\n[[package]]\nname = "halves"\nversion = "1.0.0"\n',
        },
        tests=1,
    ),
    ProbeFixture(
        "cargo, a workspace",
        "[workspace]",
        {
            "Cargo.toml": '[workspace]\nmembers = ["a"]\nresolver = "2"\n',
            "a/Cargo.toml": _REQUIRES,
            "a/src/lib.rs": _CODE,
            ".gitignore": "target/\n",
        },
        tests=1,
    ),
    ProbeFixture(
        "cargo, features that exclude each other",
        "not --all-features",
        {
            **_FILES,
            "Cargo.toml": f"{_REQUIRES}\n[features]\na = []\nb = []\n",
            "src/lib.rs": '#[cfg(all(feature = "a", feature = "b"))]\n'
            f'compile_error!("a or b, not both");\n\n{_CODE}',
        },
        tests=1,
    ),
    ProbeFixture(
        "cargo, a channel that is not installed",
        "rust-toolchain.toml",
        {
            **_FILES,
            "Cargo.toml": _REQUIRES,
            "rust-toolchain.toml": '[toolchain]\nchannel = "1.80.1"\n',
        },
        tests=1,
    ),
    ProbeFixture(
        "cargo, a broken manifest",
        "Cargo.toml with syntax errors",
        {**_FILES, "Cargo.toml": "[package\n"},
        missing="Cargo.toml",
    ),
    ProbeFixture(
        "cargo, a git dependency",
        "git dependency",
        {
            **_FILES,
            "Cargo.toml": f'{_PACKAGE}\n[dependencies]\nitoa = {{git = "https://git.example.invalid/itoa"}}\n',
        },
        missing="git.example.invalid",
    ),
)
