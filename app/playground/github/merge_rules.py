"""Rules that only a merge can satisfy: who reviewed, what was deployed, which scans are done.

Outside contract: https://docs.github.com/repositories/configuring-branches-and-merges-in-your-repository/managing-rulesets/available-rules-for-rulesets
and https://docs.github.com/repositories/managing-your-repositorys-settings-and-features/customizing-your-repository/about-code-owners
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .accounts import User
from .push_rules import matches
from .world import Repository, SimulatedPullRequest, SimulatedReview

_CODEOWNERS = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
_DECISIONS = ("APPROVED", "CHANGES_REQUESTED", "DISMISSED")


def opinions(
    repository: Repository, pull: SimulatedPullRequest, *, writers_only: bool = True
) -> dict[User, SimulatedReview]:
    """The latest decision of each reviewer."""
    found: dict[User, SimulatedReview] = {}
    for review in pull.reviews:
        if review.state in _DECISIONS and (
            not writers_only or repository.allows(review.author, "write")
        ):
            found[review.author] = review
    return found


async def code_owners(repository: Repository, pull: SimulatedPullRequest) -> set[str]:
    """Logins, in small letters, of the owners of the changed files; any one of them may approve."""
    git = repository.git
    base = await git.ref(f"refs/heads/{pull.base}")
    rules = await _owner_lines(repository, base) if base else []
    if not rules or base is None:
        return set()
    start = await git.merge_base(base, pull.head_sha) or base
    owners: set[str] = set()
    for change in await git.changes(start, pull.head_sha):
        fitting = [names for pattern, names in rules if _owns(pattern, change.path)]
        owners |= set(fitting[-1]) if fitting else set()
    return owners


async def _owner_lines(repository: Repository, commit: str) -> list[tuple[str, list[str]]]:
    for path in _CODEOWNERS:
        entry = await repository.git.entry(commit, path)
        if entry is not None:
            text = (await repository.git.blob(entry.sha)).decode(errors="replace")
            words = [line.partition("#")[0].split() for line in text.splitlines()]
            return [
                (parts[0], [name.removeprefix("@").lower() for name in parts[1:]])
                for parts in words
                if parts
            ]
    return []


def _owns(pattern: str, path: str) -> bool:
    """Whether a pattern covers a path: like .gitignore, anchored where it has a slash inside."""
    anchored = "/" in pattern.rstrip("/")
    whole = pattern.lstrip("/")
    whole = f"{whole}**" if whole.endswith("/") else whole
    prefix = "" if anchored else "**/"
    return matches(prefix + whole, path) or matches(f"{prefix}{whole}/**", path)


async def missing(
    repository: Repository,
    pull: SimulatedPullRequest,
    rules: Iterable[tuple[Any, Mapping[str, Any]]],
) -> list[str]:
    """What these rules still ask for, in GitHub's words."""
    found: list[str] = []
    for _, rule in rules:
        given = rule.get("parameters") or {}
        match rule["type"]:
            case "pull_request":
                found += await _missing_reviews(repository, pull, given)
            case "required_deployments":
                found += _missing_deployments(repository, pull, given)
            case "workflows":
                found += _missing_workflows(repository, pull, given)
            case "code_scanning" | "license_compliance_scanning":
                if pull.head_sha not in repository.scanned:
                    found.append("Code scanning is waiting for results.")
    return list(dict.fromkeys(found))


async def _missing_reviews(
    repository: Repository, pull: SimulatedPullRequest, given: Mapping[str, Any]
) -> list[str]:
    found = []
    approvals = [one for one in opinions(repository, pull).values() if one.state == "APPROVED"]
    if given.get("require_code_owner_review"):
        owners = await code_owners(repository, pull)
        if owners and not any(one.author.login.lower() in owners for one in approvals):
            found.append("Waiting on code owner review from " + ", ".join(sorted(owners)) + ".")
    source = pull.head_repository
    pusher = source.pushers.get(pull.head) if source is not None else None
    if given.get("require_last_push_approval") and not any(
        one.commit_id == pull.head_sha and one.author is not pusher for one in approvals
    ):
        found.append("New changes require approval from someone other than the last pusher.")
    if given.get("required_reviewers"):
        found.append("Waiting on review from a required reviewer.")
    return found


def _missing_deployments(
    repository: Repository, pull: SimulatedPullRequest, given: Mapping[str, Any]
) -> list[str]:
    good: set[str] = set()
    for one in sorted(repository.deployments.values(), key=lambda each: each.id):
        if one.sha == pull.head_sha:
            succeeded = bool(one.statuses) and one.statuses[-1].state == "success"
            (good.add if succeeded else good.discard)(one.environment)
    wanted = given.get("required_deployment_environments") or ()
    missing = [name for name in wanted if name not in good]
    return [f"Missing successful active {name} deployment." for name in missing]


def _missing_workflows(
    repository: Repository, pull: SimulatedPullRequest, given: Mapping[str, Any]
) -> list[str]:
    passed = {
        run.ci.path
        for run in repository.workflow_runs.values()
        if run.suite.head_sha == pull.head_sha and run.conclusion == "success"
    }
    wanted = [each["path"] for each in given.get("workflows") or ()]
    return [f"Required workflow '{path}' is expected." for path in wanted if path not in passed]
