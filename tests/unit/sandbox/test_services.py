"""Databases in the sandbox of a command."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.setup_plan import Service
from app.sandbox import services
from app.sandbox.bubblewrap import Bubblewrap
from app.sandbox.spec import ResourceLimits, SandboxSpec
from app.sandbox.toolchains import CACHES_VARIABLE

pytestmark = pytest.mark.asyncio(loop_scope="session")

POSTGRES = Service(
    kind="postgres",
    names=("db", "postgres"),
    port=5433,
    environment={"POSTGRES_USER": "app", "POSTGRES_PASSWORD": "it's", "POSTGRES_DB": "app_test"},
)
REDIS = Service(kind="redis", names=("cache",), port=6380)
QUERY = (
    "for bin in /usr/lib/postgresql/*/bin; do :; done; "
    "PGPASSWORD=\"it's\" $bin/psql -h db -p 5433 -U app -d app_test -Atc 'select 40 + 2'"
)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "workspaces"
    folder.mkdir()
    yield folder


def spec(sandbox: Bubblewrap, root: Path, *wanted: Service) -> SandboxSpec:
    workspace = root / "checkout"
    workspace.mkdir(exist_ok=True)
    sandbox.claim(workspace)
    caches = "/workspace/.git/honk"
    return SandboxSpec(
        workspace=workspace,
        environment={CACHES_VARIABLE: caches, "PGPORT": "1", "PGHOST": "elsewhere"},
        limits=ResourceLimits(seconds=120),
        services=wanted,
    )


needs_postgres = pytest.mark.skipif(
    not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")), reason="needs PostgreSQL"
)


@needs_postgres
async def test_postgres_answers_under_its_name_and_is_new_each_time(root: Path) -> None:
    sandbox = Bubblewrap.create(root)
    wanted = spec(sandbox, root, POSTGRES)
    create = QUERY.replace("select 40 + 2", "create table only_once (n int)")
    for _ in range(2):
        done = await sandbox.run(wanted, ["bash", "-c", f"{create} && {QUERY}; exit 5"])
        assert done.exit_code == 5, done.text
        assert done.text.splitlines()[-2:] == ["CREATE TABLE", "42"]


@needs_postgres
async def test_a_wrong_password_is_refused(root: Path) -> None:
    sandbox = Bubblewrap.create(root)
    wrong = QUERY.replace("it's", "wrong")
    done = await sandbox.run(spec(sandbox, root, POSTGRES), ["bash", "-c", wrong])
    assert done.exit_code == 2, done.text
    assert "password authentication failed" in done.text


@needs_postgres
async def test_a_session_has_the_services_also_after_a_command_was_killed(root: Path) -> None:
    sandbox = Bubblewrap.create(root)
    async with sandbox.session(spec(sandbox, root, POSTGRES)) as session:
        done = await session.bash(QUERY, seconds=30)
        assert done.text.strip() == "42"
        await session.bash("sleep 60", seconds=0.5)
        done = await session.bash(QUERY, seconds=30)
        assert done.text.strip() == "42"


async def test_a_service_without_a_program_is_what_is_missing(root: Path) -> None:
    if shutil.which("redis-server") or shutil.which("valkey-server"):
        pytest.skip("this machine has a Redis server")
    sandbox = Bubblewrap.create(root)
    done = await sandbox.run(spec(sandbox, root, REDIS), ["touch", "ran"])
    assert services.failure((REDIS,), done.exit_code, done.text) == (
        "redis: this worker has no Redis or Valkey server"
    )
    assert not (root / "checkout" / "ran").exists()


async def test_only_a_command_with_services_can_lack_one() -> None:
    text = "honk: a service could not be started: redis: no"
    assert services.failure((), services.SERVICE_FAILED, text) == ""
    assert services.failure((REDIS,), 1, text) == ""


async def test_the_command_is_unchanged_without_services() -> None:
    assert services.with_services((), {}, ["a", "b c"]) == ["a", "b c"]


async def test_names_lead_to_the_loopback() -> None:
    lines = services.hosts((POSTGRES, REDIS)).splitlines()
    assert lines[-3:] == ["127.0.0.1 db", "127.0.0.1 postgres", "127.0.0.1 cache"]
