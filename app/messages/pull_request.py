"""Title and description of a pull request, and the commit message."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.domain import markdown, pull_template, sanitize
from app.domain.flag import Flag
from app.domain.report import (
    Usage,
    Work,
)
from app.domain.run import RunInput
from app.domain.trigger import Trigger
from app.domain.values import RunId, short
from app.domain.verdict import Verdict
from app.messages.check_run import (
    flags_section,
    verdict_table,
)
from app.messages.formatting import (
    ASKED_HEADING,
    COMMENT_LIMIT,
    ROOM_BESIDE,
    TITLE_LIMIT,
    fit_comment,
    omitted_files,
    planned,
    pull_marker,
    reasons,
    shown_login,
    usage_line,
)


def title(trigger: Trigger) -> str:
    """The issue's title."""
    title = sanitize.title(trigger.title, limit=TITLE_LIMIT - 20)
    return title or f"Work on issue {trigger.number}"


def body(
    run: RunInput,
    work: Work,
    verdict: Verdict,
    sha: str,
    usage: Usage,
    flags: Sequence[Flag] = (),
    template: str = "",
) -> str:
    """Test results, request, changes and cost.

    Measured results come before any text that a person or the model wrote.
    """
    trigger = run.trigger
    about = (
        f"Follow-up to #{trigger.number}"
        if trigger.is_pull_request
        else f"Closes #{trigger.number}"
    )
    ours = [
        about,
        "## Test results",
        f"**{verdict.title}** on {short(sha)}, from a clean checkout of that commit.",
        *reasons(verdict),
        verdict_table(verdict),
        flags_section(flags),
    ]
    if work.left_out:
        ours += ["## Left out of the commit", omitted_files(work)]
    foot = [
        f"<sub>{usage_line(usage)} · run `{run.id}` · "
        f"requested by {shown_login(trigger.actor.login)}. "
        "The description was written by the model; the test results were measured.</sub>",
        pull_marker(run.id),
    ]
    room = COMMENT_LIMIT - len("\n\n".join([*ours, *foot])) - ROOM_BESIDE
    theirs = [
        ASKED_HEADING,
        _asked(trigger, run.request, limit=min(8_000, room // 5)),
        planned(run.planned, limit=min(10_000, room // 5)),
        "## Changes",
        sanitize.markdown(work.text, limit=min(15_000, room // 5)) or "No description provided.",
    ]
    if work.not_done.strip():
        told = sanitize.markdown(work.not_done, limit=min(5_000, room // 5))
        theirs += ["## Not done", told]
    if work.how_to_check.strip():
        told = sanitize.markdown(work.how_to_check, limit=min(5_000, room // 5))
        theirs += ["## How to check", told]
    if template and not pull_template.is_followed(template, work.text):
        told = sanitize.markdown(template, limit=min(10_000, room // 5))
        theirs += ["## Pull request template to fill in", told] if told else []
    return fit_comment("\n\n".join(part for part in (*ours, *theirs, *foot) if part))


def follow_up(
    run: RunInput,
    work: Work,
    verdict: Verdict,
    sha: str,
    usage: Usage,
    flags: Sequence[Flag] = (),
) -> str:
    """What a later run on our own pull request did, for the end of its description."""
    parts = [
        f"## {short(sha)}: {sanitize.plain(run.request or run.trigger.title, limit=120)}",
        f"**{verdict.title}** on {short(sha)}, from a clean checkout of that commit.",
        *reasons(verdict),
        flags_section(flags),
        f"Left out of the commit:\n\n{omitted_files(work)}" if work.left_out else "",
        sanitize.markdown(work.text, limit=8_000),
        f"<sub>{usage_line(usage)} · run `{run.id}` · "
        f"requested by {shown_login(run.trigger.actor.login)}"
        "</sub>",
    ]
    return "\n\n".join(part for part in parts if part)


def with_follow_up(body: str, run: RunId, told: str) -> str:
    """The description with a run's own section at its end; an existing one is replaced."""
    begin, end = f"<!-- honk:part={run} -->", f"<!-- honk:part-end={run} -->"
    before, found, rest = body.partition(begin)
    after = rest.partition(end)[2] if found else ""
    whole = f"{before.rstrip()}\n\n{begin}\n\n{told}\n\n{end}\n{after.strip()}"
    whole = whole.rstrip() + "\n"
    while len(whole) > COMMENT_LIMIT and (oldest := _PART.search(whole)) and oldest[1] != run:
        # Remove whole sections, oldest first: a cut inside one could leave a fence open.
        whole = whole[: oldest.start()] + _LEFT_OUT + whole[oldest.end() :].removeprefix(_LEFT_OUT)
    return fit_comment(whole)


_PART = re.compile(
    r"(?:^_Left out[^\n]*\n+)?<!-- honk:part=(\w+) -->.*?<!-- honk:part-end=\1 -->\n*", re.S | re.M
)


_LEFT_OUT = "_Left out to stay within GitHub's length limit: what earlier runs did._\n\n"


def not_ready_title(title: str) -> str:
    """The title of a regular pull request where GitHub refuses drafts."""
    return sanitize.title(f"Not ready: {title}", limit=TITLE_LIMIT)


def commit_message(run: RunInput, work: Work, *, signer: str | None) -> str:
    """Subject, body and trailers. Nothing in the text can forge a trailer."""
    trigger = run.trigger
    asked = run.request.strip().split("\n")[0] if trigger.is_pull_request else ""
    title = (asked or trigger.title).strip().lstrip("#")
    subject = sanitize.title(title, limit=72) or f"Work on #{trigger.number}"
    body = sanitize.message(work.text, limit=4_000)
    trailers = [
        f"Honk-Run: {run.id}",
        f"Co-authored-by: {_address(trigger.actor.login, trigger.actor.id)}",
    ]
    if signer:
        trailers.append(f"Signed-off-by: {signer}")
    return "\n\n".join(part for part in (subject, body, "\n".join(trailers)) if part) + "\n"


def _asked(trigger: Trigger, request: str, *, limit: int) -> str:
    asked = sanitize.markdown(request or trigger.body, limit=limit)
    title = sanitize.plain(trigger.title, limit=TITLE_LIMIT)
    return markdown.quoted(f"**{title}**\n\n{asked}".strip())


def _address(login: str, account_id: int) -> str:
    """The address that GitHub links to the account.

    https://docs.github.com/en/account-and-profile/reference/email-addresses-reference
    """
    return f"{login} <{account_id}+{login}@users.noreply.github.com>"
