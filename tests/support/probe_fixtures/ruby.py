"""Gemfiles: one for each row of the table of recipes."""

from __future__ import annotations

from typing import Final

from tests.support.probe_fixtures import ProbeFixture

_FILES = {
    "lib/halves.rb": "def half(n) = n / 2\n",
    "spec/halves_spec.rb": 'require_relative "../lib/halves"\n\n'
    'RSpec.describe "half" do\n  it("halves") { expect(half(4)).to eq(2) }\nend\n',
}

FIXTURES: Final = (
    ProbeFixture(
        "bundler, a lock",
        "Gemfile.lock",
        _FILES,
        prepare=("bundle init && bundle add rspec",),
        tests=1,
        programs=("bundle",),
    ),
    ProbeFixture(
        "bundler, no lock",
        "Gemfile",
        _FILES,
        prepare=("bundle init && bundle add rspec && rm -f Gemfile.lock",),
        tests=1,
        programs=("bundle",),
    ),
)
