"""A walk through everything that the simulated GitHub answers and sends, for the contract."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from app.playground.github import GitHub, OtherCi
from tests.support.rules import MERGE_QUEUE

REPO = "octo/sample"
PERMISSIONS = dict.fromkeys(
    ("actions", "administration", "checks", "contents", "deployments", "issues"), "write"
) | dict.fromkeys(("merge_queues", "pull_requests", "statuses", "workflows"), "write")
EVENTS = (
    "check_run",
    "check_suite",
    "deployment",
    "deployment_status",
    "fork",
    "issue_comment",
    "issues",
    "merge_group",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_review_thread",
    "push",
    "release",
    "repository",
    "status",
    "workflow_run",
)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
OUTPUT = {"title": "t", "summary": "s"}
ACTION = {"label": "Retry", "description": "Try once more", "identifier": "retry"}


@dataclass
class Tour:
    """The actors: an installation with every permission, and people where an App may not act."""

    github: GitHub
    key: RSAPrivateKey
    client: httpx.AsyncClient
    token: str = ""

    async def ask(
        self, method: str, path: str, body: Any = None, token: str | None = None, **headers: str
    ) -> Any:
        """One successful request; return its JSON."""
        token = self.token if token is None else token
        if token:
            headers["Authorization"] = f"Bearer {token}"
        url = self.github.api_url + path
        answer = await self.client.request(method, url, json=body, headers=headers)
        assert answer.status_code < 400, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content and answer.status_code != 302 else None

    async def repo(
        self, method: str, path: str = "", body: Any = None, token: str | None = None
    ) -> Any:
        return await self.ask(method, f"/repos/{REPO}{path}", body, token)

    def as_app(self) -> str:
        now = int(time.time())
        app_id = str(self.github.world.app.app_id)
        claims = {"iss": app_id, "iat": now - 30, "exp": now + 500}
        return jwt.encode(claims, self.key, "RS256")

    def person(self, login: str) -> str:
        return self.github.token_for(login)

    async def go(self) -> None:
        """The whole walk."""
        await self.app()
        await self.repository()
        await self.files()
        await self.issues()
        await self.pull_requests()
        await self.reviews()
        await self.merging()
        await self.checks()
        await self.deployments()
        await self.ci()
        await self.rules()
        await self.graphql()
        await self.forks()
        await self.people()
        await self.deliveries()
        await self.installations()

    # -- the App

    async def app(self) -> None:
        me = self.as_app()
        await self.ask("GET", "/app", token=me)
        await self.ask("GET", "/app/installations", token=me)
        found = await self.ask("GET", f"/repos/{REPO}/installation", token=me)
        path = f"/app/installations/{found['id']}"
        await self.ask("GET", path, token=me)
        made = await self.ask("POST", f"{path}/access_tokens", {"repositories": ["sample"]}, me)
        await self.ask("DELETE", "/installation/token", token=made["token"])
        self.token = (await self.ask("POST", f"{path}/access_tokens", token=me))["token"]
        for path in ("/installation/repositories", "/rate_limit", "/users/octo", "/apps/honk"):
            await self.ask("GET", path)
        await self.ask("GET", "/user", token=self.person("octo"))

    async def repository(self) -> None:
        await self.repo("GET")
        await self.repo("PATCH", body={"has_issues": True})
        await self.repo("GET", "/collaborators/writer")
        await self.repo("GET", "/collaborators/writer/permission")
        await self.repo("GET", "/labels")
        label = {"name": "bug", "color": "ff0000", "description": "It breaks"}
        await self.repo("POST", "/labels", label)
        await self.repo("GET", "/labels/bug")
        await self.repo("PATCH", "/labels/bug", {"color": "00ff00"})
        await self.repo("DELETE", "/labels/bug")

    # -- git

    async def branch(self, name: str, path: str, text: str) -> str:
        """A branch with one change on the default branch."""
        main = await self.github.branch(REPO, "main")
        entry = {"path": path, "mode": "100644", "type": "blob", "content": text}
        tree = await self.repo("POST", "/git/trees", {"base_tree": main, "tree": [entry]})
        body = {"message": f"Change {path}", "tree": tree["sha"], "parents": [main]}
        sha: str = (await self.repo("POST", "/git/commits", body))["sha"]
        await self.repo("POST", "/git/refs", {"ref": f"refs/heads/{name}", "sha": sha})
        return sha

    async def files(self) -> None:
        blob = await self.repo("POST", "/git/blobs", {"content": "x", "encoding": "utf-8"})
        await self.repo("GET", f"/git/blobs/{blob['sha']}")
        sha = await self.branch("feat", "a.py", "new\n")
        await self.repo("GET", f"/git/commits/{sha}")
        await self.repo("GET", "/git/trees/main?recursive=1")
        for path in ("/contents", "/contents/", "/contents/src", "/contents/a.py?ref=feat"):
            await self.repo("GET", path)
        body = {"message": "Add", "content": base64.b64encode(b"one").decode(), "branch": "feat"}
        made = await self.repo("PUT", "/contents/docs/n.md", body)
        body |= {"sha": made["content"]["sha"], "content": base64.b64encode(b"two").decode()}
        made = await self.repo("PUT", "/contents/docs/n.md", body)
        body = {"message": "Go", "sha": made["content"]["sha"], "branch": "feat"}
        await self.repo("DELETE", "/contents/docs/n.md", body)
        head = await self.github.branch(REPO, "feat")
        await self.repo("GET", "/git/ref/heads/feat")
        await self.repo("GET", "/git/matching-refs/heads/f")
        await self.repo("POST", "/git/refs", {"ref": "refs/heads/tmp", "sha": sha})
        await self.repo("PATCH", "/git/refs/heads/tmp", {"sha": head})
        await self.repo("DELETE", "/git/refs/heads/tmp")
        await self.repo("GET", "/branches")
        await self.repo("GET", "/branches/feat")
        await self.repo("GET", f"/commits/{sha}")
        await self.repo("GET", "/compare/main...feat")

    # -- conversations

    async def issues(self) -> None:
        picture = self.github.attach_image(REPO, PNG)
        body = {"title": "It breaks", "body": f"See {picture}", "labels": ["a"]}
        number = (await self.repo("POST", "/issues", body))["number"]
        issue = f"/issues/{number}"
        await self.repo("GET", "/issues?state=all")
        url = f"/repos/{REPO}{issue}"
        full = await self.ask("GET", url, Accept="application/vnd.github.full+json")
        assert "jwt=" in full["body_html"]
        await self.repo("PATCH", issue, {"title": "It still breaks", "body": "Steps"})
        await self.repo("POST", f"{issue}/assignees", {"assignees": ["writer"]})
        await self.repo("DELETE", f"{issue}/assignees", {"assignees": ["writer"]})
        for method, name in (("POST", "b"), ("PUT", "c")):
            await self.repo(method, f"{issue}/labels", {"labels": [name]})
        await self.repo("GET", f"{issue}/labels")
        await self.repo("DELETE", f"{issue}/labels/c")
        await self.repo("DELETE", f"{issue}/labels")
        await self.reactions(issue)
        await self.comments(issue)
        await self.repo("PUT", f"{issue}/lock", {"lock_reason": "resolved"})
        await self.repo("DELETE", f"{issue}/lock")
        for state in ("closed", "open"):
            await self.repo("PATCH", issue, {"state": state})
        await self.repo("GET", f"{issue}/events")
        await self.repo("GET", f"{issue}/timeline")
        await self.repo("GET", "/issues/events")

    async def comments(self, issue: str) -> None:
        made = await self.repo("POST", f"{issue}/comments", {"body": "x"})
        comment = f"/issues/comments/{made['id']}"
        await self.repo("GET", f"{issue}/comments")
        await self.repo("GET", "/issues/comments")
        await self.repo("GET", comment)
        await self.repo("PATCH", comment, {"body": "y"})
        await self.reactions(comment)
        await self.repo("DELETE", comment)

    async def reactions(self, path: str) -> None:
        made = await self.repo("POST", f"{path}/reactions", {"content": "eyes"})
        await self.repo("GET", f"{path}/reactions")
        await self.repo("DELETE", f"{path}/reactions/{made['id']}")

    # -- pull requests

    async def pull(self, head: str, **more: Any) -> int:
        body = {"title": f"Mend {head}", "head": head, "base": "main"} | more
        number: int = (await self.repo("POST", "/pulls", body))["number"]
        return number

    async def pull_requests(self) -> None:
        pull = f"/pulls/{await self.pull('feat', body='Closes #1')}"
        await self.repo("GET", "/pulls?state=all")
        await self.repo("GET", pull)
        await self.repo("PATCH", pull, {"title": "Mend it"})
        await self.repo("GET", f"{pull}/files")
        await self.repo("GET", f"{pull}/commits")
        head = await self.github.branch(REPO, "feat")
        await self.repo("GET", f"/commits/{head}/pulls")
        for method in ("POST", "DELETE"):
            await self.repo(method, f"{pull}/requested_reviewers", {"reviewers": ["writer"]})
        await self.repo("GET", f"{pull}/requested_reviewers")

    async def reviews(self) -> None:
        pull = "/pulls/2"
        writer = self.person("writer")
        head = await self.github.branch(REPO, "feat")
        line = {"path": "a.py", "line": 1, "side": "RIGHT", "body": "Why?"}
        made = await self.repo("POST", f"{pull}/comments", line | {"commit_id": head}, writer)
        comment = f"/pulls/comments/{made['id']}"
        await self.repo("POST", f"{pull}/comments/{made['id']}/replies", {"body": "So."})
        await self.repo("GET", f"{pull}/comments")
        await self.repo("GET", "/pulls/comments")
        await self.repo("GET", comment)
        await self.repo("PATCH", comment, {"body": "Why so?"}, writer)
        await self.reactions(comment)
        await self.repo("DELETE", comment, token=writer)
        draft = await self.repo("POST", f"{pull}/reviews", {"comments": [line]}, writer)
        review = f"{pull}/reviews/{draft['id']}"
        await self.repo("GET", review, token=writer)
        await self.repo("PUT", review, {"body": "Hm."}, writer)
        await self.repo("GET", f"{review}/comments", token=writer)
        body = {"event": "REQUEST_CHANGES", "body": "No."}
        await self.repo("POST", f"{review}/events", body, writer)
        await self.repo("PUT", f"{review}/dismissals", {"message": "Done."}, self.person("octo"))
        draft = await self.repo("POST", f"{pull}/reviews", {"body": "Later"}, writer)
        await self.repo("DELETE", f"{pull}/reviews/{draft['id']}", token=writer)
        await self.repo("GET", f"{pull}/reviews")

    async def merging(self) -> None:
        await self.branch("other", "b.py", "b\n")
        number = await self.pull("other")
        await self.repo("PUT", f"/pulls/{number}/merge", {"merge_method": "squash"})
        await self.repo("GET", f"/pulls/{number}/merge")
        await self.repo("PUT", "/pulls/2/update-branch", {})
        await self.branch("later", "c.py", "c\n")
        number = await self.pull("later")
        asked = await self.repo("PUT", f"/pulls/{number}/merge-async", {"merge_method": "squash"})
        await self.repo("GET", f"/pulls/{number}/merge-async/{asked['details']['uuid']}")
        await self.repo("PUT", f"/pulls/{number}/merge-async", {})
        merged = (await self.repo("GET", f"/pulls/{number}"))["node_id"]
        made = await self.mutate(
            "revertPullRequest", "revertPullRequest { number }", pullRequestId=merged
        )
        await self.repo(
            "PATCH",
            f"/pulls/{made['revertPullRequest']['revertPullRequest']['number']}",
            {"state": "closed"},
        )

    # -- data about commits

    async def checks(self) -> None:
        sha = await self.github.branch(REPO, "main")
        body = {"name": "honk / run", "head_sha": sha, "external_id": "run-1"}
        made = await self.repo("POST", "/check-runs", body | {"status": "in_progress"})
        run = f"/check-runs/{made['id']}"
        note = {"path": "a.py", "start_line": 1, "end_line": 1, "message": "wrong"}
        output = OUTPUT | {"annotations": [note | {"annotation_level": "failure"}]}
        done = {"conclusion": "failure", "output": output, "actions": [ACTION]}
        await self.repo("PATCH", run, done)
        await self.repo("GET", run)
        await self.repo("GET", f"{run}/annotations")
        await self.repo("POST", f"{run}/rerequest")
        await self.github.press(REPO, made["id"], "retry", "writer")
        await self.repo("GET", "/commits/main/check-runs")
        suites = (await self.repo("GET", "/commits/main/check-suites"))["check_suites"]
        suite = f"/check-suites/{suites[0]['id']}"
        await self.repo("GET", suite)
        await self.repo("GET", f"{suite}/check-runs")
        await self.repo("POST", f"{suite}/rerequest")
        status = {"state": "success", "context": "lint", "description": "clean"}
        await self.repo("POST", f"/statuses/{sha}", status)
        await self.repo("GET", "/commits/main/status")
        await self.repo("GET", "/commits/main/statuses")

    async def deployments(self) -> None:
        sha = await self.github.branch(REPO, "feat")
        body: Any = {
            "ref": sha,
            "auto_merge": False,
            "required_contexts": [],
            "environment": "pr-2",
        }
        made = await self.repo("POST", "/deployments", body | {"transient_environment": True})
        deployment = f"/deployments/{made['id']}"
        await self.repo("GET", "/deployments?environment=pr-2")
        await self.repo("GET", deployment)
        states = {"state": "success", "environment_url": "https://pr-2.example"}
        status = await self.repo("POST", f"{deployment}/statuses", states)
        await self.repo("GET", f"{deployment}/statuses")
        await self.repo("GET", f"{deployment}/statuses/{status['id']}")
        await self.repo("POST", f"{deployment}/statuses", {"state": "inactive"})
        await self.repo("DELETE", deployment)

    async def ci(self) -> None:
        self.github.use_ci(REPO, OtherCi("action_required", log="1 failed\n"))
        sha = await self.branch("watched", "c.py", "c\n")
        [run] = (await self.repo("GET", f"/actions/runs?head_sha={sha}"))["workflow_runs"]
        path = f"/actions/runs/{run['id']}"
        await self.repo("GET", path)
        await self.repo("POST", f"{path}/approve")
        self.github.finish_ci(REPO, sha, "failure")
        [job] = (await self.repo("GET", f"{path}/jobs"))["jobs"]
        await self.repo("GET", f"/actions/jobs/{job['id']}")
        await self.repo("GET", f"/actions/jobs/{job['id']}/logs")
        await self.workflow()
        self.github.use_ci(REPO, None)

    async def workflow(self) -> None:
        ci = OtherCi(on=("workflow_dispatch",), works=lambda run: ("success", {"junit": b"PK"}))
        self.github.use_ci(REPO, ci)
        [workflow] = (await self.repo("GET", "/actions/workflows"))["workflows"]
        path = f"/actions/workflows/{workflow['id']}"
        await self.repo("POST", f"{path}/dispatches", {"ref": "watched"})
        [run] = (await self.repo("GET", f"{path}/runs"))["workflow_runs"]
        [artifact] = (await self.repo("GET", f"/actions/runs/{run['id']}/artifacts"))["artifacts"]
        await self.repo("GET", f"/actions/artifacts/{artifact['id']}/zip")

    async def rules(self) -> None:
        protection = {
            "required_status_checks": {"strict": True, "contexts": ["lint"]},
            "enforce_admins": None,
            "required_pull_request_reviews": {"required_approving_review_count": 1},
            "restrictions": None,
        }
        path = "/branches/feat/protection"
        await self.repo("PUT", path, protection)
        await self.repo("GET", path)
        await self.repo("DELETE", path)
        ruleset = {
            "name": "No force",
            "target": "branch",
            "enforcement": "active",
            "conditions": {"ref_name": {"include": ["refs/heads/held"], "exclude": []}},
            "rules": [{"type": "deletion"}, {"type": "non_fast_forward"}],
        }
        made = await self.repo("POST", "/rulesets", ruleset)
        path = f"/rulesets/{made['id']}"
        await self.repo("GET", "/rulesets")
        await self.repo("GET", path)
        await self.repo("GET", "/rules/branches/held")
        await self.repo("PUT", path, {"enforcement": "disabled"})
        await self.repo("DELETE", path)

    # -- the rest

    async def query(self, document: str, token: str = "", **variables: Any) -> Any:
        body = {"query": document, "variables": variables}
        url = f"{self.github.url}/api/graphql"
        headers = {"Authorization": f"Bearer {token or self.token}"}
        answer = (await self.client.post(url, json=body, headers=headers)).json()
        assert "errors" not in answer, answer
        return answer["data"]

    async def mutate(self, name: str, fields: str, token: str = "", **given: Any) -> Any:
        kind = name[0].upper() + name[1:]
        document = (
            f"mutation($input: {kind}Input!) "
            f"{{ {name}(input: $input) {{ clientMutationId {fields} }} }}"
        )
        return await self.query(document, token, input=given | {"clientMutationId": name})

    async def graphql(self) -> None:
        pull = (await self.repo("GET", "/pulls/2"))["node_id"]
        for name in ("convertPullRequestToDraft", "markPullRequestReadyForReview"):
            await self.mutate(name, "pullRequest { id isDraft }", pullRequestId=pull)
        document = "query($id: ID!) { node(id: $id) { __typename ... on PullRequest { isDraft } } }"
        await self.query(document, id=pull)
        await self.query("{ viewer { login } rateLimit { limit remaining } }")
        document = "query($o: String!, $n: String!) { repository(owner: $o, name: $n) { id } }"
        found = await self.query(document, o="octo", n="sample")
        assert found["repository"]["id"]
        await self.hiding_and_threads(pull)
        await self.merging_later(pull)
        await self.moderation()

    async def hiding_and_threads(self, pull: str) -> None:
        made = (await self.repo("POST", "/issues/1/comments", {"body": "old"}))["node_id"]
        shown = "{ isMinimized minimizedReason }"
        fields = f"minimizedComment {shown}"
        await self.mutate("minimizeComment", fields, subjectId=made, classifier="OUTDATED")
        await self.mutate("unminimizeComment", f"unminimizedComment {shown}", subjectId=made)
        document = (
            "query($id: ID!) { node(id: $id) { ... on PullRequest {"
            " reviewThreads(first: 5) { nodes { id isResolved } } } } }"
        )
        found = await self.query(document, id=pull)
        thread = found["node"]["reviewThreads"]["nodes"][0]["id"]
        document = (
            "query($id: ID!) { node(id: $id) { ... on PullRequest {"
            " reviews(first: 1) { nodes { id } } } } }"
        )
        found = await self.query(document, id=pull)
        review = found["node"]["reviews"]["nodes"][0]["id"]
        for subject in (review, made, pull):
            fields = "reaction { content }"
            await self.mutate("addReaction", fields, subjectId=subject, content="EYES")
        for name in ("resolveReviewThread", "unresolveReviewThread"):
            await self.mutate(name, "thread { id isResolved }", threadId=thread)

    async def merging_later(self, pull: str) -> None:
        self.github.repository(REPO).allow_auto_merge = True
        needed = {"required_status_checks": [{"context": "never"}]}
        checks = {"type": "required_status_checks", "parameters": needed}
        held = self.github.add_ruleset(REPO, checks, include=["refs/heads/main"])
        for name in ("enablePullRequestAutoMerge", "disablePullRequestAutoMerge"):
            await self.mutate(name, "pullRequest { id }", pullRequestId=pull)
        queue = self.github.add_ruleset(REPO, MERGE_QUEUE, include=["refs/heads/main"])
        head = await self.github.branch(REPO, "feat")
        done = {"name": "never", "head_sha": head, "conclusion": "success", "output": OUTPUT}
        await self.repo("POST", "/check-runs", done)
        await self.mutate("enqueuePullRequest", "mergeQueueEntry { id }", pullRequestId=pull)
        await self.mutate("dequeuePullRequest", "mergeQueueEntry { id }", id=pull)
        for ruleset in (held, queue):
            await self.repo("DELETE", f"/rulesets/{ruleset.id}")

    async def moderation(self) -> None:
        made = (await self.repo("POST", "/issues", {"title": "Away"}))["node_id"]
        locked = "lockedRecord { locked activeLockReason }"
        await self.mutate("lockLockable", locked, lockableId=made, lockReason="SPAM")
        await self.mutate("unlockLockable", "unlockedRecord { locked }", lockableId=made)
        other = await self.github.add_repository("octo/other", files={"x": b""})
        target = (await self.ask("GET", f"/repos/{other.full_name}"))["node_id"]
        owner = self.person("octo")
        moved = await self.mutate(
            "transferIssue", "issue { id }", owner, issueId=made, repositoryId=target
        )
        issue = moved["transferIssue"]["issue"]["id"]
        await self.mutate("deleteIssue", "repository { id }", owner, issueId=issue)

    async def forks(self) -> None:
        self.github.add_user("stranger")
        await self.repo("POST", "/forks", {}, self.person("stranger"))
        await self.repo("GET", "/forks")
        await self.github.add_repository("octo/spare", files={"x": b""})
        owner = self.person("octo")
        await self.ask("POST", "/repos/octo/spare/transfer", {"new_owner": "stranger"}, owner)
        await self.ask("DELETE", "/repos/stranger/spare", token=self.person("stranger"))
        await self.github.add_repository("octo/spare", files={"x": b""})
        await self.ask("DELETE", "/repos/octo/spare")

    async def people(self) -> None:
        """A person signs in to the App, and one confirms a manifest."""
        app = self.github.world.app
        query = f"client_id={app.client_id}&redirect_uri=http://127.0.0.1:9/back&state=s"
        target = self.github.sign_in("writer", f"{self.github.url}/login/oauth/authorize?{query}")
        code = httpx.URL(target).params["code"]
        answer = await self.client.post(
            f"{self.github.url}/login/oauth/access_token",
            data={"client_id": app.client_id, "client_secret": app.client_secret, "code": code},
            headers={"Accept": "application/json"},
        )
        token = answer.json()["access_token"]
        found = await self.ask("GET", "/user/installations", token=token)
        number = found["installations"][0]["id"]
        await self.ask("GET", f"/user/installations/{number}/repositories", token=token)
        answer = await self.client.request(
            "DELETE",
            f"{self.github.url}/api/v3/applications/{app.client_id}/token",
            json={"access_token": token},
            auth=(app.client_id, app.client_secret),
        )
        assert answer.status_code == 204

    async def deliveries(self) -> None:
        me = self.as_app()
        await self.github.drained()
        await self.ask("GET", "/app/hook/config", token=me)
        await self.ask("PATCH", "/app/hook/config", {"content_type": "json"}, token=me)
        found = await self.ask("GET", "/app/hook/deliveries?per_page=100", token=me)
        path = f"/app/hook/deliveries/{found[0]['id']}"
        await self.ask("GET", path, token=me)
        await self.ask("POST", f"{path}/attempts", token=me)

    async def installations(self) -> None:
        me = self.as_app()
        self.github.cover(REPO, covered=False)
        self.github.cover(REPO)
        self.github.grant("octo", {"issues": "write", "metadata": "read"})
        path = f"/app/installations/{self.github.world.installations['octo'].id}"
        await self.ask("PUT", f"{path}/suspended", token=me)
        await self.ask("DELETE", f"{path}/suspended", token=me)
        self.github.suspend("octo")
        self.github.unsuspend("octo")
        await self.ask("DELETE", path, token=me)
        self.github.install("octo")
        manifest = '{"name": "Honk two", "url": "http://x.example", "redirect_url": "http://y"}'
        answer = await self.client.post(
            f"{self.github.url}/settings/apps/new?state=s", data={"manifest": manifest}
        )
        ticket = answer.text.partition('name=ticket value="')[2].partition('"')[0]
        answer = await self.client.post(
            f"{self.github.url}/settings/apps", data={"ticket": ticket, "login": "writer"}
        )
        code = httpx.URL(answer.headers["location"]).params["code"]
        await self.ask("POST", f"/app-manifests/{code}/conversions", token="")
