"""Pull requests: heads, diffs and mergeability come from the git repository.

Outside contract: https://docs.github.com/rest/pulls
"""

from __future__ import annotations

from .api import Answer, Call, Endpoint, limited
from .commits import commit_shape, file_shape, git_person, web_flow_person, write_commit
from .conversation import (
    BODY_LIMIT,
    add_event,
    announce,
    full_pull_shape,
    issue_page,
    next_number,
    pull_shape,
)
from .git import Commit, Git
from .heads import finish_merge, measure, moved
from .issues import set_state
from .refusals import Refusal, custom, not_found, validation
from .shapes import association, moment, node_id, repository_url, user_shape
from .world import Issue, Json, PullRequest, Review, User

_TITLE_LIMIT = 256
_METHODS = ("merge", "squash", "rebase")
_REVIEWS = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}


def _find(call: Call) -> tuple[Issue, PullRequest]:
    issue = call.repository.issue(call.number("pull_number"))
    if issue.pull is None:
        raise not_found()
    return issue, issue.pull


async def _shape(call: Call, issue: Issue, pull: PullRequest) -> Json:
    """The whole shape, with what git says on merging."""
    shape = full_pull_shape(call.world, call.repository, issue, pull)
    if issue.state == "open":
        clean = await _merged_tree(call, pull) is not None
        state = "clean" if clean else "dirty"
        if clean and pull.draft:
            state = "draft"
        elif clean and _has_bad_check(call, pull.head_sha):
            state = "unstable"
        shape |= {"mergeable": clean, "rebaseable": clean, "mergeable_state": state}
    return shape


async def _merged_tree(call: Call, pull: PullRequest) -> str | None:
    git = call.repository.git
    base = await git.ref(f"refs/heads/{pull.base}")
    return await git.merged_tree(base, pull.head_sha) if base else None


def _has_bad_check(call: Call, sha: str) -> bool:
    runs = {run.name: run for run in call.repository.check_runs() if run.head_sha == sha}
    good = ("success", "neutral", "skipped")
    return any(run.conclusion not in good for run in runs.values())


# -- list, read, create, edit


async def list_pulls(call: Call) -> Answer:
    owner = call.repository.owner.login
    state = call.query.get("state", "open")
    head, base = call.query.get("head"), call.query.get("base")
    found = [
        (issue, pull)
        for issue, pull in call.repository.pulls()
        if state in ("all", issue.state)
        # GitHub ignores a head without an owner.
        and (not head or ":" not in head or head.lower() == f"{owner}:{pull.head}".lower())
        and base in (None, pull.base)
    ]
    found.sort(key=lambda pair: pair[0].number, reverse=call.query.get("direction") != "asc")
    return call.page(found, lambda pair: pull_shape(call.world, call.repository, *pair))


async def get_pull(call: Call) -> Answer:
    return Answer(200, await _shape(call, *_find(call)))


async def create_pull(call: Call) -> Answer:
    world, repository = call.world, call.repository
    title, body = (
        _title(call),
        limited("PullRequest", "body", call.optional("body", str), BODY_LIMIT),
    )
    pull = await _new_pull(call)
    now = world.clock.now()
    issue = Issue(world.new_id(), next_number(repository), title, body, call.user, now, now)
    issue.pull = pull
    repository.issues[issue.number] = issue
    await measure(repository, issue, pull)
    announce(world, repository, issue, "opened", call.user)
    return Answer(201, await _shape(call, issue, pull))


async def _new_pull(call: Call) -> PullRequest:
    git = call.repository.git
    head, base = _branch(call, call.required("head", str)), call.required("base", str)
    base_sha = await git.ref(f"refs/heads/{base}")
    if base_sha is None:
        raise validation("PullRequest", "base", "invalid")
    head_sha = await git.ref(f"refs/heads/{head}")
    if head_sha is None:
        raise validation("PullRequest", "head", "invalid")
    if any(pull.base == base for _, pull in call.repository.open_pulls(head)):
        owner = call.repository.owner.login
        raise custom("PullRequest", f"A pull request already exists for {owner}:{head}.")
    if not await git.count(base_sha, head_sha):
        raise custom("PullRequest", f"No commits between {base} and {head}")
    draft = call.value("draft", bool, False)
    if draft and not call.repository.drafts_allowed:
        raise Refusal(422, "Draft pull requests are not supported in this repository.")
    pull = PullRequest(call.world.new_id(), head, base, head_sha, base_sha, draft)
    pull.head_repository, pull.head_owner = call.repository, call.repository.owner
    return pull


