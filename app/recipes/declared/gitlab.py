"""`.gitlab-ci.yml`, read as data: the jobs that run tests. Pure.

https://docs.gitlab.com/ci/yaml/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from app.domain.file_tree import FileTree
from app.domain.setup_plan import Missing
from app.recipes.declared import services, yaml_data
from app.recipes.declared.findings import Findings
from app.recipes.declared.script import ScriptPlace, ScriptReader
from app.recipes.declared.yaml_data import Node, items, mapping, text

PATH = ".gitlab-ci.yml"
_NOT_JOBS = frozenset(
    (
        *("default", "include", "stages", "variables", "workflow", "image", "services", "cache"),
        *("before_script", "after_script", "spec", "pages"),
    )
)
_OTHER_WORK = re.compile(
    r"(?i).*(?:lint|docs?\b|release|deploy|publish|package|docker|audit|scan).*"
)
_MOST_JOBS = 40
_MOST_LINES = 300
_DEEPEST = 4
_IMAGE = re.compile(
    r"(?:.*/)?(python|node|golang|ruby|rust|maven):v?(\d+(?:\.\d+){0,2})(?:[-\w.]*)"
)
_TOOLS = {"golang": "go"}


def ci(tree: FileTree) -> Findings:
    """The declarations of jobs with tests; nothing if there is no such file."""
    found = Findings()
    content = tree.read_text(PATH, yaml_data.MAX_BYTES + 1)
    if content is None:
        return found
    try:
        file = mapping(yaml_data.load(content))
    except yaml_data.UnreadableYamlError as problem:
        found.not_read(PATH, PATH, str(problem))
        return found
    for name in [each for each in file if each not in _NOT_JOBS and each[:1] != "."][:_MOST_JOBS]:
        job = _GitlabJob(file, name)
        if _OTHER_WORK.match(f"{name} {text(job.value('stage'))}"):
            continue
        findings = Findings()
        _read(tree, findings, job)
        if findings.has_tests:
            found.add(findings)
    return found


class _GitlabJob:
    """One job, with what it inherits from the jobs that it extends and from the file's defaults."""

    def __init__(self, file: Mapping[str, Node], name: str) -> None:
        self.source = f"{PATH} (job {name[:60]})"
        defaults = {**file, **mapping(file.get("default"))}
        self._levels = [*_extended(file, name), defaults]

    def value(self, key: str) -> Node:
        """The nearest value of a key; "" if there is none."""
        return next((each[key] for each in self._levels if key in each), "")

    def variables(self) -> dict[str, str]:
        """All levels together: the nearest value of a name wins."""
        together: dict[str, Node] = {}
        for level in reversed(self._levels):
            together |= mapping(level.get("variables"))
        given = {name: text(mapping(one).get("value", one)) for name, one in together.items()}
        return {name: value for name, value in given.items() if "$" not in value}


def _extended(file: Mapping[str, Node], name: str, depth: int = 0) -> Iterator[dict[str, Node]]:
    job = mapping(file.get(name))
    yield job
    above = job.get("extends")
    for each in [text(above)] if isinstance(above, str) else [text(one) for one in items(above)]:
        if each and depth < _DEEPEST:
            yield from _extended(file, each, depth + 1)


def _read(tree: FileTree, findings: Findings, job: _GitlabJob) -> None:
    findings.source = job.source
    image = job.value("image")
    found = _IMAGE.fullmatch(text(mapping(image).get("name", image)))
    if found:
        findings.version(_TOOLS.get(found[1], found[1]), found[2])
    variables = job.variables()
    for name, value in variables.items():
        findings.variable(name, value, job.source)
    for each in items(job.value("services")):
        given = {"image": each} if isinstance(each, str) else mapping(each)
        named = text(given.get("alias")) or text(given.get("image")).partition(":")[0]
        entry: dict[str, Node] = {"image": text(given.get("name", given.get("image", "")))}
        entry["env"] = {**variables, **mapping(given.get("variables"))}
        service = services.read(named, entry, job.source, in_container=True)
        if isinstance(service, Missing):
            findings.lacks(service)
        elif service is not None:
            findings.service(service)
    reader = ScriptReader(tree, findings, variables)
    for part in ("before_script", "script"):
        given_lines = job.value(part)
        lines = [given_lines] if isinstance(given_lines, str) else items(given_lines)
        script = "\n".join(text(line) for line in lines[:_MOST_LINES])
        reader.read(script, ScriptPlace(f"{job.source}, {part}"))
