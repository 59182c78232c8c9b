"""The evidence of a verdict as an in-toto statement. Pure.

The statement is version 1 (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md)
with the test-result predicate
(https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md). Besides that
predicate's own fields it has one extension field, `honkEvidence`: what is needed to derive the
verdict again and to rerun the same cells. Extension fields have plain names without dots
(https://github.com/in-toto/attestation/blob/main/spec/v1/README.md#parsing-rules).

Names of files and tests come from the repository: they are made printable and bounded. At most
`MAX_TESTS` tests are listed, those that did not simply pass first; the rest is counted, and each
cell's `digest` covers all of its tests.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from app.domain import sanitize
from app.domain.ci import CiRun
from app.domain.dsse import Envelope
from app.domain.evidence import Cell, CellRun, Evidence, Rules
from app.domain.policy import CiPolicy, NetworkPolicy, Policy
from app.domain.safe_json import json_value
from app.domain.setup_outcome import CommandRun
from app.domain.values import CommitSha, RepoName, RunId, TreeSha, Value, commit_sha
from app.domain.verdict import (
    Kind,
    Meaning,
    Seen,
    TestOutcome,
    TestResult,
    Verdict,
    VerdictKind,
    VerifierResult,
    is_flaky,
)

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
"""https://github.com/in-toto/attestation/blob/main/spec/v1/envelope.md"""

MAX_TESTS = 50_000
"""Tests listed with their results."""

MAX_NAMED = 5_000
"""Names in each of the predicate's own lists; with more tests only `honkEvidence` has them."""

MAX_PAYLOAD_BYTES = 16 << 20
"""Beyond this, fewer tests are listed."""

_VERSION = 1
_MAX_LISTED = 2_000
_MAX_NAME = 400
_MAX_COMMANDS = 200
_MAX_TEXT = 2_000
_DIGITS_OF_DIGEST = 16
_IMAGE_DIGEST = re.compile(r"(.+)@sha256:([0-9a-f]{64})")

# How a test ended in one cell: a letter, since there may be 50,000 tests.
PASSED, FAILED, ERROR, SKIPPED, FLAKY, ABSENT, NOT_RUN = "P", "F", "E", "S", "~", ".", "?"

LETTERS = {
    PASSED: "passed",
    FAILED: "failed",
    ERROR: "did not start or ended with an error",
    SKIPPED: "was skipped",
    FLAKY: "passed and failed",
    ABSENT: "does not exist",
    NOT_RUN: "was not run",
}
_OUTCOMES = {
    TestOutcome.PASSED: PASSED,
    TestOutcome.FAILED: FAILED,
    TestOutcome.ERROR: ERROR,
    TestOutcome.SKIPPED: SKIPPED,
}


class AttestationError(ValueError):
    """A signed statement that is not an attestation of Honk's, or is unreadable."""


class ToolchainVersion(Value):
    """A toolchain in the sandboxes, with the first line of its version output."""

    name: str
    version: str


class CommandRecord(Value):
    """One command of one cell and how it ended. `complete`: its report names every test."""

    verifier: str
    command: str
    exit_code: int | None = None
    complete: bool = True
    problem: str = ""


class CellRecord(Value):
    """One cell. The fields are those of `CellRun`, without the results of single tests.

    `digest` is over every test's name and letter, so it also covers tests that are not listed.
    `ci` is the run of the repository's own CI that the results come from; None if Honk ran it.
    """

    cell: Cell
    commit: CommitSha | None = None
    tree: TreeSha | None = None
    same_as: Cell | None = None
    only: tuple[str, ...] = ()
    runs: int = 1
    head_runner: bool = False
    why_not: str = ""
    commands: tuple[CommandRecord, ...] = ()
    left_out: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    digest: str = ""
    ci: CiRun | None = None


class TestTable(Value):
    """The tests of one command: name, and one letter for each of base, proof, guard and head."""

    __test__ = False

    verifier: str
    command: str
    kind: Kind
    tests: tuple[tuple[str, Annotated[str, Field(pattern=r"^[PFES~.?]{4}$")]], ...] = ()


class RowRecord(Value):
    """A row of the verdict: a test whose results mean something."""

    verifier: str
    id: str
    base: Seen
    proof: Seen
    guard: Seen
    head: Seen
    meaning: Meaning
    file: str = ""
    line: int | None = None


