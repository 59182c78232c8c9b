"""What can be told from an address alone."""

from __future__ import annotations

import pytest

from app.domain.values import RepoName
from app.github.addresses import repository_at

HERE = RepoName.parse("olivia/calc")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/acme/lib", "acme/lib"),
        ("https://github.com/acme/lib.git", "acme/lib"),
        ("https://GitHub.com/acme/lib/", "acme/lib"),
        ("git@github.com:acme/lib.git", "acme/lib"),
        ("ssh://git@github.com/acme/lib.git", "acme/lib"),
        ("git://github.com/acme/lib.git", "acme/lib"),
        ("../lib.git", "olivia/lib"),
        ("../../acme/lib", "acme/lib"),
        ("./lib", None),
        ("../../../../etc/passwd", "etc/passwd"),
        ("https://github.com.example.org/acme/lib", None),
        ("https://github.com@example.org/acme/lib", None),
        ("https://github.com/acme", None),
        ("https://github.com/acme/lib/tree/main", None),
        ("https://github.com/../..", None),
        ("https://[bad/acme/lib", None),
        ("file:///etc/passwd", None),
        ("/srv/git/lib.git", None),
        ("", None),
    ],
)
def test_the_repository_that_an_address_names(url: str, name: str | None) -> None:
    found = repository_at(url, "https://github.com", HERE)
    assert (str(found) if found else None) == name
