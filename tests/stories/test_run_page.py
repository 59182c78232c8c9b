"""A run's page while the run works: what is new arrives as it happens, and commands go to it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import pytest_asyncio

from app.playground.run import let_sign_in, sign_in_settings
from tests.support.harness import FINISH, FIX, Harness, Subject, open_harness, script

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLAN = {"plan": {"items": [{"text": "Turn minus into plus", "done": False}]}}
ASK = {"ask": {"question": "Round **up** or down?"}}
LOOK = {"bash": {"command": "cat calc.py; echo '<img src=x onerror=alert(1)>'"}}


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="harness")
async def _house() -> AsyncIterator[Harness]:
    async with open_harness(**sign_in_settings()) as harness:
        let_sign_in(harness.github, harness.url)
        yield harness


@dataclass
class Event:
    """One server-sent event."""

    name: str
    data: dict[str, Any]
    id: str


@dataclass
class Visitor:
    """A signed-in person's browser."""

    client: httpx.AsyncClient
    page: str

    async def command(self, do: str, **more: str) -> httpx.Response:
        text = (await self.client.get(self.page)).text
        given = dict(re.findall(r'name="(form|once)" value="([^"]+)"', text))
        return await self.client.post(
            f"{self.page}/commands",
            data={**given, "do": do, **more},
            headers={"accept": "application/json"},
        )


@dataclass
class Stream:
    """Everything that a stream has sent so far."""

    events: list[Event] = field(default_factory=list)
    is_over: bool = False

    def html(self, name: str) -> str:
        """The latest HTML of a part or step."""
        found = [each.data["html"] for each in self.events if each.data.get("id") == name]
        return found[-1] if found else ""

    def steps(self) -> list[str]:
        return [each.data["id"] for each in self.events if each.name == "step"]

    async def until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not happened():  # noqa: ASYNC110 - what it waits for is in another task
                await asyncio.sleep(0.05)


@asynccontextmanager
async def _visitor(harness: Harness, login: str, subject: Subject) -> AsyncIterator[Visitor]:
    await harness.until(lambda: any("honk:run=" in c.body for c in subject.ours), "no status")
    found = re.search(r"honk:run=(\w+)", subject.status)
    assert found
    async with httpx.AsyncClient(base_url=harness.url, timeout=30) as client:
        start = await client.get("/login/start", params={"then": f"/runs/{found[1]}"})
        await client.get(harness.github.sign_in(login, start.headers["location"]))
        yield Visitor(client, f"/runs/{found[1]}")


@asynccontextmanager
async def _stream(visitor: Visitor, **headers: str) -> AsyncIterator[Stream]:
    seen = Stream()
    task = asyncio.create_task(_listen(visitor, seen, headers))
    try:
        yield seen
    finally:
        task.cancel()


async def _listen(visitor: Visitor, seen: Stream, headers: dict[str, str]) -> None:
    url = f"{visitor.page}/events"
    async with visitor.client.stream("GET", url, headers=headers, timeout=None) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            name, colon, value = line.partition(": ")
            if colon and name:
                fields[name] = value
            elif not line and "event" in fields:
                data = json.loads(fields["data"])
                seen.events.append(Event(fields["event"], data, fields.get("id", "")))
                fields = {}
    seen.is_over = True


async def test_a_message_and_a_stop_from_the_page_reach_the_run(harness: Harness) -> None:
    subject = await harness.subject(
        plays=script([PLAN, LOOK], [LOOK], [LOOK], [LOOK]), permissions={"rita": "read"}
    )
    async with subject.thinking():
        await subject.label()
        await subject.at_work()
        async with _visitor(harness, "olivia", subject) as olivia, _stream(olivia) as seen:
            await seen.until(lambda: "Working" in seen.html("bar"))
            sent = await olivia.command("say", task="Keep the <b>name</b>.")
            assert sent.status_code == 200, sent.text
            await seen.until(lambda: "waiting" in seen.html("messages"))
            assert "Keep the <b>name</b>." in seen.html("messages")
            stopped = await olivia.command("stop")
            assert stopped.status_code == 200
            await seen.until(lambda: "Stopping" in seen.html("bar"))
            subject.harness.gates[subject.name].set()
            await seen.until(lambda: "Stopped" in seen.html("bar"))
            assert 'value="continue"' in seen.html("buttons")
            assert 'value="stop"' not in seen.html("bar")
    await subject.settled()
    assert subject.labels == ["honk:needs-you"]