class VerdictRecord(Value):
    """The verdict as it was shown. `accepted_by`: the person who accepted what needs a person."""

    kind: VerdictKind
    title: str
    conclusion: Literal["success", "failure", "neutral", "action_required"]
    ready: bool
    reasons: tuple[str, ...] = ()
    rows: tuple[RowRecord, ...] = ()
    accepted_by: str = ""


class SetupRecord(Value):
    """A setup command that worked, in its folder, and the file that it comes from."""

    line: str
    source: str = ""
    folder: str = ""


class HowToRun(Value):
    """The parts of the policy that decide how the cells are set up and run. `setup` is None for
    automatic setup; `ran` are then the commands that worked, or the first of them if there are
    many. `ci` names the workflow that ran the cells instead of Honk.
    """

    setup: tuple[str, ...] | None = ()
    verify: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    network: Literal["fetch-only", "connect"] = "fetch-only"
    image: str | None = None
    variables: dict[str, str] = Field(default_factory=dict)
    search_path: tuple[str, ...] = ()
    ci: CiPolicy | None = None
    ran: tuple[SetupRecord, ...] = ()

    @classmethod
    def of(cls, policy: Policy, image: str | None, ran: Sequence[CommandRun] = ()) -> HowToRun:
        """`image` is the image that the cells ran in, if they ran in one. `ran`: the commands of
        automatic setup.
        """
        return cls(
            setup=policy.setup,
            ran=tuple(
                SetupRecord(
                    line=each.line[:_MAX_TEXT],
                    source=each.source[:_MAX_NAME],
                    folder=each.folder[:_MAX_NAME],
                )
                for each in ran[:_MAX_COMMANDS]
            ),
            verify=policy.commands,
            allow=policy.network.allow,
            network=policy.network.mode,
            image=image,
            variables=policy.environment,
            search_path=policy.search_path,
            ci=policy.ci,
        )

    def as_policy(self) -> Policy:
        """A policy that runs the cells the same way. Raises ValidationError."""
        network = NetworkPolicy(allow=self.allow, mode=self.network)
        return Policy(
            setup=self.setup,
            verify=self.ci or self.verify,
            network=network,
            image=self.image,
            environment=self.variables,
            search_path=self.search_path,
        )


class Surroundings(Value):
    """Where the cells ran.

    `environment` is a digest of everything besides the trees that results depend on: setup,
    commands, network, image, toolchains, Honk's version. `held_by`: the base branch, if the base
    commit was on it.
    """

    honk: str
    sandbox: str
    environment: str = ""
    toolchains: tuple[ToolchainVersion, ...] = ()
    held_by: str = ""


class VerifiedCommit(Value):
    """What was verified. `server` is GitHub's base URL, without a trailing slash."""

    server: str
    repository: str
    repository_id: int
    base: CommitSha
    base_tree: TreeSha
    head: CommitSha
    head_tree: TreeSha

    @property
    def repo(self) -> RepoName:
        return RepoName.parse(self.repository)

    @property
    def uri(self) -> str:
        """The repository as https://spdx.github.io/spdx-spec/v2.3/package-information/ has it."""
        return f"git+{self.server}/{self.repository}"


class Attestation(Value):
    """The content of `honkEvidence`.

    `omitted` counts the tests beyond the limits. `evidence` is what a verdict is made from besides
    the cells: the fields of `Evidence`, with long lists cut.
    """

    version: int = _VERSION
    run: RunId
    url: str = ""
    finished_on: str
    commit: VerifiedCommit
    verdict: VerdictRecord
    rules: Rules
    cells: tuple[CellRecord, ...]
    tests: tuple[TestTable, ...] = ()
    omitted: int = 0
    evidence: dict[str, Any] = Field(default_factory=dict)
    how_to_run: HowToRun = Field(default_factory=HowToRun)
    surroundings: Surroundings

    def cell(self, cell: Cell) -> CellRecord:
        """The record of one cell; one that says that it was not run if there is none."""
        for each in self.cells:
            if each.cell is cell:
                return each
        return CellRecord(cell=cell, why_not="It is not part of this attestation.")

    def evidence_with(self, cells: Mapping[Cell, CellRun]) -> Evidence:
        """The recorded evidence with these cells. Raises AttestationError if it is unreadable."""
        runs = {cell.value: cells.get(cell, CellRun()).model_dump() for cell in Cell}
        try:
            return Evidence.recorded({**self.evidence, **runs})
        except ValidationError as problem:
            raise _unreadable("evidence", problem) from None


