"""Python projects: one for each row of the table of recipes."""

from __future__ import annotations

from typing import Final

from tests.support.probe_fixtures import ProbeFixture

_CODE = "import iniconfig\n\n\ndef half(n):\n    assert iniconfig\n    return n / 2\n"
_TEST = "from halves import half\n\n\ndef test_half():\n    assert half(4) == 2\n"
_FILES = {"halves.py": _CODE, "test_halves.py": _TEST}
_PROJECT = '[project]\nname = "halves"\nversion = "1.0"\nrequires-python = ">=3.9"\n'
_BUILD = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
_SOURCE = {"src/halves/__init__.py": _CODE, "tests/test_halves.py": _TEST}


def _project(more: str = "", dependencies: str = '["iniconfig"]') -> str:
    return f"{_PROJECT}dependencies = {dependencies}\n{more}\n"


FIXTURES: Final = (
    ProbeFixture(
        "python, requirements.txt",
        "test requirement files",
        {**_FILES, "requirements.txt": "iniconfig\n"},
        tests=1,
    ),
    ProbeFixture(
        "python, requirements for tests",
        "test requirement files",
        {
            **_FILES,
            "requirements-dev.txt": "-r requirements.txt\npytest\n",
            "requirements.txt": "iniconfig\n",
        },
        tests=1,
    ),
    ProbeFixture(
        "python, requirements in a folder",
        "test requirement files",
        {
            **_FILES,
            "setup.cfg": "[metadata]\nname = halves\n",
            "requirements/test.in": "pytest\niniconfig\n",
        },
        tests=1,
    ),
    ProbeFixture(
        "python, dependency groups",
        "[dependency-groups]",
        {
            **_SOURCE,
            "pyproject.toml": _project('[dependency-groups]\ntest = ["pytest"]\n' + _BUILD),
        },
        tests=1,
    ),
    ProbeFixture(
        "python, an extra",
        "extras",
        {
            **_SOURCE,
            "pyproject.toml": _project(
                '[project.optional-dependencies]\nTest_Extra = ["pytest"]\n' + _BUILD
            ),
        },
        tests=1,
    ),
    ProbeFixture(
        "python, extras in setup.cfg",
        "extras",
        {
            **_SOURCE,
            "setup.py": "from setuptools import setup\nsetup()\n",
            "setup.cfg": "[metadata]\nname = halves\nversion = 1.0\n\n"
            "[options]\npackage_dir =\n    =src\n"
            "packages = find:\ninstall_requires =\n    iniconfig\n\n"
            "[options.packages.find]\nwhere = src\n\n"
            "[options.extras_require]\ntesting =\n    pytest\n",
        },
        tests=1,
    ),
    ProbeFixture(
        "python, setup.py alone",
        "extras",
        {
            **_FILES,
            "setup.py": "from setuptools import setup\n\nTESTS = ['pytest']\n"
            "setup(name='halves', version='1.0', py_modules=['halves'],\n"
            "      install_requires=['iniconfig'], extras_require={'tests': TESTS + []})\n",
        },
        tests=1,
    ),
    ProbeFixture(
        "python, tox",
        "tox, nox",
        {**_FILES, "tox.ini": "[testenv]\ndeps =\n    pytest\n    iniconfig\ncommands = pytest\n"},
        tests=1,
    ),
    ProbeFixture(
        "python, nox",
        "tox, nox",
        {
            **_FILES,
            "noxfile.py": "import nox\n\n\n@nox.session\ndef tests(session):\n"
            '    session.install("pytest", "iniconfig")\n    session.run("pytest")\n',
        },
        tests=1,
    ),
    ProbeFixture(
        "python, hatch",
        "hatch",
        {
            **_SOURCE,
            "pyproject.toml": _project(
                '[tool.hatch.envs.test]\ndependencies = ["pytest"]\n'
                '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
            ),
        },
        tests=1,
    ),
    ProbeFixture(
        "python, conda's pip packages",
        "environment.yml",
        {
            **_FILES,
            "environment.yml": "name: halves\ndependencies:\n  - python\n  - pip:\n"
            "    - pytest\n    - iniconfig\n",
        },
        tests=1,
    ),
    ProbeFixture(
        "python, nothing names a runner",
        "nothing",
        {**_SOURCE, "pyproject.toml": _project(_BUILD)},
        tests=1,
    ),
    ProbeFixture(
        "python, a version from tags",
        "tags",
        {
            **_SOURCE,
            "pyproject.toml": _project(
                "[tool.setuptools_scm]\n[build-system]\n"
                'requires = ["setuptools", "setuptools_scm"]\n'
                'build-backend = "setuptools.build_meta"\n'
            ).replace('version = "1.0"', 'dynamic = ["version"]'),
        },
        tests=1,
    ),
    ProbeFixture(
        "python, poetry without a lock",
        "extras",
        {
            **_SOURCE,
            "pyproject.toml": '[tool.poetry]\nname = "halves"\nversion = "1.0"\ndescription = ""\n'
            'authors = []\npackages = [{include = "halves", from = "src"}]\n\n'
            '[tool.poetry.dependencies]\npython = "^3.9"\niniconfig = "*"\n\n'
            '[tool.poetry.group.dev.dependencies]\npytest = "*"\n\n'
            '[build-system]\nrequires = ["poetry-core"]\n'
            'build-backend = "poetry.core.masonry.api"\n',
        },
        tests=1,
    ),
    ProbeFixture(
        "python, a plugin that only the options name",
        "repair: unrecognized arguments",
        {
            **_SOURCE,
            "pyproject.toml": _project(
                _BUILD + '[tool.pytest.ini_options]\naddopts = "--cov=halves"\n'
            ),
        },
        tests=1,
    ),
    ProbeFixture(
        "python, an import that no manifest names",
        "repair: missing module",
        {
            "halves.py": "import yaml\n\n\ndef half(n):\n    return yaml.safe_load(str(n)) / 2\n",
            "test_halves.py": _TEST,
            "requirements.txt": "iniconfig\n",
        },
        tests=1,
    ),
    ProbeFixture(
        "python, uv.lock",
        "uv.lock",
        {
            **_SOURCE,
            "pyproject.toml": _project('[dependency-groups]\ndev = ["pytest"]\n' + _BUILD),
        },
        prepare=("uv lock --quiet",),
        tests=1,
        programs=("uv",),
    ),
    ProbeFixture(
        "python, a folder of a monorepo",
        "per folder with a manifest",
        {
            "services/api/halves.py": _CODE,
            "services/api/test_halves.py": _TEST,
            "services/api/requirements.txt": "iniconfig\n",
            "docs/requirements.txt": "sphinx\n",
        },
        tests=1,
    ),
    ProbeFixture(
        "python, a manifest with a syntax error",
        "fault: syntax error",
        {**_FILES, "pyproject.toml": '[project\nname = "halves"\n'},
        missing="`pyproject.toml` cannot be parsed",
    ),
    ProbeFixture(
        "python, a version that no worker has",
        "fault: version out of range",
        {**_SOURCE, "pyproject.toml": _project(_BUILD).replace(">=3.9", ">=3.99")},
        missing="Python >=3.99",
    ),
    ProbeFixture(
        "python, a module that nothing names",
        "fault: missing module",
        {
            "halves.py": "import honk_no_such_module\n",
            "test_halves.py": _TEST,
            "requirements.txt": "iniconfig\n",
        },
        missing="the Python module `honk_no_such_module`",
    ),
    ProbeFixture(
        "python, a package that was removed",
        "fault: removed package",
        {**_FILES, "requirements.txt": "iniconfig\nhonk-no-such-package-at-all\n"},
        missing="honk-no-such-package-at-all",
    ),
)