@pytest.mark.slow
async def test_a_reconnecting_page_gets_every_step_once(harness: Harness) -> None:
    subject = await harness.subject(plays=script([PLAN, LOOK], [LOOK], [FIX], [FINISH]))
    await subject.label()
    await subject.settled()
    async with _visitor(harness, "olivia", subject) as olivia:
        async with _stream(olivia) as whole:
            await whole.until(lambda: len(set(whole.steps())) == 5 and bool(whole.html("phases")))
        assert len(whole.steps()) == 5
        assert "&lt;img src=x" in whole.html(whole.steps()[1])
        assert '<span class="add">+' in "".join(each.data["html"] for each in whole.events)
        ids = [each.id for each in whole.events if each.name == "step"]
        async with _stream(olivia, **{"last-event-id": ids[2]}) as rest:
            await rest.until(lambda: bool(rest.html("phases")))
        assert rest.steps() == whole.steps()[3:]
        async with _stream(olivia, **{"last-event-id": "3.1"}) as other:
            await other.until(lambda: other.is_over)
        assert [each.name for each in other.events] == ["reset"]
        page = (await olivia.client.get(olivia.page)).text
        assert all(f'id="{step}"' in page for step in whole.steps())
        assert f'data-cursor="{ids[-1]}"' in page
        assert "return a + b" in whole.html("diff")
        assert "return a + b" in (await olivia.client.get(f"{olivia.page}/diff")).text
        full = await olivia.client.get(f"{olivia.page}/steps/{whole.steps()[1][5:]}")
        assert "return a - b" in full.text
        programs = await _first_lines(olivia, f"/api{olivia.page}/events")
        assert '"outcome": "done"' in programs


async def _first_lines(visitor: Visitor, url: str) -> str:
    text = ""
    async with visitor.client.stream("GET", url) as answer:
        async for line in answer.aiter_lines():
            text += line + "\n"
            if "event: run" in text and line.startswith("data") and "outcome" in line:
                break
    return text


@pytest.mark.slow
async def test_only_people_who_may_write_give_commands(harness: Harness) -> None:
    subject = await harness.subject(
        plays=script([FIX], [FINISH]), permissions={"rita": "read", "walter": "write"}
    )
    await subject.label()
    await subject.settled()
    async with _visitor(harness, "rita", subject) as rita:
        page = (await rita.client.get(rita.page)).text
        assert "Commands need write access" in page
        assert 'name="do"' not in page
        refused = await rita.client.post(f"{rita.page}/commands", data={"do": "retry"})
        assert refused.status_code == 403
    async with _visitor(harness, "walter", subject) as walter:
        forged = await walter.client.post(f"{walter.page}/commands", data={"do": "retry"})
        assert forged.status_code == 403
        impossible = await walter.command("stop")
        assert impossible.status_code == 409
        assert (await walter.command("say", task=" ")).status_code == 409
        before = len(subject.pulls)
        assert (await walter.command("undo")).status_code == 200
        await subject.answered("Reverted")
        assert len(subject.pulls) == before


@pytest.mark.slow
async def test_access_taken_away_ends_an_open_stream(harness: Harness) -> None:
    subject = await harness.subject(
        plays=script([FIX], [FINISH]), private=True, permissions={"walter": "write"}
    )
    await subject.label()
    await subject.settled()
    async with _visitor(harness, "walter", subject) as walter, _stream(walter) as seen:
        await seen.until(lambda: bool(seen.html("bar")))
        repository = harness.github.world.repository(subject.repository)
        repository.permissions["walter"] = "none"
        await seen.until(lambda: seen.is_over)
        assert seen.events[-1].name == "gone"
        gone = await walter.client.get(walter.page)
        assert gone.status_code == 404
        assert gone.text == (await walter.client.get("/runs/aaaaaaaaaa")).text


