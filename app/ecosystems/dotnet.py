""".NET."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated

ECOSYSTEM = Ecosystem(
    name="dotnet",
    generated=(Generated(beside=("bin/", "obj/"), manifests=("*.csproj", "*.fsproj", "*.vbproj")),),
)
