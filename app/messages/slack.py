"""What people read in Slack, as messages within Slack's limits.

Untrusted text is shown in `plain_text` objects, or escaped (`app/domain/mrkdwn.py`).
https://docs.slack.dev/reference/block-kit/blocks
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from app.domain import sanitize
from app.domain.mrkdwn import escaped, line, link, plain
from app.domain.preview import Preview
from app.domain.report import Report, StatusContext
from app.domain.run import Outcome, Phase
from app.domain.slack import SlackRequest
from app.domain.values import RepoName, Value, short
from app.messages import verdict as verdicts
from app.messages.formatting import count, state, usage_line

Block = dict[str, Any]

TEXT_LIMIT = 3_000
"""Characters of a section. https://docs.slack.dev/reference/block-kit/blocks/section-block"""

NOTIFICATION_LIMIT = 300
BLOCK_ID_LIMIT = 255
OPTIONS = 100
"""Options of a menu, at most."""

_PLAN_SHOWN = 20
_PREVIEWS = 3
_VALUE_LIMIT = 2_000
_OPTION_LIMIT = 75
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=\S)")
_TITLE_LIMIT = 120
_BODY_THREAD_LIMIT = 20_000
_BODY_TEXT_LIMIT = 20_000
_THREAD_MESSAGE_LIMIT = 3_000

# What the buttons are called in Slack's payloads.
STOP, MERGE, UNDO, CHANGE, PICK, OPEN = "stop", "merge", "undo", "change", "pick", "open"


class ChatMessage(Value):
    """`text` is for notifications and screen readers; `blocks` is what people see."""

    text: str
    blocks: tuple[Block, ...]


class SlackSubject(Value):
    """The issue that records a thread. `login` is the GitHub account that Honk works for."""

    repository: str
    number: int
    url: str
    title: str
    login: str


class QuotedMessage(Value):
    """A message of the thread. `access` says whether its author may ask Honk for work here."""

    author: str
    text: str
    access: str
    files: int = 0


# -- building blocks


def _mrkdwn(text: str) -> Block:
    # `verbatim`: Slack must not turn names and addresses into links by itself.
    return {"type": "mrkdwn", "text": text[:TEXT_LIMIT], "verbatim": True}


def _plain(text: str, limit: int = TEXT_LIMIT) -> Block:
    return {"type": "plain_text", "text": plain(text, limit=limit), "emoji": False}


def _section(text: str) -> Block:
    return {"type": "section", "text": _mrkdwn(text)}


def _quote(text: str, limit: int = TEXT_LIMIT) -> list[Block]:
    """Untrusted text, shown literally."""
    shown = plain(text, limit=limit)
    return [{"type": "section", "text": _plain(shown)}] if shown else []


def _context(text: str) -> Block:
    return {"type": "context", "elements": [_mrkdwn(text)]}


def _button(name: str, text: str, value: str, **more: Any) -> Block:
    return {
        "type": "button",
        "action_id": name,
        "text": {"type": "plain_text", "text": text, "emoji": False},
        "value": value[:_VALUE_LIMIT],
        **more,
    }


def _link_button(text: str, url: str) -> Block:
    return {
        "type": "button",
        "action_id": OPEN,
        "text": {"type": "plain_text", "text": text, "emoji": False},
        "url": url[:3_000],
    }


def _message(text: str, blocks: Sequence[Block], key: str = "") -> ChatMessage:
    """A message. `key` becomes the id of its first block, by which Honk finds it again."""
    found = [dict(block) for block in blocks[:50]]
    if key and found:
        found[0] = {**found[0], "block_id": key[:BLOCK_ID_LIMIT]}
    return ChatMessage(text=escaped(text, limit=NOTIFICATION_LIMIT), blocks=tuple(found))


def said(text: str, key: str = "") -> ChatMessage:
    """A message of one sentence or two by Honk, in `mrkdwn`."""
    return ChatMessage(
        text=re.sub(r"<[^|>]*\|([^>]*)>", r"\1", text)[:NOTIFICATION_LIMIT],
        blocks=tuple(_message(text, [_section(text)], key).blocks),
    )


# -- following a run