def attestation(
    evidence: Evidence,
    verdict: Verdict,
    rules: Rules,
    *,
    commit: VerifiedCommit,
    run: RunId,
    url: str,
    how_to_run: HowToRun,
    surroundings: Surroundings,
    finished: float,
) -> Attestation:
    """The attestation of a verdict. `finished` is in seconds since 1970."""
    tables, omitted = _listed(table(evidence), MAX_TESTS)
    return Attestation(
        run=run,
        url=url,
        finished_on=datetime.fromtimestamp(finished, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        commit=commit,
        verdict=verdict_record(verdict),
        rules=rules,
        cells=tuple(cell_record(evidence, cell) for cell in Cell),
        tests=tables,
        omitted=omitted,
        evidence=_bounded(evidence.model_dump(mode="json", exclude={cell.value for cell in Cell})),
        how_to_run=how_to_run,
        surroundings=surroundings,
    )


def payload(attested: Attestation, *, max_bytes: int = MAX_PAYLOAD_BYTES) -> bytes:
    """The statement as JSON: what is signed. Lists fewer tests when it exceeds `max_bytes`."""
    text = _json(statement(attested))
    while len(text) > max_bytes and (most := _count(attested.tests) // 2):
        tables, omitted = _listed(attested.tests, most)
        attested = attested.model_copy(
            update={"tests": tables, "omitted": attested.omitted + omitted}
        )
        text = _json(statement(attested))
    return text


def statement(attested: Attestation) -> dict[str, Any]:
    """The in-toto statement."""
    commit = attested.commit
    head = f"{commit.uri}@{commit.head}"
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": head, "digest": {"gitCommit": commit.head}},
            {"name": f"{head}^{{tree}}", "digest": {"gitTree": commit.head_tree}},
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "result": _RESULTS[attested.verdict.conclusion],
            "configuration": _configuration(attested),
            **({"url": attested.url} if attested.url else {}),
            **_named_tests(attested),
            "honkEvidence": attested.model_dump(mode="json"),
        },
    }


_RESULTS = {
    "success": "PASSED",
    "neutral": "WARNED",
    "action_required": "WARNED",
    "failure": "FAILED",
}


def read(envelope: Envelope) -> Attestation:
    """The attestation in an envelope, whose signature the caller has checked.

    Raises AttestationError for a statement of another kind, a newer version, or one whose subject
    is not the commit that its evidence is about.
    """
    if envelope.payload_type != PAYLOAD_TYPE:
        raise AttestationError("It is not an in-toto statement.")
    try:
        value = json_value(envelope.payload)
    except ValueError:
        raise AttestationError("Its payload is not JSON.") from None
    kind = (value.get("_type"), value.get("predicateType")) if isinstance(value, dict) else None
    if kind != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise AttestationError("It is not an in-toto statement with test results.")
    predicate = value.get("predicate")
    found = predicate.get("honkEvidence") if isinstance(predicate, dict) else None
    if not isinstance(found, dict):
        raise AttestationError("It has test results, but Honk did not create it.")
    if found.get("version") != _VERSION:
        raise AttestationError(
            f"It has version {found.get('version')!r}, which this version of Honk does not support."
        )
    try:
        attested = Attestation.recorded(found)
    except ValidationError as problem:
        raise _unreadable("honkEvidence", problem) from None
    attested.evidence_with({})
    _check_names(attested)
    if value.get("subject") != statement(attested)["subject"]:
        raise AttestationError("Its subject and its evidence are about different commits.")
    return attested


def _unreadable(what: str, problem: ValidationError) -> AttestationError:
    path = problem.errors(include_input=False, include_url=False)[0]["loc"]
    where = ".".join(str(part) for part in (what, *path))
    return AttestationError(f"`{where}` cannot be read.")


def _check_names(attested: Attestation) -> None:
    """Validate the names that are used with git and GitHub. Raises AttestationError."""
    commit, cells = attested.commit, attested.cells
    if any(attested.cell(each.same_as).same_as for each in cells if each.same_as):
        raise AttestationError("A cell refers to another one that was not run either.")
    commits = [commit.base, commit.head, *(each.commit for each in cells)]
    trees = [commit.base_tree, commit.head_tree, *(each.tree for each in cells)]
    try:
        RepoName.parse(commit.repository)
        for sha in (*commits, *trees):
            if sha is not None:
                commit_sha(sha)
    except ValueError as problem:
        raise AttestationError(f"It names what cannot exist: {problem}.") from None


