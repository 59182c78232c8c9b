"""Requests from Slack: who asks, about which repository, and the issue that records it.

Each step may be done again after a crash: an issue, a message and a trigger are made once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import structlog

from app import log_events
from app.chat.answers import LIVE_SECONDS, thread_prefix
from app.chat.api import SlackApi, ThreadMessage
from app.chat.posting import Poster
from app.chat.readers import Readers, is_direct
from app.chat.repositories import ChosenRepository, Repositories
from app.chat.stored import StoredRequest
from app.domain import command as commands
from app.domain import labels, mrkdwn, slack
from app.domain.command import COMMANDS, Command
from app.domain.run import Phase, run_id, subject_key
from app.domain.slack import SlackRequest
from app.domain.trigger import Actor, Trigger
from app.domain.values import RepoName
from app.github import conversation
from app.github.conversation import Issue
from app.messages import refusals
from app.messages import slack as texts
from app.messages.slack import ChatMessage, QuotedMessage, SlackSubject
from app.runs.queue import TriggerQueue
from app.runs.services import WRITE_COMMENTS, Services
from app.store.database import now
from app.store.runs import RunRow
from app.store.slack import ChannelDefault, SlackLink, SlackStore, SlackThread

log = structlog.get_logger()

LINK_PAGE = "/slack"
_QUOTED = 40
_NAMES_TRIED = 5
_LINK_WORD = re.compile(r"(?i)link\s+([A-Z0-9]{4}-?[A-Z0-9]{4})\W*")
_DEFAULT_MAX = 300
_DEFAULT_WORD = re.compile(r"(?i)default(?:\s+(?:repo:)?(\S+))?\W*")
_HIDDEN = frozenset({"accept", "trust", "doctor", "setup", "help"})
"""Commands about GitHub's own pages; they work there."""

ON_PULL = frozenset({"merge", "ready"})
"""Commands that belong on the pull request of a run, not on its issue."""
STARTING = frozenset({"work", "fix", "plan", "ask"})
"""Commands that begin something; the others make sense only where a run is."""


@dataclass(frozen=True)
class Asker:
    """A linked member of the workspace."""

    user: str
    link: SlackLink

    @property
    def actor(self) -> Actor:
        return Actor(login=self.link.login, id=self.link.account_id, type="User")


