"""The rules of branch protection and rulesets for one ref update.

Standard library only: the hook of `git receive-pack` runs this, where the pushed objects are still
in quarantine, and the API asks it as well, so that both refuse alike. A rule is written as
`{"family": "protection" | "ruleset", "target": "branch" | "tag" | "push", "include": [pattern],
"exclude": [pattern], "type": str, "parameters": {}}`.
Outside contract: https://docs.github.com/repositories/configuring-branches-and-merges-in-your-repository/managing-rulesets/available-rules-for-rulesets
"""

import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

ZERO = "0" * 40
_PREFIX = {"branch": "refs/heads/", "tag": "refs/tags/", "push": "refs/"}
_MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Violation:
    """One rule that a push breaks, in GitHub's words."""

    family: str
    text: str


@dataclass
class RefMove:
    """One ref on its way from an object to another, in the repository of `environment`."""

    ref: str
    old: str
    new: str
    default: str
    passed: Mapping[str, list[str]]
    """Successful contexts, by commit."""
    signed: frozenset[str]
    environment: Mapping[str, str] | None = None

    def git(self, *arguments: str) -> bytes:
        """The output of a git command."""
        done = subprocess.run(
            ["git", *arguments], capture_output=True, check=True, env=self.environment
        )
        return done.stdout

    @property
    def name(self) -> str:
        """The short name of the branch or tag."""
        return self.ref.split("/", 2)[2]

    @property
    def deleted(self) -> bool:
        """Whether the ref is deleted."""
        return self.new == ZERO

    @property
    def created(self) -> bool:
        """Whether the ref is new."""
        return self.old == ZERO

    @cached_property
    def forced(self) -> bool:
        """Whether commits are lost."""
        if self.created or self.deleted:
            return False
        return self.git("rev-list", "-1", self.old, "--not", self.new) != b""

    @cached_property
    def commits(self) -> list[str]:
        """The commits that no ref has yet, newest first."""
        if self.deleted:
            return []
        return self.git("rev-list", self.new, "--not", "--all").decode().split()

    @cached_property
    def paths(self) -> list[str]:
        """The files that these commits add or change."""
        found: dict[str, None] = {}
        for commit in self.commits:
            arguments = ("diff-tree", "-r", "-c", "-z", "--root", "--no-commit-id", "--name-only")
            out = self.git(*arguments, "--diff-filter=d", commit)
            found |= dict.fromkeys(out.decode(errors="replace").split("\0")[:-1])
        return list(found)


def violations(rules: Iterable[Mapping[str, Any]], move: RefMove) -> list[Violation]:
    """Every rule that a move breaks, each once."""
    found: dict[Violation, None] = {}
    for rule in rules:
        check = _CHECKS.get(rule["type"])
        if check is not None and applies(rule, move.ref, move.default):
            text = check(move, rule.get("parameters") or {}, rule["family"] == "protection")
            if text:
                found[Violation(rule["family"], text)] = None
    return list(found)


def applies(rule: Mapping[str, Any], ref: str, default: str) -> bool:
    """Whether a rule applies to this ref."""
    if not ref.startswith(_PREFIX[rule["target"]]):
        return False
    if rule["target"] == "push":
        return True

    def fits(pattern: str) -> bool:
        if pattern == "~DEFAULT_BRANCH":
            return ref == default
        return pattern == "~ALL" or matches(pattern, ref)

    included = any(fits(pattern) for pattern in rule["include"])
    return included and not any(fits(pattern) for pattern in rule["exclude"])


