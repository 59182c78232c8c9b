"""Go modules: one for each row of the table of recipes."""

from __future__ import annotations

from typing import Final

from tests.support.probe_fixtures import ProbeFixture

_MODULE = "module example.com/halves\n\ngo 1.21\n"
_REQUIRE = "\nrequire golang.org/x/text v0.14.0\n"
_CODE = (
    "package halves\n\nimport _ \"golang.org/x/text/language\"\n\n"
    "func Half(n int) int { return n / 2 }\n"
)  # fmt: skip
_PLAIN = "package halves\n\nfunc Half(n int) int { return n / 2 }\n"
_TEST = (
    'package halves\n\nimport "testing"\n\nfunc TestHalf(t *testing.T) {\n'
    "\tif Half(4) != 2 {\n\t\tt.Fatal(Half(4))\n\t}\n}\n"
)
_FILES = {"halves.go": _CODE, "halves_test.go": _TEST}
_TIDY = "go mod tidy"

FIXTURES: Final = (
    ProbeFixture(
        "go, a module",
        "go.mod",
        {**_FILES, "go.mod": _MODULE + _REQUIRE},
        prepare=(_TIDY,),
        tests=1,
        programs=("go",),
    ),
    ProbeFixture(
        "go, two modules",
        "go.mod: several modules",
        {
            **_FILES,
            "go.mod": _MODULE + _REQUIRE,
            **{f"b/{name}": text for name, text in _FILES.items()},
            "b/go.mod": _MODULE + _REQUIRE,
        },
        prepare=(_TIDY, "cd b && go mod tidy"),
        tests=2,
        programs=("go",),
    ),
    ProbeFixture(
        "go, a workspace",
        "go.work",
        {
            "go.work": "go 1.21\n\nuse (\n\t./a\n\t./b\n)\n",
            **{f"a/{name}": text for name, text in _FILES.items()},
            "a/go.mod": _MODULE + _REQUIRE,
            "b/halves.go": _PLAIN,
            "b/halves_test.go": _TEST,
            "b/go.mod": "module example.com/other\n\ngo 1.21\n",
        },
        prepare=("cd a && GOWORK=off go mod tidy",),
        tests=2,
        programs=("go",),
    ),
    ProbeFixture(
        "go, vendored",
        "vendor/",
        {**_FILES, "go.mod": _MODULE + _REQUIRE},
        prepare=(_TIDY, "go mod vendor"),
        tests=1,
        programs=("go",),
    ),
    ProbeFixture(
        "go, nothing required",
        "go.mod without requirements",
        {"go.mod": _MODULE, "halves.go": _PLAIN, "halves_test.go": _TEST},
        tests=1,
    ),
    ProbeFixture(
        "go, a newer toolchain",
        "toolchain from the module proxy",
        {
            "go.mod": "module example.com/halves\n\ngo 1.27.3\n",
            "halves.go": _PLAIN,
            "halves_test.go": _TEST,
        },
        tests=1,
    ),
    ProbeFixture(
        "go, no go.sum",
        "go.sum out of step",
        {**_FILES, "go.mod": _MODULE + _REQUIRE},
        tests=1,
    ),
    ProbeFixture(
        "go, a broken go.mod",
        "go.mod with syntax errors",
        {**_FILES, "go.mod": f"{_MODULE}\nrequire (\n\tgolang.org/x/text v0.14.0\n"},
        missing="go.mod",
    ),
    ProbeFixture(
        "go, a replacement outside of the repository",
        "replace by a folder",
        {
            **_FILES,
            "go.mod": f"{_MODULE}{_REQUIRE}\nreplace golang.org/x/text => ../text\n",
        },
        missing="../text",
    ),
    ProbeFixture(
        "go, a module that no proxy serves",
        "git dependency",
        {
            "go.mod": f"{_MODULE}\nrequire git.example.invalid/team/lib v1.0.0\n",
            "halves.go": _CODE.replace(
                "golang.org/x/text/language", "git.example.invalid/team/lib"
            ),
            "halves_test.go": _TEST,
        },
        missing="git.example.invalid/team/lib",
    ),
)