class Waiting(Exception):  # noqa: N818
    """The request waits for a person; `what` is what `SlackStore.resume_all` names."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


@dataclass(frozen=True)
class Asking:
    """Handles requests. `slug` is the App's; `server_url` GitHub's base URL."""

    services: Services
    api: SlackApi
    store: SlackStore
    queue: TriggerQueue
    repositories: Repositories
    poster: Poster
    readers: Readers
    slug: str

    async def handle(self, stored: StoredRequest) -> None:
        """Handle one request. Raises Waiting, RetryableError and UserError."""
        request = stored.request
        us = await self.api.identity()
        if request.team != us.team:
            _ignore(request, "it is from another workspace")
            return
        request = request.model_copy(
            update={"text": mrkdwn.read(slack.without_mention(request.text, us.user)).strip()}
            | ({"kind": "mention"} if _mentions(request, us.user) else {})
        )
        thread = await self._thread_of(request)
        if request.kind == "reply":
            await self._reply(request, thread)
            return
        if await self._is_refused(request) or await self._is_about_link(request):
            return
        link = await self._link_or_wait(request)
        asker = Asker(request.user, link)
        if await self._is_default(request, asker) or await self._is_help(request):
            return
        said = self._command(request)
        if thread is not None and thread.number is not None:
            await self._continue(request, asker, thread, said)
        elif said.name not in STARTING:
            await self._whisper(request, texts.no_run_here())
        elif (mistake := _mistake(said)) is not None:
            await self._whisper(request, mistake)
        else:
            # A crash between two steps must not choose another repository.
            chosen = thread.repository if thread is not None else stored.repository
            await self._begin(StoredRequest(request=request, repository=chosen), asker, said)

    # -- who

    async def _is_refused(self, request: SlackRequest) -> bool:
        """Refuse people and channels that Honk takes no requests from."""
        person = await self.api.person(request.user)
        why = "outsider" if request.outsider else person.refused
        if why:
            _ignore(request, f"the person is refused: {why}")
            await self._whisper(request, texts.refused_person(why))
            return True
        shared = request.shared and texts.shared_channel()
        problem = shared or await self.readers.problem(request.channel, private=False)
        if problem:
            _ignore(request, "the channel is shared")
            await self._whisper(request, problem)
            return True
        return False

    async def _is_about_link(self, request: SlackRequest) -> bool:
        """`link CODE` and `unlink`."""
        code = _LINK_WORD.fullmatch(request.text)
        if code is not None:
            link = await self.store.use_code(code[1], request.team, request.user)
            if link is None:
                await self._whisper(request, texts.wrong_code())
                return True
            log.info(log_events.SLACK_LINKED, login=link.login, team=link.team, user=link.user_id)
            await self._whisper(request, texts.linked(link.login))
            await self.store.resume_all(_link_of(request))
            return True
        if request.text.lower().strip(" .!") == "unlink":
            was = await self.store.unlink(request.team, request.user)
            log.info(log_events.SLACK_UNLINKED, team=request.team, user=request.user)
            await self._whisper(request, texts.unlinked(was=was))
            return True
        return False

    async def _link_or_wait(self, request: SlackRequest) -> SlackLink:
        """The person's link. Without one, the request waits until there is one."""
        link = await self.store.link(request.team, request.user)
        if link is None:
            await self._whisper(request, texts.link_first(f"{self.services.public_url}{LINK_PAGE}"))
            raise Waiting(_link_of(request))
        return link

    async def _is_default(self, request: SlackRequest, asker: Asker) -> bool:
        """`default owner/name`: the channel's default, or in a direct message the person's."""
        # Longer texts are requests; matching them would take quadratic time.
        found = _DEFAULT_WORD.fullmatch(request.text) if len(request.text) < _DEFAULT_MAX else None
        if found is None:
            return False
        try:
            name = RepoName.parse(found[1] or "")
        except ValueError:
            await self._whisper(request, texts.repository_missing())
            return True
        chosen = await self.repositories.writable(name, asker.link)
        if chosen is None:
            await self._whisper(request, texts.no_access(str(name), asker.link.login))
            return True
        link, full = asker.link, str(chosen.name)
        if is_direct(request.channel):
            await self.store.set_default(link.team, link.user_id, link.account_id, full)
        else:
            channel = await self.api.channel(request.channel)
            default = ChannelDefault(
                team=request.team,
                channel=request.channel,
                name=channel.name[:100],
                repository=full,
                login=link.login,
                set_at=now(),
            )
            await self.store.set_channel_default(default)
        await self._whisper(
            request, texts.default_set(full, channel=not is_direct(request.channel))
        )
        return True

    async def _is_help(self, request: SlackRequest) -> bool:
        if request.text.lower().strip(" .!?") not in ("help", "commands"):
            return False
        shown = [
            (each.name, each.description)
            for each in COMMANDS.values()
            if each.name not in _HIDDEN and each.name != "work"
        ]
        own = [
            ("default owner/name", "set this channel's repository, or yours in a direct message"),
            ("link CODE", "connect your GitHub account"),
            ("unlink", "disconnect it"),
        ]
        page = f"{self.services.public_url}{LINK_PAGE}"
        await self._whisper(request, texts.help_text([*shown, *own], page))
        return True

    def _command(self, request: SlackRequest) -> Command:
        text = slack.without_repository(request.text)
        if request.kind == "shortcut":
            return Command(name="work", task=text)
        found = commands.parse(f"/honk {text}", self.slug)
        return found or Command(name="work", task=text)

    # -- in a thread of Honk's

    async def _thread_of(self, request: SlackRequest) -> SlackThread | None:
        if not request.root:
            return None
        return await self.store.thread(request.team, request.channel, request.root)

    async def _reply(self, request: SlackRequest, thread: SlackThread | None) -> None:
        """A message in the thread that does not mention Honk: `stop`, or the asker's own words.

        Others talk there without meaning Honk, so their messages are not even answered.
        """
        link = await self.store.link(request.team, request.user)
        if thread is None or thread.number is None or link is None or request.outsider:
            return
        is_stop = slack.is_stop(request.text)
        if not is_stop and (request.user != thread.user_id or slack.is_thanks(request.text)):
            return
        if (await self.api.person(request.user)).refused:
            return
        said = Command(name="stop", task="") if is_stop else self._command(request)
        await self._continue(request, Asker(request.user, link), thread, said)

    async def _continue(
        self, request: SlackRequest, asker: Asker, thread: SlackThread, said: Command
    ) -> None:
        problem = await self.send(asker, thread, said, f"{request.ts or request.id}")
        if problem is not None:
            await self._whisper(request, problem)

    async def send(
        self, asker: Asker, thread: SlackThread, said: Command, what: str
    ) -> ChatMessage | None:
        """Give a command about a thread's issue to the intake; or why not.

        `what` tells apart the requests of one thread: the same one twice counts once.
        """
        chosen = await self.repositories.writable(thread.repo, asker.link)
        if chosen is None or chosen.id != thread.repository_id:
            return texts.no_access(thread.repository, asker.link.login)
        problem = await self.readers.problem(thread.channel, private=chosen.private)
        if problem is not None:
            return problem
        assert thread.number is not None
        newest = next(iter(await self.runs_of(thread)), None)
        number = newest.number if newest is not None else thread.number
        if said.name in ON_PULL and newest is not None:
            number = newest.pull_number or number
        if said.name == "merge" and newest is not None:
            # What the thread shows is what the person has seen.
            sha = said.sha or newest.published_sha or ""
            said = said.model_copy(update={"sha": sha})
        client = await self.repositories.client(chosen.installation_id, chosen.name)
        issue = await conversation.issue(client, number)
        prefix = thread_prefix(thread.team, thread.channel, thread.thread)
        trigger = _trigger(
            f"{prefix}{what}"[:200], chosen, issue, asker.actor, said, self._url(issue)
        )
        await self.store.change_thread(
            thread, live_until=now() + LIVE_SECONDS, private=chosen.private
        )
        await self.queue.enqueue(trigger)
        return None

    async def runs_of(self, thread: SlackThread) -> list[RunRow]:
        """The requested runs of a thread: a live one first, then by latest request."""
        subjects = [each for each in (thread.subject, thread.pull_subject) if each]
        rows = [row for each in subjects for row in await self.services.runs.of_subject(each)]
        asked = [row for row in rows if not row.input.quiet]
        return sorted(asked, key=lambda row: (row.finished_at is None, row.asked_at), reverse=True)

    def _url(self, issue: Issue) -> str:
        kind = "pull" if issue.is_pull_request else "issues"
        return f"{self.services.github.server_url}/{issue.repository}/{kind}/{issue.number}"

    # -- a new request

    async def _begin(self, stored: StoredRequest, asker: Asker, said: Command) -> None:
        """Choose the repository, record the request as an issue, and start."""
        request = stored.request
        if not said.task and not request.thread:
            await self._whisper(request, texts.nothing_asked())
            return
        chosen = await self._repository(stored, asker)
        if chosen is None:
            return
        if not chosen.has_issues:
            await self._whisper(request, texts.no_issues(str(chosen.name)))
            return
        problem = await self.readers.problem(request.channel, private=chosen.private)
        if problem is not None:
            await self._whisper(request, problem)
            return
        thread = await self._open(request, asker, chosen)
        issue = await self._record(request, asker, chosen, thread, said)
        prefix = thread_prefix(thread.team, thread.channel, thread.thread)
        # The issue itself is the task, so that "fix the rounding" is not about failing checks.
        name = "work" if said.name == "fix" else said.name
        bare = said.model_copy(update={"name": name, "task": ""})
        trigger = _trigger(
            f"{prefix}{request.ts or 'command'}", chosen, issue, asker.actor, bare, self._url(issue)
        )
        await self._first_reply(thread, issue, asker, trigger)
        await self.store.change_thread(thread, live_until=now() + LIVE_SECONDS)
        await self.queue.enqueue(trigger)

    async def _repository(self, stored: StoredRequest, asker: Asker) -> ChosenRepository | None:
        """From the menu, the text, the channel, the person's default; else ask. None: not yet."""
        request, link = stored.request, asker.link
        if stored.repository:
            return await self._or_refuse(request, RepoName.parse(stored.repository), link)
        named = slack.repository_named(request.text, self.services.github.server_url)
        for name in named[:_NAMES_TRIED]:
            chosen = await self.repositories.writable(name, link)
            if chosen is not None:
                return chosen
        if named and slack.without_repository(request.text) != request.text:
            await self._whisper(request, texts.no_access(str(named[0]), link.login))
            return None
        for name in await self._defaults(request, link):
            return await self._or_refuse(request, name, link)
        choices = await self.repositories.choices(link)
        if len(choices) == 1:
            return await self._or_refuse(request, choices[0], link)
        if not choices:
            await self._whisper(request, texts.no_repository())
            return None
        await self._whisper(request, texts.which_repository(choices, request.id))
        raise Waiting(f"pick:{request.team}:{request.user}"[:100])

    async def _or_refuse(
        self, request: SlackRequest, name: RepoName, link: SlackLink
    ) -> ChosenRepository | None:
        chosen = await self.repositories.writable(name, link)
        if chosen is None:
            await self._whisper(request, texts.no_access(str(name), link.login))
        return chosen

    async def _defaults(self, request: SlackRequest, link: SlackLink) -> list[RepoName]:
        """The channel's repository, then the person's."""
        found: list[RepoName | None] = []
        if not is_direct(request.channel):
            channel = await self.api.channel(request.channel)
            found.append(slack.repository_of_channel(channel.topic, channel.purpose))
            found.append(_named(await self.store.channel_default(request.team, request.channel)))
        found.append(_named(link.repository))
        return [each for each in found if each is not None]

    async def _open(
        self, request: SlackRequest, asker: Asker, chosen: ChosenRepository
    ) -> SlackThread:
        """The thread, stored before its issue is made. A slash command gets a new thread."""
        root = request.root
        if not root:
            text = texts.said(
                f"Asked by {mrkdwn.escaped(asker.link.login, limit=60)}: "
                f"{mrkdwn.escaped(request.text, limit=500)}",
                f"root:{request.id}",
            )
            key = f"root:{request.id}"[:200]
            root = await self.poster.ensure(key, request.team, request.channel, "", text)
        return await self.store.open_thread(
            SlackThread(
                team=request.team,
                channel=request.channel,
                thread=root,
                user_id=request.user,
                repository=str(chosen.name),
                repository_id=chosen.id,
                installation_id=chosen.installation_id,
                private=chosen.private,
                number=None,
                subject="",
                pull_subject="",
                live_until=0.0,
                closed_by="",
                created_at=now(),
            )
        )

    async def _record(
        self,
        request: SlackRequest,
        asker: Asker,
        chosen: ChosenRepository,
        thread: SlackThread,
        said: Command,
    ) -> Issue:
        """The issue on GitHub that records the request."""
        quoted, left_out = await self._quoted(request, chosen)
        text = said.task or (quoted[0].text if quoted else "")
        client = await self.services.github.repository(
            chosen.installation_id, chosen.name, WRITE_COMMENTS
        )
        place = request.model_copy(update={"thread": thread.thread})
        us = await self.api.identity()
        link = (
            f"{us.url}archives/{request.channel}/p{(request.ts or thread.thread).replace('.', '')}"
        )
        body = texts.issue_body(place, text, asker.link.login, link, quoted, left_out=left_out)
        issue = await conversation.ensure_issue(
            client, texts.issue_title(text), body, texts.issue_marker(place)
        )
        subject = subject_key(chosen.name, issue.number)
        await self.store.change_thread(thread, number=issue.number, subject=subject)
        return issue

    async def _quoted(
        self, request: SlackRequest, chosen: ChosenRepository
    ) -> tuple[list[QuotedMessage], int]:
        """The thread before the request, and how many of its messages are left out."""
        if not request.thread or request.thread == request.ts:
            return [], 0
        messages, more = await self.api.replies(request.channel, request.thread, until=request.ts)
        us = await self.api.identity()
        before = [each for each in messages if each.ts != request.ts and each.user != us.user]
        shown = [*before[:1], *before[1:][-_QUOTED:]]
        access: dict[str, tuple[str, str]] = {}
        quoted = [await self._quote(each, request.team, chosen, access) for each in shown]
        return quoted, len(before) - len(shown) + (1 if more else 0)

    async def _quote(
        self,
        message: ThreadMessage,
        team: str,
        chosen: ChosenRepository,
        access: dict[str, tuple[str, str]],
    ) -> QuotedMessage:
        if message.user not in access:
            access[message.user] = await self._author(message.user, team, chosen)
        author, rights = access[message.user]
        text = mrkdwn.read(message.text)
        return QuotedMessage(author=author, text=text, access=rights, files=message.files)

    async def _author(self, user: str, team: str, chosen: ChosenRepository) -> tuple[str, str]:
        """A name, and whether this person may ask for work in the repository."""
        if not user:
            return "an app", "no rights"
        person = await self.api.person(user)
        link = None if person.refused else await self.store.link(team, user)
        if link is None:
            return person.name, "no known rights"
        client = await self.repositories.client(chosen.installation_id, chosen.name)
        may = await self.repositories.may_write(client, link)
        return link.login, "write access" if may else "no write access"

    async def _first_reply(
        self, thread: SlackThread, issue: Issue, asker: Asker, trigger: Trigger
    ) -> None:
        """Say at once which repository it is; this message then follows the run."""
        run = run_id(trigger.id)
        message = texts.status(
            subject_of(thread, issue.title, trigger.html_url, asker.link.login),
            None,
            Phase.QUEUED,
            None,
            key=status_key(run),
        )
        await self.poster.ensure(
            status_key(run), thread.team, thread.channel, thread.thread, message
        )

    async def _whisper(self, request: SlackRequest, message: ChatMessage) -> None:
        await self.api.whisper(request.channel, request.user, message, thread=request.thread)


