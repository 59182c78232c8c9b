"""GitHub Actions workflows, read as data. Pure.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from app.domain.file_tree import FileTree
from app.domain.setup_plan import Missing
from app.recipes.declared import matrix, services, yaml_data
from app.recipes.declared.expressions import Scope
from app.recipes.declared.findings import Findings, word_set
from app.recipes.declared.script import ScriptPlace, ScriptReader
from app.recipes.declared.yaml_data import Node, items, mapping, text

FOLDER = ".github/workflows"
COPILOT = f"{FOLDER}/copilot-setup-steps.yml"
_COPILOT_JOB = "copilot-setup-steps"
_MOST_FILES = 40
_MOST_JOBS = 20
_MOST_STEPS = 200
_DEEPEST = 2

_OTHER_WORK = re.compile(
    r"(?i).*(?:lint|docs?\b|documentation|release|deploy|publish|benchmark|codeql|stale|label|"
    r"format|typing|docker|windows|macos|wheels?\b|pages|audit|fuzz|dependen|changelog|"
    r"e2e|browser|playwright|cypress|downstream|upstream|pypy|nightly).*"
)
_NAMED_TESTS = re.compile(r"(?i)(?:unit|python|go|node)?[-_ ]?(?:unit|tests?)")
_TESTING = re.compile(r"(?i).*(?:test|ci\b|build|check|unit|python|node|main).*")

_VERSIONS = {
    "actions/setup-python": ("python", "python-version"),
    "actions/setup-node": ("node", "node-version"),
    "actions/setup-go": ("go", "go-version"),
    "actions/setup-java": ("java", "java-version"),
    "ruby/setup-ruby": ("ruby", "ruby-version"),
    "dtolnay/rust-toolchain": ("rust", "toolchain"),
    "actions-rust-lang/setup-rust-toolchain": ("rust", "toolchain"),
    "actions-rs/toolchain": ("rust", "toolchain"),
    "astral-sh/setup-uv": ("python", "python-version"),
    "pdm-project/setup-pdm": ("python", "python-version"),
    "pnpm/action-setup": ("pnpm", "version"),
    "oven-sh/setup-bun": ("bun", "bun-version"),
}
_NO_EFFECT = word_set(
    "actions/checkout actions/cache actions/cache/restore actions/cache/save",
    "actions/upload-artifact actions/download-artifact actions/github-script",
    "codecov/codecov-action codecov/test-results-action coverallsapp/github-action",
    "snok/install-poetry abatilo/actions-poetry Gr1N/setup-poetry Swatinem/rust-cache",
    "gradle/actions/setup-gradle gradle/gradle-build-action gradle/wrapper-validation-action",
    "gradle/actions/wrapper-validation step-security/harden-runner actions/setup-dotnet",
    "extractions/setup-just arduino/setup-task jdx/mise-action taiki-e/install-action",
    "pypa/hatch volta-cli/action moonrepo/setup-rust docker/setup-buildx-action",
    "docker/login-action docker/setup-qemu-action hynek/setup-cached-uv wntrblm/nox",
    "actions-rs/cargo baptiste0928/cargo-install mozilla-actions/sccache-action",
    "re-actors/alls-green dorny/paths-filter jwalton/gh-find-current-pr",
)


@dataclass(frozen=True)
class _WorkflowJob:
    path: str
    name: str
    body: Mapping[str, Node]
    environment: Mapping[str, Node]
    inputs: Mapping[str, Node] = field(default_factory=dict)

    @property
    def source(self) -> str:
        return f"{self.path} (job {self.name[:60]})"


def copilot(tree: FileTree, versions: Mapping[str, Sequence[str]]) -> Findings:
    """The job that sets up an agent's environment; nothing if there is none."""
    findings = Findings()
    for path in (COPILOT, COPILOT.replace(".yml", ".yaml")):
        workflow = _load(tree, path, findings)
        body = mapping(mapping(workflow.get("jobs")).get(_COPILOT_JOB))
        if body:
            _JobReader(tree, findings, versions).read(
                _WorkflowJob(path, _COPILOT_JOB, body, mapping(workflow.get("env")))
            )
    return findings


