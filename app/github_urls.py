"""GitHub's two base URLs: the REST API, and the server for people and git.

    github.com                https://api.github.com              https://github.com
    a subdomain of ghe.com    https://api.SUBDOMAIN.ghe.com       https://SUBDOMAIN.ghe.com
    Enterprise Server         https://HOST/api/v3                 https://HOST

https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api
https://docs.github.com/en/enterprise-server/rest/enterprise-admin

Both receive tokens, so both must belong to the same GitHub.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

GITHUB_API = "https://api.github.com"
GITHUB_SERVER = "https://github.com"
_GITHUB, _CLOUD = "github.com", ".ghe.com"
_ENTERPRISE = "/api/v3"


def server_of(api: str) -> str:
    """The server of an API URL. Raises ValueError when it cannot be derived."""
    parts = _split(api)
    if parts.path == _ENTERPRISE:
        return f"{parts.scheme}://{parts.netloc}"
    host = parts.netloc.lower()
    is_github_cloud = host == f"api.{_GITHUB}" or host.endswith(_CLOUD)
    if is_github_cloud and host.startswith("api.") and not parts.path:
        return f"{parts.scheme}://{host.removeprefix('api.')}"
    raise ValueError(f"{api} is not the address of a GitHub API. {_suggestion(parts)}")


def api_of(server: str) -> str:
    """The API URL of a server. Raises ValueError when it is not a server's URL."""
    parts = _split(server)
    if parts.path:
        raise ValueError(f"{server} has a path. Give the address of the server alone.")
    host = parts.netloc.lower()
    if host == f"www.{_GITHUB}" or host.startswith("api."):
        raise ValueError(f"{server} is not a server's address. Give it like {GITHUB_SERVER}.")
    if host == _GITHUB or host.endswith(_CLOUD):
        return f"{parts.scheme}://api.{host}"
    return f"{parts.scheme}://{parts.netloc}{_ENTERPRISE}"


def check_pair(api: str, server: str) -> None:
    """Raises ValueError unless both URLs can belong to the same GitHub."""
    api_parts, server_parts = _split(api), _split(server)
    if server_parts.path:
        raise ValueError(f"{server} has a path. Give the address of the server alone.")
    same_host = api_parts.hostname in (server_parts.hostname, f"api.{server_parts.hostname}")
    # An emulator may serve the two on different ports of this machine.
    both_local = is_this_machine(api) and is_this_machine(server)
    if not both_local and not (same_host and api_parts.scheme == server_parts.scheme):
        raise ValueError(
            f"{api} and {server} are not the same GitHub, and both would be sent tokens. "
            "Leave one of them out: it follows from the other."
        )


def is_this_machine(url: str) -> bool:
    """Whether a URL points to this machine (loopback)."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split(url: str) -> SplitResult:
    parts = urlsplit(url)
    # `parts.port` raises ValueError for an invalid port.
    known = parts.port is None or parts.port > 0
    if parts.scheme not in ("http", "https") or not parts.hostname or not known:
        raise ValueError(f"{url} is not an address such as {GITHUB_SERVER}.")
    host = f".{parts.hostname}"
    if parts.scheme == "http" and host.endswith((f".{_GITHUB}", _CLOUD)):
        raise ValueError(f"{url} would send tokens in the clear. Give it with https.")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("Give scheme, host and path alone, without a name, a query or a fragment.")
    return parts


def _suggestion(parts: SplitResult) -> str:
    host = parts.netloc.lower().removeprefix("www.")
    if host == _GITHUB or host.endswith(_CLOUD):
        return f"It is {parts.scheme}://api.{host.removeprefix('api.')}."
    return (
        f"Enterprise Server's is {parts.scheme}://{parts.netloc}{_ENTERPRISE}; for any other set "
        "GITHUB_SERVER_URL as well."
    )