def status_key(run: str) -> str:
    """The key of a run's message."""
    return f"status:{run}"


def subject_of(thread: SlackThread, title: str, url: str, login: str) -> SlackSubject:
    """What a thread is about, for its messages."""
    return SlackSubject(
        repository=thread.repository, number=thread.number or 0, url=url, title=title, login=login
    ).model_copy(update={"number": int(url.rpartition("/")[2])})


def _trigger(
    id: str,
    chosen: ChosenRepository,
    issue: Issue,
    actor: Actor,
    said: Command,
    url: str,
    kind: Literal["button"] = "button",
) -> Trigger:
    """A command on an issue or pull request, by the linked account."""
    moment = datetime.now(UTC)
    return Trigger(
        id=id,
        kind=kind,
        installation_id=chosen.installation_id,
        repository=chosen.name,
        repository_id=chosen.id,
        default_branch=chosen.default_branch,
        private=chosen.private,
        number=issue.number,
        is_pull_request=issue.is_pull_request,
        closed=issue.state != "open",
        actor=actor,
        title=issue.title,
        body=issue.body,
        author=Actor(login=issue.author.login, id=issue.author.id, type=issue.author.type),
        labels=tuple(labels.plain(each) for each in issue.labels),
        label=None,
        comment=None,
        command=said,
        created_at=moment,
        updated_at=moment,
        html_url=url,
    )


def _mistake(said: Command) -> ChatMessage | None:
    """What is wrong with a command, before an issue is made for it."""
    if said.several:
        return texts.problem(*refusals.one_at_a_time(said.several))
    if said.problem:
        return texts.problem(said.problem, "")
    if said.near:
        return texts.problem(*refusals.did_you_mean(said.near))
    return None


def _link_of(request: SlackRequest) -> str:
    return f"link:{request.team}:{request.user}"


def _mentions(request: SlackRequest, user: str) -> bool:
    return request.kind == "reply" and bool(user) and f"<@{user}" in request.text


def _named(text: str) -> RepoName | None:
    try:
        return RepoName.parse(text)
    except ValueError:
        return None


def _ignore(request: SlackRequest, why: str) -> None:
    log.info(log_events.SLACK_REQUEST_IGNORED, request=request.id, why=why)
