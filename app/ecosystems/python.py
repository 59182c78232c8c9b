"""Python."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated

_PYTEST_PLUGINS = "pytest|_pytest|unittest|coverage|pluggy|doctest|nose|tox|xdist"

ECOSYSTEM = Ecosystem(
    name="python",
    order=10,
    manifests=("pyproject.toml", "setup.py", "setup.cfg"),
    declared_names=(r"""(?m)^\s*name\s*=\s*["']([^"'\n]{2,200})["']""",),
    lock_files={
        "poetry.lock": ("pyproject.toml",),
        "uv.lock": ("pyproject.toml",),
        "pdm.lock": ("pyproject.toml",),
        "Pipfile.lock": ("Pipfile",),
    },
    generated=(
        Generated(
            anywhere=(
                *("__pycache__/", "*.pyc", "*.pyo", "__pypackages__/", "*.egg-info/", ".eggs/"),
                *(".pytest_cache/", ".hypothesis/", ".coverage", ".coverage.*", "htmlcov/"),
                *(".tox/", ".nox/", ".mypy_cache/", ".ruff_cache/", ".pytype/", ".pyre/"),
                *(".venv/", ".ipynb_checkpoints/"),
            ),
            beside=("venv/", "env/", "build/", "dist/", "coverage.xml"),
            manifests=("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt"),
        ),
    ),
    dependency_files=(
        *("requirements*.txt", "requirements*.in", "constraints*.txt", "pyproject.toml"),
        *("setup.py", "setup.cfg", "Pipfile", "Pipfile.lock", "poetry.lock", "uv.lock", "uv.toml"),
        *("pdm.lock", "environment*.yml", "environment*.yaml", ".python-version", "tox.ini"),
        "noxfile.py",
    ),
    # `pip install` outside a virtual environment: the system's own folders are read-only.
    environment={"PYTHONUSERBASE": "@/python", "PIP_BREAK_SYSTEM_PACKAGES": "1"},
    search_path=("@/python/bin",),
    ca_variables=("PIP_CERT", "REQUESTS_CA_BUNDLE"),
    setup_environment={
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PDM_CHECK_UPDATE": "0",
        # The proxy may wait for a registry that is busy, longer than the clients would.
        "PIP_DEFAULT_TIMEOUT": "180",
        "UV_HTTP_TIMEOUT": "180",
        "PDM_REQUEST_TIMEOUT": "180",
        "PIPENV_TIMEOUT": "180",
        "POETRY_REQUESTS_TIMEOUT": "180",
        # uv would download its own builds of Python from another host.
        "UV_PYTHON_DOWNLOADS": "never",
    },
    registry="pip",
    suffixes=dict.fromkeys(["py", "pyi"], "python:PythonReader"),
    test_paths=dict.fromkeys(["py", "pyi"], r"(?:^|/)(?:test[^/]*|[^/]*_tests?|conftest)\.py$"),
    helper_paths=r"(?:^|/)(?:conftest|__init__)\.py$",
    test_folders=r"tests?|testdata|test_data|cassettes|__snapshots__",
    runners=frozenset({"pytest", "py.test", "python", "python3", "tox", "nox"}),
    shadows=(
        r"(?:^|/)(?:sitecustomize|usercustomize)\.py$|\.pth$"
        rf"|^(?:src/|tests?/)?(?:{_PYTEST_PLUGINS})(?:\.py|/__init__\.py)$"
    ),
    runner_config=r"(?:^|/)noxfile\.py$",
    runner_files=(
        r"(?:^|/)(?:\.?pytest\.(?:ini|toml)|tox\.(?:ini|toml)|\.coveragerc|\.?isort\.cfg"
        r"|pyrightconfig\.json|\.?bandit\.ya?ml)$"
    ),
    test_dependencies=(
        r"(?:^|/)requirements[-_./](?:[^/]*[-_.])?(?:dev|tests?|testing|ci|lint|qa|tox)[^/]*\.(?:txt|in)$"
        r"|(?:^|/)(?:dev|tests?|testing|ci|lint)[-_]?requirements[^/]*\.(?:txt|in)$"
    ),
    mixed={
        r"pyproject\.toml": "pyproject",
        r"setup\.cfg": "setup_cfg",
        r"poetry\.lock": "poetry_lock",
        r"pdm\.lock": "pdm_lock",
        r"uv\.lock": "uv_lock",
        r"Pipfile\.lock": "pipfile_lock",
        r".*\.py": "doctests",
    },
    lint_config=r"(?:^|/)(?:\.flake8|\.pylintrc|mypy\.ini|\.?ruff\.toml)$",
    command_files=r"(?:^|/)(?:tox\.ini|setup\.cfg|pyproject\.toml|pytest\.ini|noxfile\.py)$",
    config_formats={
        r"pyproject\.toml|\.?ruff\.toml": "toml",
        r"setup\.cfg|tox\.ini|\.?pytest\.ini|\.coveragerc|\.flake8|\.?mypy\.ini": "ini",
        r"(?:.*requirements.*|constraints.*)\.(?:txt|in)": "requirements",
        r"\.python-version": "toolchain",
    },
    verifiers=("pytest:Pytest", "unittest:Unittest"),
    checks=("ruff:Ruff", "ruff:RuffFormat", "mypy:Mypy"),
    fallback_verifiers=("environments:Tox", "environments:Nox"),
)