def ci(tree: FileTree, versions: Mapping[str, Sequence[str]]) -> Findings:
    """The declarations of jobs that test pull requests, or else of jobs that test pushes."""
    unread = Findings()
    jobs = [job for job, event in _jobs(tree, unread) if event == "pull_request"]
    jobs = jobs or [job for job, event in _jobs(tree, unread) if event == "push"]
    read = []
    for job in jobs[:_MOST_JOBS]:
        findings = Findings()
        _JobReader(tree, findings, versions).read(job)
        read.append((job, findings))
    # Stable: the order of the files decides between jobs that are equally likely to test.
    tested = sorted(
        (each for each in read if each[1].has_tests), key=lambda each: _oddness(each[0])
    )
    found = Findings()
    # Without understood tests, a job that is named after them still declares versions.
    tested = tested or [each for each in read if _NAMED_TESTS.fullmatch(each[0].name)][:1]
    for _, findings in [each for each in tested if _oddness(each[0]) < 2] or tested[:1]:
        found.add(findings)
    found.add(unread)
    return found


def _oddness(job: _WorkflowJob) -> int:
    """A score of how unlikely the job is to test the whole repository."""
    name = f"{posixpath.basename(job.path)} {job.name} {text(job.body.get('name'))}"
    return 2 * bool(_OTHER_WORK.match(name)) + (not _TESTING.match(name))


def _jobs(tree: FileTree, findings: Findings) -> Iterator[tuple[_WorkflowJob, str]]:
    """Every job, with the event that starts it."""
    paths = sorted({*tree.names(f"{FOLDER}/*.yml"), *tree.names(f"{FOLDER}/*.yaml")})
    for path in paths[:_MOST_FILES]:
        if posixpath.dirname(path) != FOLDER or "copilot-setup-steps" in path:
            continue
        workflow = _load(tree, path, findings)
        on = workflow.get("on")
        events = set(mapping(on)) | {text(each) for each in items(on)}
        event = next((each for each in ("pull_request", "push") if each in events), "")
        for name, job in mapping(workflow.get("jobs")).items():
            body = mapping(job)
            environment = mapping(workflow.get("env"))
            yield _WorkflowJob(path, name, body, environment), event
            yield from _called(tree, body, name, event, findings)


def _called(
    tree: FileTree, body: Mapping[str, Node], name: str, event: str, findings: Findings
) -> Iterator[tuple[_WorkflowJob, str]]:
    """The jobs of a workflow of this repository that the job calls."""
    uses = text(body.get("uses"))
    if not uses.startswith("./"):
        return
    path = posixpath.normpath(uses[2:])
    workflow = _load(tree, path, findings)
    declared = mapping(mapping(mapping(workflow.get("on")).get("workflow_call")).get("inputs"))
    inputs = {each: mapping(value).get("default", "") for each, value in declared.items()}
    given = mapping(body.get("with"))
    for inner, job in mapping(workflow.get("jobs")).items():
        environment = mapping(workflow.get("env"))
        yield _WorkflowJob(path, inner, mapping(job), environment, {**inputs, **given}), event


def _load(tree: FileTree, path: str, findings: Findings) -> dict[str, Node]:
    content = tree.read_text(path, yaml_data.MAX_BYTES + 1)
    if content is None:
        return {}
    try:
        return mapping(yaml_data.load(content))
    except yaml_data.UnreadableYamlError as problem:
        findings.not_read(path, path, str(problem))
        return {}


