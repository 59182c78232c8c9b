"""A cheat, and the same cheat without the defence that catches it."""

from __future__ import annotations

from hashlib import sha256

from tests.cheats.harness import Bench, Defences, Outcome
from tests.cheats.table import Cheat


async def both(cheat: Cheat, bench: Bench) -> tuple[Outcome, Outcome]:
    """With every defence, and with that of its row replaced."""
    name = sha256(cheat.name.encode()).hexdigest()[:12]
    caught = await bench.judge(cheat.script, Defences(), f"{name}-caught")
    return caught, await bench.judge(cheat.script, cheat.off, f"{name}-control")