def attestation_id(repository_id: int, run: str, base: str, head: str) -> str:
    """The id of the attestation of a run's verdict on one pair of commits.

    The same verdict always has the same id, so that a repeated step writes to the same place. The
    id is not secret: GitHub decides who may read the attestation.
    """
    text = json.dumps([repository_id, run, base, head])
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


ID_LENGTH = 32


# -- the tests of four cells


def table(evidence: Evidence) -> tuple[TestTable, ...]:
    """Every test of every command, with its letters in the order of `Cell`."""
    runs = [run_of(evidence, cell) for cell in Cell]
    letters = [letters_of(run) for run in runs]
    kinds = {
        recorded_command(result.verifier, result.command): result.kind
        for run in runs
        for result in (run.results.verifiers if run.results else ())
    }
    tables = []
    for key in sorted(kinds):
        names = sorted({name for cell in letters for name in cell.get(key, {})})
        rows = tuple(
            (name, "".join(map(_letter_of(key, name), zip(runs, letters, strict=True))))
            for name in names
        )
        tables.append(TestTable(verifier=key[0], command=key[1], kind=kinds[key], tests=rows))
    return tuple(tables)


def cell_record(evidence: Evidence, cell: Cell) -> CellRecord:
    """What is recorded of one cell besides the results of single tests."""
    run, results = _own(evidence, cell), run_of(evidence, cell).results
    verifiers = results.verifiers if results else ()
    return CellRecord(
        cell=cell,
        commit=results.commit if results and run.same_as is None else None,
        tree=results.tree if results and run.same_as is None else None,
        same_as=run.same_as,
        only=tuple(_name(path) for path in run.only[:_MAX_LISTED]),
        runs=run.runs,
        head_runner=run.head_runner,
        why_not=_text(run.why_not),
        commands=tuple(_command(result) for result in verifiers),
        left_out=tuple(_name(name) for name in (results.left_out if results else ())),
        beyond=tuple(_name(name) for name in (results.beyond if results else ())),
        digest=cell_digest(run_of(evidence, cell)) if results else "",
        ci=_ci(run.ci),
    )


def _ci(run: CiRun | None) -> CiRun | None:
    if run is None:
        return None
    return run.model_copy(update={"workflow": _name(run.workflow), "url": _text(run.url)})


def _own(evidence: Evidence, cell: Cell) -> CellRun:
    runs: Mapping[Cell, CellRun] = {
        Cell.BASE: evidence.base,
        Cell.PROOF: evidence.proof,
        Cell.GUARD: evidence.guard,
        Cell.HEAD: evidence.head,
    }
    return runs[cell]


def run_of(evidence: Evidence, cell: Cell) -> CellRun:
    """The run that gave the cell its results: another cell's, if the two cannot differ."""
    run = _own(evidence, cell)
    if run.results is None and run.same_as is not None:
        return _own(evidence, run.same_as)
    return run


_Key = tuple[str, str]


def letters_of(run: CellRun) -> dict[_Key, dict[str, str]]:
    """The letter of every test of one run, by verifier and command, then by name."""
    results = run.results.verifiers if run.results else ()
    return {
        recorded_command(result.verifier, result.command): {
            _name(test.id): letter(test) for test in result.tests
        }
        for result in results
    }


def letter(test: TestResult) -> str:
    """How a test ended, as one letter."""
    if is_flaky(test):
        return FLAKY
    if test.outcome.bad and (test.could_not_run or test.whole_run):
        return ERROR
    return _OUTCOMES[test.outcome]


def _letter_of(key: _Key, name: str) -> Callable[[tuple[CellRun, dict[_Key, dict[str, str]]]], str]:
    def of(cell: tuple[CellRun, dict[_Key, dict[str, str]]]) -> str:
        run, letters = cell
        found = letters.get(key, {}).get(name)
        if found is not None:
            return found
        is_whole = run.results is not None and not run.only and key in letters
        return ABSENT if is_whole else NOT_RUN

    return of


def recorded_command(verifier: str, command: str) -> tuple[str, str]:
    """A verifier's name and its command, as an attestation has them."""
    return _name(verifier), _text(command)


