"""Node packages: one for each row of the table of recipes."""

from __future__ import annotations

import json
from typing import Final

from tests.support.probe_fixtures import ProbeFixture

_CODE = "const ms = require('ms');\nexports.half = (n) => { ms('1s'); return n / 2; };\n"
_TEST = (
    "const test = require('node:test');\nconst assert = require('node:assert');\n"
    "const { half } = require('../halves');\n\ntest('half', () => assert.equal(half(4), 2));\n"
)
_FILES = {"halves.js": _CODE, "test/halves.test.js": _TEST, ".gitignore": "node_modules/\n"}


def _package(**more: object) -> str:
    plain = {
        "name": "halves",
        "version": "1.0.0",
        "scripts": {"test": "node --test"},
        "dependencies": {"ms": "2.1.3"},
    }
    return json.dumps({**plain, **more}, indent=2)


_MOCHA = {
    **_FILES,
    "test/halves.test.js": "const assert = require('assert');\n"
    "const { half } = require('../halves');\n"
    "describe('half', () => { it('halves', () => assert.equal(half(4), 2)); });\n",
}

FIXTURES: Final = (
    ProbeFixture("node, no lock", "no lock", {**_FILES, "package.json": _package()}, tests=1),
    ProbeFixture(
        "node, package-lock.json",
        "package-lock.json",
        {**_FILES, "package.json": _package()},
        prepare=("npm install --package-lock-only --no-audit --no-fund",),
        tests=1,
        programs=("npm",),
    ),
    ProbeFixture(
        "node, a lock out of step",
        "package-lock.json: mismatch",
        {
            **_FILES,
            "package.json": _package(),
            "package-lock.json": json.dumps(
                {
                    "name": "halves",
                    "version": "1.0.0",
                    "lockfileVersion": 3,
                    "packages": {"": {"name": "halves", "version": "1.0.0"}},
                }
            ),
        },
        tests=1,
    ),
    ProbeFixture(
        "node, pnpm by its pin",
        "packageManager",
        {**_FILES, "package.json": _package(packageManager="pnpm@9.15.0")},
        tests=1,
    ),
    ProbeFixture(
        "node, pnpm by its lock",
        "pnpm-lock.yaml",
        {
            **_FILES,
            "package.json": _package(),
            "pnpm-lock.yaml": "lockfileVersion: '9.0'\n\nimporters:\n\n  .:\n    dependencies:\n"
            "      ms:\n        specifier: 2.1.2\n        version: 2.1.2\n",
        },
        tests=1,
    ),
    ProbeFixture(
        "node, Yarn 1",
        "other yarn.lock",
        {**_FILES, "package.json": _package(), "yarn.lock": "# yarn lockfile v1\n\n\n"},
        tests=1,
    ),
    ProbeFixture(
        "node, Yarn 4",
        "yarn.lock with __metadata",
        {
            **_FILES,
            "package.json": _package(packageManager="yarn@4.5.0"),
            "yarn.lock": "__metadata:\n  version: 8\n  cacheKey: 10c0\n",
        },
        tests=1,
    ),
    ProbeFixture(
        "node, Bun's lock",
        "bun.lock",
        {
            **_FILES,
            "package.json": _package(),
            "bun.lock": '{\n  "lockfileVersion": 1,\n  "workspaces": {"": {"name": "halves"}},\n'
            '  "packages": {}\n}\n',
        },
        tests=1,
    ),
    ProbeFixture(
        "node, a workspace with a build",
        "workspaces",
        {
            ".gitignore": "node_modules/\ndist/\n",
            "package.json": json.dumps(
                {"name": "all", "private": True, "workspaces": ["packages/*"]}
            ),
            "packages/core/package.json": _package(
                name="@halves/core",
                main="dist/index.js",
                scripts={"build": "node build.js"},
            ),
            "packages/core/build.js": "const fs = require('fs');\n"
            "fs.mkdirSync('dist', { recursive: true });\n"
            "fs.copyFileSync('index.js', 'dist/index.js');\n",
            "packages/core/index.js": _CODE,
            "packages/app/package.json": _package(
                name="@halves/app", dependencies={"@halves/core": "1.0.0"}
            ),
            "packages/app/test/app.test.js": _TEST.replace("'../halves'", "'@halves/core'"),
        },
        tests=1,
    ),
    ProbeFixture(
        "node, a linter before the tests",
        "scripts that lint first",
        {
            **_MOCHA,
            "package.json": _package(
                scripts={"test": "npm run lint && mocha", "lint": "exit 1"},
                devDependencies={"mocha": "^10"},
            ),
        },
        tests=1,
    ),
    ProbeFixture(
        "node, mocha",
        "a runner from its registry",
        {
            **_MOCHA,
            "package.json": _package(scripts={"test": "mocha"}, devDependencies={"mocha": "^10"}),
        },
        tests=1,
    ),
    ProbeFixture(
        "node, another version of Node",
        ".nvmrc",
        {**_FILES, "package.json": _package(), ".nvmrc": "22\n"},
        tests=1,
    ),
    ProbeFixture(
        "node, a range of versions",
        "engines",
        {**_FILES, "package.json": _package(engines={"node": "^22 || >=24"})},
        tests=1,
    ),
    ProbeFixture(
        "node, a package in a folder",
        "per folder with a manifest",
        {
            "web/package.json": _package(),
            "web/halves.js": _CODE,
            "web/test/halves.test.js": _TEST,
        },
        tests=1,
    ),
    ProbeFixture(
        "node, a manifest with a syntax error",
        "fault: syntax error",
        {**_FILES, "package.json": '{"name": "halves",,}\n'},
        missing="`package.json` cannot be parsed",
    ),
    ProbeFixture(
        "node, a package that was removed",
        "fault: removed package",
        {**_FILES, "package.json": _package(dependencies={"honk-no-such-package-at-all": "1.0.0"})},
        missing="its registry does not have",
    ),
    ProbeFixture(
        "node, a dependency from a Git repository",
        "fault: Git dependency",
        {
            **_FILES,
            "package.json": _package(dependencies={"ms": "git+https://git.example.com/ms.git"}),
        },
        missing="a dependency from a Git repository",
    ),
)
