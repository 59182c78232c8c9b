"""Branch protection and rulesets: stored, shown, and enforced on pushes and merges.

Outside contract: https://docs.github.com/rest/branches/branch-protection and
https://docs.github.com/rest/repos/rules
"""

from __future__ import annotations

import asyncio
import fnmatch
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from . import merge_rules
from .accounts import ApiCaller, User
from .api import Answer, ApiEndpoint, Call, has_permission
from .forks import open_to
from .push_rules import FILE_RULES, RefMove, Violation, applies, violations
from .refusals import Refusal, invalid_request, not_found
from .shapes import app_shape, html_url, moment, node_id, repository_url, user_shape
from .world import (
    Json,
    Protection,
    Repository,
    RequiredCheck,
    Ruleset,
    SimulatedIssue,
    SimulatedPullRequest,
    World,
)

_TARGETS = ("branch", "tag", "push")
_ENFORCEMENTS = ("disabled", "active", "evaluate")
_GOOD = ("success", "neutral", "skipped")
_ROLES = {2: "maintain", 4: "write", 5: "admin"}
"""IDs of the roles that can bypass a ruleset."""


# -- which rules apply


def protection_of(repository: Repository, branch: str) -> Protection | None:
    """The classic protection of a branch; an exact name counts before a pattern."""
    if branch in repository.protections:
        return repository.protections[branch]
    for pattern, protection in repository.protections.items():
        if fnmatch.fnmatchcase(branch, pattern):
            return protection
    return Protection(reviews=0, enforce_admins=True) if branch in repository.protected else None


def is_protected(repository: Repository, branch: str) -> bool:
    """The `protected` field of a branch."""
    return protection_of(repository, branch) is not None


def _classic(repository: Repository, pattern: str, one: Protection, login: str) -> list[Json]:
    """A protection in the form of rules, for the one who pushes."""
    rules: list[tuple[str, Json]] = []
    if one.locked:
        rules.append(("lock_branch", {}))
    if one.pushers is not None and login.lower() not in one.pushers:
        rules.append(("restricted_pushers", {}))
    if one.reviews is not None:
        rules.append(("pull_request", {"required_approving_review_count": one.reviews}))
    if one.checks:
        rules.append(("required_status_checks", _checks_parameters(one)))
    flags = {
        "required_signatures": one.signatures,
        "required_linear_history": one.linear,
        "non_fast_forward": not one.force_pushes,
        "deletion": not one.deletions,
    }
    rules += [(kind, {}) for kind, wanted in flags.items() if wanted]
    common = {"family": "protection", "target": "branch", "exclude": []}
    include = [f"refs/heads/{pattern}"]
    return [common | {"include": include, "type": t, "parameters": p} for t, p in rules]


def _checks_parameters(one: Protection) -> Json:
    checks = [{"context": c.context, "integration_id": c.app_id} for c in one.checks]
    return {
        "required_status_checks": checks,
        "strict_required_status_checks_policy": one.strict,
        "do_not_enforce_on_create": True,
    }


def _rules_for(world: World, repository: Repository, user: User) -> list[Json]:
    """Every rule that this account cannot bypass, in the form of `push_rules`."""
    rules: list[Json] = []
    exempt = repository.allows(user, "admin")
    patterns = dict(repository.protections)
    for name in repository.protected:
        patterns.setdefault(name, Protection(reviews=0, enforce_admins=True))
    for pattern, one in patterns.items():
        if one.enforce_admins or not exempt:
            rules += _classic(repository, pattern, one, user.login)
    for ruleset in active(world, repository, user):
        common: Json = {"family": "ruleset", "target": ruleset.target}
        common |= {"include": list(ruleset.include), "exclude": list(ruleset.exclude)}
        rules += [common | rule for rule in ruleset.rules]
    return rules


def active(world: World, repository: Repository, user: User | None = None) -> Iterator[Ruleset]:
    """The active rulesets, without those that an account can bypass."""
    for ruleset in repository.rulesets:
        if ruleset.enforcement == "active" and not (
            user and _bypasses(world, repository, ruleset, user)
        ):
            yield ruleset


