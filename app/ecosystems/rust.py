"""Rust."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated, ToolchainSpec

ECOSYSTEM = Ecosystem(
    name="rust",
    order=40,
    manifests=("Cargo.toml",),
    declared_names=(r"""(?m)^\s*name\s*=\s*["']([^"'\n]{2,200})["']""",),
    lock_files={"Cargo.lock": ("Cargo.toml",)},
    generated=(Generated(anywhere=("*.rs.bk",), beside=("target/",), manifests=("Cargo.toml",)),),
    dependency_files=(
        *("Cargo.toml", "Cargo.lock", "rust-toolchain", "rust-toolchain.toml", ".cargo/config*"),
    ),
    fetch_commands={"cargo": ("fetch",)},
    toolchains=(
        # The targets of rustup's proxies in ~/.cargo/bin: that folder also contains credentials.
        ToolchainSpec(
            "rust",
            program="rustc",
            ask=("--print", "sysroot"),
            marker="bin/cargo",
            parts=("",),
            caches={"CARGO_HOME": "@/cargo"},
            well_known=("~/.cargo/bin",),
        ),
    ),
    proxy_variables=("CARGO_HTTP_PROXY",),
    ca_variables=("CARGO_HTTP_CAINFO",),
    # Seconds: the proxy may wait for a registry that is busy.
    setup_environment={"CARGO_HTTP_TIMEOUT": "180"},
    registry="cargo",
    suffixes={"rs": "rust:RustReader"},
    # Tests live beside the code that they test.
    test_paths={"rs": r"\.rs$"},
    test_folders=r"tests|benches|snapshots",
    runners=frozenset({"cargo", "rustc"}),
    shadows=r"(?:^|/)\.cargo/config(?:\.toml)?$",
    runner_config=r"(?:^|/)nextest\.toml$",
    runner_files=r"(?:^|/)\.cargo/(?:config(?:\.toml)?|mutants\.toml)$|(?:^|/)tarpaulin\.toml$",
    mixed={r"Cargo\.toml": "cargo", r".*\.rs": "rust"},
    lint_config=r"(?:^|/)\.?clippy\.toml$",
    config_formats={r"Cargo\.toml|rust-toolchain\.toml": "toml", r"rust-toolchain": "toolchain"},
    verifiers=("cargo:Cargo",),
    checks=("clippy:Clippy",),
    named_verifiers=("cargo:Nextest",),
)