class _JobReader:
    """Reads one job into `findings`."""

    def __init__(
        self, tree: FileTree, findings: Findings, versions: Mapping[str, Sequence[str]]
    ) -> None:
        self._tree = tree
        self._findings = findings
        self._versions = versions

    def read(self, job: _WorkflowJob) -> None:
        row = self._row(job)
        if row is None:
            return
        contexts: dict[str, Node] = {"inputs": dict(job.inputs)}
        if row or not job.body.get("strategy"):
            contexts["matrix"] = row
        scope = Scope(contexts)
        if scope.holds(text(job.body.get("if"))) is False:
            return
        self._findings.source = job.source
        contexts["job"] = {"services": self._services(job, scope)}
        environment: dict[str, str] = {}
        for level in (job.environment, mapping(job.body.get("env"))):
            scope = Scope({**contexts, "env": dict(environment)})
            environment |= self._environment(level, scope, job.source)
        self._image(job, scope)
        scripts = ScriptReader(self._tree, self._findings, environment)
        defaults = mapping(mapping(job.body.get("defaults")).get("run"))
        folder = text(defaults.get("working-directory"))
        steps = [mapping(each) for each in items(job.body.get("steps"))[:_MOST_STEPS]]
        self._steps(steps, job.source, _StepContext(contexts, scripts, folder))

    def _row(self, job: _WorkflowJob) -> dict[str, Node] | None:
        """The row of the matrix to read, {} without a matrix; None when none is for Linux."""
        rows = matrix.rows(job.body.get("strategy"))
        if rows is None:
            self._findings.not_read("strategy.matrix", job.source, "it is computed by another job")
            rows = [{}]
        linux = [row for row in rows if _is_linux(job, row)]
        return matrix.nearest(linux, self._versions) if linux else None

    def _services(self, job: _WorkflowJob, scope: Scope) -> dict[str, Node]:
        """Note the services; returns what `job.services` holds: their ports."""
        ports: dict[str, Node] = {}
        in_container = bool(job.body.get("container"))
        for name, node in mapping(job.body.get("services")).items():
            entry = {key: self._filled(value, scope) for key, value in mapping(node).items()}
            found = services.read(name, entry, job.source, in_container=in_container)
            if isinstance(found, Missing):
                self._findings.lacks(found)
            elif found is not None:
                self._findings.service(found)
                usual = "5432" if found.kind == "postgres" else "6379"
                ports[name] = {"ports": {usual: str(found.port)}}
        return ports

    def _filled(self, node: Node, scope: Scope) -> Node:
        if isinstance(node, str):
            return scope.fill(node) or ""
        if isinstance(node, dict):
            return {key: scope.fill(text(value)) or "" for key, value in node.items()}
        return [scope.fill(text(each)) or "" for each in node]

    def _image(self, job: _WorkflowJob, scope: Scope) -> None:
        """The language's version, if the job runs in its image: `python:3.12-slim`."""
        container = job.body.get("container")
        image = scope.fill(text(container) or text(mapping(container).get("image"))) or ""
        found = re.fullmatch(
            r"(?:[\w.-]+/)*(python|node|golang|ruby|rust):(\d[\d.]*)(?:-.*)?", image
        )
        if found:
            self._findings.version({"golang": "go"}.get(found[1], found[1]), found[2])

    def _environment(self, node: Mapping[str, Node], scope: Scope, source: str) -> dict[str, str]:
        """Note variables; returns those whose value is known."""
        known: dict[str, str] = {}
        for name, value in node.items():
            filled = scope.fill(text(value)) if isinstance(value, str) else None
            if filled is None:
                why = "its value comes from a secret or from the run itself"
                self._findings.not_read(f"env {name}", source, why)
                continue
            known[name] = filled
            self._findings.variable(name, filled, source)
        return known

    def _steps(
        self, steps: Sequence[Mapping[str, Node]], source: str, context: _StepContext
    ) -> None:
        """Read the steps in order, up to the last tests."""
        kept: dict[tuple[str, str], object] | None = None
        had_tests = self._findings.has_tests
        self._findings.has_tests = False
        for step in steps:
            before = self._findings.has_tests
            self._findings.has_tests = False
            self._step(step, source, context)
            if self._findings.has_tests:
                kept = dict(self._findings.unread)
            self._findings.has_tests = self._findings.has_tests or before
        if kept is not None:
            self._findings.unread = {
                key: value for key, value in self._findings.unread.items() if key in kept
            }
        self._findings.has_tests = self._findings.has_tests or had_tests

    def _step(self, step: Mapping[str, Node], job_source: str, context: _StepContext) -> None:
        name = text(step.get("name")) or text(step.get("uses")) or text(step.get("run")).strip()
        shown = " ".join(name.split("\n")[0].split())[:60]
        source = f"{job_source[:-1]}, step {shown})" if job_source.endswith(")") else job_source
        scripts = context.scripts
        scope = Scope({**context.contexts, "env": dict(scripts.known)})
        holds = scope.holds(text(step.get("if")))
        if holds is False:
            return
        if holds is None:
            why = "Honk does not know whether its `if:` holds"
            self._findings.not_read(shown, job_source, why)
            return
        run = step.get("run")
        if isinstance(run, str):
            own = self._environment(mapping(step.get("env")), scope, source)
            self._run(
                run,
                step,
                Scope({**scope.contexts, "env": {**scripts.known, **own}}),
                source,
                context,
            )
        elif isinstance(step.get("uses"), str):
            self._uses(
                text(step.get("uses")), mapping(step.get("with")), source, shown, scope, context
            )

    def _run(
        self, run: str, step: Mapping[str, Node], scope: Scope, source: str, context: _StepContext
    ) -> None:
        if text(step.get("shell")) in ("python", "pwsh", "powershell", "cmd"):
            self._findings.not_read(run, source, "it is not a shell script")
            return
        folder = scope.fill(text(step.get("working-directory")) or context.folder)
        if folder is None:
            self._findings.not_read(run, source, "its working directory is not known")
            return
        folder = posixpath.normpath(posixpath.join("/", folder)).lstrip("/")
        context.scripts.read(scope.fill_known(run), ScriptPlace(source, folder))

    def _uses(
        self,
        uses: str,
        given: Mapping[str, Node],
        source: str,
        shown: str,
        scope: Scope,
        context: _StepContext,
    ) -> None:
        action, _, reference = uses.partition("@")
        if action.startswith("./"):
            self._local_action(action, given, source, scope, context)
            return
        if action in _VERSIONS:
            tool, key = _VERSIONS[action]
            wanted = scope.fill(text(given.get(key)))
            if (
                action == "dtolnay/rust-toolchain"
                and not wanted
                and reference not in ("master", "v1")
            ):
                wanted = reference
            self._findings.version(tool, _first(wanted or ""))
        elif action in ("snok/install-poetry",) or action in _NO_EFFECT:
            pass
        elif action == "awalsh128/cache-apt-pkgs-action":
            context.scripts.read(
                f"apt-get install {scope.fill(text(given.get('packages'))) or ''}",
                ScriptPlace(source),
            )
        elif action == "bahmutov/npm-install":
            pass
        else:
            kind = re.search(r"(?i)(mysql|mariadb|mongo|elasticsearch|opensearch|kafka)", action)
            if kind:
                self._findings.lacks(services.missing(kind[1].lower(), source))
            self._findings.not_read(f"uses: {uses}", source, "Honk does not run actions")

    def _local_action(
        self,
        action: str,
        given: Mapping[str, Node],
        source: str,
        scope: Scope,
        context: _StepContext,
    ) -> None:
        """A composite action of this repository is read like the steps that it holds."""
        folder = posixpath.normpath(action[2:])
        paths = [f"{folder}/action.yml", f"{folder}/action.yaml"]
        body = next(
            (each for path in paths if (each := _load(self._tree, path, self._findings))), {}
        )
        runs = mapping(body.get("runs"))
        if text(runs.get("using")) != "composite" or context.depth >= _DEEPEST:
            self._findings.not_read(f"uses: {action}", source, "it is not a composite action")
            return
        inputs: dict[str, Node] = {
            name: mapping(each).get("default", "")
            for name, each in mapping(body.get("inputs")).items()
        }
        inputs |= {name: scope.fill(text(value)) or "" for name, value in given.items()}
        steps = [mapping(each) for each in items(runs.get("steps"))[:_MOST_STEPS]]
        inner = _StepContext(
            {**context.contexts, "inputs": inputs}, context.scripts, "", context.depth + 1
        )
        had_tests = self._findings.has_tests
        self._findings.has_tests = False
        for step in steps:
            self._step(step, source, inner)
        self._findings.has_tests = self._findings.has_tests or had_tests


@dataclass(frozen=True)
class _StepContext:
    """The state that a job's steps share."""

    contexts: Mapping[str, Node]
    scripts: ScriptReader
    folder: str = ""
    depth: int = 0


def _is_linux(job: _WorkflowJob, row: dict[str, Node]) -> bool:
    runs_on = job.body.get("runs-on")
    labels = items(mapping(runs_on).get("labels") or mapping(runs_on).get("group") or runs_on)
    if len(labels) == 1 and (
        found := re.fullmatch(r"\$\{\{\s*matrix\.([\w-]+)\s*\}\}", text(labels[0]))
    ):
        labels = items(row.get(found[1]))
    scope = Scope({"matrix": row, "inputs": dict(job.inputs)})
    names = [scope.fill(text(each)) for each in labels]
    if any(each is None for each in names):
        return True
    joined = " ".join(each or "" for each in names).lower()
    return not re.search(r"windows|macos|mac-", joined) and bool(joined)


def _first(wanted: str) -> str:
    """The last of several versions, one a line, is the default one that an action sets."""
    lines = [each.strip() for each in wanted.split("\n") if each.strip()]
    return lines[-1] if lines else ""