def _bypasses(world: World, repository: Repository, ruleset: Ruleset, user: User) -> bool:
    for actor in ruleset.bypass:
        kind, number = actor.get("actor_type"), actor.get("actor_id")
        if actor.get("bypass_mode", "always") == "pull_request":
            continue
        if kind == "Integration" and user is world.bot and number == world.app.app_id:
            return True
        role = "admin" if kind == "OrganizationAdmin" else _ROLES.get(number or 0)
        by_role = kind in ("RepositoryRole", "OrganizationAdmin") and user.type == "User"
        if by_role and role and repository.allows(user, role):
            return True
    return False


# -- pushes


def push_order(world: World, repository: Repository, actor: ApiCaller) -> str:
    """The input of the push hook."""
    if actor.user is None:
        raise Refusal(401, "Requires authentication")
    default = f"refs/heads/{repository.default_branch}"
    only = None
    if actor.kind == "person" and not repository.allows(actor.user, "write"):
        branches = open_to(world, actor.user, repository)
        only = [f"refs/heads/{branch}" for branch in sorted(branches)]
    rules = _rules_for(world, repository, actor.user)
    return json.dumps(
        {
            "workflows": actor.kind != "installation" or has_permission(actor, "workflows:write"),
            "default": default,
            "page": html_url(world, repository),
            "only": only,
            "refused": [[rule.pattern, rule.text] for rule in world.faults.pushes],
            "rules": rules,
            "passed": _passed(world, repository) if rules else {},
            "signed": sorted(repository.signed) if rules else [],
        }
    )


def _passed(world: World, repository: Repository) -> dict[str, list[str]]:
    shas = {run.head_sha for run in repository.check_runs()}
    shas |= {status.sha for status in repository.statuses}
    states = {sha: check_states(world, repository, sha) for sha in shas}
    return {
        sha: sorted(
            {one.context for one in found}
            - {one.context for one in found if one.state != "success"}
        )
        for sha, found in states.items()
    }


async def check_move(call: Call, ref: str, old: str, new: str) -> None:
    """Refuse, with 422, to move a ref by the API that a push could not move."""
    repository = call.repository
    rules = _rules_for(call.world, repository, call.user)
    if not rules:
        return
    default = f"refs/heads/{repository.default_branch}"
    git = repository.git
    environment = git.environment() | {"GIT_DIR": str(git.path)}
    passed, signed = _passed(call.world, repository), frozenset(repository.signed)
    move = RefMove(ref, old, new, default, passed, signed, environment)
    refuse(await asyncio.to_thread(violations, rules, move), 422)


def refuse(found: list[Violation], status: int) -> None:
    """Refuse a violation with GitHub's message; classic protection takes precedence."""
    classic = [one.text for one in found if one.family == "protection"]
    if classic:
        raise Refusal(status, " ".join(classic))
    if found:
        texts = "\n\n".join(one.text for one in found)
        raise Refusal(status, f"Repository rule violations found\n\n{texts}\n\n")


# -- merging


@dataclass(frozen=True)
class CheckState:
    """The state of a status or check run: success, failure or pending."""

    context: str
    state: str
    app_id: int | None = None


def check_states(world: World, repository: Repository, sha: str) -> list[CheckState]:
    """Every check of a commit: the latest of each name and App, and of each status."""
    found: dict[tuple[str, int | None], str] = {}
    for run in repository.check_runs():
        if run.head_sha == sha:
            app = run.suite.app.id if run.suite.app else world.app.app_id
            state = "success" if run.conclusion in _GOOD else "failure"
            found[run.name, app] = state if run.status == "completed" else "pending"
    for status in repository.statuses:
        if status.sha == sha:
            found[status.context, None] = "failure" if status.state == "error" else status.state
    return [CheckState(context, state, app) for (context, app), state in found.items()]


def state_of(states: list[CheckState], check: RequiredCheck) -> str | None:
    """The state of a required check; if several Apps report it, all must succeed."""
    anybody = check.app_id in (None, -1)
    said = {
        one.state
        for one in states
        if one.context == check.context and (anybody or one.app_id == check.app_id)
    }
    return next((state for state in ("failure", "pending", "success") if state in said), None)


@dataclass
class Needs:
    """A base branch's requirements for a pull request, from all rules that apply."""

    family: str = "protection"
    reviews: int | None = None
    checks: list[RequiredCheck] = field(default_factory=list)
    strict: bool = False
    conversations: bool = False
    linear: bool = False
    signatures: bool = False
    locked: bool = False
    push_restricted: bool = False
    queue: Json | None = None
    methods: set[str] | None = None
    any: bool = False
    """Whether the branch has any rule at all."""


