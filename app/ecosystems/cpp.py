"""C and C++."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated

ECOSYSTEM = Ecosystem(
    name="cpp",
    recognized_by=("CMakeLists.txt", "meson.build"),
    generated=(Generated(anywhere=("CMakeFiles/", "CMakeCache.txt", "*.o", "*.gcda", "*.gcno")),),
)