def status(
    subject: SlackSubject,
    context: StatusContext | None,
    phase: Phase,
    outcome: Outcome | None,
    *,
    stop: str = "",
    pull_url: str = "",
    previews: Sequence[Preview] = (),
    key: str = "",
) -> ChatMessage:
    """The message of a run, which is edited as it goes on. `stop` is the value of its button."""
    mode = context.mode if context else "work"
    now = state(phase, outcome, mode)
    where = link(subject.url, f"{subject.repository}#{subject.number}")
    head = f"*{now}* · {where} · {escaped(subject.title, limit=200)}"
    blocks = [_section(head)]
    if context and context.plan:
        lines = [
            f"{'✓' if item.done else '○'} {line(item.text, limit=200)}"
            for item in context.plan[:_PLAN_SHOWN]
        ]
        more = len(context.plan) - _PLAN_SHOWN
        lines += [f"and {count(more, 'more step')}"] if more > 0 else []
        blocks += _quote("\n".join(lines))
    facts = [f"as {escaped(subject.login, limit=60)} on GitHub"]
    if context and context.usage:
        facts.append(usage_line(context.usage))
    if pull_url:
        facts.append(link(pull_url, "pull request"))
    facts += [link(each.url, f"preview: {each.environment}") for each in previews[:_PREVIEWS]]
    if context and context.page:
        facts.append(link(context.page, "details"))
    blocks.append(_context(" · ".join(facts)))
    if stop and outcome is None:
        blocks.append({"type": "actions", "elements": [_button(STOP, "Stop", stop)]})
    return _message(f"{now}: {subject.repository}#{subject.number}", blocks, key)


def not_started(subject: SlackSubject, key: str) -> ChatMessage:
    """What the first message becomes when the intake refuses to start; the reason follows."""
    where = link(subject.url, f"{subject.repository}#{subject.number}")
    text = f"Not started: {subject.repository}#{subject.number}"
    return _message(text, [_section(f"*Not started* · {where}")], key)


def ended(
    subject: SlackSubject,
    report: Report,
    *,
    value: str,
    can_merge: bool,
    key: str = "",
) -> ChatMessage:
    """How a run ended: what changed in two sentences, the evidence, and what to do next.

    `value` is what the buttons carry.
    """
    headline = state(Phase.FINISHED, report.outcome, report.mode)
    text = _account(report)
    blocks = [_section(f"*{headline}.*"), *_quote(text)]
    if report.verdict is not None:
        blocks += _quote(_evidence(report))
    if report.next_step and report.outcome is not Outcome.DONE:
        blocks += _quote(_unmarked(report.next_step), 1_000)
    if report.outcome is Outcome.QUESTION:
        blocks.append(_context("Reply in this thread to answer."))
    buttons = _ended_buttons(subject, report, value, can_merge=can_merge)
    if buttons:
        blocks.append({"type": "actions", "elements": buttons})
    return _message(f"{headline}: {line(text, limit=200)}", blocks, key)


def _account(report: Report) -> str:
    """What the run's end says, in plain text: all of a question or an answer, else two
    sentences."""
    if report.problem:
        return _unmarked(report.problem)
    text = report.work.text if report.work else ""
    whole = (Outcome.QUESTION, Outcome.ANSWERED, Outcome.NOTHING, Outcome.SHOWN)
    if report.outcome in whole:
        return text
    return _two_sentences(text)


def _two_sentences(text: str) -> str:
    return " ".join(_SENTENCE.split(" ".join(text.split()))[:2])


def _evidence(report: Report) -> str:
    assert report.verdict is not None
    name = verdicts.label(report.verdict)
    words = " ".join(verdicts.evidence(report.verdict))
    sha = f" ({short(report.head_sha)})" if report.head_sha else ""
    return f"{name}{sha}: {words}" if name else f"{words}{sha}"


def _ended_buttons(
    subject: SlackSubject, report: Report, value: str, *, can_merge: bool
) -> list[Block]:
    buttons: list[Block] = []
    published = report.publication
    if published is not None:
        buttons.append(_link_button("Open pull request", published.pull_url))
    if published is not None and can_merge and report.head_sha and not published.draft:
        text = (
            f"Merge pull request #{published.pull_number} of {subject.repository} at "
            f"{short(report.head_sha)}. Nothing is merged if it has other commits by then. "
            "This is not an approval."
        )
        confirm = {
            "title": {"type": "plain_text", "text": "Merge this pull request?"},
            "text": {"type": "plain_text", "text": plain(text, limit=300)},
            "confirm": {"type": "plain_text", "text": "Merge"},
            "deny": {"type": "plain_text", "text": "Cancel"},
        }
        buttons.append(_button(MERGE, "Merge", value, style="primary", confirm=confirm))
    if published is not None:
        buttons.append(_button(CHANGE, "Ask for changes", value))
        undo = {
            "title": {"type": "plain_text", "text": "Undo this run?"},
            "text": {
                "type": "plain_text",
                "text": "Reverts what this run committed, in one new commit.",
            },
            "confirm": {"type": "plain_text", "text": "Undo"},
            "deny": {"type": "plain_text", "text": "Cancel"},
        }
        buttons.append(_button(UNDO, "Undo", value, confirm=undo))
    return buttons


def answer(text: str, key: str) -> ChatMessage:
    """An answer that Honk gave on GitHub as well, in Markdown."""
    shown = _unmarked(text)
    blocks = _quote(shown) or [_section("Done.")]
    return _message(line(shown, limit=200), blocks, key)


