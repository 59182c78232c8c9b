"""Real packages from the registries, whose source archives are set up without any preparation.

The list was written before any of the archives was opened. A package that fails stays in it, and
in docs/first-contact.md with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["sdist", "crate", "module", "tarball", "source-release", "sources"]
"""How a registry offers it: a Python sdist, a crate, a Go module, an npm tarball, the source
release that Apache projects upload beside the jar, or the jars of sources and test sources with
the pom."""


@dataclass(frozen=True)
class Package:
    """One version. `name` is what the client calls it; for Maven `group:artifact`."""

    kind: Kind
    name: str
    version: str

    @property
    def label(self) -> str:
        """For the table."""
        return f"{self.name} {self.version}"


PACKAGES: Final = (
    Package("sdist", "attrs", "24.2.0"),
    Package("sdist", "click", "8.1.7"),
    Package("sdist", "marshmallow", "3.23.1"),
    Package("sdist", "structlog", "24.4.0"),
    Package("sdist", "more-itertools", "10.5.0"),
    Package("sdist", "python-dateutil", "2.9.0.post0"),
    Package("crate", "semver", "1.0.23"),
    Package("crate", "itoa", "1.0.11"),
    Package("crate", "httparse", "1.9.5"),
    Package("crate", "bytes", "1.8.0"),
    Package("module", "github.com/spf13/cobra", "v1.8.1"),
    Package("module", "github.com/stretchr/testify", "v1.9.0"),
    Package("module", "github.com/sirupsen/logrus", "v1.9.3"),
    Package("module", "github.com/pelletier/go-toml/v2", "v2.2.3"),
    Package("tarball", "qs", "6.13.0"),
    Package("tarball", "bl", "6.0.16"),
    Package("tarball", "object-inspect", "1.13.2"),
    Package("tarball", "light-my-request", "6.1.0"),
    Package("source-release", "org.apache.maven.shared:maven-shared-utils", "3.4.2"),
    Package("sources", "org.apache.commons:commons-csv", "1.12.0"),
)