def needs_of(world: World, repository: Repository, branch: str, user: User | None) -> list[Needs]:
    """The requirements of a branch, from classic protection and rulesets; `user` may bypass
    some.
    """
    found = []
    one = protection_of(repository, branch)
    exempt = user is not None and repository.allows(user, "admin")
    if one is not None and (one.enforce_admins or not exempt):
        push_restricted = user is not None and one.pushers is not None
        found.append(
            Needs(
                reviews=one.reviews,
                checks=list(one.checks),
                strict=one.strict,
                conversations=one.conversations,
                linear=one.linear,
                signatures=one.signatures,
                locked=one.locked,
                push_restricted=push_restricted and user.login.lower() not in (one.pushers or ()),  # type: ignore[union-attr]
                any=True,
            )
        )
    rules = branch_rules(world, repository, branch, user)
    if rules:
        found.append(_needs_of_rules(rules))
    return found


def _needs_of_rules(rules: list[tuple[Ruleset, Json]]) -> Needs:
    needs = Needs("ruleset", any=True)
    for _, rule in rules:
        kind, wanted = rule["type"], rule.get("parameters") or {}
        if kind == "pull_request":
            count = wanted.get("required_approving_review_count", 0)
            needs.reviews = max(needs.reviews or 0, count)
            needs.conversations |= bool(wanted.get("required_review_thread_resolution"))
            if allowed := wanted.get("allowed_merge_methods"):
                needs.methods = (needs.methods or set(allowed)) & set(allowed)
        elif kind == "required_status_checks":
            needs.strict |= bool(wanted.get("strict_required_status_checks_policy"))
            needs.checks += [
                RequiredCheck(one["context"], one.get("integration_id"))
                for one in wanted["required_status_checks"]
            ]
        elif kind == "merge_queue":
            needs.queue = wanted
        needs.linear |= kind == "required_linear_history"
        needs.signatures |= kind == "required_signatures"
        needs.locked |= kind == "update"
    return needs


def branch_rules(
    world: World, repository: Repository, branch: str, user: User | None = None
) -> list[tuple[Ruleset, Json]]:
    """The ruleset rules that apply to a branch, with their source."""
    ref, default = f"refs/heads/{branch}", f"refs/heads/{repository.default_branch}"
    return [
        (ruleset, rule)
        for ruleset in active(world, repository, user)
        if ruleset.target == "branch"
        and applies(
            {"target": "branch", "include": ruleset.include, "exclude": ruleset.exclude},
            ref,
            default,
        )
        for rule in ruleset.rules
    ]


async def unmet(
    world: World,
    repository: Repository,
    pull: SimulatedPullRequest,
    user: User | None,
    method: str = "",
) -> list[Violation]:
    """The requirements that are missing before this account may merge a pull request."""
    found: list[Violation] = []
    for needs in needs_of(world, repository, pull.base, user):
        texts = [
            *_missing_reviews(repository, pull, needs),
            *_missing_checks(world, repository, pull, needs),
        ]
        if needs.queue is not None:
            texts.append("Changes must be made through the merge queue")
        if needs.locked:
            texts.append("Cannot change this locked branch")
        if needs.push_restricted:
            texts.append("You're not authorized to push to this branch.")
        if needs.conversations and any(not thread.resolved_by for thread in pull.threads):
            texts.append("A conversation must be resolved before this pull request can be merged.")
        if method == "merge" and needs.linear:
            texts.append("This branch must not contain merge commits.")
        if method and needs.methods is not None and method not in needs.methods:
            texts.append(f"{method.capitalize()} merges are not allowed by a rule of this branch.")
        if needs.signatures and await _has_unsigned(repository, pull):
            texts.append("Commits must have verified signatures.")
        found += [Violation(needs.family, text) for text in texts]
    texts = await merge_rules.missing(
        repository, pull, branch_rules(world, repository, pull.base, user)
    )
    return found + [Violation("ruleset", text) for text in texts]


def may_bypass(world: World, repository: Repository, branch: str, user: User) -> bool:
    """Whether the account could merge against a rule of the branch."""
    one = protection_of(repository, branch)
    as_admin = one is not None and not one.enforce_admins and repository.allows(user, "admin")
    some = len(branch_rules(world, repository, branch, user))
    return as_admin or some < len(branch_rules(world, repository, branch))


