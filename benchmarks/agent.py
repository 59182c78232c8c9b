"""What does an agent's work cost beside Claude Code's own CLI and mini-swe-agent?

`ONLY=agent make bench`. All do the same work (`benchmarks/trajectory.py`), in 12 and in 60 turns,
against the playground's model, which runs in this process and is not counted. Processor time is
that of everything an agent starts, sandboxes too; a cgroup counts it where one can be made. What
the commands of the work cost by themselves is taken off where a line says so.

Honk's engines are warm, as in a worker: the work was done once before. A CLI is a new process for
each piece of work. mini-swe-agent is installed into a folder that goes away again, and left out
where no package client reaches it.
"""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app.agent.engines.claude_code import cli
from app.git.snapshots import IDLE_SECONDS as SNAPSHOT_SECONDS
from app.playground.model import ScriptedModel
from app.runs.pace import BUSY_SECONDS
from app.sandbox.spec import PATH, WORKSPACE
from app.settings import Settings
from benchmarks import trajectory
from benchmarks.agent_engines import KEY, MODEL, TASK
from benchmarks.cpu_group import CpuGroup, cpu_group
from benchmarks.processes import MIB, below, pss
from tests.support.harness import Harness, a_home, open_harness_in
from tests.support.model_api import serving

LENGTHS = (12, 60)
"""Turns of the work."""

IDLE_SECONDS = float(os.environ.get("IDLE_SECONDS", "60"))
FURTHER_RUNS = 6
FURTHER_CLIS = 2
"""How many more are started to measure one: a CLI needs as much as twenty runs."""

WARM_TURNS = 4
PATIENCE_SECONDS = 300.0
MINI_SWE_AGENT = "mini-swe-agent==2.4.6"


@dataclass(frozen=True)
class Cost:
    """The cost of one task: CPU seconds, and tokens in units of uncached input."""

    cpu: float
    units: float = 0.0

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.cpu - other.cpu, self.units)


Costs = dict[int, Cost]
"""Keyed by the number of turns."""


def main() -> None:
    """Print each line of the table as it is measured, then the ratios."""
    with _folder() as folder:
        asyncio.run(_measure(folder))


