"""What is deleted with old history."""

from __future__ import annotations

import sqlalchemy as sa

from app.domain.run import subject_key
from app.domain.values import RepoName
from app.store.database import Database
from app.store.history import History
from app.store.schema import slack_posts, slack_threads
from tests.support.runs import open_run


async def test_old_threads_in_slack_are_forgotten_unless_they_have_a_run(
    database: Database,
) -> None:
    await open_run(database, "aaaa", "acme/one", 1)
    with_run = subject_key(RepoName.parse("acme/one"), 1)
    threads = [
        _thread("1.0", 100.0, subject="acme/gone#7"),
        _thread("2.0", 100.0, subject=with_run),
        _thread("3.0", 100.0, subject="acme/gone#8", pull_subject=with_run),
        _thread("4.0", 300.0, subject="acme/gone#9"),
    ]
    posts = [_post("old", 100.0), _post("new", 300.0)]

    def insert(connection: sa.Connection) -> None:
        connection.execute(sa.insert(slack_threads), threads)
        connection.execute(sa.insert(slack_posts), posts)

    await database.run(insert)
    await History(database).forget(200.0)

    def left(connection: sa.Connection) -> list[list[str]]:
        queries = (sa.select(slack_threads.c.thread), sa.select(slack_posts.c.key))
        return [sorted(connection.scalars(query)) for query in queries]

    assert await database.run(left) == [["2.0", "3.0", "4.0"], ["new"]]


def _thread(
    thread: str, created_at: float, *, subject: str, pull_subject: str = ""
) -> dict[str, object]:
    return {
        "team": "T1",
        "channel": "C1",
        "thread": thread,
        "user_id": "U1",
        "repository": "acme/one",
        "repository_id": 1,
        "installation_id": 2,
        "private": False,
        "number": 1,
        "subject": subject,
        "pull_subject": pull_subject,
        "live_until": 0.0,
        "closed_by": "",
        "created_at": created_at,
    }


def _post(key: str, posted_at: float) -> dict[str, object]:
    return {
        "key": key,
        "team": "T1",
        "channel": "C1",
        "thread": "1.0",
        "digest": "",
        "posted_at": posted_at,
    }