def check_landing(
    world: World, repository: Repository, user: User, ref: str, old: str, new: str
) -> None:
    """Refuse, with 405, a merge whose commit breaks a rule about messages, addresses or files."""
    rules = [
        rule
        for rule in _rules_for(world, repository, user)
        if rule["type"].endswith("_pattern") or rule["type"] in FILE_RULES
    ]
    git = repository.git
    environment = git.environment() | {"GIT_DIR": str(git.path)}
    default = f"refs/heads/{repository.default_branch}"
    move = RefMove(ref, old, new, default, {}, frozenset(), environment)
    refuse(violations(rules, move), 405)


async def _has_unsigned(repository: Repository, pull: SimulatedPullRequest) -> bool:
    shas = await repository.git.range(pull.base_sha, pull.head_sha)
    return any(sha not in repository.signed for sha in shas)


def _missing_reviews(repository: Repository, pull: SimulatedPullRequest, needs: Needs) -> list[str]:
    if not needs.reviews:
        return []
    words = {}
    for review in pull.reviews:
        heavy = review.author.type == "Bot" or repository.allows(review.author, "write")
        if heavy and review.state in ("APPROVED", "CHANGES_REQUESTED", "DISMISSED"):
            words[review.author] = review.state
    if "CHANGES_REQUESTED" in words.values():
        count = list(words.values()).count("CHANGES_REQUESTED")
        return [f"{count} review requesting changes by reviewers with write access."]
    if list(words.values()).count("APPROVED") >= needs.reviews:
        return []
    many = "review is" if needs.reviews == 1 else "reviews are"
    return [f"At least {needs.reviews} approving {many} required by reviewers with write access."]


def _missing_checks(
    world: World, repository: Repository, pull: SimulatedPullRequest, needs: Needs
) -> list[str]:
    states = check_states(world, repository, pull.head_sha)
    missing: list[tuple[str, str]] = []
    for check in needs.checks:
        state = state_of(states, check)
        if state != "success":
            word = {"failure": "failing", "pending": "in progress"}.get(state or "", "expected")
            missing.append((check.context, word))
    if len(missing) == 1:
        return [f'Required status check "{missing[0][0]}" is {missing[0][1]}.']
    if not missing:
        return []
    kinds = [word for _, word in missing]
    counted = " and ".join(f"{kinds.count(word)} {word}" for word in dict.fromkeys(kinds))
    whole = f"{len(missing)} of {len(needs.checks)} required status checks have not succeeded"
    return [f"{whole}: {counted}."]


async def merged_tree(repository: Repository, pull: SimulatedPullRequest) -> str | None:
    """The tree of a clean merge; None where there are conflicts or the base is gone."""
    base = await repository.git.ref(f"refs/heads/{pull.base}")
    return await repository.git.merged_tree(base, pull.head_sha) if base else None


async def is_behind(repository: Repository, pull: SimulatedPullRequest) -> bool:
    """Whether the base has commits that the head has not."""
    base = await repository.git.ref(f"refs/heads/{pull.base}")
    return base is not None and not await repository.git.is_ancestor(base, pull.head_sha)


async def mergeable_state(
    world: World, repository: Repository, issue: SimulatedIssue, pull: SimulatedPullRequest
) -> str:
    """GitHub's term: dirty, draft, blocked, behind, unstable or clean."""
    if await merged_tree(repository, pull) is None:
        return "dirty"
    if pull.draft:
        return "draft"
    queue = "Changes must be made through the merge queue"
    missing = await unmet(world, repository, pull, None)
    if any(one.text != queue for one in missing):
        return "blocked"
    strict = any(needs.strict for needs in needs_of(world, repository, pull.base, None))
    if strict and await is_behind(repository, pull):
        return "behind"
    states = check_states(world, repository, pull.head_sha)
    return "unstable" if any(one.state != "success" for one in states) else "clean"


# -- branch protection in the API


def _flag(enabled: bool) -> Json:
    return {"enabled": enabled}


