"""Images in a request, as they were when it was made."""

from __future__ import annotations

import sqlalchemy as sa

from app.domain.values import RunId
from app.store.database import Database
from app.store.schema import images


class StoredImage:
    """An image: where it appeared, its media type (`image/png`) and its bytes."""

    def __init__(self, about: str, media_type: str, data: bytes) -> None:
        self.about = about
        self.media_type = media_type
        self.data = data


class Images:
    """Images of runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, run: RunId, seq: int, image: StoredImage) -> None:
        """Store an image; an existing (run, seq) is left unchanged."""
        row = {
            "run_id": run,
            "seq": seq,
            "about": image.about,
            "media_type": image.media_type,
            "data": image.data,
        }
        insert = self._database.insert(images).values(**row).on_conflict_do_nothing()
        await self._database.run(lambda connection: connection.execute(insert))

    async def of(self, run: RunId) -> list[StoredImage]:
        """The images of a run, in order."""
        query = (
            sa.select(images.c.about, images.c.media_type, images.c.data)
            .where(images.c.run_id == run)
            .order_by(images.c.seq)
        )
        rows = await self._database.run(lambda connection: connection.execute(query).all())
        return [StoredImage(about, media_type, bytes(data)) for about, media_type, data in rows]