def cell_digest(run: CellRun) -> str:
    """A digest of all tests of a cell with their letters, in no particular order."""
    lines = sorted(
        "\0".join((*key, name, letter))
        for key, tests in letters_of(run).items()
        for name, letter in tests.items()
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _command(result: VerifierResult) -> CommandRecord:
    return CommandRecord(
        verifier=_name(result.verifier),
        command=_text(result.command),
        exit_code=result.exit_code,
        complete=result.complete and not result.tests_dropped,
        problem=_text(result.problem or ""),
    )


def _listed(tables: Sequence[TestTable], most: int) -> tuple[tuple[TestTable, ...], int]:
    """At most `most` tests, those that did not pass in every cell first; and how many are left
    out."""
    total = _count(tables)
    if total <= most:
        return tuple(tables), 0
    ranked = sorted(
        (set(row[1]) <= {PASSED, NOT_RUN}, at, row[0])
        for at, each in enumerate(tables)
        for row in each.tests
    )
    kept = {(at, name) for _, at, name in ranked[:most]}
    shorter = tuple(
        each.model_copy(update={"tests": tuple(r for r in each.tests if (at, r[0]) in kept)})
        for at, each in enumerate(tables)
    )
    return shorter, total - len(kept)


def _count(tables: Iterable[TestTable]) -> int:
    return sum(len(each.tests) for each in tables)


# -- the predicate's own fields


def _configuration(attested: Attestation) -> list[dict[str, Any]]:
    commit, how = attested.commit, attested.how_to_run
    settings = how.model_dump(mode="json")
    found: list[dict[str, Any]] = [
        {
            "name": "honk-policy",
            "digest": {"sha256": hashlib.sha256(_json(settings)).hexdigest()},
            "annotations": settings,
        },
        {
            "name": "base",
            "uri": f"{commit.uri}@{commit.base}",
            "digest": {"gitCommit": commit.base},
        },
    ]
    image = _IMAGE_DIGEST.fullmatch(how.image or "")
    if image:
        found.append({"name": "image", "uri": image[1], "digest": {"sha256": image[2]}})
    return found


def _named_tests(attested: Attestation) -> dict[str, list[str]]:
    """The optional lists of test names, by the head cell. A list that would be too long is left out
    rather than shortened:

    an absent list claims nothing, a shortened one would.
    """
    wanted = {"passedTests": PASSED, "warnedTests": FLAKY, "failedTests": FAILED + ERROR}
    if attested.omitted or attested.cell(Cell.HEAD).why_not:
        return {}
    lists = {
        field: [
            f"{each.verifier}: {name}"
            for each in attested.tests
            for name, letters in each.tests
            if letters[-1] in those
        ]
        for field, those in wanted.items()
    }
    return {field: names for field, names in lists.items() if len(names) <= MAX_NAMED}


def verdict_record(verdict: Verdict) -> VerdictRecord:
    """What is recorded of a verdict."""
    return VerdictRecord(
        kind=verdict.kind,
        title=_text(verdict.title),
        conclusion=verdict.conclusion,
        ready=verdict.ready,
        reasons=tuple(_text(reason) for reason in verdict.reasons[:50]),
        rows=tuple(
            RowRecord(
                verifier=_name(row.verifier),
                id=_name(row.id),
                base=row.base,
                proof=row.proof,
                guard=row.guard,
                head=row.head,
                meaning=row.meaning,
                file=_name(row.file or ""),
                line=row.line,
            )
            for row in verdict.rows
        ),
        accepted_by=_name(verdict.accepted_by),
    )


def _bounded(value: Any) -> Any:
    """A JSON value with bounded lists and bounded, printable strings."""
    if isinstance(value, str):
        return _name(value)
    if isinstance(value, dict):
        return {name: _bounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_bounded(each) for each in value[:_MAX_LISTED]]
    return value


def _name(name: str) -> str:
    """A name as one printable line. If that changes it, a digest keeps different names apart."""
    shown = " ".join(sanitize.printable(name).split())
    if shown == name and len(name) <= _MAX_NAME:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS_OF_DIGEST]
    return f"{shown[:_MAX_NAME]} (#{digest})"


def _text(text: str) -> str:
    return sanitize.fit(" ".join(sanitize.printable(text).split()), _MAX_TEXT)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
