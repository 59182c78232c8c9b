"""Databases started inside a sandbox, before its command and with it.

They run as the sandbox's ordinary user, from programs that the sandbox already has or that setup
put into the checkout's caches, with temporary data. The sandbox has no network, so its loopback is
its own.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from app.domain.setup_plan import Service
from app.recipes.service_programs import TOOLS
from app.sandbox.spec import HOSTS
from app.sandbox.toolchains import CACHES_VARIABLE

SERVICE_FAILED = 97
"""The exit code of a command whose services could not be started; its output says why
(`failure`).
"""

SERVICE_SECONDS = 90.0
"""How long all services of a session may take to answer."""

_MARK = "honk: a service could not be started"

_START = r"""
mark=$1 failed_code=$2 tools=$3; shift 3
base=$(mktemp -d "${TMPDIR:-/tmp}/services.XXXXXX") || exit "$failed_code"
pids=
failed() {
  printf '%s: %s: %s\n' "$mark" "$1" "$2"
  [ -f "$log" ] && tail -n 15 "$log"
  [ -z "$pids" ] || kill $pids 2>/dev/null
  exit "$failed_code"
} >&2
clean() { env -i PATH=/usr/bin:/bin HOME="$base" LANG=C.UTF-8 "$@"; }
program() {
  found=
  for each in /usr/local/bin/"$1" /usr/sbin/"$1" /usr/bin/"$1" /usr/pgsql-*/bin/"$1" \
    /usr/lib/postgresql/*/bin/"$1"; do
    [ -x "$each" ] && found=$each
  done
  for each in "$tools"/*/bin/"$1" "$tools"/*/*/bin/"$1"; do
    [ -z "$found" ] && [ -x "$each" ] && found=$each
  done
  [ -n "$found" ]
}
ready() {
  for attempt in $(seq 150); do
    "$@" >/dev/null 2>&1 && return 0
    kill -0 "$server" 2>/dev/null || return 1
    sleep 0.2
  done
  return 1
}
postgres() {
  log=$base/postgres-$1.log data=$base/postgres-$1 how=trust
  program initdb || failed postgres "this worker has no PostgreSQL server"
  bin=${found%/*}
  set -- "$@" --auth-local=trust
  if [ -n "$3" ]; then
    how=scram-sha-256
    printf '%s\n' "$3" >"$base/password"
    set -- "$@" --pwfile="$base/password"
  fi
  port=$1 user=$2 database=$4; shift 4
  set -- "$@" --auth-host="$how" -D "$data" -U "$user" -E UTF8 --no-sync
  clean "$bin/initdb" "$@" --locale=C.UTF-8 >"$log" 2>&1 ||
    { rm -rf "$data"; clean "$bin/initdb" "$@" --locale=C >"$log" 2>&1; } ||
    failed postgres "its data could not be prepared"
  clean "$bin/postgres" -D "$data" -p "$port" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories="$base" -c fsync=off -c synchronous_commit=off \
    -c full_page_writes=off -c shared_buffers=32MB >>"$log" 2>&1 </dev/null &
  server=$! pids="$pids $!"
  program psql && program createdb || failed postgres "this worker has no PostgreSQL client"
  bin=${found%/*}
  ready clean "$bin/psql" -X -h "$base" -p "$port" -U "$user" -d postgres -c 'select 1' ||
    failed postgres "it did not answer"
  [ "$database" = postgres ] ||
    clean "$bin/createdb" -h "$base" -p "$port" -U "$user" -- "$database" >>"$log" 2>&1 ||
    failed postgres "the database could not be created"
}
pong() { (exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'PING\r\n' >&3 && read -r -t 2 -n 1 _ <&3); }
redis() {
  log=$base/redis-$1.log
  program redis-server || program valkey-server ||
    failed redis "this worker has no Redis or Valkey server"
  port=$1 password=$3
  set -- --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$base"
  [ -z "$password" ] || set -- "$@" --requirepass "$password"
  clean "$found" "$@" >"$log" 2>&1 </dev/null &
  server=$! pids="$pids $!"
  ready pong "$port" || failed redis "it did not answer"
}
while [ "$1" != -- ]; do
  kind=$1 port=$2 user=$3 password=$4 database=$5; shift 5
  log=
  "$kind" "$port" "$user" "$password" "$database"
done
shift
"$@"
code=$?
kill $pids 2>/dev/null
exit "$code"
"""


def with_services(
    services: Sequence[Service], environment: Mapping[str, str], argv: Sequence[str]
) -> list[str]:
    """The command, run once the services answer; they are stopped when it ends."""
    if not services:
        return list(argv)
    tools = f"{environment.get(CACHES_VARIABLE, '/nonexistent')}/{TOOLS}"
    words = [word for each in services for word in _words(each)]
    return [
        "/bin/bash",
        "-c",
        _START,
        "honk",
        _MARK,
        str(SERVICE_FAILED),
        tools,
        *words,
        "--",
        *argv,
    ]


def in_background(services: Sequence[Service], environment: Mapping[str, str]) -> str:
    """A shell line that starts the services and returns when they answer or have failed."""
    log = '"$honk_services"'
    waiting = with_services(services, environment, ["sh", "-c", "echo >&7; exec sleep infinity"])
    return (
        f"honk_services=$(mktemp -d) && mkfifo {log}/ready && "
        f"(setsid {shlex.join(waiting)} 7>{log}/ready >{log}/log 2>&1 </dev/null &) && "
        f"read -r _ <{log}/ready; unset honk_services"
    )


def _words(service: Service) -> tuple[str, ...]:
    given = service.environment
    if service.kind == "redis":
        return ("redis", str(service.port), "", given.get("REDIS_PASSWORD", ""), "")
    user = given.get("POSTGRES_USER") or "postgres"
    database = given.get("POSTGRES_DB") or user
    return ("postgres", str(service.port), user, given.get("POSTGRES_PASSWORD", ""), database)


def hosts(services: Iterable[Service]) -> str:
    """The sandbox's /etc/hosts: each service's names are the loopback."""
    names = dict.fromkeys(name for each in services for name in each.names)
    return HOSTS + "".join(f"127.0.0.1 {name}\n" for name in names if name != "localhost")


def failure(services: Sequence[Service], exit_code: int | None, output: str) -> str:
    """Why the services of a command could not be started; empty if they were."""
    if not services or exit_code != SERVICE_FAILED:
        return ""
    found = re.search(rf"^{_MARK}: (.{{1,200}})$", output, re.MULTILINE)
    return found[1] if found else ""
