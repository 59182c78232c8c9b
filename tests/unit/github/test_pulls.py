"""People's pull requests: their authors, their changes, and their relation to the base."""

from __future__ import annotations

import pytest

from app.domain.values import CommitSha
from app.errors import RetryableError
from app.github import commits, pulls
from app.github.commits import RefMoved
from app.github.refusals import GitHubRefusedError
from tests.unit.github.conftest import Bench
from tests.unit.github.scene import NAME, Scene
from tests.unit.github.scripted import Reply

SHA = CommitSha("a" * 40)
MISSED = "Update is not possible"


async def fork_pull(scene: Scene) -> int:
    await scene.github.act("mallory", "POST", f"/repos/{NAME}/forks", {})
    body = {"message": "Mine", "content": "eA==", "branch": "main"}
    await scene.github.act("mallory", "PUT", "/repos/mallory/widget/contents/m.txt", body)
    return await scene.propose("mallory:main", "mallory")


async def test_a_pull_request_says_whose_it_is(scene: Scene) -> None:
    head = await scene.change("feat", "b.txt", "b\n")
    number = await scene.propose("feat", text="Closes nothing")
    found = await pulls.mergeability(scene.client, number)
    assert (found.head_ref, found.head_sha, found.base_ref) == ("feat", head, "main")
    assert found.base_sha == await scene.head()
    assert (found.title, found.body, found.author.login) == ("Change it", "Closes nothing", "octo")
    assert (found.head_repo, found.same_repository) == (NAME, True)
    assert (found.state, found.merged, found.mergeable) == ("open", False, True)
    await scene.github.merge(NAME, number, "octo")
    merged = await pulls.pull_request(scene.client, number)
    assert (merged.state, merged.merged) == ("closed", True)


async def test_a_fork_is_another_repository_until_it_is_gone(scene: Scene) -> None:
    number = await fork_pull(scene)
    found = await pulls.pull_request(scene.client, number)
    assert (found.head_repo, found.same_repository) == ("mallory/widget", False)
    assert found.maintainer_can_modify
    with pytest.raises(GitHubRefusedError):
        await pulls.update_branch(scene.client, number, found.head_sha)
    await scene.github.act("mallory", "DELETE", "/repos/mallory/widget")
    orphan = await pulls.pull_request(scene.client, number)
    assert (orphan.head_repo, orphan.head_repo_id, orphan.same_repository) == (None, None, False)


async def test_mergeability_is_waited_for(bench: Bench) -> None:
    path = "/repos/octo/widget/pulls/3"
    unknown, known = pull(mergeable=None), pull(mergeable=False, mergeable_state="dirty")
    bench.github.reply("GET", path, Reply(200, unknown), Reply(200, known))
    found = await pulls.mergeability(bench.client, 3)
    assert (found.mergeable, found.mergeable_state) == (False, "dirty")
    bench.github.reply("GET", path, *[Reply(200, unknown)] * 4, Reply(500))
    assert (await pulls.mergeability(bench.client, 3)).mergeable is None


def pull(**changes: object) -> dict[str, object]:
    return {
        "number": 3,
        "html_url": "https://github.example/p/3",
        "node_id": "PR_3",
        "title": "Title",
        "state": "open",
        "head": {"ref": "feat", "sha": SHA, "repo": None},
        "base": {"ref": "main", "sha": SHA, "repo": {"id": 1, "full_name": "octo/widget"}},
        "user": None,
        **changes,
    }


async def test_a_diff_is_cut_and_says_so(scene: Scene) -> None:
    await scene.change("feat", "a.txt", "one\n" + "x\n" * 200)
    number = await scene.propose("feat")
    whole = await pulls.diff(scene.client, number, 10_000)
    assert whole.startswith("diff --git a/a.txt b/a.txt\n")
    assert whole.count("\n+x") == 200
    short = await pulls.diff(scene.client, number, 200)
    assert len(short.encode()) <= 200
    assert short.endswith("more bytes are not shown.")