def _protection_shape(call: Call, branch: str, one: Protection) -> Json:
    url = f"{repository_url(call.world, call.repository)}/branches/{branch}/protection"
    shape: Json = {
        "url": url,
        "required_signatures": {"url": f"{url}/required_signatures"} | _flag(one.signatures),
        "enforce_admins": {"url": f"{url}/enforce_admins"} | _flag(one.enforce_admins),
        "required_linear_history": _flag(one.linear),
        "allow_force_pushes": _flag(one.force_pushes),
        "allow_deletions": _flag(one.deletions),
        "block_creations": _flag(False),
        "required_conversation_resolution": _flag(one.conversations),
        "lock_branch": _flag(one.locked),
        "allow_fork_syncing": _flag(False),
    }
    if one.reviews is not None:
        shape["required_pull_request_reviews"] = {
            "url": f"{url}/required_pull_request_reviews",
            "dismiss_stale_reviews": one.dismiss_stale,
            "require_code_owner_reviews": False,
            "require_last_push_approval": False,
            "required_approving_review_count": one.reviews,
        }
    if one.checks:
        shape["required_status_checks"] = {
            "url": f"{url}/required_status_checks",
            "strict": one.strict,
            "contexts": [check.context for check in one.checks],
            "contexts_url": f"{url}/required_status_checks/contexts",
            "checks": [{"context": c.context, "app_id": c.app_id} for c in one.checks],
        }
    if one.pushers is not None:
        shape["restrictions"] = _restrictions(call, f"{url}/restrictions", one.pushers)
    return shape


def _restrictions(call: Call, url: str, pushers: frozenset[str]) -> Json:
    world = call.world
    users = [world.users[name] for name in sorted(pushers) if name in world.users]
    urls = {f"{kind}_url": f"{url}/{kind}" for kind in ("users", "teams", "apps")}
    app = app_shape(world)
    return {
        "url": url,
        **urls,
        "users": [user_shape(world, user) for user in users if user.type == "User"],
        "teams": [],
        "apps": [app] if world.bot in users else [],
    }


async def _branch(call: Call) -> str:
    name = call.params["branch"]
    if await call.repository.git.ref(f"refs/heads/{name}") is None:
        raise Refusal(404, "Branch not found")
    return name


async def get_protection(call: Call) -> Answer:
    branch = await _branch(call)
    one = protection_of(call.repository, branch)
    if one is None:
        raise Refusal(404, "Branch not protected")
    return Answer(200, _protection_shape(call, branch, one))


async def set_protection(call: Call) -> Answer:
    branch = await _branch(call)
    for name in ("required_status_checks", "required_pull_request_reviews", "restrictions"):
        if not call.given(name):
            raise invalid_request(f'"{name}" wasn\'t supplied.')
    one = call.repository.protections[branch] = _read_protection(call)
    return Answer(200, _protection_shape(call, branch, one))


def _read_protection(call: Call) -> Protection:
    reviews = call.optional("required_pull_request_reviews", dict)
    checks = call.optional("required_status_checks", dict)
    pushers = call.optional("restrictions", dict)
    one = Protection(
        enforce_admins=call.value("enforce_admins", bool, False),
        linear=call.value("required_linear_history", bool, False),
        force_pushes=call.value("allow_force_pushes", bool, False),
        deletions=call.value("allow_deletions", bool, False),
        conversations=call.value("required_conversation_resolution", bool, False),
        locked=call.value("lock_branch", bool, False),
    )
    if reviews is not None:
        one.reviews = reviews.get("required_approving_review_count", 1)
        one.dismiss_stale = bool(reviews.get("dismiss_stale_reviews"))
    if checks is not None:
        named = [RequiredCheck(c["context"], c.get("app_id")) for c in checks.get("checks", [])]
        known = {check.context for check in named}
        named += [RequiredCheck(c) for c in checks.get("contexts", []) if c not in known]
        one.checks, one.strict = tuple(named), bool(checks.get("strict"))
    if pushers is not None:
        apps = [f"{slug}[bot]" for slug in pushers.get("apps", [])]
        one.pushers = frozenset(name.lower() for name in [*pushers.get("users", []), *apps])
    return one


async def remove_protection(call: Call) -> Answer:
    branch = await _branch(call)
    if call.repository.protections.pop(branch, None) is None:
        raise Refusal(404, "Branch not protected")
    return Answer(204)


# -- rulesets in the API