_MARKER = re.compile(r"<!--.*?-->", re.DOTALL)
_LINK = re.compile(r"!?\[([^\]]*)\]\(([^)\s]*)\)")
_TAG = re.compile(r"</?[a-zA-Z][^>]{0,200}>")
_MENTION = re.compile(r"^@[\w-]+(?:\[bot\])? ")


def _unmarked(text: str) -> str:
    """Honk's own Markdown as plain text: without markers, tags and emphasis."""
    text = _TAG.sub("", _MARKER.sub("", text))
    text = _LINK.sub(r"\1 (\2)", text)
    text = text.replace("**", "").replace("`", "").replace("\\", "")
    return _MENTION.sub("", sanitize.printable(text).strip())


# -- asking


def link_first(page: str) -> ChatMessage:
    """A person whose GitHub account is not known yet asked for something."""
    where = link(page, page) if page.startswith("http") else f"`{page}` on Honk's pages"
    text = (
        f"I don't know your GitHub account yet. Open {where}, sign in with GitHub, and send me the "
        "code from there: `/honk link CODE`. Then I start on this."
    )
    return said(text)


def linked(login: str) -> ChatMessage:
    """The link was made."""
    return said(
        f"You are linked to the GitHub account {escaped(login, limit=60)}. If that is not you, "
        "send `/honk unlink`."
    )


def wrong_code() -> ChatMessage:
    """A code that links nothing."""
    return said("This code is wrong, already used, or expired. Get a new one and send it.")


def unlinked(*, was: bool) -> ChatMessage:
    """The link was removed."""
    return said("You are no longer linked." if was else "You were not linked to a GitHub account.")


_REFUSED = {
    "guest": "Honk takes no requests from guests. Ask a full member of the workspace.",
    "outsider": "Honk takes requests only from members of the workspace where it is installed.",
    "bot": "Honk takes no requests from bots.",
    "deleted": "Honk takes no requests from deactivated accounts.",
    "unknown": "Slack does not say who you are, so Honk takes no request.",
}


def refused_person(why: str) -> ChatMessage:
    """Why Honk takes no requests from this person."""
    return said(_REFUSED.get(why, _REFUSED["unknown"]))


def shared_channel() -> ChatMessage:
    """The channel is, or may be, read by another organization."""
    return said(
        "This channel is shared with another organization, so Honk does not work here. Ask in a "
        "channel of your own workspace, or in a direct message."
    )


def outsiders_here() -> ChatMessage:
    """A private repository, asked for in a channel with guests."""
    return said(
        "This repository is private, and people from outside the workspace can read this channel. "
        "Ask in another channel, or in a direct message."
    )


def too_many_here(most: int) -> ChatMessage:
    """A private repository, in a channel with too many people to check."""
    return said(
        f"This repository is private, and this channel has more than {most} members, so Honk "
        "cannot check that all of them belong to the workspace. Ask in a smaller channel, or in a "
        "direct message."
    )


def held_back() -> ChatMessage:
    """The channel's readers changed while a run on a private repository was at work."""
    return said(
        "People from outside the workspace can read this channel now, so Honk shows nothing more "
        "of this private repository here. The result is on GitHub."
    )


def no_access(repository: str, login: str) -> ChatMessage:
    """A repository that does not exist for this person, or may not be written to."""
    return said(
        f"{escaped(login, limit=60)} cannot write to {escaped(repository, limit=140)} on GitHub, "
        "or Honk is not installed there. Name another repository, or ask its owner."
    )


def no_issues(repository: str) -> ChatMessage:
    """Issues are disabled, so there is no record."""
    return said(
        f"{escaped(repository, limit=140)} has issues disabled, and Honk keeps its record in an "
        "issue. Enable them in the repository's settings."
    )


def no_repository() -> ChatMessage:
    """There is nothing to choose from."""
    return said(
        "Which repository? Honk isn't installed in any repository that you can write to. "
        "Install Honk in it on GitHub, then ask again."
    )


def which_repository(repositories: Sequence[RepoName], request: str) -> ChatMessage:
    """Ask for the repository with a menu. `request` is the id of the request that waits."""
    options = [
        {
            "text": {"type": "plain_text", "text": plain(str(each), limit=_OPTION_LIMIT)},
            "value": str(each),
        }
        for each in repositories[:OPTIONS]
        if len(str(each)) <= 150
    ]
    menu = {
        "type": "static_select",
        "action_id": PICK,
        "placeholder": {"type": "plain_text", "text": "Choose a repository"},
        "options": options,
    }
    text = (
        "Which repository? You can also name it in the message, or put `repo:owner/name` in the "
        "channel's topic."
    )
    blocks = [
        _section(text),
        {"type": "actions", "block_id": f"pick:{request}"[:BLOCK_ID_LIMIT], "elements": [menu]},
    ]
    return _message("Which repository?", blocks)


