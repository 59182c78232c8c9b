"""Real formatters, linters and type checkers over small projects that configure them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.verdict import Results, compare
from app.sandbox.spec import WORKSPACE, Mount
from app.verify.runner import VerifySite, verify
from tests.verify.conftest import PIP, SHA, MakeProject, fetched, found, needs

PYPROJECT = """
[tool.ruff]
lint.select = ["F"]

[tool.ruff.format]

[tool.mypy]
strict = true
"""
PYTHON = {
    "pyproject.toml": PYPROJECT,
    "a.py": "import os\n\n\ndef half(n: int) -> int:\n    return n / 2\n",
    "b.py": "x = ( 1 )\n",
}
FOUND_IN_PYTHON = {
    "ruff": [("a.py", 1, "`os` imported but unused (F401)")],
    "ruff-format": [("b.py", 1, "is not formatted")],
}
JAVASCRIPT = {
    "package.json": '{\n  "type": "module"\n}\n',
    "eslint.config.js": 'export default [{ rules: { "no-undef": "error", "no-var": "warn" } }];\n',
    ".prettierrc": "{}\n",
    "tsconfig.json": '{ "compilerOptions": { "strict": true }, "include": ["*.ts"] }\n',
    "a.js": "var a = b;\n",
    "c.ts": 'export const c: number = "1";\n',
    "d.js": "const d  =  1\n",
}
FOUND_IN_JAVASCRIPT = {
    "eslint": [("a.js", 1, "'b' is not defined. (no-undef)")],
    "prettier": [("d.js", None, "is not formatted")],
    "tsc": [("c.ts", 1, "Type 'string' is not assignable to type 'number'. (TS2322)")],
}
Told = dict[str, list[tuple[str | None, int | None, str]]]


async def checked(site: VerifySite) -> Results:
    return await verify(site, found(site), SHA)


def told(results: Results) -> Told:
    return {
        result.verifier: [(test.file, test.line, test.message) for test in result.tests]
        for result in results.verifiers
    }


@pytest.mark.slow
async def test_ruff_and_mypy(project: MakeProject) -> None:
    words = [*PIP, "download", "-d", "@", "ruff", "mypy"]
    site = project(PYTHON, mounts={"linters": fetched("linters", words)})
    install = ".venv/bin/pip install -q --no-index --find-links /opt/linters ruff mypy"
    made = await site.sandbox.run(
        site.spec, ["bash", "-euc", f"python3 -m venv .venv && {install}"]
    )
    assert made.ok, made.text
    results = await checked(site)
    assert {result.kind for result in results.verifiers} == {"checks"}
    said = told(results)
    (mypy,) = said.pop("mypy")
    assert said == FOUND_IN_PYTHON
    assert mypy[:2] == ("a.py", 5)
    assert "Incompatible return value type" in mypy[2]


@pytest.mark.slow
async def test_eslint_prettier_and_tsc_before_and_after(project: MakeProject) -> None:
    needs("node")
    options = ("--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--silent")
    words = ["npm", "install", "--prefix", "@", *options, "eslint", "prettier", "typescript"]
    modules = Mount(fetched("eslint-tsc", words) / "node_modules", f"{WORKSPACE}/node_modules")

    async def results_of(**changed: str) -> Results:
        site = project({**JAVASCRIPT, **changed})
        spec = replace(site.spec, mounts=(*site.spec.mounts, modules))
        return await checked(replace(site, spec=spec))

    before = await results_of()
    assert told(before) == FOUND_IN_JAVASCRIPT
    above = {"a.js": "const e = 1;\nexport const f = e;\nvar a = b;\n"}
    fixed = {"c.ts": 'export const c: string = "1";\n', "d.js": "const d = e;\n"}
    checks = compare(before, await results_of(**above, **fixed)).checks
    assert [(each.file, each.line, each.message) for each in checks.new_failures] == [
        ("d.js", 1, "'e' is not defined. (no-undef)")
    ]
    assert [(each.file, each.line) for each in checks.still_failing] == [("a.js", 3)]
    assert {each.file for each in checks.fixed} == {"c.ts", "d.js"}
    assert checks.passed == 2


async def test_a_tool_that_is_not_installed_is_reported_as_missing(
    project: MakeProject,
) -> None:
    results = await checked(project({"tsconfig.json": "{}"}))
    (result,) = results.verifiers
    assert result.note == "tsc is configured but not installed in the project's environment"