def matches(pattern: str, path: str) -> bool:
    """Whether a path matches a pattern in which `*` stays within one part and `**/` does not."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    meanings = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    expression = "".join(meanings.get(part) or re.escape(part) for part in parts)
    return re.fullmatch(expression, path, re.DOTALL) is not None


def _listed(text: str, items: list[str]) -> str | None:
    if not items:
        return None
    many = "" if len(items) == 1 else "s"
    return f"{text}\n  Found {len(items)} violation{many}:\n\n" + "\n".join(f"  {i}" for i in items)


# -- one function for each type of rule

Parameters = Mapping[str, Any]


def _creation(move: RefMove, _: Parameters, classic: bool) -> str | None:
    return "Cannot create ref due to creations being restricted." if move.created else None


def _update(move: RefMove, _: Parameters, classic: bool) -> str | None:
    return None if move.created or move.deleted else "Cannot update this protected ref."


def _deletion(move: RefMove, _: Parameters, classic: bool) -> str | None:
    words = "Cannot delete this protected branch" if classic else "Cannot delete this branch"
    return words if move.deleted else None


def _non_fast_forward(move: RefMove, _: Parameters, classic: bool) -> str | None:
    words = "Cannot force-push to this protected branch"
    return (words if classic else "Cannot force-push to this branch") if move.forced else None


def _linear(move: RefMove, _: Parameters, classic: bool) -> str | None:
    known = ["--not", move.old] if not move.created else ["--not", "--all"]
    merges = b"" if move.deleted else move.git("rev-list", "-1", "--merges", move.new, *known)
    return "This branch must not contain merge commits." if merges else None


def _signatures(move: RefMove, _: Parameters, classic: bool) -> str | None:
    bad = [commit for commit in move.commits if commit not in move.signed]
    return _listed("Commits must have verified signatures.", bad)


def _pull_request(move: RefMove, _: Parameters, classic: bool) -> str | None:
    return None if move.deleted else "Changes must be made through a pull request."


def _queue(move: RefMove, _: Parameters, classic: bool) -> str | None:
    return None if move.deleted else "Changes must be made through the merge queue"


def _status_checks(move: RefMove, wanted: Parameters, classic: bool) -> str | None:
    if move.deleted or (move.created and wanted.get("do_not_enforce_on_create")):
        return None
    contexts = [one["context"] for one in wanted["required_status_checks"]]
    good = move.passed.get(move.new, [])
    missing = [context for context in contexts if context not in good]
    if len(missing) == 1 == len(contexts):
        return f'Required status check "{missing[0]}" is expected.'
    if missing:
        return f"{len(missing)} of {len(contexts)} required status checks are expected."
    return None


def _nobody(move: RefMove, _: Parameters, classic: bool) -> str | None:
    return (
        "You're not authorized to push to this branch. Visit "
        "https://docs.github.com/articles/about-protected-branches/ for more information."
    )


def _locked(move: RefMove, _: Parameters, classic: bool) -> str | None:
    return "Cannot change this locked branch"


def _fits(text: str, wanted: Parameters) -> bool:
    pattern = wanted["pattern"]
    found = {
        "starts_with": text.startswith(pattern),
        "ends_with": text.endswith(pattern),
        "contains": pattern in text,
    }.get(wanted["operator"])
    if found is None:
        found = re.search(pattern, text) is not None
    return found != bool(wanted.get("negate"))


def _pattern_words(what: str, wanted: Parameters) -> str:
    verbs = {
        "starts_with": "start with",
        "ends_with": "end with",
        "contains": "contain",
        "regex": "match a given regex pattern:",
    }
    must = "must not" if wanted.get("negate") else "must"
    return f"{what} {must} {verbs[wanted['operator']]} {wanted['pattern']}"


def _each_commit(what: str, form: str) -> Callable[[RefMove, Parameters, bool], str | None]:
    def check(move: RefMove, wanted: Parameters, classic: bool) -> str | None:
        bad = [commit for commit in move.commits if not _fits(_told(move, commit, form), wanted)]
        return _listed(_pattern_words(what, wanted), bad)

    return check


def _told(move: RefMove, commit: str, form: str) -> str:
    out = move.git("log", "-1", f"--format={form}", commit)
    return out.decode(errors="replace").removesuffix("\n")


def _name(what: str) -> Callable[[RefMove, Parameters, bool], str | None]:
    def check(move: RefMove, wanted: Parameters, classic: bool) -> str | None:
        bad = move.created and not _fits(move.name, wanted)
        return _pattern_words(what, wanted) if bad else None

    return check


def _restricted_paths(move: RefMove, wanted: Parameters, classic: bool) -> str | None:
    patterns = wanted["restricted_file_paths"]
    bad = [path for path in move.paths if any(matches(one, path) for one in patterns)]
    return _listed("File path is restricted", bad)


def _long_paths(move: RefMove, wanted: Parameters, classic: bool) -> str | None:
    most = wanted["max_file_path_length"]
    bad = [path for path in move.paths if len(path) > most]
    return _listed(f"File path length must not exceed {most} characters", bad)


def _extensions(move: RefMove, wanted: Parameters, classic: bool) -> str | None:
    endings = tuple(one.removeprefix("*") for one in wanted["restricted_file_extensions"])
    bad = [path for path in move.paths if path.endswith(endings)]
    return _listed("File extension is restricted", bad)


def _large_files(move: RefMove, wanted: Parameters, classic: bool) -> str | None:
    most = wanted["max_file_size"]
    bad = []
    for line in move.git("ls-tree", "-r", "-l", "-z", move.new).split(b"\0") if move.paths else ():
        head, _, path = line.decode(errors="replace").partition("\t")
        size = head.split()[-1] if head else "-"
        if path in move.paths and size != "-" and int(size) > most * _MEGABYTE:
            bad.append(path)
    return _listed(f"File size must not exceed {most} MB", bad)


FILE_RULES = frozenset(
    {
        "file_path_restriction",
        "max_file_path_length",
        "file_extension_restriction",
        "max_file_size",
    }
)

_CHECKS: dict[str, Callable[[RefMove, Parameters, bool], str | None]] = {
    "creation": _creation,
    "update": _update,
    "deletion": _deletion,
    "non_fast_forward": _non_fast_forward,
    "required_linear_history": _linear,
    "required_signatures": _signatures,
    "pull_request": _pull_request,
    "merge_queue": _queue,
    "required_status_checks": _status_checks,
    "restricted_pushers": _nobody,
    "lock_branch": _locked,
    "commit_message_pattern": _each_commit("Commit message", "%B"),
    "commit_author_email_pattern": _each_commit("Commit author email", "%ae"),
    "committer_email_pattern": _each_commit("Committer email", "%ce"),
    "branch_name_pattern": _name("Branch name"),
    "tag_name_pattern": _name("Tag name"),
    "file_path_restriction": _restricted_paths,
    "max_file_path_length": _long_paths,
    "file_extension_restriction": _extensions,
    "max_file_size": _large_files,
}
