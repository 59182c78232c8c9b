"""All cheats, in the order of their classes."""

from __future__ import annotations

from typing import Final

from tests.cheats import cheats_elsewhere, cheats_machine, cheats_python
from tests.cheats.cheat import Cheat, Trick

_ORDER = list(Trick)
CHEATS: Final[tuple[Cheat, ...]] = tuple(
    sorted(
        (*cheats_machine.CHEATS, *cheats_python.CHEATS, *cheats_elsewhere.CHEATS),
        key=lambda cheat: _ORDER.index(cheat.trick),
    )
)