async def test_a_diff_that_github_refuses_is_reported(bench: Bench) -> None:
    words = "Sorry, the diff exceeded the maximum number of lines (20000)"
    path = "/repos/octo/widget/pulls/3"
    bench.github.reply("GET", path, Reply(406, {"message": words}))
    assert words in await pulls.diff(bench.client, 3, 100)
    (seen,) = bench.github.requests("GET", path)
    assert seen.headers["accept"] == "application/vnd.github.diff"


async def test_the_base_is_merged_into_a_branch(scene: Scene) -> None:
    head = await scene.change("feat", "b.txt", "b\n")
    number = await scene.propose("feat")
    assert await pulls.update_branch(scene.client, number, head) == "current"
    base = await scene.change("main", "c.txt", "c\n")
    assert await pulls.update_branch(scene.client, number, base) == "moved"
    assert await pulls.update_branch(scene.client, number, head) == "updated"
    merged = await commits.get_commit(scene.client, await scene.head("feat"))
    assert merged.parents == (head, base)
    assert await pulls.update_branch(scene.client, number, head) == "moved"


async def test_a_conflict_is_reported(scene: Scene) -> None:
    head = await scene.change("feat", "a.txt", "mine\n")
    number = await scene.propose("feat")
    await scene.change("main", "a.txt", "theirs\n")
    assert await pulls.update_branch(scene.client, number, head) == "conflict"


@pytest.mark.parametrize("after", [True, False], ids=["after", "before"])
async def test_an_update_of_unknown_fate_is_looked_for(scene: Scene, after: bool) -> None:
    head = await scene.change("feat", "b.txt", "b\n")
    number = await scene.propose("feat")
    base = await scene.change("main", "c.txt", "c\n")
    scene.github.faults.answer("PUT", "/update-branch$", 502, after=after)
    assert await pulls.update_branch(scene.client, number, head) == "updated"
    merged = await commits.get_commit(scene.client, await scene.head("feat"))
    assert merged.parents == (head, base)


async def test_an_update_that_is_refused_or_unanswered(bench: Bench) -> None:
    path = "/repos/octo/widget/pulls/3"
    bench.github.reply("PUT", f"{path}/update-branch", Reply(422, {"message": MISSED}))
    with pytest.raises(GitHubRefusedError, match=MISSED):
        await pulls.update_branch(bench.client, 3, SHA)
    bench.github.reply("PUT", f"{path}/update-branch", *[Reply(502)] * 3)
    bench.github.reply("GET", path, *[Reply(200, pull())] * 3)
    with pytest.raises(RetryableError, match="#3"):
        await pulls.update_branch(bench.client, 3, SHA)


async def test_open_pull_requests_that_close_an_issue(scene: Scene) -> None:
    assert await pulls.linked_to_issue(scene.client, scene.issue) == ()
    head = await scene.change("feat", "b.txt", "b\n")
    number = await scene.propose("feat", text=f"Fixes #{scene.issue}")
    await scene.change("other", "c.txt", "c\n")
    await scene.propose("other", text=f"About #{scene.issue}")
    (found,) = await pulls.linked_to_issue(scene.client, scene.issue)
    assert (found.number, found.head_ref, found.head_sha) == (number, "feat", head)
    assert (found.repository, found.head_repo, found.draft) == (NAME, NAME, False)
    octo = scene.github.world.user("octo")
    assert (found.author.login, found.author.id, found.author.type) == ("octo", octo.id, "User")
    await scene.github.close_issue(NAME, number, "octo")
    assert await pulls.linked_to_issue(scene.client, scene.issue) == ()


async def test_our_own_linked_pull_request_is_known_by_its_bot(scene: Scene) -> None:
    ref, text = "refs/heads/honk/1-x", f"Closes #{scene.issue}"
    await commits.ensure_ref(scene.client, ref, await scene.commit(), expected=None)
    await pulls.ensure_pull_request(scene.client, "honk/1-x", "main", "Fix", text, False)
    (found,) = await pulls.linked_to_issue(scene.client, scene.issue)
    bot = scene.github.world.bot
    assert (found.author.login, found.author.id, found.author.type) == ("honk[bot]", bot.id, "Bot")


