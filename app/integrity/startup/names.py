"""Names of modules and packages that run or judge tests, by language."""

from __future__ import annotations

import re

PYTHON_MODULES = re.compile(
    r"(?:_pytest|pluggy|pytest|xdist|nose2?|unittest\.(?:case|loader|main|result|runner|suite"
    r"|async_case))(?:\.|$)"
)
"""Modules that product code has no reason to import."""

PYTHON_OWNERS = re.compile(
    r"(?:unittest|_?pytest|pluggy|builtins|__builtins__|doctest|xdist|nose2?)(?:[.\[]|$)"
    r"|(?:xml|inspect|ast|operator|linecache|difflib)\.|os\.(?!environ)"
)
"""Modules that run tests, compare or report: product code has no reason to set their attributes."""

NODE_MODULES = re.compile(
    r"(?:@jest/|jest(?:-|$)|@vitest/|vitest(?:/|$)|mocha(?:/|$)|chai(?:/|$)|node:test(?:/|$)"
    r"|ava$|expect$|sinon$|@playwright/test|tap$|uvu(?:/|$))"
)

JAVA_PACKAGES = re.compile(r"org\.(?:junit|testng|assertj|hamcrest|mockito)\b|junit\.framework\b")

ASSERTERS = re.compile(
    r"^(?:pytest(?:-.+)?|pluggy|unittest2|nose2?|hypothesis|coverage|assertpy|sure"
    r"|@?jest(?:[-/].+)?|@?vitest(?:/.+)?|mocha|chai(?:-.+)?|ava|tap|expect(?:\..+)?|should|sinon"
    r"|@testing-library/.+"
    r"|github\.com/(?:stretchr/testify|onsi/(?:gomega|ginkgo)(?:/v2)?|google/go-cmp"
    r"|frankban/quicktest|matryer/is)|gotest\.tools(?:/v3)?|gopkg\.in/check\.v1"
    r"|pretty_assertions|assert_matches|insta|proptest|quickcheck|rstest|assert_cmd|libtest-mimic"
    r"|(?:junit|testng|assertj|hamcrest|mockito|surefire)[\w-]*"
    r"|rspec(?:-.+)?|minitest|test-unit)$"
)
"""Packages of runners and assertions, as dependencies name them."""

PYTHON_SHADOWS = ("pytest", "_pytest", "unittest", "pluggy", "doctest", "xdist", "coverage")
"""Modules that a folder on the path could hold instead."""
