"""What each tool prints, as its versions print it, and what Honk reads in it."""

from __future__ import annotations

import pytest

from app.sandbox.spec import Completed
from app.verify.verifier import DirectoryTree
from app.verify.verifiers import choose
from app.verify.verifiers.checks import LintCheck
from app.verify.verifiers.clippy import Clippy
from app.verify.verifiers.gofmt import Gofmt
from app.verify.verifiers.mypy import Mypy
from app.verify.verifiers.prettier import Prettier
from app.verify.verifiers.ruff import RuffFormat
from app.verify.verifiers.tsc import Tsc
from tests.unit.verify.conftest import MakeSite

Told = tuple[str | None, int | None, str]

CLIPPY = (
    b'{"reason":"compiler-artifact","fresh":false}\n'
    + 2
    * (
        b'{"reason":"compiler-message","message":{"level":"warning","message":"needless return",'
        b'"code":{"code":"clippy::needless_return"},"spans":[{"file_name":"src/lib.rs",'
        b'"line_start":2,"is_primary":true}]}}\n'
    )
    + b'{"reason":"compiler-message","message":{"level":"warning","message":"unused variable",'
    b'"code":{"code":"unused_variables"},"spans":[]}}\n'
    b'{"reason":"build-finished","success":true}\n'
)
OLD_RUFF = b"Would reformat: a.py\n1 file would be reformatted\n"
NEW_RUFF = b"unformatted: File would be reformatted\n --> a.py:3:5\n  |\n  - x = ( 1 )\n"
TSC = b"src/a.ts(3,5): error TS2322: No.\nerror TS18003: No inputs.\n"


@pytest.mark.parametrize(
    ("tool", "code", "report", "told"),
    [
        (Clippy(), 0, CLIPPY, [("src/lib.rs", 2, "needless return (clippy::needless_return)")]),
        (Gofmt(), 0, b"a.go\nvendor/b.go\n", [("a.go", None, "is not formatted")]),
        (RuffFormat(), 1, OLD_RUFF, [("a.py", None, "is not formatted")]),
        (RuffFormat(), 1, NEW_RUFF, [("a.py", 3, "is not formatted")]),
        (Prettier(folder="web"), 1, b"a.js\n", [("web/a.js", None, "is not formatted")]),
        (Mypy(), 1, b"a.py:3: error: No  [x-y]\na.py:3: note: n\n", [("a.py", 3, "No (x-y)")]),
        (Tsc(), 2, TSC, [("src/a.ts", 3, "No. (TS2322)"), ("tsconfig.json", None, "")]),
    ],
)
def test_findings_have_file_and_line(
    tool: LintCheck, code: int, report: bytes, told: list[Told]
) -> None:
    result = tool.parse(Completed(code, b"", 0, False, None, 1.0), {"findings": report})
    found = [(test.file, test.line, test.message) for test in result.tests]
    assert [each[:2] for each in found] == [each[:2] for each in told]
    assert all(said[2].startswith(wanted[2]) for said, wanted in zip(found, told, strict=True))


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({"pyproject.toml": "[tool.ruff]\n"}, ["ruff"]),
        ({"pyproject.toml": "[tool.ruff.lint]\n[tool.ruff.format]\n"}, ["ruff", "ruff-format"]),
        ({"pyproject.toml": "[tool.black]\n", "setup.cfg": "[flake8]\n"}, []),
        ({"setup.cfg": "[mypy]\n"}, ["mypy"]),
        ({"ruff.toml": "", "lib/ruff.toml": ""}, ["ruff"]),
        ({"a/eslint.config.js": "", "b/.eslintrc.json": ""}, ["eslint:a", "eslint:b"]),
        ({"package.json": '{\n  "prettier": "^3.0.0"\n}'}, []),
        ({"package.json": '{\n  "prettier": {}\n}'}, ["prettier"]),
        ({"go.mod": "module x\n"}, []),
        ({"go.mod": "module x\n", "Makefile": "fmt:\n\tgofmt -l .\n"}, ["gofmt"]),
        ({"Cargo.toml": "[package]\n[lints.clippy]\n"}, ["cargo", "clippy"]),
        (
            {"Cargo.toml": "[package]\n", ".github/workflows/a.yml": "run: cargo clippy"},
            ["cargo", "clippy"],
        ),
    ],
)
def test_a_tool_is_asked_where_it_is_configured(
    checkout: MakeSite, files: dict[str, str], names: list[str]
) -> None:
    found = choose(None, DirectoryTree(checkout(files).spec.workspace)).verifiers
    assert [f"{each.name}:{each.folder}".rstrip(":") for each in found] == names


def test_mypy_looks_at_what_its_configuration_names(checkout: MakeSite) -> None:
    def files_of(text: str) -> list[tuple[str, ...]]:
        tree = DirectoryTree(checkout({"pyproject.toml": text}).spec.workspace)
        return [found.files for found in Mypy.detect(tree)]

    assert files_of("[tool.mypy]\nstrict = true\n[tool.other]\nfiles = 1\n") == [(".",)]
    assert files_of('[tool.mypy]\nfiles = ["a"]\n') == [()]
