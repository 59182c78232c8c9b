"""A flood of deliveries while the database is unavailable: each request is handled exactly once.

Real events of simulated repositories are sent to `honk web`, shuffled, one connection for each
repository, some of them again under their GUID and some under another. In the middle Postgres is
stopped and started again. GitHub does not resend: refused deliveries are in the App's delivery log,
where the restarted worker finds them.

Each trigger has its own issue. Its run is acknowledged and waits in the queue, as its status
comment shows; none is executed, because a run whose agent sleeps has the only slot.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from app import log_events
from app.playground.github.deliveries import SimulatedDelivery
from app.playground.model import ScriptedTurn
from tests.faults.points import PATIENT, demand, failed
from tests.support import postgres
from tests.support.harness import OWNER, Fleet, Subject, never_twice, open_fleet
from tests.support.ledger import Ledger
from tests.support.postgres import Postgres

TITLE = "Deliveries"

_REFUSED_SHARE = 0.08
"""The share of deliveries after whose refusal Postgres is started, which takes a moment."""

_SEED = 20_260_301


@dataclass(frozen=True)
class Size:
    """How much: `issues` in each repository, each with one trigger and three ignored events.

    `nap` is how many seconds each turn of the run takes that has the only slot.
    """

    repositories: int
    issues: int
    same_guid: int
    other_guid: int
    nap: int

    @property
    def triggers(self) -> int:
        """What people asked for."""
        return self.repositories * self.issues

    @property
    def deliveries(self) -> int:
        """What is sent."""
        return 4 * self.triggers + self.same_guid + self.other_guid


LONG = Size(repositories=16, issues=125, same_guid=1000, other_guid=1000, nap=4)
SHORT = Size(repositories=8, issues=5, same_guid=20, other_guid=20, nap=1)


@dataclass
class Flood:
    """What was sent, and how it was answered."""

    size: Size
    subjects: list[Subject] = field(default_factory=list)
    sent: list[SimulatedDelivery] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def answers(self) -> Counter[int]:
        """How often each code was answered; 0 is not answered yet."""
        return Counter(each.status_code for each in self.sent)


Rows = dict[str, str]


async def go_on(ledger: Ledger) -> None:
    """Measure what is not in the ledger yet: it is one measurement, whole or not at all."""
    if ledger.rows:
        return
    try:
        rows = await measured(LONG)
    except AssertionError as problem:
        rows = {"result": failed(problem)}
    for name, value in rows.items():
        ledger.write(name, [value])


def section(ledger: Ledger) -> str:
    """What was counted, or how it failed."""
    lines = [f"## {TITLE}", "", f"Made from commit {ledger.commit}.", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {row[-1]} |" for name, row in ledger.rows.items()]
    return "\n".join(lines) + "\n"


async def measured(size: Size) -> Rows:
    """Run it; return the counts by name.

    Raises AssertionError when a request was lost or handled twice.
    """
    # With a lease that is longer than the outage, the worker survives, and the only slot stays
    # taken.
    settings = {"HONK_CONCURRENCY": "1", "HONK_LEASE_SECONDS": "60"}
    with postgres.running() as server:
        address = server.database()
        async with open_fleet(address, workers=1, settings=settings) as fleet:
            fleet.patience = PATIENT
            await _take_the_slot(fleet, size.nap)
            flood = Flood(size)
            events = await _events(fleet, flood)
            await asyncio.gather(_send(fleet, flood, events), _interrupt(fleet, flood, server))
            began = time.monotonic()
            await _start_the_worker_anew(fleet)
            engine = sa.create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
            try:
                await _all_heard(fleet, flood, engine)
                return _rows(fleet, flood, _counted(fleet, flood, engine), began)
            finally:
                engine.dispose()


async def _take_the_slot(fleet: Fleet, nap: int) -> None:
    """A run that lasts as long as this takes: its agent only waits."""

    def sleep(request: dict[str, Any]) -> ScriptedTurn:
        return never_twice(f"sleep {nap}", request)

    subject = await fleet.subject(plays=sleep, name="sleeper")
    await subject.label()
    await subject.at_work()
    await fleet.github.drained()


async def _events(fleet: Fleet, flood: Flood) -> list[tuple[bool, SimulatedDelivery]]:
    """All actions of people, as GitHub would send them, each with whether it is a trigger.

    They happen without a working webhook, and are removed from the log: as if they had not been
    sent yet. That takes less than the five minutes after which the worker reads the log again.
    """
    github, hooks = fleet.github, fleet.github.world.webhooks
    url, hooks.url = hooks.url, None
    # The fleet is one of the observers: it directs each delivery to its next receiver.
    observers, hooks.observers[:] = list(hooks.observers), []
    before = len(hooks.log)
    for repository in range(flood.size.repositories):
        name = f"{OWNER}/flood-{repository:02}"
        await github.add_repository(name, files={"a": b"a"}, permissions={OWNER: "admin"})
        for _ in range(flood.size.issues):
            issue = await github.open_issue(name, OWNER, "It breaks", "Now and then.", ["bug"])
            number = issue.number
            await github.comment(name, number, OWNER, "It does so here, too.")
            if number % 2:
                await github.add_label(name, number, "honk", OWNER)
            else:
                await github.comment(name, number, OWNER, "/honk fix it")
            flood.subjects.append(Subject(fleet, name, number))
    await github.drained()
    happened = hooks.log[before:]
    del hooks.log[before:]
    hooks.url, hooks.observers[:] = url, observers
    theirs = [each for each in happened if "/flood-" in each.payload["repository"]["full_name"]]
    return [(_asks(each), each) for each in theirs]


def _asks(delivery: SimulatedDelivery) -> bool:
    payload: dict[str, Any] = delivery.payload
    if delivery.action == "labeled":
        return bool(payload["label"]["name"] == "honk")
    return "/honk" in payload.get("comment", {}).get("body", "")


async def _send(fleet: Fleet, flood: Flood, events: list[tuple[bool, SimulatedDelivery]]) -> None:
    """In any order, the triggers among them more than once; waits until all are answered."""
    hooks = fleet.github.world.webhooks
    chance = random.Random(_SEED)
    asked = [event for asks, event in events if asks]
    demand(len(asked) == flood.size.triggers, f"{len(asked)} events ask for something")
    more = chance.choices(asked, k=flood.size.same_guid + flood.size.other_guid)
    order = [*(event for _, event in events), *more]
    chance.shuffle(order)
    same_guid = [True] * flood.size.same_guid + [False] * flood.size.other_guid
    chance.shuffle(same_guid)
    first: dict[str, SimulatedDelivery] = {}
    observe = flood.sent.append
    hooks.observers.append(observe)
    began = time.monotonic()
    for event in order:
        known = first.get(event.guid)
        if known is not None and same_guid.pop():
            hooks.send_again(known)
        else:
            installation, repository = event.installation_id, event.repository_id
            hooks.send(event.event, event.action, event.payload, installation, repository)
            first.setdefault(event.guid, flood.sent[-1])
    hooks.observers.remove(observe)
    await fleet.until(lambda: not flood.answers[0], "not everything was answered")
    flood.seconds = time.monotonic() - began


async def _interrupt(fleet: Fleet, flood: Flood, server: Postgres) -> None:
    """Stop the database in the middle, until enough deliveries were refused."""
    whole = flood.size.deliveries

    def answered() -> int:
        return len(flood.sent) - flood.answers[0]

    await fleet.until(lambda: answered() > 0.4 * whole, "too little was answered")
    await asyncio.to_thread(server.stop)
    await fleet.until(
        lambda: flood.answers[503] >= _REFUSED_SHARE * whole or answered() == whole,
        "nothing was refused",
    )
    await asyncio.to_thread(server.start)


async def _start_the_worker_anew(fleet: Fleet) -> None:
    """Restart the worker, like a deployment: it then reads the log immediately, not within five
    minutes.
    """
    await fleet.github.drained()
    (old,) = fleet.workers
    old.process.terminate()
    await old.ended()
    fleet.workers.remove(old)
    await fleet.add_worker()


async def _all_heard(fleet: Fleet, flood: Flood, engine: sa.Engine) -> None:
    """Wait until every trigger has a run and no request is pending."""
    query = sa.text(
        "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM dbos.workflow_status "
        "WHERE name = 'intake' AND status IN ('ENQUEUED', 'PENDING'))"
    )

    async def is_so() -> bool:
        with engine.connect() as connection:
            there, waiting = connection.execute(query).one()
        return bool(there > flood.size.triggers and not waiting)

    end = time.monotonic() + PATIENT
    while not await is_so():
        if time.monotonic() > end:
            return  # the count shows what is missing
        await asyncio.sleep(0.5)
    await fleet.github.drained()


@dataclass(frozen=True)
class _Counted:
    runs: int
    attempts: int
    comments: int


def _counted(fleet: Fleet, flood: Flood, engine: sa.Engine) -> _Counted:
    """Check the database and GitHub: exactly one of each for each trigger, and nothing else."""
    wanted = {f"{each.repository}#{each.number}" for each in flood.subjects}
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT id, subject FROM runs")).all()
        names = connection.execute(
            sa.text("SELECT workflow_uuid FROM dbos.workflow_status WHERE name = 'attempt'")
        ).scalars()
        attempts = Counter(str(name).partition(".")[0] for name in names)
    runs = Counter(row.subject for row in rows if "/flood-" in row.subject)
    lost, twice = wanted - runs.keys(), [name for name, count in runs.items() if count > 1]
    demand(not lost, f"{len(lost)} triggers were lost: {sorted(lost)[:3]}")
    demand(not twice, f"{len(twice)} triggers have two runs: {twice[:3]}")
    demand(runs.keys() == wanted, "there are runs that nobody asked for")
    theirs = [row.id for row in rows if row.subject in wanted]
    odd = [each for each in theirs if attempts[each] != 1]
    demand(not odd, f"{len(odd)} runs do not wait for one attempt: {odd[:3]}")
    for subject in flood.subjects:
        _demand_one_answer(subject)
    return _Counted(len(theirs), sum(attempts[each] for each in theirs), len(flood.subjects))


def _demand_one_answer(subject: Subject) -> None:
    """One status comment, one pair of eyes, one label: what its author sees."""
    told = [each.body for each in subject.ours if "<!-- honk:run=" in each.body]
    demand(len(told) == 1, f"{subject.name} has {len(told)} status comments")
    issue = subject.issue
    on_comments = [each for comment in issue.comments for each in comment.reactions]
    seen = [reaction.content for reaction in (*issue.reactions, *on_comments)]
    demand(seen == ["eyes"], f"{subject.name} has the reactions {seen}")
    demand(len(subject.labels) == 1, f"{subject.name} has the labels {subject.labels}")


def _rows(fleet: Fleet, flood: Flood, counted: _Counted, began: float) -> Rows:
    answers = flood.answers
    taken = fleet.log().count(log_events.LOGGED_DELIVERY_ACCEPTED)
    odd = {code: count for code, count in answers.items() if code not in (200, 202, 204, 503)}
    demand(not odd, f"answered otherwise: {odd}")
    demand(answers[503], "the database was away and nothing was refused")
    read = sum(
        record.template == "/app/hook/deliveries/{delivery_id}" for record in fleet.github.requests
    )
    return {
        "deliveries sent": f"{len(flood.sent):,}",
        "connections": str(flood.size.repositories),
        "seconds": f"{flood.seconds:.0f}",
        "sent again, same GUID": f"{flood.size.same_guid:,}",
        "sent again, another GUID": f"{flood.size.other_guid:,}",
        "answered 202, accepted": f"{answers[202]:,}",
        "answered 200, duplicate": f"{answers[200]:,}",
        "answered 204, ignored": f"{answers[204]:,}",
        "answered 503, Postgres was stopped": f"{answers[503]:,}",
        "read in GitHub's log afterwards": f"{read:,}",
        "accepted from there": f"{taken:,}",
        "seconds until all were handled": f"{time.monotonic() - began:.0f}",
        "triggers": f"{flood.size.triggers:,}",
        "runs in the database": f"{counted.runs:,}",
        "attempts in the queue": f"{counted.attempts:,}",
        "status comments on GitHub": f"{counted.comments:,}",
        "lost": "0",
        "handled twice": "0",
    }