async def test_the_inbox_takes_an_answer_and_an_approval(harness: Harness) -> None:
    subject = await harness.subject(plays=script([ASK], [FIX], [FINISH]))
    await subject.label()
    await subject.ended()
    async with _visitor(harness, "olivia", subject) as olivia:
        page = (await olivia.client.get("/")).text
        item = _item(page, olivia.page)
        assert "Question" in item
        assert "Round <strong>up</strong> or down?" in item
        answered = await _press(olivia, item, "commands", do="say", task="Up.")
        assert answered.headers["location"] == "/?sent=say"
        await subject.ended(attempts=2)
        assert "Up." in subject.model_input
        item = _item((await olivia.client.get("/")).text, olivia.page)
        assert "Ready for review" in item
        assert "Proven: 1 test fails without this change" in item
        assert "1 file +1 −1 · no flags" in item
        approved = await _press(olivia, item, "approve")
        assert approved.headers["location"] == "/?sent=approved"
        assert subject.pull.pull is not None
        (review,) = subject.pull.pull.reviews
        assert (review.author.login, review.state) == ("olivia", "APPROVED")


def _item(page: str, run: str) -> str:
    (found,) = re.findall(rf'<li class="card" id="item-{run[6:]}">.*?</li>', page, re.DOTALL)
    return str(found)


async def _press(visitor: Visitor, item: str, what: str, **more: str) -> httpx.Response:
    given = dict(re.findall(r'name="(form|once|back|sha)" value="([^"]*)"', item))
    return await visitor.client.post(f"{visitor.page}/{what}", data={**given, **more})


async def test_the_button_merges_the_commit_that_the_page_shows(harness: Harness) -> None:
    subject = await harness.subject(
        plays=script([FIX], [FINISH]), permissions={"rita": "read", "walter": "write"}
    )
    await subject.label()
    await subject.settled()
    pull = Subject(harness, subject.repository, subject.pull.number)
    branch = subject.pull.pull.head if subject.pull.pull else ""
    async with _visitor(harness, "rita", subject) as rita:
        assert 'value="merge"' not in (await rita.client.get(rita.page)).text
    async with _visitor(harness, "walter", subject) as walter:
        page = (await walter.client.get(walter.page)).text
        assert f"Merges pull request #{pull.number}" in page
        forged = await walter.client.post(f"{walter.page}/commands", data={"do": "merge"})
        assert forged.status_code == 403
        stale = await walter.command("merge", sha="0" * 40)
        assert (stale.status_code, pull.issue.state) == (409, "open")
        await harness.github.push_files(subject.repository, branch, {"x": b"\n"}, "olivia")
        assert (await walter.command("merge")).status_code == 200
        moved = await pull.answered("Review the new commits")
        assert "@walter" in moved
        assert pull.issue.state == "open"

        first = await subject.git("rev-parse", f"{branch}~1")
        await harness.github.force_push(subject.repository, branch, first.strip(), "olivia")
        assert (await walter.command("merge")).status_code == 200
        assert "Requested by `walter`" in await pull.answered("Merged #")
        assert pull.issue.pull is not None
        assert pull.issue.pull.merged_at is not None


@pytest.mark.slow
async def test_a_repository_and_its_usage_have_pages(harness: Harness) -> None:
    subject = await harness.subject(
        plays=script([FIX], [FINISH]), private=True, permissions={"walter": "write"}
    )
    await subject.label()
    await subject.settled()
    await harness.github.merge(subject.repository, subject.pull.number, "olivia")
    await harness.until(
        lambda: (
            harness.sql(
                "SELECT 1 FROM runs WHERE repository = :repository AND merged_at IS NOT NULL",
                repository=subject.repository,
            )
            != []
        ),
        "the merge is not recorded",
    )
    page = f"/repos/{subject.repository}"
    async with _visitor(harness, "olivia", subject) as olivia:
        about = (await olivia.client.get(page)).text
        assert "<code>python -m pytest</code>" in about
        assert "All defaults" in about
        usage = (await olivia.client.get("/usage")).text
        row = re.findall(rf">{subject.repository}</a></th>(.*?)</tr>", usage)
        assert row
        assert row[0].startswith("<td>1</td><td>100 %</td><td>100 %</td>")
        lines = (await olivia.client.get("/usage.csv")).text.splitlines()
        assert any(line.startswith(f"{subject.repository},") for line in lines)
        assert "olivia," not in lines[0]
    async with _visitor(harness, "walter", subject) as walter:
        assert (await walter.client.get(page)).status_code == 200
        assert subject.repository not in (await walter.client.get("/usage")).text
    async with _visitor(harness, "rita", subject) as rita:
        hidden, unknown = await rita.client.get(page), await rita.client.get("/repos/no/such")
        assert (hidden.status_code, hidden.text) == (404, unknown.text)
