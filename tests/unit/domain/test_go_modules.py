"""Which modules a repository's own files name."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from app.domain.go_modules import go_modules

GO_MOD = """module example.com/a // v9.9.9

go 1.22.0
toolchain go1.22.1

require github.com/one/One v1.2.3
require (
	github.com/two/two/v2 v2.0.0-20240101000000-0123456789ab // indirect
	"example.org/quoted" v0.1.0+incompatible
)
exclude github.com/bad/bad v1.0.0
exclude (
	github.com/worse/worse v1.0.0
)
replace github.com/one/One v1.2.3 => github.com/fork/one v1.2.4
replace example.com/local => ./local
retract v1.0.0
"""
GO_SUM = """github.com/deep/deep v1.0.0 h1:aaaa=
github.com/deeper/deeper v1.1.0/go.mod h1:bbbb=
nonsense
"""


def test_go_mod_and_go_sum() -> None:
    assert go_modules([GO_MOD, GO_SUM]) == {
        "github.com/one/One@v1.2.3",
        "github.com/two/two/v2@v2.0.0-20240101000000-0123456789ab",
        "example.org/quoted@v0.1.0+incompatible",
        "github.com/fork/one@v1.2.4",
        "github.com/deep/deep@v1.0.0",
        "github.com/deeper/deeper@v1.1.0",
    }


@given(st.lists(st.one_of(st.text(), st.from_regex(r"(require |replace )?\S{0,9} v\S{0,9}"))))
def test_whatever_the_files_hold_a_module_has_a_plain_form(texts: list[str]) -> None:
    for module in go_modules(texts):
        assert re.fullmatch(r"[A-Za-z0-9._~/-]+@v[A-Za-z0-9.+-]+", module)