async def test_an_order_to_merge_is_taken_back_once(scene: Scene) -> None:
    scene.github.repository(NAME).allow_auto_merge = True
    needed = {"required_status_checks": [{"context": "never"}]}
    rule = {"type": "required_status_checks", "parameters": needed}
    scene.github.add_ruleset(NAME, rule, include=["refs/heads/main"])
    await scene.change("feat", "b.txt", "b\n")
    number = await scene.propose("feat")
    found = await pulls.pull_request(scene.client, number)
    order = (
        "mutation($id: ID!) { enablePullRequestAutoMerge(input: {pullRequestId: $id})"
        " { clientMutationId } }"
    )
    await scene.github.graphql("octo", order, {"id": found.node_id})
    change = scene.github.issue(NAME, number).pull
    assert change is not None
    assert change.auto_merge is not None
    for _ in range(2):
        await pulls.disable_auto_merge(scene.client, found.node_id)
        assert change.auto_merge is None
    with pytest.raises(GitHubRefusedError):
        await pulls.disable_auto_merge(scene.client, "PR_nothing")


async def test_histories_are_compared(scene: Scene) -> None:
    base = await scene.head()
    tree = (await commits.get_commit(scene.client, base)).tree
    words = "Fix it\n\nWhy: not this one\n\nHonk-Run: r1\nCo-authored-by: Ann <a@b.example>\n"
    made = await commits.create_signed_commit(scene.client, tree, [base], words)
    await commits.ensure_ref(scene.client, "refs/heads/honk/1-x", made.sha, expected=None)
    theirs = await scene.change("honk/1-x", "b.txt", "b\n")
    other = await scene.change("main", "c.txt", "c\n")
    found = await commits.compare(scene.client, "main", "honk/1-x")
    assert found is not None
    assert (found.status, found.ahead, found.behind) == ("diverged", 2, 1)
    assert (found.merge_base, found.left_out) == (base, 0)
    ours, person = found.commits
    assert (ours.sha, person.sha) == (made.sha, theirs)
    assert ours.author is not None
    assert (ours.author.id, ours.verified) == (scene.github.world.bot.id, True)
    assert (ours.trailer("honk-run"), ours.trailer("Why")) == ("r1", None)
    assert ours.trailers[1] == ("Co-authored-by", "Ann <a@b.example>")
    assert person.author is not None
    assert (person.author.login, person.trailers) == ("octo", ())
    short = await commits.compare(scene.client, base, theirs, most=1)
    assert short is not None
    assert ([one.sha for one in short.commits], short.left_out) == ([made.sha], 1)
    same = await commits.compare(scene.client, other, "main")
    assert same is not None
    assert (same.status, same.commits) == ("identical", ())
    assert await commits.compare(scene.client, "main", "nowhere") is None


async def test_a_merge_has_two_parents_and_a_lease_holds(scene: Scene) -> None:
    one, two = await scene.commit(message="One"), await scene.commit(message="Two")
    tree = (await commits.get_commit(scene.client, one)).tree
    merge = await commits.create_signed_commit(scene.client, tree, [one, two], "Merge")
    assert merge.verified
    assert (await commits.get_commit(scene.client, merge.sha)).parents == (one, two)
    ref = "refs/heads/honk/1-x"
    await commits.ensure_ref(scene.client, ref, merge.sha, expected=None)
    await commits.ensure_ref(scene.client, ref, two, expected=merge.sha, force=True)
    assert await commits.read_ref(scene.client, ref) == two
    with pytest.raises(RefMoved):
        await commits.ensure_ref(scene.client, ref, one, expected=merge.sha, force=True)
    for _ in range(2):
        await commits.delete_ref(scene.client, ref)
        assert await commits.read_ref(scene.client, ref) is None
