"""Prints what a person would see on GitHub as it happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

import click

from app.playground.github import GitHub
from app.playground.github.records import CheckRun
from app.playground.github.world import SimulatedIssue
from app.playground.model import ScriptedModel

POLL_SECONDS = 0.05
LAST_WORDS_SECONDS = 3600.0
_SHOWN = 100


class Story:
    """Follows one issue until Honk's final comment."""

    def __init__(
        self, github: GitHub, repository: str, number: int, model: ScriptedModel | None, url: str
    ) -> None:
        self.github = github
        self.repository = repository
        self.number = number
        self._model = model
        self._url = url
        self._started = time.monotonic()
        self._told: set[str] = set()
        self._turns = 0

    @property
    def issue(self) -> SimulatedIssue:
        return self.github.issue(self.repository, self.number)

    async def tell(self, ended: Callable[[], bool]) -> bool:
        """Print until the end; False when the product exited before its run ended."""
        click.echo(f"{self._url}/{self.repository}/issues/{self.number}\n")
        self._say("issue", f"#{self.number} {self.issue.title}")
        while time.monotonic() - self._started < LAST_WORDS_SECONDS:
            self._look()
            if self._last_words():
                await self.github.drained()
                self._look()
                self._count()
                return True
            if ended():
                click.echo("Honk exited before the run ended; see its log above.", err=True)
                return False
            await asyncio.sleep(POLL_SECONDS)
        click.echo("No final comment from Honk within an hour.", err=True)
        return False

    def _look(self) -> None:
        for key, who, words in self._facts():
            if key not in self._told:
                self._told.add(key)
                self._say(who, words)

    def _facts(self) -> Iterable[tuple[str, str, str]]:
        issue = self.issue
        for label in issue.label_names:
            yield f"label {label}", "label", label
        for reaction in issue.reactions:
            yield f"reaction {reaction.content}", "reaction", reaction.content
        for comment in issue.comments:
            line = _first_line(comment.body)
            yield f"comment {comment.id} {line}", comment.author.login, line
        yield from self._facts_of_the_model()
        for run in self.check_runs():
            state = run.conclusion or run.status
            yield f"check {run.id} {state}", "check", f"{run.name}: {state} ({run.title or '…'})"
        for pull in self.github.pulls(self.repository):
            kind = "draft pull request" if pull.pull and pull.pull.draft else "pull request"
            yield f"pull {pull.number}", kind, f"#{pull.number} {pull.title}"

    def _facts_of_the_model(self) -> Iterable[tuple[str, str, str]]:
        if self._model is None:
            return
        for number, request in enumerate(self._model.requests, 1):
            for words in _tools_used(request):
                yield f"tool {words[0]}", "agent", words[1]
            yield f"turn {number}", "model", f"turn {number}"

    def check_runs(self) -> list[CheckRun]:
        """Every check run of the repository, oldest first."""
        return self.github.world.repository(self.repository).check_runs()

    def _last_words(self) -> bool:
        return (
            any("<!-- honk:end=" in comment.body for comment in self.issue.comments)
            and any(
                label in ("honk:done", "honk:needs-you", "honk:failed")
                for label in self.issue.label_names
            )
            and "honk:running" not in self.issue.label_names
        )

    def _count(self) -> None:
        calls = [
            r
            for r in self.github.requests
            if r.token_kind in ("installation", "app") and ".git/" not in r.path
        ]
        tokens = sum("access_tokens" in r.template for r in calls)
        edits = sum(r.method == "PATCH" and "/issues/comments/" in r.template for r in calls)
        click.echo(
            f"\n{len(calls) - tokens - edits} GitHub API calls, "
            f"{edits} status edits, {tokens} token requests"
        )

    def _say(self, who: str, words: str) -> None:
        seconds = time.monotonic() - self._started
        click.echo(f"{seconds:7.2f} s  {who:<12} {words[:_SHOWN]}")


def _in_words(value: object) -> str:
    """A tool's argument; of a plan's items the words only."""
    if isinstance(value, list):
        return ", ".join(str(item.get("text", "")) for item in value if isinstance(item, dict))
    return str(value)


def _first_line(body: str) -> str:
    """The beginning of a comment, without the request that it quotes."""
    lines = (line.strip() for line in body.splitlines())
    return next((line for line in lines if line and not line.startswith(("<!--", ">"))), "")


def _tools_used(request: dict[str, object]) -> Iterable[tuple[str, str]]:
    """Each tool call of the conversation: its id, and what it did in a few words."""
    messages = request.get("messages")
    for message in messages if isinstance(messages, list) else []:
        content = message.get("content")
        for block in content if isinstance(content, list) else []:
            if block.get("type") == "tool_use":
                words = " ".join(map(_in_words, block["input"].values()))
                yield block["id"], " ".join(f"{block['name']} {words}".split())
