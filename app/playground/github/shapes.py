"""JSON shapes that many areas share: accounts, the App, repositories, labels, node ids."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any
from urllib.parse import quote

from .accounts import SimulatedInstallation, User
from .records import OtherApp
from .signed import with_images
from .world import Json, Label, Repository, World

_USER_LINKS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}
_REPOSITORY_LINKS = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}


def moment(when: datetime | None) -> str | None:
    """A time as GitHub writes it."""
    return None if when is None else when.strftime("%Y-%m-%dT%H:%M:%SZ")


def node_id(prefix: str, number: object) -> str:
    """The global id of a thing."""
    tail = base64.urlsafe_b64encode(f"{prefix}{number}".encode()).decode().rstrip("=")
    return f"{prefix}_{tail}"


def user_shape(world: World, user: User) -> Json:
    """An account in short (`simple-user`)."""
    url = f"{world.api_url}/users/{quote(user.login)}"
    return {
        "login": user.login,
        "id": user.id,
        "node_id": node_id("BOT" if user.type == "Bot" else "U", user.id),
        "avatar_url": f"{world.url}/avatars/{user.id}",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{world.url}/{quote(user.login)}",
        "type": user.type,
        "user_view_type": "public",
        "site_admin": False,
        **{name: url + tail for name, tail in _USER_LINKS.items()},
    }


def optional_user(world: World, user: User | None) -> Json | None:
    """An account, or null."""
    return None if user is None else user_shape(world, user)


def app_shape(world: World, other: OtherApp | None = None) -> Json:
    """The App (`integration`), or another one."""
    if other is not None:
        return _other_app_shape(world, other)
    app = world.app
    created = moment(world.created_at)
    owner = next(iter(world.installations.values()), None)
    return {
        "id": app.app_id,
        "slug": app.slug,
        "client_id": app.client_id,
        "node_id": node_id("A", app.app_id),
        "owner": user_shape(world, owner.account if owner else world.bot),
        "name": app.name or app.slug.capitalize(),
        "description": "",
        "external_url": f"{world.url}/apps/{app.slug}",
        "html_url": f"{world.url}/apps/{app.slug}",
        "created_at": created,
        "updated_at": created,
        "permissions": dict(app.permissions),
        "events": list(app.events),
    }


def _other_app_shape(world: World, other: OtherApp) -> Json:
    github = User(9919, "github", "User", "GitHub")
    return app_shape(world) | {
        "id": other.id,
        "slug": other.slug,
        "client_id": f"Iv1.{other.id:016x}",
        "node_id": node_id("A", other.id),
        "owner": user_shape(world, github),
        "name": other.name,
        "external_url": f"{world.url}/apps/{other.slug}",
        "html_url": f"{world.url}/apps/{other.slug}",
        "permissions": {"checks": "write", "metadata": "read"},
        "events": [],
    }


def via_app(world: World, author: User) -> Json | None:
    """The `performed_via_github_app` field of something that this account created."""
    return app_shape(world) if author is world.bot else None


def granted(world: World, installation: SimulatedInstallation) -> dict[str, str]:
    """The permissions that an installation has."""
    asked = installation.permissions
    return dict(world.app.permissions if asked is None else asked)


def installation_shape(world: World, installation: SimulatedInstallation) -> Json:
    """The App on an account (`installation`)."""
    account = installation.account
    theirs = [r for r in world.repositories.values() if r.owner is account]
    url = f"{world.api_url}/app/installations/{installation.id}"
    return {
        "id": installation.id,
        "account": user_shape(world, account),
        "repository_selection": "all" if all(r.installed for r in theirs) else "selected",
        "access_tokens_url": f"{url}/access_tokens",
        "repositories_url": f"{world.api_url}/installation/repositories",
        "html_url": f"{world.url}/settings/installations/{installation.id}",
        "app_id": world.app.app_id,
        "app_slug": world.app.slug,
        "target_id": account.id,
        "target_type": account.type,
        "client_id": world.app.client_id,
        "permissions": {"metadata": "read"} | granted(world, installation),
        "events": list(world.app.events),
        "created_at": moment(installation.created_at),
        "updated_at": moment(installation.created_at),
        "single_file_name": None,
        "suspended_by": optional_user(world, installation.suspended_by),
        "suspended_at": moment(installation.suspended_at),
    }


def repository_url(world: World, repository: Repository) -> str:
    """The API URL of a repository."""
    return f"{world.api_url}/repos/{repository.full_name}"


def html_url(world: World, repository: Repository, *rest: object) -> str:
    """A page of a repository."""
    return "/".join([f"{world.url}/{repository.full_name}", *(quote(str(part)) for part in rest)])


def repository_shape(world: World, repository: Repository) -> Json:
    """A repository in short (`minimal-repository`)."""
    url = repository_url(world, repository)
    return {
        "id": repository.id,
        "node_id": node_id("R", repository.id),
        "name": repository.name,
        "full_name": repository.full_name,
        "owner": user_shape(world, repository.owner),
        "private": repository.private,
        "html_url": html_url(world, repository),
        "description": None,
        "fork": repository.parent is not None,
        "url": url,
        **{name: url + tail for name, tail in _REPOSITORY_LINKS.items()},
    }


def full_repository_shape(world: World, repository: Repository) -> Json:
    """A repository (`full-repository`), as the API and the webhooks give it."""
    page = html_url(world, repository)
    issues = sum(1 for issue in repository.issues.values() if issue.state == "open")
    created = moment(repository.created_at)
    return repository_shape(world, repository) | {
        "clone_url": f"{page}.git",
        "git_url": f"{page}.git",
        "ssh_url": f"{page}.git",
        "svn_url": page,
        "mirror_url": None,
        "homepage": None,
        "language": None,
        "license": None,
        "default_branch": repository.default_branch,
        "archived": repository.archived,
        "disabled": False,
        "visibility": "private" if repository.private else "public",
        "has_issues": repository.has_issues,
        "has_projects": False,
        "has_wiki": False,
        "has_pages": False,
        "has_downloads": True,
        "has_discussions": False,
        "allow_forking": repository.allow_forking,
        "allow_merge_commit": "merge" in repository.merge_methods,
        "allow_squash_merge": "squash" in repository.merge_methods,
        "allow_rebase_merge": "rebase" in repository.merge_methods,
        "allow_auto_merge": repository.allow_auto_merge,
        "allow_update_branch": False,
        "delete_branch_on_merge": repository.delete_branch_on_merge,
        "is_template": False,
        "web_commit_signoff_required": False,
        "topics": [],
        "size": 1,
        "created_at": created,
        "updated_at": created,
        "pushed_at": moment(repository.pushed_at or repository.created_at),
        "open_issues": issues,
        "open_issues_count": issues,
        **dict.fromkeys(_COUNTS, 0),
        **dict.fromkeys(("forks", "forks_count"), len(world.forks(repository))),
    }


_COUNTS = (
    "forks",
    "forks_count",
    "watchers",
    "watchers_count",
    "stargazers_count",
    "network_count",
    "subscribers_count",
)


def label_shape(world: World, repository: Repository, label: Label) -> Json:
    """A label."""
    return {
        "id": label.id,
        "node_id": node_id("LA", label.id),
        "url": f"{repository_url(world, repository)}/labels/{quote(label.name, safe='')}",
        "name": label.name,
        "color": label.color,
        "default": False,
        "description": label.description,
    }


def association(repository: Repository, user: User) -> str:
    """An author's association with a repository."""
    if user is repository.owner:
        return "OWNER"
    return "COLLABORATOR" if repository.is_collaborator(user) else "NONE"


def body_texts(body: str | None, accept: str) -> Json:
    """A text in the forms that the Accept header asks for."""
    if "full" not in accept and "html" not in accept:
        return {"body": body}
    escaped = (body or "").replace("&", "&amp;").replace("<", "&lt;")
    paragraphs = "".join(f"<p>{part}</p>" for part in escaped.split("\n\n") if part)
    html: dict[str, Any] = {"body_html": with_images(paragraphs)}
    return html | {"body": body, "body_text": body or ""} if "full" in accept else html
