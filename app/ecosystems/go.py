"""Go."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated, ToolchainSpec

# `go test` also vets, for which it needs facts about every package that is imported.
_BUILD_STANDARD_LIBRARY = """
set -eu
go build std
cd "$(mktemp -d)"
echo 'module std.invalid/imports' > go.mod
{
  echo 'package imports'
  go list std | grep -Ev '(^|/)(internal|vendor)(/|$)|^runtime/' | sed 's|.*|import _ "&"|'
} > imports_test.go
go test -count=1 -exec=true .
"""

ECOSYSTEM = Ecosystem(
    name="go",
    order=30,
    manifests=("go.mod",),
    declared_names=(r"(?m)^module\s+(\S{2,200})",),
    lock_files={"go.sum": ("go.mod", "go.work")},
    generated=(Generated(beside=("*.test", "coverage.out", "cover.out"), manifests=("go.mod",)),),
    dependency_files=("go.mod", "go.sum", "go.work", "go.work.sum"),
    fetch_commands={"go": ("mod download", "mod verify")},
    toolchains=(
        ToolchainSpec(
            "go",
            program="go",
            ask=("env", "GOROOT"),
            version=("version",),
            marker="bin/go",
            parts=("bin", "pkg", "src", "lib", "VERSION"),
            caches={"GOMODCACHE": "@/go-mod", "GOCACHE": "@/go-build"},
            # Use the installed version, and do not ask git for a version stamp.
            set={"GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", "GOTELEMETRY": "off"},
            well_known=("/usr/local/go/bin",),
            build_outputs=("GOCACHE", _BUILD_STANDARD_LIBRARY),
        ),
    ),
    # Modules must come from the module proxy, not from version control.
    setup_environment={"GOVCS": "*:off"},
    registry="go",
    suffixes={"go": "go:GoReader"},
    test_paths={"go": r"_test\.go$"},
    test_folders=r"testdata",
    runners=frozenset({"go"}),
    lint_config=r"(?:^|/)\.golangci\.ya?ml$",
    config_formats={r"go\.mod": "go_mod"},
    verifiers=("go:Go",),
    checks=("gofmt:Gofmt",),
)
