"""Read a repository's name from a git URL."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

from app.domain.values import RepoName

_SCP_LIKE = re.compile(r"[\w.-]+@([\w.-]+):(.+)")
"""`git@github.com:owner/name.git`, git's scp-like form of an ssh URL."""


def repository_at(url: str, server_url: str, beside: RepoName) -> RepoName | None:
    """The repository on this server that a git URL names; None for any other.

    Relative URLs start at the repository `beside`, as in gitmodules(5).
    """
    if url.startswith(("./", "../")):
        url = urljoin(f"{server_url}/{beside}/", url)
    elif (short := _SCP_LIKE.fullmatch(url)) is not None:
        url = f"ssh://{short[1]}/{short[2]}"
    try:
        there = urlsplit(url)
        if there.hostname != urlsplit(server_url).hostname:
            return None
        return RepoName.parse(there.path.strip("/").removesuffix(".git"))
    except ValueError:
        return None