def expired_choice() -> ChatMessage:
    """A menu whose request is no longer there."""
    return said("This request was answered already, or it is too old. Ask again.")


def not_yours() -> ChatMessage:
    """Someone else's menu."""
    return said("Only the person who asked can choose the repository.")


def nothing_asked() -> ChatMessage:
    """A mention without a task."""
    return said(
        "What should I do? Write it after my name, such as `@honk round half up in owner/name`. "
        "`/honk help` lists what I understand."
    )


def no_run_here() -> ChatMessage:
    """A command about a run, in a thread that has none."""
    return said("There is no run in this thread. Use the command in the thread of the run.")


def problem(text: str, next_step: str) -> ChatMessage:
    """A request that cannot be handled, in Honk's own words."""
    return said(escaped(_unmarked(f"{text} {next_step}"), limit=TEXT_LIMIT))


def not_allowed(reason: str) -> ChatMessage:
    """The person lacks rights on GitHub."""
    return said(f"Nothing was started: {escaped(reason, limit=300)}.")


def ask_for_changes() -> ChatMessage:
    """After the button *Ask for changes*."""
    return said("Reply in this thread with what to change.")


def old_button() -> ChatMessage:
    """A button of a message that something newer replaced."""
    return said("This button belongs to an earlier state. Use the newest message of this thread.")


def default_set(repository: str, *, channel: bool) -> ChatMessage:
    """A default repository was set."""
    whose = "This channel's" if channel else "Your"
    return said(f"{whose} default repository is {escaped(repository, limit=140)} now.")


def repository_missing() -> ChatMessage:
    """`default` without a repository."""
    return said("Name the repository: `/honk default owner/name`.")


def not_a_member() -> ChatMessage:
    """Honk is not in the channel."""
    return said("I'm not in that channel. Add me (`/invite`), then ask again.")


def unavailable() -> ChatMessage:
    """GitHub or the database was away for too long."""
    return said("GitHub is not reachable at the moment, so nothing was started. Ask again later.")


def help_text(commands: Sequence[tuple[str, str]], page: str) -> ChatMessage:
    """What can be said in Slack."""
    lines = [
        f"• `{escaped(name, limit=100)}` {escaped(text, limit=150)}" for name, text in commands
    ]
    text = "\n".join(
        [
            "Mention me with a task, in a channel or a thread, or send me a direct message. In one "
            "of my threads, a reply steers the run, answers its question, or asks for changes; "
            "`stop` stops it.",
            *lines,
            f"Your link and defaults: {link(page, page) if page.startswith('http') else page}",
        ]
    )
    return said(text)


# -- the issue on GitHub


def issue_title(text: str) -> str:
    """The issue's title: the request's first line, shortened."""
    first = next((each for each in text.splitlines() if each.strip()), "A request from Slack")
    return sanitize.title(first, limit=_TITLE_LIMIT) or "A request from Slack"


def issue_marker(request: SlackRequest) -> str:
    """The marker line of the issue for a thread."""
    return f"<!-- honk:slack={request.team}/{request.channel}/{request.root or request.id} -->"


def issue_body(
    request: SlackRequest,
    text: str,
    login: str,
    permalink: str,
    thread: Sequence[QuotedMessage],
    *,
    left_out: int,
) -> str:
    """The issue that records a request: the task, where it was asked, and the thread before it."""
    parts = [sanitize.markdown(text, limit=_BODY_TEXT_LIMIT)]
    if request.files:
        parts.append(f"{count(request.files, 'attached file')} in Slack: not read.")
    parts.append(f"Asked by {sanitize.code(login, limit=60)} in [Slack]({permalink}).")
    if thread:
        parts.append(_thread(thread, left_out))
    parts.append(issue_marker(request))
    return "\n\n".join(part for part in parts if part)


def _thread(thread: Sequence[QuotedMessage], left_out: int) -> str:
    """The thread, fenced: it is context and asks for nothing."""
    lines: list[str] = []
    size = 0
    for message in reversed(thread):
        files = f" [{count(message.files, 'file')}, not read]" if message.files else ""
        body = sanitize.fit_middle(sanitize.printable(message.text), _THREAD_MESSAGE_LIMIT)
        entry = f"{sanitize.printable(message.author)} ({message.access}):{files}\n{body}"
        if size + len(entry) > _BODY_THREAD_LIMIT:
            left_out += len(thread) - len(lines)
            break
        size += len(entry)
        lines.append(entry)
    said_there = sanitize.fence("\n\n".join(reversed(lines)), limit=_BODY_THREAD_LIMIT + 2_000)
    more = f" {count(left_out, 'more message')} left out." if left_out else ""
    title = f"The thread before it ({count(len(lines), 'message')}).{more}"
    return f"<details><summary>{title}</summary>\n\n{said_there}\n\n</details>"
