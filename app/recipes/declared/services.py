"""Converts databases that CI starts as containers into services that Honk starts itself. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.domain.setup_plan import Missing, Service
from app.recipes.declared.yaml_data import Node, items, mapping, text

_IMAGE = re.compile(r"[\w./:@${} -]{1,200}")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
_SETTING = re.compile(r"[^\x00-\x1f\x7f]{0,200}")
_PORTS = {"postgres": 5432, "redis": 6379}
_KINDS = {
    "postgres": "postgres",
    "postgresql": "postgres",
    "redis": "redis",
    "valkey": "redis",
    "redis-stack-server": "",
}
_SETTINGS = {
    "postgres": ("POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"),
    "redis": ("REDIS_PASSWORD",),
}
_BITNAMI = {
    "POSTGRESQL_USERNAME": "POSTGRES_USER",
    "POSTGRESQL_PASSWORD": "POSTGRES_PASSWORD",
    "POSTGRESQL_DATABASE": "POSTGRES_DB",
}


def kind_of(image: str) -> str:
    """`postgres`, `redis`, or "" for an image that Honk has no program for."""
    return _KINDS.get(_short(image), "")


def _short(image: str) -> str:
    return image.split("@")[0].rpartition("/")[2].partition(":")[0].lower()


def read(
    name: str, service: Mapping[str, Node], source: str, *, in_container: bool
) -> Service | Missing | None:
    """One entry of `services:`; None if it names no image.

    `in_container`: the job itself runs in a container, so it reaches the service by its name and
    the container's own port.
    """
    image = text(service.get("image"))
    if not _IMAGE.fullmatch(image):
        return None
    kind = kind_of(image)
    if kind not in ("postgres", "redis"):
        return missing(_short(image) or name, source)
    port = _PORTS[kind]
    if not in_container:
        port = _host_port(service.get("ports"), port)
    given = mapping(service.get("env") or service.get("environment"))
    settings = {_BITNAMI.get(key, key): text(value) for key, value in given.items()}
    environment = {
        key: settings[key]
        for key in _SETTINGS[kind]
        if _SETTING.fullmatch(settings.get(key, ""))
        and "${{" not in settings.get(key, "")
        and settings.get(key)
    }
    names = tuple(each for each in dict.fromkeys([name.lower(), kind]) if _HOST.fullmatch(each))
    if kind == "postgres":
        return Service(
            kind="postgres", names=names, port=port, environment=environment, source=source
        )
    return Service(kind="redis", names=names, port=port, environment=environment, source=source)


def missing(what: str, source: str) -> Missing:
    """A service that Honk cannot start."""
    shown = re.sub(r"[^\w.-]", "", what)[:60] or "a service"
    return Missing(
        what=shown,
        why=f"{source} starts it as a container; Honk starts only Postgres and Redis itself",
        next_step=(
            f"Let the tests that need {shown} skip when they cannot reach it, or choose the test "
            "commands to run with `verify`."
        ),
    )


def _host_port(ports: Node | None, usual: int) -> int:
    """The port on the host that is mapped to the container's."""
    for each in items(ports):
        found = re.fullmatch(
            r"(?:\d+\.\d+\.\d+\.\d+:)?(?:(\d{1,5}):)?(\d{1,5})(?:/tcp)?", text(each).strip()
        )
        if found and int(found[2]) == usual and found[1] and 1024 <= int(found[1]) < 65536:
            return int(found[1])
    return usual
