"""Deployments of a commit, and what was reported about them.

https://docs.github.com/en/rest/deployments/deployments
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from app.domain.after_merge import MergedDeployment
from app.domain.preview import Reported
from app.domain.values import CommitSha
from app.github.client import RepositoryClient
from app.github.conversation import UserWire, actor, is_our_bot
from app.github.exchange import ApiRequest

_DEPLOYMENTS = "/repos/{owner}/{repo}/deployments"
_STATUSES = f"{_DEPLOYMENTS}/{{deployment_id}}/statuses"
_MOST_ENVIRONMENTS = 10
"""Environments of one commit whose statuses are read."""
_MAX_DESCRIPTION = 140
_STATUSES_READ = 10
"""GitHub lists statuses newest first; the newest by id counts."""


class _DeploymentWire(msgspec.Struct):
    id: int
    environment: str
    production_environment: bool | None = None
    creator: UserWire | None = None


class _DeploymentStatusWire(msgspec.Struct):
    id: int
    state: str
    environment_url: str | None = None
    creator: UserWire | None = None


ENVIRONMENT = "honk-preview"
"""One name for all pull requests, since each name stays in the repository's settings."""


class _CreatedWire(msgspec.Struct):
    id: int


async def ensure_preview(client: RepositoryClient, sha: CommitSha, url: str, about: str) -> int:
    """A deployment of the commit that links to `url`, found or created; returns its id.

    It merges nothing (`auto_merge`), waits for no check (`required_contexts`), and is transient.
    Needs deployments: write.
    https://docs.github.com/en/rest/deployments/deployments#create-a-deployment
    """
    ours = await _ours(client, sha)
    deployment = max(ours) if ours else await _create(client, sha, about)
    if (await _newest_status(client, _DeploymentWire(deployment, ENVIRONMENT))).state != "success":
        await _report(client, deployment, "success", environment_url=url, description=about)
    return deployment


async def _create(client: RepositoryClient, sha: CommitSha, about: str) -> int:
    answer = await client.send(
        ApiRequest(
            "POST",
            _DEPLOYMENTS,
            body={
                "ref": sha,
                "auto_merge": False,
                "required_contexts": [],
                "environment": ENVIRONMENT,
                "transient_environment": True,
                "production_environment": False,
                "description": about[:_MAX_DESCRIPTION],
            },
        )
    )
    return answer.read(_CreatedWire).id


async def end_previews(client: RepositoryClient, sha: CommitSha) -> None:
    """Mark our deployments of the commit as inactive. Needs deployments: write."""
    for deployment in await _ours(client, sha):
        newest = await _newest_status(client, _DeploymentWire(deployment, ENVIRONMENT))
        if newest.state != "inactive":
            await _report(client, deployment, "inactive")


async def _ours(client: RepositoryClient, sha: CommitSha) -> list[int]:
    query: dict[str, str | int] = {"sha": sha, "environment": ENVIRONMENT, "per_page": 100}
    listed = (await client.get(_DEPLOYMENTS, query=query)).read(list[_DeploymentWire])
    return [each.id for each in listed if await is_our_bot(client, actor(each.creator))]


async def _report(client: RepositoryClient, deployment: int, state: str, **values: str) -> None:
    """https://docs.github.com/en/rest/deployments/statuses#create-a-deployment-status"""
    body = {"state": state, "auto_inactive": False, **values}
    await client.send(
        ApiRequest(
            "POST",
            _STATUSES,
            path={"deployment_id": deployment},
            body=body,
            just_created=True,
            accept={404},
        )
    )


async def reported(client: RepositoryClient, sha: CommitSha) -> tuple[Reported, ...]:
    """The newest deployment of a commit in each environment that is not for production, with its
    newest status. Our own are left out. Needs deployments: read.
    """
    query: dict[str, str | int] = {"sha": sha, "per_page": 100}
    answer = await client.get(_DEPLOYMENTS, query=query)
    newest: dict[str, _DeploymentWire] = {}
    for wire in sorted(answer.read(list[_DeploymentWire]), key=lambda one: one.id):
        if not wire.production_environment and not await is_our_bot(client, actor(wire.creator)):
            newest[wire.environment] = wire
    chosen = sorted(newest.values(), key=lambda one: -one.id)[:_MOST_ENVIRONMENTS]
    found = await asyncio.gather(*(_newest_status(client, each) for each in chosen))
    return tuple(found)


async def of_merge(client: RepositoryClient, sha: CommitSha) -> tuple[MergedDeployment, ...]:
    """The newest deployment of a merged commit to each environment. Needs deployments: read."""
    query: dict[str, str | int] = {"sha": sha, "per_page": 100}
    answer = await client.get(_DEPLOYMENTS, query=query)
    newest = {
        wire.environment: wire
        for wire in sorted(answer.read(list[_DeploymentWire]), key=lambda one: one.id)
        if wire.environment != ENVIRONMENT
    }
    chosen = sorted(newest.values(), key=lambda one: -one.id)[:_MOST_ENVIRONMENTS]
    statuses = await asyncio.gather(*(_newest_status(client, each) for each in chosen))
    return tuple(
        MergedDeployment(
            environment=wire.environment,
            is_flagged=bool(wire.production_environment),
            state=status.state,
            status=status.status,
            url=status.url,
        )
        for wire, status in zip(chosen, statuses, strict=True)
    )


async def deployed_to(
    client: RepositoryClient, sha: CommitSha, environments: Sequence[str]
) -> tuple[str, ...]:
    """Those of the environments to which the newest deployment of the commit succeeded.

    Needs deployments: read.
    """
    found = []
    for name in dict.fromkeys(environments):
        query: dict[str, str | int] = {"sha": sha, "environment": name, "per_page": 100}
        listed = (await client.get(_DEPLOYMENTS, query=query)).read(list[_DeploymentWire])
        newest = max(listed, key=lambda one: one.id, default=None)
        if newest and (await _newest_status(client, newest)).state == "success":
            found.append(name)
    return tuple(found)


async def _newest_status(client: RepositoryClient, deployment: _DeploymentWire) -> Reported:
    answer = await client.get(
        _STATUSES,
        path={"deployment_id": deployment.id},
        query={"per_page": _STATUSES_READ},
        accept={404},
    )
    if answer.status == 404:
        return Reported(
            deployment=deployment.id,
            status=0,
            environment=deployment.environment,
            state="inactive",
            url="",
            reporter="",
        )
    newest = max(answer.read(list[_DeploymentStatusWire]), key=lambda one: one.id, default=None)
    return Reported(
        deployment=deployment.id,
        status=newest.id if newest else 0,
        environment=deployment.environment,
        state=newest.state if newest else "pending",
        url=(newest.environment_url if newest else "") or "",
        reporter=actor((newest or deployment).creator).login,
    )
