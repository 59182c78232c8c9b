"""Events as GitHub sends them, reduced to what matters here, and their signatures."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
from typing import Any

PERSON = {"login": "octo-cat", "id": 11, "type": "User", "site_admin": False}
OUR_BOT = {"login": "honk[bot]", "id": 12, "type": "Bot", "site_admin": False}

_ISSUE: dict[str, Any] = {
    "id": 501,
    "node_id": "I_kwDOA",
    "number": 7,
    "title": "Wrong rounding",
    "body": "Rounds half down.",
    "state": "open",
    "user": {"login": "reporter", "id": 13, "type": "User"},
    "labels": [{"id": 1, "name": "bug", "color": "ff0000"}, {"id": 2, "name": "honk"}],
    "html_url": "https://github.com/acme/rounding/issues/7",
    "created_at": "2026-03-01T08:00:00Z",
    "updated_at": "2026-03-02T09:10:11Z",
    "performed_via_github_app": None,
}
_COMMON: dict[str, Any] = {
    "repository": {
        "id": 900,
        "full_name": "acme/rounding",
        "default_branch": "main",
        "private": True,
        "archived": False,
        "license": None,
    },
    "installation": {"id": 77, "node_id": "MDIz"},
    "sender": PERSON,
}


def labeled(label: str = "honk", **changes: Any) -> dict[str, Any]:
    """`issues.labeled`. A change named `issue__state` goes into `issue`, and so on."""
    event = {"action": "labeled", "issue": _ISSUE, "label": {"id": 2, "name": label}, **_COMMON}
    return _changed(event, changes)


def commented(body: str | None = "/honk fix it", **changes: Any) -> dict[str, Any]:
    """`issue_comment.created`, with changes as for `labeled`."""
    comment = {
        "id": 333,
        "node_id": "IC_kwDOB",
        "html_url": "https://github.com/acme/rounding/issues/7#issuecomment-333",
        "body": body,
        "user": PERSON,
        "created_at": "2026-03-02T09:10:11Z",
        "performed_via_github_app": None,
    }
    event = {"action": "created", "issue": _ISSUE, "comment": comment, **_COMMON}
    return _changed(event, changes)


def without(event: dict[str, Any], path: str) -> dict[str, Any]:
    """The event without the member that `path` names, as in `issue__title`."""
    changed = copy.deepcopy(event)
    *parents, last = path.split("__")
    inner = changed
    for name in parents:
        inner = inner[name]
    del inner[last]
    return changed


def encoded(event: object) -> bytes:
    return json.dumps(event).encode()


def signature(body: bytes, secret: bytes) -> str:
    """The value of `X-Hub-Signature-256`."""
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


def _changed(event: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(event)
    for path, value in changes.items():
        *parents, last = path.split("__")
        inner = changed
        for name in parents:
            inner = inner[name]
        inner[last] = value
    return changed