def _branch(call: Call, head: str) -> str:
    owner, colon, branch = head.partition(":")
    if not colon:
        return head
    if owner.lower() != call.repository.owner.login.lower():
        raise validation("PullRequest", "head", "invalid")
    return branch


async def edit_pull(call: Call) -> Answer:
    issue, pull = _find(call)
    if issue.author is not call.user and not call.can("write"):
        raise Refusal(403, "Must have admin rights to Repository.")
    changes: Json = {}
    if call.given("title") and (title := _title(call)) != issue.title:
        changes["title"], issue.title = {"from": issue.title}, title
    if call.given("body"):
        body = limited("PullRequest", "body", call.optional("body", str), BODY_LIMIT)
        if body != issue.body:
            changes["body"], issue.body = {"from": issue.body or ""}, body
    if (base := call.optional("base", str)) and base != pull.base:
        changes["base"] = {"ref": {"from": pull.base}}
        await _change_base(call, pull, base)
        await measure(call.repository, issue, pull)
    if changes:
        call.world.touch(issue)
        announce(call.world, call.repository, issue, "edited", call.user, changes=changes)
    state = call.choice("state", ("open", "closed"))
    if state is not None and state != issue.state:
        set_state(call, issue, state)
    return Answer(200, await _shape(call, issue, pull))


async def _change_base(call: Call, pull: PullRequest, base: str) -> None:
    sha = await call.repository.git.ref(f"refs/heads/{base}")
    if sha is None:
        raise validation("PullRequest", "base", "invalid")
    if not await call.repository.git.count(sha, pull.head_sha):
        raise custom(
            "PullRequest", f"There are no new commits between base branch '{base}' and head"
        )
    pull.base, pull.base_sha = base, sha


def _title(call: Call) -> str:
    title = call.value("title", str, "").strip()
    if not title:
        raise validation("PullRequest", "title", "missing_field")
    return limited("PullRequest", "title", title, _TITLE_LIMIT) or ""


def set_draft(call: Call, issue: Issue, pull: PullRequest, *, draft: bool) -> None:
    """Turn a draft into a proposal or back, with its event."""
    if pull.draft == draft:
        return
    if draft and not call.repository.drafts_allowed:
        raise Refusal(422, "Draft pull requests are not supported in this repository.")
    pull.draft = draft
    action = "converted_to_draft" if draft else "ready_for_review"
    event = "convert_to_draft" if draft else "ready_for_review"
    add_event(call.world, issue, event, call.user)
    announce(call.world, call.repository, issue, action, call.user)


# -- what it changes


async def list_files(call: Call) -> Answer:
    _, pull = _find(call)
    git = call.repository.git
    start = await git.merge_base(pull.base_sha, pull.head_sha) or pull.base_sha
    changes = await git.changes(start, pull.head_sha)
    return call.page(
        changes, lambda one: file_shape(call.world, call.repository, pull.head_sha, one)
    )


async def list_commits(call: Call) -> Answer:
    _, pull = _find(call)
    git = call.repository.git
    commits = [await git.commit(sha) for sha in await git.range(pull.base_sha, pull.head_sha)]
    return call.page(commits, lambda one: commit_shape(call.world, call.repository, one))


# -- reviews


async def get_reviewers(call: Call) -> Answer:
    _, pull = _find(call)
    users = [user_shape(call.world, user) for user in pull.reviewers]
    return Answer(200, {"users": users, "teams": []})


