"""Small real Ruby projects, with the runners of the distribution's packages."""

from __future__ import annotations

from app.verify.verifier import DirectoryTree
from app.verify.verifiers import choose
from tests.verify.conftest import MakeProject, needs, outcomes, run

CODE = "def half(n) = n / 2\n"
SPEC = """
require_relative "../lib/half"
RSpec.describe "half" do
  it("halves (4)") { expect(half(4)).to eq 2 }
  xit("sleeps") { expect(half(4)).to eq 2 }
  describe "of <b> & \\"@octocat\\"" do
    it "is [wrong]" do
      expect(half(3)).to eq 2
    end
  end
end
"""
TEST = """
require "minitest/autorun"
require "half"
class HalfTest < Minitest::Test
  def test_halves = assert_equal(2, half(4))
  def test_sleeps = skip("tired")
  def test_wrong
    assert_equal 2, half(3)
  end
  def test_breaks = half(nil)
end
"""


async def test_rspec_reports_each_example_with_its_location(project: MakeProject) -> None:
    needs("ruby")
    result = await run(project({"lib/half.rb": CODE, "spec/half_spec.rb": SPEC}))
    assert (result.verifier, result.problem) == ("rspec", None)
    wrong = 'spec/half_spec.rb > half > of <b> & "@octocat" > is [wrong]'
    assert outcomes(result) == {
        "spec/half_spec.rb > half > halves (4)": "passed",
        "spec/half_spec.rb > half > sleeps": "skipped",
        wrong: "failed",
    }
    failed = next(test for test in result.tests if test.id == wrong)
    assert (failed.file, failed.line) == ("spec/half_spec.rb", 8)
    assert "expected: 2" in failed.details


async def test_minitest_reports_each_test_in_its_folder(project: MakeProject) -> None:
    needs("ruby")
    files = {"gems/half/lib/half.rb": CODE, "gems/half/test/half_test.rb": TEST}
    result = await run(project({**files, "gems/half/Rakefile": ""}))
    assert (result.verifier, result.problem) == ("minitest:gems/half", None)
    case = "gems/half/test/half_test.rb > HalfTest > "
    assert outcomes(result) == {
        f"{case}test_halves": "passed",
        f"{case}test_sleeps": "skipped",
        f"{case}test_wrong": "failed",
        f"{case}test_breaks": "failed",
    }
    failed = next(test for test in result.tests if test.id == f"{case}test_wrong")
    assert (failed.file, failed.line) == ("gems/half/test/half_test.rb", 8)


async def test_a_file_that_does_not_load_is_a_failure(project: MakeProject) -> None:
    needs("ruby")
    broken = {"spec/half_spec.rb": SPEC, "spec/other_spec.rb": "raise 'no'\n", "lib/half.rb": CODE}
    result = await run(project(broken))
    assert result.problem is not None
    assert not result.complete


async def test_minitest_without_tests_is_not_chosen(project: MakeProject) -> None:
    site = project({"test/half_test.rb": "require 'test/unit'\n", "Gemfile": ""})
    assert choose(None, DirectoryTree(site.spec.workspace)).verifiers == ()
