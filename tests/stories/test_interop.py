"""Honk in different environments: labels, URLs and networks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.company import GITHUB, MODEL, PACKAGES, TRACES, open_company
from tests.support.harness import FINISH, FIX, OWNER, PROJECT, Harness, in_one_process, script
from tests.unit.github.test_images import png

pytestmark = pytest.mark.asyncio(loop_scope="session")

FETCHES = f"""
setup:
  - python3 -c "import urllib.request as u; open('got', 'wb').write(u.urlopen('https://{PACKAGES}/x').read())"
network: {{allow: [{PACKAGES}]}}
verify: ["python3 test_all.py"]
""".encode()
CHECKS = b"""import calc
assert calc.add(2, 3) == 5
assert open("got").read() == "package"
assert open("data/model.bin").read() == "weights"
"""


@pytest.mark.slow
@in_one_process("the network is that of one process")
async def test_enterprise_server_behind_a_proxy_with_a_private_ca() -> None:
    async with open_company() as company:
        github = company.github
        files = {
            ".gitattributes": b"*.bin filter=lfs diff=lfs merge=lfs -text\n",
            "calc.py": PROJECT["calc.py"],
            "test_all.py": CHECKS,
            ".github/honk.yml": FETCHES,
        }
        subject = await company.subject(files=files, plays=script([FIX], [FINISH]))
        pointer = github.keep_in_lfs(subject.repository, b"weights")
        await github.push_files(subject.repository, "main", {"data/model.bin": pointer}, OWNER)
        image = github.attach_image(subject.repository, png(3), "3.png")
        await github.edit(subject.repository, subject.number, OWNER, body=f"See\n\n{image}")
        await subject.label()
        await subject.settled()

        assert subject.check.conclusion == "success", subject.status
        assert subject.labels == ["honk:done"]
        assert subject.status.count("an image: ") == 1
        assert "1 Git LFS file (data/model.bin)" in subject.status
        assert company.network is not None
        reached = {GITHUB, MODEL, PACKAGES}
        assert {f"{name}:443" for name in reached} <= set(company.network.asked)
        # REST, GraphQL and git, at the addresses of an Enterprise Server.
        templates = {each.template for each in github.requests}
        assert {"/graphql", "/{owner}/{repo}.git/git-upload-pack"} <= templates

        # With the network as it is all is well; each part of it that is not set is named.
        code, found = await company.doctor()
        assert code == 0, found
        network = str(found["parts"])
        assert "through the proxy http://127.0.0.2:3128" in network
        assert "company-ca.pem (HONK_CA_BUNDLE)" in network
        for name, said in (("HTTPS_PROXY", "ConnectError"), ("HONK_CA_BUNDLE", "not trusted")):
            code, found = await company.doctor(**{name: ""})
            assert code == 1
            failed = [
                f"{each['told']} {each['next_step']}"
                for part in found["parts"]
                for each in part["findings"]
                if each["good"] is False
            ]
            # GitHub, and both models.
            assert len(failed) == 3, failed
            assert all(name in each for each in failed), failed
            assert said in failed[0]

        await company.stop()
        assert company.traced
        assert set(company.network.asked) == {f"{name}:443" for name in (*reached, TRACES)}


@pytest.mark.slow
async def test_labels_in_capital_letters_and_the_other_ending_of_the_policy(
    harness: Harness,
) -> None:
    files = {**PROJECT, ".github/honk.yaml": b"branch: other-{number}\n"}
    subject = await harness.subject(files=files, plays=script([FIX], [FINISH]))
    await subject.label("Honk:MAX")
    await subject.label("HONK")
    await subject.settled()

    assert subject.labels == ["honk:done"]
    assert subject.pull.pull is not None
    assert subject.pull.pull.head == "other-1"
    assert {each["model"] for each in subject.requests} == {"claude-opus-5-5"}


async def test_two_policies_start_nothing(harness: Harness) -> None:
    files = {**PROJECT, ".github/honk.yml": b"", ".github/honk.yaml": b"draft: true\n"}
    subject = await harness.subject(files=files, plays=script([FIX], [FINISH]))
    await subject.label()

    said = await subject.refused()
    assert "both `.github/honk.yml` and `.github/honk.yaml`" in said
    assert "Delete one of them" in said
    assert not subject.requests
    assert not subject.pulls


def _partial(*seen: dict[str, Any]) -> dict[str, Any]:
    """GitHub's answer where one of the linked pull requests is in a repository we may not see."""
    linked = {"closedByPullRequestsReferences": {"nodes": [*seen, None]}}
    hidden = ["repository", "issue", "closedByPullRequestsReferences", "nodes", len(seen)]
    words = "Resource not accessible by integration"
    return {
        "data": {"repository": {"issue": linked}},
        "errors": [{"type": "FORBIDDEN", "path": hidden, "message": words}],
    }


async def test_partial_graphql_data_is_used(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    harness.github.faults.answer("POST", "/graphql$", 200, _partial())
    await subject.label()
    await subject.settled()
    assert subject.labels == ["honk:done"]

    other = await harness.subject(plays=script([FIX], [FINISH]))
    pull = {
        "number": 77,
        "url": f"{harness.github.url}/{other.repository}/pull/77",
        "isDraft": False,
        "headRefName": "theirs",
        "headRefOid": "a" * 40,
        "repository": {"nameWithOwner": other.repository},
        "headRepository": {"nameWithOwner": other.repository},
        "author": {"__typename": "User", "login": "walter", "databaseId": 7},
    }
    harness.github.faults.answer("POST", "/graphql$", 200, _partial(pull))
    await other.label()
    assert "#77" in await other.refused()
