"""Builds of commits with their files, in pieces so that a part of a file can be read by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import sqlalchemy as sa
from pydantic import ValidationError

from app.domain.build import Build
from app.store.database import Database, now
from app.store.runs import RunRow
from app.store.schema import build_pieces, builds

PIECE_BYTES = 1024 * 1024
MAX_REPOSITORY_BYTES = 512 * 1024 * 1024
MAX_TOTAL_BYTES = 4 * 1024 * 1024 * 1024


class BuildStore:
    """Raises RetryableError when the database is unavailable. Expired builds are never returned.

    `in_repository` and `in_total` are the bytes kept: a new build replaces the oldest ones.
    """

    def __init__(
        self,
        database: Database,
        *,
        in_repository: int = MAX_REPOSITORY_BYTES,
        in_total: int = MAX_TOTAL_BYTES,
    ) -> None:
        self._database = database
        self._in_repository = in_repository
        self._in_total = in_total

    async def put(self, build: Build, contents: Sequence[bytes]) -> None:
        """Store a build and its files, in place of an earlier one of the same commit."""
        mine = builds.c.repository_id == build.repository_id
        row = {
            "id": build.id,
            "repository_id": build.repository_id,
            "number": build.number,
            "sha": build.sha,
            "build": build.model_dump(mode="json"),
            "deployment_id": build.deployment,
            "bytes": build.size,
            "created_at": build.created_at,
            "expires_at": build.expires_at,
        }

        def replace(connection: sa.Connection) -> None:
            _delete(connection, mine & (builds.c.sha == build.sha))
            _make_room(connection, mine, self._in_repository - build.size)
            _make_room(connection, sa.true(), self._in_total - build.size)
            connection.execute(sa.insert(builds).values(**row))
            for number, content in enumerate(contents):
                for seq, start in enumerate(range(0, len(content), PIECE_BYTES)):
                    piece = content[start : start + PIECE_BYTES]
                    place = {"build_id": build.id, "file": number, "seq": seq}
                    connection.execute(sa.insert(build_pieces).values(**place, data=piece))

        await self._database.run(replace)

    async def find(self, build: str) -> Build | None:
        """The build with this id."""
        found = await self._builds(builds.c.id == build)
        return found[0] if found else None

    async def of_run(self, row: RunRow) -> Build | None:
        """The build of the commit that a run published."""
        sha = row.published_sha
        return await self.of_commit(row.input.trigger.repository_id, sha) if sha else None

    async def of_commit(self, repository_id: int, sha: str) -> Build | None:
        """The build of a commit."""
        found = await self._builds(
            (builds.c.repository_id == repository_id) & (builds.c.sha == sha)
        )
        return found[0] if found else None

    async def of_pull(self, repository_id: int, number: int) -> list[Build]:
        """The builds of a pull request, newest first."""
        return await self._builds(
            (builds.c.repository_id == repository_id) & (builds.c.number == number)
        )

    async def content(self, build: Build, file: int, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `end` of a file; fewer when it is deleted meanwhile."""
        for seq in range(start // PIECE_BYTES, (end + PIECE_BYTES - 1) // PIECE_BYTES):
            piece = await self._piece(build.id, file, seq)
            if piece is None:
                return
            before = seq * PIECE_BYTES
            yield piece[max(0, start - before) : end - before]

    async def _piece(self, build: str, file: int, seq: int) -> bytes | None:
        query = sa.select(build_pieces.c.data).where(
            build_pieces.c.build_id == build,
            build_pieces.c.file == file,
            build_pieces.c.seq == seq,
        )
        found = await self._database.run(
            lambda connection: connection.execute(query).scalar_one_or_none()
        )
        return None if found is None else bytes(found)

    async def deployed(self, build: Build, deployment: int | None) -> None:
        """Record the deployment on GitHub that links to the build, or that it has ended."""
        change = sa.update(builds).where(builds.c.id == build.id).values(deployment_id=deployment)
        await self._database.run(lambda connection: connection.execute(change))

    async def remove(self, build: Build) -> None:
        """Delete a build."""
        await self._database.run(lambda connection: _delete(connection, builds.c.id == build.id))

    async def forget(self, before: float) -> None:
        """Delete the builds that expired before then (Unix time)."""
        await self._database.run(
            lambda connection: _delete(connection, builds.c.expires_at < before)
        )

    async def _builds(self, where: sa.ColumnElement[bool]) -> list[Build]:
        query = (
            sa.select(builds.c.build, builds.c.deployment_id)
            .where(where, builds.c.expires_at > now())
            .order_by(builds.c.created_at.desc())
        )
        rows = await self._database.run(lambda connection: connection.execute(query).all())
        return [build for row in rows if (build := _build(row.build, row.deployment_id))]


def _build(stored: object, deployment: int | None) -> Build | None:
    """The build; None when an older version wrote an incompatible one."""
    try:
        return Build.recorded(stored).model_copy(update={"deployment": deployment})
    except ValidationError:
        return None


def _delete(connection: sa.Connection, where: sa.ColumnElement[bool]) -> None:
    ids = list(connection.execute(sa.select(builds.c.id).where(where)).scalars())
    if ids:
        connection.execute(sa.delete(build_pieces).where(build_pieces.c.build_id.in_(ids)))
        connection.execute(sa.delete(builds).where(builds.c.id.in_(ids)))


def _make_room(connection: sa.Connection, where: sa.ColumnElement[bool], room: int) -> None:
    """Delete the oldest builds until the others take at most `room` bytes."""
    query = sa.select(builds.c.id, builds.c.bytes).where(where)
    for row in connection.execute(query.order_by(builds.c.created_at.desc())).all():
        room -= row.bytes
        if room < 0:
            _delete(connection, builds.c.id == row.id)