@contextmanager
def _folder() -> Iterator[Path]:
    """Not below /root: sandboxes run as users without access to it."""
    with tempfile.TemporaryDirectory(prefix="honk-bench-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


async def _measure(folder: Path) -> None:
    with cpu_group() as group:
        print(f"CPU counted by: {group.kind}")
    told = functools.partial(_tell_costs, folder)
    tools = await told("the commands of the work alone", _by_hand)
    cli_costs = await told("Claude Code's CLI", _claude_code)
    await _mini_swe_agent(folder)
    plain = await told("a loop of 30 lines with one tool", functools.partial(_child, "plain"))
    engine = await told("Honk's engine", functools.partial(_child, "engine"))
    kept = await told("  with snapshots", functools.partial(_child, "snapshots"))
    claude = await told("Claude Code as the engine", functools.partial(_child, "claude-code"))
    whole = await told("label to pull request", _whole_run)
    idle = await _idle()
    print(f"an idle worker: {idle:.1%} of a core (to reach 1.5%)")
    soon, later = await _memory_of_a_run()
    theirs = await _memory_of_a_cli(folder)
    print(
        f"memory of one more run: {later:.1f} MiB (to reach 8), just after a change {soon:.1f};"
        f" of one more CLI {theirs:.0f}"
    )
    _tell_ratios(
        {
            "engine / Claude Code, commands taken off (to reach 0.25)": (engine, cli_costs, tools),
            "engine with snapshots / engine (to reach 1.3)": (kept, engine, None),
            "label to pull request / Claude Code (to reach 1)": (whole, cli_costs, None),
            "Claude Code as the engine / CLI (to reach 1.15)": (claude, cli_costs, None),
        }
    )
    _tell_prices("price, engine / plain loop (to reach 1.1)", engine, plain)
    _tell_prices("price, Claude Code as the engine / CLI (to reach 1.15)", claude, cli_costs)


Measure = Callable[[int, Path], Awaitable[Cost]]


async def _tell_costs(folder: Path, name: str, measure: Measure) -> Costs:
    costs = {}
    for turns in LENGTHS:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            Path(place).chmod(0o755)
            costs[turns] = await measure(turns, Path(place))
    cpu = " / ".join(f"{each.cpu:.2f}" for each in costs.values())
    units = " / ".join(f"{each.units / 1000:.1f}k" for each in costs.values())
    print(f"{name:36} {cpu:>14} s CPU {units:>18} units", flush=True)
    return costs


def _tell_ratios(rows: Mapping[str, tuple[Costs, Costs, Costs | None]]) -> None:
    for name, (ours, theirs, off) in rows.items():
        told = []
        for turns in LENGTHS:
            less = off[turns].cpu if off is not None else 0.0
            told.append(f"{(ours[turns].cpu - less) / (theirs[turns].cpu - less):.2f}")
        print(f"{name}: {' / '.join(told)}")


def _tell_prices(name: str, ours: Costs, theirs: Costs) -> None:
    told = [f"{ours[turns].units / theirs[turns].units:.2f}" for turns in LENGTHS]
    print(f"{name}: {' / '.join(told)}")


def _units(model: ScriptedModel) -> float:
    return sum(map(trajectory.price_units, model.usages))


# -- one task


async def _by_hand(turns: int, folder: Path) -> Cost:
    """The commands as one shell script; the agent's tools view and edit files."""
    _write(folder)
    planned = (each for each in trajectory.steps(turns) if isinstance(each, trajectory.Run))
    script = "\n".join(each.command for each in planned)
    with cpu_group() as group:
        await _run(group, ["bash", "-c", script], folder, {"PATH": PATH})
        return Cost(group.seconds)


async def _child(kind: str, turns: int, folder: Path) -> Cost:
    """One of Honk's engines, or the plain loop, on its second run of the task."""
    root = str(folder) if kind == "plain" else WORKSPACE
    model = ScriptedModel(default=trajectory.play(turns, root), api_key=KEY)
    with cpu_group() as group:
        async with serving(model.app) as url:
            words = [sys.executable, "-m", "benchmarks.agent_engines"]
            words += [kind, url, str(turns), str(folder)]
            process = await asyncio.create_subprocess_exec(
                *group.enter(words),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            assert process.stdin is not None
            assert process.stdout is not None
            await _says(process.stdout, b"ready\n")
            model.usages.clear()
            before = group.seconds
            process.stdin.write(b"\n")
            await _says(process.stdout, b"done\n")
            used = Cost(group.seconds - before, _units(model))
            assert await process.wait() == 0
            return used


async def _says(output: asyncio.StreamReader, line: bytes) -> None:
    found = await asyncio.wait_for(output.readline(), PATIENCE_SECONDS)
    assert found == line, (found, line)


def _write(folder: Path) -> None:
    for name, content in trajectory.FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


async def _run(
    group: CpuGroup, words: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> str:
    process = await asyncio.create_subprocess_exec(
        *group.enter(words),
        cwd=folder,
        env=dict(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    text = output.decode("utf-8", "replace")
    assert process.returncode == 0, text[-3000:]
    return text


async def _claude_code(turns: int, folder: Path) -> Cost:
    """The CLI as its users run it without a terminal, in a folder, without a sandbox."""
    repository = folder / "repository"
    _write(repository)
    model = ScriptedModel(default=trajectory.play(turns, str(repository)), api_key=KEY)
    with cpu_group() as group:
        async with serving(model.app) as url:
            words, environment = _cli(folder, url)
            await _run(group, words, repository, environment)
            _assert_done(repository)
            return Cost(group.seconds, _units(model))


def _cli(folder: Path, url: str) -> tuple[list[str], dict[str, str]]:
    path = str(cli.find(Settings(_env_file=None)))
    words = [path, "--print", TASK, "--model", MODEL, "--output-format", "stream-json"]
    words += ["--verbose", "--permission-mode", "dontAsk"]
    words += ["--allowedTools", ",".join(cli.BUILT_IN_TOOLS)]
    environment = {
        "PATH": PATH,
        "HOME": str(folder),
        "CLAUDE_CONFIG_DIR": str(folder / ".claude"),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": KEY,
    }
    return words, environment


def _assert_done(repository: Path) -> None:
    assert "a + b" in (repository / "calc.py").read_text()


async def _mini_swe_agent(folder: Path) -> None:
    """In a separate environment, if it can be installed."""
    place = folder / "mini-swe-agent"
    if problem := await asyncio.to_thread(_installed, place):
        print(f"{MINI_SWE_AGENT} is left out, it could not be installed: {problem}")
        return

    async def work(turns: int, folder: Path) -> Cost:
        repository = folder / "repository"
        _write(repository)
        model = ScriptedModel(default=trajectory.play(turns, str(repository)), api_key=KEY)
        words = [str(place / "bin/mini"), "--yolo", "--exit-immediately", "--task", TASK]
        words += ["--model", f"anthropic/{MODEL}", "--output", str(folder / "trajectory.json")]
        # litellm requests more output tokens than the API allows without streaming.
        words += ["--config", "mini.yaml", "--config", "model.model_kwargs.max_tokens=8000"]
        with cpu_group() as group:
            async with serving(model.app) as url:
                environment = {
                    "PATH": PATH,
                    "HOME": str(folder),
                    "ANTHROPIC_API_BASE": url,
                    "ANTHROPIC_API_KEY": KEY,
                    "MSWEA_CONFIGURED": "true",
                    "MSWEA_COST_TRACKING": "ignore_errors",
                    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                }
                await _run(group, words, repository, environment)
                _assert_done(repository)
                return Cost(group.seconds, _units(model))

    await _tell_costs(folder, "mini-swe-agent", work)


def _installed(place: Path) -> str:
    """Install it; why that failed, or empty."""
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    install = [f"{place}/bin/pip", "install", "--quiet", MINI_SWE_AGENT]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    lines = done.stderr.strip().splitlines() or ["pip gave no reason"]
    return lines[-1] if done.returncode else ""


# -- the product


def _started_in(group: CpuGroup) -> Callable[..., subprocess.Popen[bytes]]:
    def start(
        words: Sequence[str], environment: Mapping[str, str], folder: Path, errors: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            group.enter([sys.executable, "-m", *words]),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=folder,
        )

    return start


async def _whole_run(turns: int, _: Path) -> Cost:
    """From the label to the pull request, in a `honk serve` that has already finished a run."""
    with cpu_group() as group, a_home() as home:
        kind = functools.partial(Harness, start_by=_started_in(group))
        async with open_harness_in(home, {}, kind) as harness:
            warm = await harness.subject(
                files=trajectory.FILES, plays=trajectory.play(WARM_TURNS, WORKSPACE)
            )
            await warm.label()
            await warm.settled()
            subject = await harness.subject(
                files=trajectory.FILES, plays=trajectory.play(turns, WORKSPACE)
            )
            harness.model.usages.clear()
            before = group.seconds
            await subject.label()
            await subject.settled()
            assert len(subject.pulls) == 1, subject.last_words
            return Cost(group.seconds - before, _units(harness.model))


async def _idle() -> float:
    """The share of a core that an idle `honk serve` uses."""
    with cpu_group() as group, a_home() as home:
        kind = functools.partial(Harness, start_by=_started_in(group))
        async with open_harness_in(home, {}, kind):
            # A minute after its start it collects garbage once more.
            await asyncio.sleep(BUSY_SECONDS + 45)
            before, began = group.seconds, time.monotonic()
            await asyncio.sleep(IDLE_SECONDS)
            return (group.seconds - before) / (time.monotonic() - began)


async def _memory_of_a_run() -> tuple[float, float]:
    """MiB that one more run needs, while the model thinks, its sandboxes included: just after a
    change to its files, and later."""
    with cpu_group() as group, a_home() as home:
        kind = functools.partial(Harness, start_by=_started_in(group))
        settings = {"HONK_CONCURRENCY": str(FURTHER_RUNS + 1)}
        async with open_harness_in(home, settings, kind) as harness:
            seen: list[float] = []
            for count in (1, FURTHER_RUNS):
                subjects = [
                    await harness.subject(
                        files=trajectory.FILES,
                        plays=trajectory.play(LENGTHS[0], WORKSPACE, slow_after=8),
                    )
                    for _ in range(count)
                ]
                for subject in subjects:
                    await subject.label()
                for subject in subjects:
                    await subject.at_work(turns=9)
                assert harness.honk is not None
                pids = [harness.honk.process.pid]
                seen.append(_memory(pids))
                await asyncio.sleep(SNAPSHOT_SECONDS + 5)
                seen.append(_memory(pids))
            _, one, soon, later = seen
            return (soon - one) / FURTHER_RUNS, (later - one) / FURTHER_RUNS


async def _memory_of_a_cli(folder: Path) -> float:
    """MiB that each additional CLI needs while the model thinks."""
    asked, processes = [], []
    repository = folder / "repository"
    _write(repository)
    play = trajectory.play(LENGTHS[0], str(repository), slow_after=1)
    model = ScriptedModel(default=play, api_key=KEY)
    async with serving(model.app) as url:
        words, environment = _cli(folder, url)
        try:
            for count in (1, FURTHER_CLIS):
                for _ in range(count):
                    processes.append(
                        await asyncio.create_subprocess_exec(
                            *words,
                            cwd=repository,
                            env=environment,
                            stdin=asyncio.subprocess.DEVNULL,
                            stdout=asyncio.subprocess.DEVNULL,
                        )
                    )
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while _thinking(model) < len(processes):  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                await asyncio.sleep(2)
                asked.append(_memory([each.pid for each in processes]))
        finally:
            for each in processes:
                each.kill()
                await each.wait()
    return (asked[1] - asked[0]) / FURTHER_CLIS


def _thinking(model: ScriptedModel) -> int:
    """How many conversations have reached the slow turn."""
    return sum(
        sum(message["role"] == "assistant" for message in request["messages"]) == 1
        for request in model.requests
    )


def _memory(pids: Sequence[int]) -> float:
    """MiB of the processes and all their descendants."""
    return sum(pss(each) for pid in pids for each in (pid, *below(pid))) / MIB


if __name__ == "__main__":
    main()