async def request_reviewers(call: Call) -> Answer:
    issue, pull = _find(call)
    names = call.strings("reviewers")
    users = [user for name in names if (user := call.world.users.get(name.lower()))]
    if any(user is issue.author for user in users):
        raise Refusal(422, "Review cannot be requested from pull request author.")
    strangers = [user for user in users if not call.repository.is_collaborator(user)]
    if strangers or len(users) < len(names):
        raise Refusal(
            422,
            "Reviews may only be requested from collaborators. One or more of the users or teams "
            f"you specified is not a collaborator of the {call.repository.full_name} repository.",
        )
    for user in users:
        _ask_for_review(call, issue, pull, user)
    return Answer(201, pull_shape(call.world, call.repository, issue, pull))


def _ask_for_review(call: Call, issue: Issue, pull: PullRequest, user: User) -> None:
    if user in pull.reviewers:
        return
    pull.reviewers.append(user)
    shape = user_shape(call.world, user)
    requester = user_shape(call.world, call.user)
    more = {"requested_reviewer": shape, "review_requester": requester}
    add_event(call.world, issue, "review_requested", call.user, **more)
    action = "review_requested"
    announce(call.world, call.repository, issue, action, call.user, requested_reviewer=shape)


async def remove_reviewers(call: Call) -> Answer:
    issue, pull = _find(call)
    names = {name.lower() for name in call.strings("reviewers")}
    pull.reviewers = [user for user in pull.reviewers if user.login.lower() not in names]
    return Answer(200, pull_shape(call.world, call.repository, issue, pull))


def _review_shape(call: Call, issue: Issue, review: Review) -> Json:
    page = f"{issue_page(call.world, call.repository, issue)}#pullrequestreview-{review.id}"
    url = f"{repository_url(call.world, call.repository)}/pulls/{issue.number}"
    return {
        "id": review.id,
        "node_id": node_id("PRR", review.id),
        "user": user_shape(call.world, review.author),
        "body": review.body,
        "state": review.state,
        "commit_id": review.commit_id,
        "submitted_at": moment(review.submitted_at),
        "html_url": page,
        "pull_request_url": url,
        "author_association": association(call.repository, review.author),
        "_links": {"html": {"href": page}, "pull_request": {"href": url}},
    }


async def list_reviews(call: Call) -> Answer:
    issue, pull = _find(call)
    return call.page(pull.reviews, lambda review: _review_shape(call, issue, review))


async def create_review(call: Call) -> Answer:
    issue, pull = _find(call)
    event = call.choice("event", tuple(_REVIEWS)) or "COMMENT"
    body = call.value("body", str, "")
    if issue.author is call.user and event != "COMMENT":
        words = "approve" if event == "APPROVE" else "request changes on"
        raise Refusal(422, "Unprocessable Entity", [f"Can not {words} your own pull request"])
    if not body and event != "APPROVE":
        raise Refusal(422, "Unprocessable Entity", ["Body can not be blank"])
    now, commit = call.world.clock.now(), call.value("commit_id", str, pull.head_sha)
    review = Review(call.world.new_id(), call.user, body, _REVIEWS[event], commit, now)
    pull.reviews.append(review)
    pull.reviewers = [user for user in pull.reviewers if user is not call.user]
    call.world.touch(issue)
    shape = _review_shape(call, issue, review)
    payload = {
        "review": shape | {"state": review.state.lower()},
        "pull_request": pull_shape(call.world, call.repository, issue, pull),
    }
    hooks = call.world.webhooks
    hooks.emit(call.repository, "pull_request_review", "submitted", call.user, payload)
    return Answer(200, shape)


# -- merging


async def is_merged(call: Call) -> Answer:
    if _find(call)[1].merged_at is None:
        raise not_found()
    return Answer(204)


async def merge(call: Call) -> Answer:
    issue, pull = _find(call)
    expected = call.optional("sha", str)
    method = call.choice("merge_method", _METHODS) or "merge"
    if expected is not None and expected != pull.head_sha:
        raise Refusal(409, "Head branch was modified. Review and try the merge again.")
    if issue.state != "open":
        raise Refusal(405, "Pull Request is not mergeable")
    if pull.draft:
        raise Refusal(405, "Pull Request is still a draft")
    async with call.repository.lock:
        sha = await _merge_commit(call, issue, pull, method)
        await _land(call, issue, pull, sha)
    body = {"sha": sha, "merged": True, "message": "Pull Request successfully merged"}
    return Answer(200, body)


