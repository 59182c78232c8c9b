""".NET."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated

ECOSYSTEM = Ecosystem(
    name="dotnet",
    setup_environment={
        "DOTNET_CLI_TELEMETRY_OPTOUT": "1",
        "DOTNET_NOLOGO": "1",
        "NuGetAudit": "false",
    },
    registry="nuget",
    test_paths={"cs": r"Tests?\.cs$", "fs": r"Tests?\.fs$", "vb": r"Tests?\.vb$"},
    test_folders=r"[tT]ests?|[^/]*\.(?:\w*Tests?|Specs)",
    runner_files=r"\.runsettings$|(?:^|/)xunit\.runner\.json$",
    generated=(Generated(beside=("bin/", "obj/"), manifests=("*.csproj", "*.fsproj", "*.vbproj")),),
)
