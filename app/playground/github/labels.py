"""Labels of a repository and on its issues.

Outside contract: https://docs.github.com/rest/issues/labels
"""

from __future__ import annotations

import re

from .api import Answer, ApiEndpoint, Call, limited
from .conversation import add_event, announce
from .refusals import Refusal, not_found, validation
from .shapes import label_shape
from .world import Label, SimulatedIssue

_NAME_LIMIT = 50
_DESCRIPTION_LIMIT = 100


def attach(call: Call, issue: SimulatedIssue, names: list[str]) -> None:
    """Add labels to an issue; a label that does not exist yet is created."""
    for name in names:
        label = call.repository.label(name) or _new_label(call, name)
        if label not in issue.labels:
            issue.labels.append(label)
            _tell(call, issue, "labeled", label)


def detach(call: Call, issue: SimulatedIssue, name: str) -> None:
    """Remove a label from an issue. Refuses with 404 when the issue does not have it."""
    for label in issue.labels:
        if label.name.lower() == name.lower():
            issue.labels.remove(label)
            _tell(call, issue, "unlabeled", label)
            return
    raise Refusal(404, "Label does not exist")


def _tell(call: Call, issue: SimulatedIssue, action: str, label: Label) -> None:
    short = {"name": label.name, "color": label.color}
    add_event(call.world, issue, action, call.user, label=short)
    shape = label_shape(call.world, call.repository, label)
    announce(call.world, call.repository, issue, action, call.user, label=shape)


def _new_label(call: Call, name: str, color: str = "ededed", text: str | None = None) -> Label:
    if not name.strip():
        raise validation("Label", "name", "missing_field")
    limited("Label", "name", name, _NAME_LIMIT)
    limited("Label", "description", text, _DESCRIPTION_LIMIT)
    if not re.fullmatch(r"[0-9a-fA-F]{6}", color):
        raise validation("Label", "color", "invalid")
    label = Label(call.world.new_id(), name, color.lower(), text)
    call.repository.labels.append(label)
    return label


def _label(call: Call) -> Label:
    label = call.repository.label(call.params["name"])
    if label is None:
        raise not_found()
    return label


def _names(call: Call) -> list[str]:
    """The names in a body: an object with labels, or a list of names or of objects with a name."""
    given = call.body if isinstance(call.body, list) else call.value("labels", list, [])
    names = [entry.get("name") if isinstance(entry, dict) else entry for entry in given]
    found = [name for name in names if isinstance(name, str)]
    if len(found) < len(names):
        raise validation("Label", "name", "invalid")
    return found


def _of_issue(call: Call, issue: SimulatedIssue) -> Answer:
    # GitHub gives all labels here, whatever the page.
    return Answer(200, [label_shape(call.world, call.repository, one) for one in issue.labels])


# -- endpoints


async def list_labels(call: Call) -> Answer:
    labels = call.repository.labels
    return call.page(labels, lambda one: label_shape(call.world, call.repository, one))


async def create_label(call: Call) -> Answer:
    name = call.required("name", str)
    if call.repository.label(name):
        raise validation("Label", "name", "already_exists")
    color = call.value("color", str, "ededed")
    label = _new_label(call, name, color, call.optional("description", str))
    return Answer(201, label_shape(call.world, call.repository, label))


async def get_label(call: Call) -> Answer:
    return Answer(200, label_shape(call.world, call.repository, _label(call)))


async def edit_label(call: Call) -> Answer:
    label = _label(call)
    label.name = call.value("new_name", str, label.name)
    label.color = call.value("color", str, label.color)
    label.description = call.value("description", str, label.description or "") or None
    return Answer(200, label_shape(call.world, call.repository, label))


async def delete_label(call: Call) -> Answer:
    label = _label(call)
    call.repository.labels.remove(label)
    for issue in call.repository.issues.values():
        if label in issue.labels:
            issue.labels.remove(label)
    return Answer(204)


async def issue_labels(call: Call) -> Answer:
    labels = call.issue().labels
    return call.page(labels, lambda one: label_shape(call.world, call.repository, one))


async def add_labels(call: Call) -> Answer:
    issue = call.issue()
    attach(call, issue, _names(call))
    return _of_issue(call, issue)


async def set_labels(call: Call) -> Answer:
    issue, names = call.issue(), _names(call)
    for name in issue.label_names:
        if name.lower() not in {wanted.lower() for wanted in names}:
            detach(call, issue, name)
    attach(call, issue, names)
    return _of_issue(call, issue)


async def clear_labels(call: Call) -> Answer:
    issue = call.issue()
    for name in issue.label_names:
        detach(call, issue, name)
    return Answer(204)


async def remove_label(call: Call) -> Answer:
    issue = call.issue()
    detach(call, issue, call.params["name"])
    return _of_issue(call, issue)


_LABELS = "/repos/{owner}/{repo}/labels"
_OF_ISSUE = "/repos/{owner}/{repo}/issues/{issue_number}/labels"
_READ = "issues:read|pull_requests:read"
_WRITE = "issues:write|pull_requests:write"

ENDPOINTS = [
    ApiEndpoint("GET", _LABELS, list_labels, _READ),
    ApiEndpoint("POST", _LABELS, create_label, "issues:write", "write"),
    ApiEndpoint("GET", f"{_LABELS}/{{name}}", get_label, _READ),
    ApiEndpoint("PATCH", f"{_LABELS}/{{name}}", edit_label, "issues:write", "write"),
    ApiEndpoint("DELETE", f"{_LABELS}/{{name}}", delete_label, "issues:write", "write"),
    ApiEndpoint("GET", _OF_ISSUE, issue_labels, _READ),
    ApiEndpoint("POST", _OF_ISSUE, add_labels, _WRITE, "triage"),
    ApiEndpoint("PUT", _OF_ISSUE, set_labels, _WRITE, "triage"),
    ApiEndpoint("DELETE", _OF_ISSUE, clear_labels, _WRITE, "triage"),
    ApiEndpoint("DELETE", f"{_OF_ISSUE}/{{name}}", remove_label, _WRITE, "triage"),
]