async def _merge_commit(call: Call, issue: Issue, pull: PullRequest, method: str) -> str:
    git = call.repository.git
    base = await git.ref(f"refs/heads/{pull.base}")
    tree = await _merged_tree(call, pull)
    if base is None or tree is None:
        raise Refusal(405, "Pull Request is not mergeable")
    if method == "rebase":
        return await _rebase(call, git, base, pull)
    owner = call.repository.owner.login
    title = f"Merge pull request #{issue.number} from {owner}/{pull.head}"
    text = issue.title
    if method == "squash":
        title, text = f"{issue.title} (#{issue.number})", ""
    title = call.value("commit_title", str, title)
    text = call.value("commit_message", str, text)
    return await write_commit(
        call.repository,
        tree=tree,
        parents=(base, pull.head_sha) if method == "merge" else (base,),
        message=f"{title}\n\n{text}".strip(),
        author=git_person(call.world, call.user),
        committer=web_flow_person(call.world),
        signed=True,
    )


async def _rebase(call: Call, git: Git, base: str, pull: PullRequest) -> str:
    """Put each commit on the base anew; GitHub does not sign these."""
    tip = base
    for sha in await git.range(base, pull.head_sha):
        commit = await git.commit(sha)
        tree = await _picked_tree(call, tip, commit)
        if tree is None:
            raise Refusal(405, "This branch can't be rebased")
        tip = await write_commit(
            call.repository,
            tree=tree,
            parents=(tip,),
            message=commit.message,
            author=commit.author,
            committer=git_person(call.world, call.user),
            signed=False,
        )
    return tip


async def _picked_tree(call: Call, tip: str, commit: Commit) -> str | None:
    """The tree of `tip` with one commit's change on it; None where they conflict.

    Before git 2.40 merge-tree takes no merge base: a stand-in with the tree of `tip` and the
    commit's own parent gives it one.
    """
    git = call.repository.git
    person = git_person(call.world, call.user)
    stand_in = await write_commit(
        call.repository,
        tree=(await git.commit(tip)).tree,
        parents=commit.parents[:1],
        message="",
        author=person,
        committer=person,
        signed=False,
    )
    return await git.merged_tree(stand_in, commit.sha)


async def _land(call: Call, issue: Issue, pull: PullRequest, sha: str) -> None:
    world, repository, ref = call.world, call.repository, f"refs/heads/{pull.base}"
    base = await repository.git.ref(ref) or ""
    if not await repository.git.update_ref(ref, sha, base):
        raise Refusal(409, "Base branch was modified. Review and try the merge again.")
    finish_merge(world, repository, issue, pull, call.user, sha)
    await moved(world, repository, call.user, [(ref, base, sha)])


_PULLS = "/repos/{owner}/{repo}/pulls"
_PULL = f"{_PULLS}/{{pull_number}}"
_READ, _WRITE = "pull_requests:read", "pull_requests:write"

ENDPOINTS = [
    Endpoint("GET", _PULLS, list_pulls, _READ),
    Endpoint("POST", _PULLS, create_pull, _WRITE),
    Endpoint("GET", _PULL, get_pull, _READ),
    Endpoint("PATCH", _PULL, edit_pull, _WRITE),
    Endpoint("GET", f"{_PULL}/files", list_files, _READ),
    Endpoint("GET", f"{_PULL}/commits", list_commits, _READ),
    Endpoint("GET", f"{_PULL}/requested_reviewers", get_reviewers, _READ),
    Endpoint("POST", f"{_PULL}/requested_reviewers", request_reviewers, _WRITE, "write"),
    Endpoint("DELETE", f"{_PULL}/requested_reviewers", remove_reviewers, _WRITE, "write"),
    Endpoint("GET", f"{_PULL}/reviews", list_reviews, _READ),
    Endpoint("POST", f"{_PULL}/reviews", create_review, _WRITE),
    Endpoint("GET", f"{_PULL}/merge", is_merged, _READ),
    Endpoint("PUT", f"{_PULL}/merge", merge, "contents:write", "write"),
]
