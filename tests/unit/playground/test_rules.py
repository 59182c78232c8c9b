"""Protections and rulesets, by git and by API, in GitHub's words."""

from __future__ import annotations

from typing import Any

import pytest

from app.playground.github import RefusedError
from app.playground.github.push_rules import matches

from .conftest import REPO, World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def push(world: World, path: str = "a.py", to: str = "HEAD:refs/heads/main") -> str:
    """Git's message for a refused push by the App; the API refuses it as well."""
    token = await world.token()
    if not (world.home / "work").exists():
        await world.clone(token)
    await world.commit(path, "changed\n")
    return await world.git("push", "-f", world.remote(token), to, folder="work", fails=True)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"reviews": 1}, "Changes must be made through a pull request."),
        ({"checks": ["ci"]}, 'Required status check "ci" is expected.'),
        ({"checks": ["ci", "lint"]}, "2 of 2 required status checks are expected."),
        ({"pushers": ["writer"]}, "You're not authorized to push to this branch."),
        ({"signatures": True}, "Commits must have verified signatures."),
        ({"locked": True}, "Cannot change this locked branch"),
    ],
)
async def test_protections_refuse(world: World, rules: dict[str, Any], words: str) -> None:
    world.github.protect(REPO, "main", **rules)
    said = await push(world)
    assert "GH006: Protected branch update failed for refs/heads/main." in said
    assert words in said
    assert "(protected branch hook declined)" in said
    with pytest.raises(RefusedError) as refused:
        await world.github.push_files(REPO, "main", {"a.py": b"x"}, "maintainer")
    assert refused.value.status == 422
    assert words in refused.value.answer["message"]
    # Owners pass by, unless the protection includes them.
    await world.github.push_files(REPO, "main", {"a.py": b"x"}, "owner")
    world.github.protect(REPO, "main", enforce_admins=True, **rules)
    with pytest.raises(RefusedError):
        await world.github.push_files(REPO, "main", {"a.py": b"y"}, "owner")


async def test_a_protected_branch_keeps_its_history(world: World) -> None:
    github = world.github
    first = await github.branch(REPO, "main")
    await github.push_files(REPO, "main", {"a.py": b"x"}, "writer")
    await github.push_files(REPO, "release", {"a.py": b"x"}, "writer")
    github.protect(REPO, "main")
    github.protect(REPO, "rel*")
    assert first
    with pytest.raises(RefusedError, match="Cannot force-push to this protected branch"):
        await github.force_push(REPO, "main", first, "writer")
    with pytest.raises(RefusedError, match="Cannot delete this protected branch"):
        await github.delete_branch(REPO, "release", "writer")
    await github.push_files(REPO, "main", {"a.py": b"y"}, "writer")
    github.protect(REPO, "main", force_pushes=True)
    await github.force_push(REPO, "main", first, "writer")


async def test_protection_in_the_api(world: World) -> None:
    path = f"/repos/{REPO}/branches/main/protection"
    person = world.github.token_for("owner")
    assert (await world.ask("GET", path, token=person)).status_code == 404
    body: dict[str, Any] = {
        "required_status_checks": {"strict": True, "contexts": [], "checks": [{"context": "ci"}]},
        "enforce_admins": True,
        "required_pull_request_reviews": {"required_approving_review_count": 2},
        "restrictions": {"users": ["writer"], "teams": [], "apps": ["honk"]},
        "required_conversation_resolution": True,
    }
    assert (await world.ask("PUT", path, body, person)).status_code == 200
    shape = (await world.ask("GET", path, token=person)).json()
    assert shape["required_status_checks"]["checks"] == [{"context": "ci", "app_id": None}]
    assert shape["required_pull_request_reviews"]["required_approving_review_count"] == 2
    assert [one["login"] for one in shape["restrictions"]["users"]] == ["writer"]
    assert [one["slug"] for one in shape["restrictions"]["apps"]] == ["honk"]
    mine = await world.repo("GET", "/branches/main/protection")
    assert mine.status_code == 403
    assert (await world.repo("GET", "/branches/main")).json()["protected"] is True
    assert (await world.ask("DELETE", path, token=person)).status_code == 204


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"type": "update"}, "Cannot update this protected ref."),
        ({"type": "pull_request"}, "Changes must be made through a pull request."),
        ({"type": "required_signatures"}, "Commits must have verified signatures."),
        (
            {
                "type": "commit_message_pattern",
                "parameters": {"operator": "starts_with", "pattern": "feat:"},
            },
            "Commit message must start with feat:",
        ),
        (
            {
                "type": "commit_author_email_pattern",
                "parameters": {"operator": "regex", "pattern": "@good[.]com$"},
            },
            "Commit author email must match a given regex pattern: @good[.]com$",
        ),
    ],
)
async def test_rulesets_refuse(world: World, rule: dict[str, Any], words: str) -> None:
    github = world.github
    github.add_ruleset(REPO, rule, include=["~DEFAULT_BRANCH"])
    said = await push(world)
    assert "GH013: Repository rule violations found for refs/heads/main." in said
    assert f"/{REPO}/rules?ref=refs%2Fheads%2Fmain" in said
    assert f"- {words}" in said
    assert "(push declined due to repository rule violations)" in said
    with pytest.raises(RefusedError) as refused:
        await github.push_files(REPO, "main", {"a.py": b"x"}, "owner")
    assert refused.value.answer["message"].startswith("Repository rule violations found\n\n")
    await github.push_files(REPO, "other", {"a.py": b"x"}, "writer")