def _ruleset_shape(call: Call, one: Ruleset, *, whole: bool = True) -> Json:
    repository = call.repository
    url = f"{repository_url(call.world, repository)}/rulesets/{one.id}"
    page = html_url(call.world, repository, "rules", one.id)
    shape: Json = {
        "id": one.id,
        "name": one.name,
        "target": one.target,
        "source_type": "Repository",
        "source": repository.full_name,
        "enforcement": one.enforcement,
        "node_id": node_id("RRS", one.id),
        "_links": {"self": {"href": url}, "html": {"href": page}},
        "created_at": moment(one.created_at),
        "updated_at": moment(one.created_at),
    }
    if not whole:
        return shape
    shape |= {"rules": one.rules, "conditions": {}}
    if one.target != "push":
        names = {"include": list(one.include), "exclude": list(one.exclude)}
        shape["conditions"] = {"ref_name": names}
    # Only people who may change a ruleset see who can bypass it.
    if call.actor.kind == "person" and call.can("admin"):
        shape["bypass_actors"] = one.bypass
    return shape


def _ruleset(call: Call) -> Ruleset:
    number = call.number("ruleset_id")
    for one in call.repository.rulesets:
        if one.id == number:
            return one
    raise not_found()


def _read_ruleset(call: Call, one: Ruleset) -> None:
    one.name = call.value("name", str, one.name)
    target: Any = call.choice("target", _TARGETS)
    enforcement: Any = call.choice("enforcement", _ENFORCEMENTS)
    one.target, one.enforcement = target or one.target, enforcement or one.enforcement
    names = call.value("conditions", dict, {}).get("ref_name", {})
    if names:
        one.include = tuple(names.get("include", ()))
        one.exclude = tuple(names.get("exclude", ()))
    if call.given("rules"):
        one.rules = call.value("rules", list, [])
    if call.given("bypass_actors"):
        one.bypass = call.value("bypass_actors", list, [])


async def list_rulesets(call: Call) -> Answer:
    return call.page(call.repository.rulesets, lambda one: _ruleset_shape(call, one, whole=False))


async def get_ruleset(call: Call) -> Answer:
    return Answer(200, _ruleset_shape(call, _ruleset(call)))


async def create_ruleset(call: Call) -> Answer:
    name = call.required("name", str)
    call.required("enforcement", str)
    if any(one.name == name for one in call.repository.rulesets):
        raise Refusal(422, "Validation Failed", ["Name must be unique"])
    one = Ruleset(call.world.new_id(), name, "branch", [], call.world.clock.now())
    _read_ruleset(call, one)
    call.repository.rulesets.append(one)
    return Answer(201, _ruleset_shape(call, one))


async def edit_ruleset(call: Call) -> Answer:
    one = _ruleset(call)
    _read_ruleset(call, one)
    return Answer(200, _ruleset_shape(call, one))


async def delete_ruleset(call: Call) -> Answer:
    call.repository.rulesets.remove(_ruleset(call))
    return Answer(204)


async def rules_of_branch(call: Call) -> Answer:
    """The rules that apply to a branch, which need not exist; without classic protection."""
    found = branch_rules(call.world, call.repository, call.params["branch"])

    def shape(pair: tuple[Ruleset, Json]) -> Json:
        ruleset, rule = pair
        source: Json = {"ruleset_source_type": "Repository", "ruleset_id": ruleset.id}
        return rule | source | {"ruleset_source": call.repository.full_name}

    return call.page(found, shape)


_REPO = "/repos/{owner}/{repo}"
_PROTECTION = f"{_REPO}/branches/{{branch}}/protection"
_RULESETS = f"{_REPO}/rulesets"
_RULESET = f"{_RULESETS}/{{ruleset_id}}"
_ADMIN = "administration:write"

ENDPOINTS = [
    ApiEndpoint("GET", _PROTECTION, get_protection, "administration:read", "write"),
    ApiEndpoint("PUT", _PROTECTION, set_protection, _ADMIN, "admin"),
    ApiEndpoint("DELETE", _PROTECTION, remove_protection, _ADMIN, "admin"),
    ApiEndpoint("GET", _RULESETS, list_rulesets, "metadata:read"),
    ApiEndpoint("POST", _RULESETS, create_ruleset, _ADMIN, "admin"),
    ApiEndpoint("GET", _RULESET, get_ruleset, "metadata:read"),
    ApiEndpoint("PUT", _RULESET, edit_ruleset, _ADMIN, "admin"),
    ApiEndpoint("DELETE", _RULESET, delete_ruleset, _ADMIN, "admin"),
    ApiEndpoint("GET", f"{_REPO}/rules/branches/{{branch}}", rules_of_branch, "metadata:read"),
]
