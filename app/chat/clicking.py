"""Clicks on Honk's messages: the person's rights are checked again at each."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from app import log_events
from app.chat.asking import LINK_PAGE, Asker, Asking
from app.chat.stored import StoredRequest
from app.domain.command import COMMANDS, Command
from app.domain.slack import SlackClick
from app.domain.values import CommitSha, RepoName, Value
from app.messages import slack as texts
from app.messages.slack import ChatMessage
from app.store.runs import RunRow
from app.store.slack import SlackThread

log = structlog.get_logger()


class ButtonValue(Value):
    """What a button is about: an attempt of a run, and the commit that was shown with it."""

    run: str
    attempt: int
    sha: str = ""

    def __str__(self) -> str:
        return f"{self.run}.{self.attempt}.{self.sha}"

    @classmethod
    def read(cls, text: str) -> ButtonValue | None:
        """The value of a button; None for any other text."""
        run, _, rest = text.partition(".")
        attempt, _, sha = rest.partition(".")
        if not run.isalnum() or not attempt.isdecimal() or len(attempt) > 6:
            return None
        return cls(run=run, attempt=int(attempt), sha=sha)


@dataclass(frozen=True)
class Clicking:
    """Handles clicks."""

    asking: Asking

    async def handle(self, click: SlackClick) -> None:
        """Handle one click. Raises RetryableError and UserError."""
        if click.action == texts.OPEN:
            return
        us = await self.asking.api.identity()
        if click.team != us.team:
            log.info(log_events.SLACK_REQUEST_IGNORED, request=click.id, why="another workspace")
            return
        problem = await self._do(click)
        if problem is not None:
            await self.asking.api.whisper(click.channel, click.user, problem, thread=click.thread)

    async def _do(self, click: SlackClick) -> ChatMessage | None:
        """Do what the click asks for; the answer for this person, if there is one."""
        person = await self.asking.api.person(click.user)
        why = "outsider" if click.outsider else person.refused
        if why:
            return texts.refused_person(why)
        link = await self.asking.store.link(click.team, click.user)
        if link is None:
            return texts.link_first(f"{self.asking.services.public_url}{LINK_PAGE}")
        if click.action == texts.PICK:
            return await self._picked(click)
        if click.action not in (texts.STOP, texts.UNDO, texts.MERGE, texts.CHANGE):
            return None
        root = click.thread or click.message
        thread = await self.asking.store.thread(click.team, click.channel, root)
        value = ButtonValue.read(click.value)
        if thread is None or thread.number is None or value is None:
            return texts.old_button()
        row = await self._current(thread, value)
        if row is None:
            return texts.old_button()
        if click.action == texts.CHANGE:
            if await self.asking.repositories.writable(thread.repo, link) is None:
                return texts.no_access(thread.repository, link.login)
            await self.asking.store.change_thread(thread, user_id=click.user)
            return texts.ask_for_changes()
        said = _command(click.action, value)
        if said is None:
            return texts.old_button()
        return await self.asking.send(Asker(click.user, link), thread, said, f"{said.name}:{value}")

    async def _current(self, thread: SlackThread, value: ButtonValue) -> RunRow | None:
        """The run of a button, if it is the thread's newest and still at that attempt."""
        newest = next(iter(await self.asking.runs_of(thread)), None)
        if newest is None or (newest.id, newest.attempt) != (value.run, value.attempt):
            return None
        return newest

    async def _picked(self, click: SlackClick) -> ChatMessage | None:
        """A repository was chosen from the menu, which only the asker may use."""
        id = click.block.removeprefix("pick:")
        item = await self.asking.store.item(id)
        if item is None or item.kind != "request":
            return texts.expired_choice()
        stored = StoredRequest.model_validate(item.payload)
        if stored.request.user != click.user or stored.request.team != click.team:
            return texts.not_yours()
        try:
            name = str(RepoName.parse(click.value))
        except ValueError:
            return texts.expired_choice()
        chosen = stored.model_copy(update={"repository": name})
        resumed = await self.asking.store.resume(id, chosen.model_dump(mode="json"))
        return None if resumed else texts.expired_choice()


def _command(action: str, value: ButtonValue) -> Command | None:
    """The command of a button; None for one that this Honk does not know."""
    if action not in COMMANDS:
        return None
    sha = CommitSha(value.sha) if action == texts.MERGE else ""
    return Command.model_validate({"name": action, "task": "", "sha": sha})