async def test_names_and_creations(world: World) -> None:
    github = world.github
    pattern = {"operator": "starts_with", "pattern": "honk/"}
    github.add_ruleset(REPO, {"type": "branch_name_pattern", "parameters": pattern})
    with pytest.raises(RefusedError, match="Branch name must start with honk/"):
        await github.push_files(REPO, "feat", {"a.py": b"x"}, "writer")
    await github.push_files(REPO, "honk/1", {"a.py": b"x"}, "writer")
    github.add_ruleset(
        REPO, {"type": "creation"}, {"type": "deletion"}, include=["refs/heads/honk/**/*"]
    )
    with pytest.raises(RefusedError, match="Cannot create ref due to creations being restricted"):
        await github.push_files(REPO, "honk/2", {"a.py": b"x"}, "writer")
    with pytest.raises(RefusedError, match="Cannot delete this branch"):
        await github.delete_branch(REPO, "honk/1", "writer")


async def test_push_rulesets_hold_for_hidden_refs(world: World) -> None:
    github = world.github
    paths = {"restricted_file_paths": ["infra/**/*"]}
    rule = {"type": "file_path_restriction", "parameters": paths}
    github.add_ruleset(REPO, rule, target="push")
    said = await push(world, "infra/prod/main.tf", "HEAD:refs/honk/run-1")
    assert "GH013: Repository rule violations found for refs/honk/run-1." in said
    assert "File path is restricted" in said
    assert "  infra/prod/main.tf" in said
    await world.git("reset", "-q", "--hard", "origin/main", folder="work")
    await world.commit("a.py", "fine\n")
    hidden = "HEAD:refs/honk/run-1"
    await world.git("push", "-q", world.remote(await world.token()), hidden, folder="work")


async def test_bypass_actors_of_a_ruleset(world: World) -> None:
    github = world.github
    us = {"actor_id": 7, "actor_type": "Integration", "bypass_mode": "always"}
    admins = {"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}
    github.add_ruleset(REPO, {"type": "update"}, bypass=[us, admins])
    sha = await world.branch("feat")
    moved = await world.repo("PATCH", "/git/refs/heads/main", {"sha": sha})
    assert moved.status_code == 200
    await github.push_files(REPO, "main", {"a.py": b"x"}, "owner")
    with pytest.raises(RefusedError):
        await github.push_files(REPO, "main", {"a.py": b"y"}, "maintainer")


async def test_rulesets_in_the_api(world: World) -> None:
    person = world.github.token_for("owner")
    body = {
        "name": "Main",
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
        "rules": [{"type": "deletion"}],
        "bypass_actors": [{"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}],
    }
    path = f"/repos/{REPO}/rulesets"
    made = (await world.ask("POST", path, body, person)).json()
    assert made["bypass_actors"]
    mine = (await world.repo("GET", f"/rulesets/{made['id']}")).json()
    assert "bypass_actors" not in mine
    [listed] = (await world.repo("GET", "/rulesets")).json()
    assert (listed["name"], "rules" in listed) == ("Main", False)
    [rule] = (await world.repo("GET", "/rules/branches/main")).json()
    assert (rule["type"], rule["ruleset_id"]) == ("deletion", made["id"])
    assert (await world.repo("GET", "/rules/branches/feat/x")).json() == []
    off = await world.ask("PUT", f"{path}/{made['id']}", {"enforcement": "disabled"}, person)
    assert off.json()["enforcement"] == "disabled"
    assert (await world.repo("GET", "/rules/branches/main")).json() == []
    refused = await world.repo("POST", "/rulesets", body)
    assert refused.status_code == 403
    assert (await world.ask("DELETE", f"{path}/{made['id']}", token=person)).status_code == 204


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("refs/heads/*", "refs/heads/main", True),
        ("refs/heads/*", "refs/heads/feat/x", False),
        ("refs/heads/**/*", "refs/heads/feat/x", True),
        ("**/*.tf", "main.tf", True),
        ("infra/**", "infra/a/b", True),
        ("a.c", "abc", False),
    ],
)
async def test_patterns(pattern: str, path: str, fits: bool) -> None:
    assert matches(pattern, path) is fits
