"""Ruby."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated, ToolchainSpec

ECOSYSTEM = Ecosystem(
    name="ruby",
    order=60,
    manifests=("Gemfile",),
    declared_names=(r"""(?m)^\s*\w+\.name\s*=\s*["']([^"'\n]{2,200})["']""",),
    lock_files={"Gemfile.lock": ("Gemfile",)},
    generated=(
        Generated(
            anywhere=(".bundle/",),
            beside=("vendor/bundle/", "coverage/"),
            manifests=("Gemfile",),
        ),
    ),
    dependency_files=("Gemfile", "Gemfile.lock", "*.gemspec", ".ruby-version"),
    fetch_commands={"bundle": ("install",)},
    toolchains=(
        ToolchainSpec(
            "ruby",
            program="ruby",
            marker="lib/ruby",
            parts=("bin", "include", "lib", "share"),
            caches={"GEM_HOME": "@/gems"},
        ),
    ),
    ca_variables=("BUNDLE_SSL_CA_CERT",),
    setup_environment={
        "BUNDLE_DISABLE_VERSION_CHECK": "true",
        "BUNDLE_IGNORE_FUNDING_REQUESTS": "true",
    },
    registry="bundler",
    test_paths={
        "rb": r"_spec\.rb$|_test\.rb$|(?:^|/)test_[^/]*\.rb$|(?:^|/)(?:spec|test)_helper\.rb$"
    },
    helper_paths=r"_helper\.rb$",
    test_folders=r"specs?|tests?|features",
    runners=frozenset({"ruby", "bundle", "rake", "rspec", "minitest"}),
    shadows=(
        r"(?:^|/)vendor/bundle/|(?:^|/)\.bundle/config$|(?:^|/)minitest/[^/]*_plugin\.rb$"
        r"|^(?:lib/|test/|spec/)?(?:rspec|minitest|bundler|rake)\.rb$"
    ),
    runner_config=r"(?:^|/)\.rspec$",
    runner_files=r"(?:^|/)(?:\.simplecov|\.rubocop_todo\.yml|Rakefile)$",
    lint_config=r"(?:^|/)\.rubocop\.yml$",
    command_files=r"(?:^|/)Rakefile$",
    config_formats={r"\.ruby-version": "toolchain"},
    verifiers=("ruby:RSpec", "ruby:Minitest"),
)
