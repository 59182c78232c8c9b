"""C and C++."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated

ECOSYSTEM = Ecosystem(
    name="cpp",
    generated=(Generated(anywhere=("CMakeFiles/", "CMakeCache.txt", "*.o", "*.gcda", "*.gcno")),),
)
