"""Title and description of a pull request, and the commit message."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.domain import pull_template, sanitize
from app.domain.flag import Flag
from app.domain.report import (
    Usage,
    Work,
)
from app.domain.run import RunInput
from app.domain.values import RunId, short
from app.domain.verdict import Verdict, VerdictKind
from app.messages import verdict as verdicts
from app.messages.check_run import flags_section
from app.messages.formatting import (
    COMMENT_LIMIT,
    ROOM_BESIDE,
    TITLE_LIMIT,
    fit_comment,
    flow,
    omitted_files,
    planned,
    pull_marker,
    shown_login,
    usage_line,
)

_REQUEST_SHOWN = 200
SETUP_TITLE = "Add .github/honk.yml with this repository's setup"


def plain_title(run: RunInput) -> str:
    """The issue's title, unless the run is not about the issue."""
    return SETUP_TITLE if run.mode == "setup" else run.trigger.title


def title(run: RunInput, styled: str) -> str:
    """The title of a pull request, from the title in the repository's style."""
    title = sanitize.title(styled, limit=TITLE_LIMIT - 20)
    return title or f"Work on issue {run.trigger.number}"


def _setup_by(usage: Usage) -> str:
    if not usage.cost_usd:
        return "No model was involved; Honk measured everything."
    return "A model chose names; Honk built the commands and measured everything."


def body(
    run: RunInput,
    work: Work,
    verdict: Verdict,
    sha: str,
    usage: Usage,
    flags: Sequence[Flag] = (),
    template: str = "",
    why_draft: str = "",
    attestation: str = "",
) -> str:
    """The verdict and its evidence, then what changed and why, how to check it, and cost.

    What was measured comes before any text that a person or the model wrote. `why_draft` is why
    it is a draft besides the verdict, as a sentence of Markdown. `attestation` is the URL of the
    signed evidence, or empty.
    """
    trigger = run.trigger
    about = (
        f"Follow-up to #{trigger.number}"
        if trigger.is_pull_request
        else f"{'Requested in' if run.mode == 'setup' else 'Closes'} #{trigger.number}"
    )
    by_whom = (
        _setup_by(usage)
        if run.mode == "setup"
        else "The description was written by the model; the test results were measured."
    )
    ours = [verdict_block(run.id, verdict, sha, flags, why_draft, attestation), about]
    if work.left_out:
        ours += ["## Left out of the commit", omitted_files(work)]
    foot = [
        f"<sub>{usage_line(usage)} · run `{run.id}` · "
        f"requested by {shown_login(trigger.actor.login)}. {by_whom}</sub>",
        pull_marker(run.id),
    ]
    room = max(0, COMMENT_LIMIT - len("\n\n".join([*ours, *foot])) - ROOM_BESIDE)
    theirs = [
        _requested(run),
        planned(run.planned, limit=min(10_000, room // 5)),
        "## Changes",
        sanitize.markdown(work.text, limit=min(15_000, room // 5)) or "No description provided.",
    ]
    for heading, text in (
        ("## Not done", work.not_done),
        ("## How to check", work.how_to_check),
        ("## Risks", work.risks),
        ("## Look at first", work.look_first),
    ):
        if text.strip():
            theirs += [heading, sanitize.markdown(text, limit=min(4_000, room // 8))]
    if template and not pull_template.is_followed(template, work.text):
        filled = sanitize.markdown(template, limit=min(10_000, room // 5))
        theirs += ["## Pull request template to fill in", filled] if filled else []
    return fit_comment("\n\n".join(part for part in (*ours, *theirs, *foot) if part))


def verdict_block(
    run: RunId,
    verdict: Verdict,
    sha: str,
    flags: Sequence[Flag] = (),
    why_draft: str = "",
    attestation: str = "",
) -> str:
    """The verdict on a commit with its evidence, between markers, so that it can be updated."""
    lines = [
        verdicts.statement(verdict),
        verdicts.expectations(verdict),
        _draft(verdict, sha, why_draft),
        flags_section(flags),
        _details(verdict, sha, attestation),
    ]
    return "\n\n".join(part for part in (_begin(run), *lines, _END) if part)


def has_verdict(body: str) -> bool:
    """Whether the description has a verdict block; people may have removed it."""
    return _BLOCK.search(body) is not None


def with_verdict(body: str, block: str) -> str:
    """The description with this verdict block in place of the one it has."""
    return fit_comment(_BLOCK.sub(lambda _: block, body, count=1))


def outside_verdict(body: str) -> str:
    """The description without its verdict block."""
    return _BLOCK.sub("", body, count=1)


def without_verdict(body: str, run: RunId) -> str:
    """The description of a pull request whose commits of this run were reverted.

    A verdict on them is replaced by what to do; one on other commits stays.
    """
    found = _BLOCK.search(body)
    if found is None or found[1] != run:
        return body
    return with_verdict(body, "\n\n".join((_begin(run), _NOT_TESTED, _END)))


def with_acceptance(body: str, kind: VerdictKind, login: str, sha: str) -> str:
    """The description after a person accepted the verdict; unchanged if it says so already."""
    said, how = verdicts.accepted(login, sha), verdicts.how_to_go_on(kind, sha)
    if said in body:
        return body
    # Another reason for the draft may follow, which stays.
    body = body.replace(f"{_DRAFT}{how} ", f"{said}\n\n{_DRAFT}", 1)
    return fit_comment(body.replace(f"{_DRAFT}{how}", said, 1))


def _begin(run: RunId) -> str:
    return f"<!-- honk:verdict={run} -->"


_DRAFT = "**Draft.** "
_NOT_TESTED = "**Not tested** since the last run was reverted. To test it, comment `/honk test`."
_END = "<!-- honk:verdict-end -->"
# Only a marker on a separate line counts; names from the repository are within lines.
_BLOCK = re.compile(
    r"^<!-- honk:verdict=(\w+) -->[ \t]*$.*?^<!-- honk:verdict-end -->[ \t]*$", re.S | re.M
)


def _draft(verdict: Verdict, sha: str, why_draft: str) -> str:
    """Why the pull request is a draft, and what to do about it; empty if it is not."""
    steps = [step for step in (verdicts.next_step(verdict, sha), why_draft) if step]
    return f"{_DRAFT}{flow(*steps)}" if steps else ""


def _details(verdict: Verdict, sha: str, attestation: str) -> str:
    """The numbers and names, folded."""
    parts = [
        verdicts.table(verdict),
        verdicts.notes_list(verdict),
        verdicts.signed(attestation),
    ]
    content = "\n\n".join(part for part in parts if part)
    title = f"Tests on {short(sha)}, from a clean checkout of that commit"
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>" if content else ""


def unfinished(number: int) -> str:
    """Why it is a draft: the agent did not finish what #`number` asks for."""
    return f"The work is not finished. To go on, comment `/honk continue` on #{number}."


def judge_objects() -> str:
    """Why it is a draft: the judge did not approve the change."""
    return "The model that reviews changes did not pass it. If you do, comment `/honk ready`."


def draft_requested() -> str:
    """Why it is a draft: the policy or the requester wants drafts."""
    return "A draft was requested. When it is ready for review, comment `/honk ready`."


def flags_to_review() -> str:
    """Why it is a draft: flags that the policy blocks."""
    return "Review the flagged lines. If they are fine, comment `/honk ready`."


def follow_up(
    run: RunInput, work: Work, verdict: Verdict, sha: str, usage: Usage, measured: str = ""
) -> str:
    """What a later run on our own pull request did, for the end of its description.

    `measured` is the run's verdict block, if the description has none to update.
    """
    parts = [
        f"## {short(sha)}: {sanitize.plain(run.request or run.trigger.title, limit=120)}",
        measured or verdicts.line(verdict),
        f"Left out of the commit:\n\n{omitted_files(work)}" if work.left_out else "",
        sanitize.markdown(work.text, limit=8_000),
        f"<sub>{usage_line(usage)} · run `{run.id}` · "
        f"requested by {shown_login(run.trigger.actor.login)}"
        "</sub>",
    ]
    return "\n\n".join(part for part in parts if part)


def with_follow_up(body: str, run: RunId, section: str) -> str:
    """The description with a run's own section at its end; an existing one is replaced."""
    begin, end = f"<!-- honk:part={run} -->", f"<!-- honk:part-end={run} -->"
    before, found, rest = body.partition(begin)
    after = rest.partition(end)[2] if found else ""
    whole = f"{before.rstrip()}\n\n{begin}\n\n{section}\n\n{end}\n{after.strip()}"
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


def commit_title(run: RunInput) -> str:
    """The source of a commit's subject: the request on a pull request, or the issue's title."""
    if run.mode == "setup":
        return SETUP_TITLE
    asked = run.request.strip().split("\n")[0] if run.trigger.is_pull_request else ""
    return (asked or run.trigger.title).strip().lstrip("#")


def commit_message(
    run: RunInput, work: Work, title: str, *, length: int, signer: str | None, issue: str = ""
) -> str:
    """Subject (at most `length` characters), body and trailers. Nothing in the text can forge a
    trailer.

    `issue` is the repository's prefix of a commit's issue number, such as `Fixes: `.
    """
    trigger = run.trigger
    subject = sanitize.title(title, limit=length) or f"Work on #{trigger.number}"
    body = "" if run.mode == "setup" else sanitize.message(work.text, limit=4_000)
    named = issue and run.mode != "setup" and not trigger.is_pull_request
    trailers = [
        *([f"{issue}#{trigger.number}"] if named else []),
        f"Honk-Run: {run.id}",
        f"Co-authored-by: {_address(trigger.actor.login, trigger.actor.id)}",
    ]
    if signer:
        trailers.append(f"Signed-off-by: {signer}")
    return "\n\n".join(part for part in (subject, body, "\n".join(trailers)) if part) + "\n"


def _requested(run: RunInput) -> str:
    """One line that links to the comment with the request; empty where the issue says it all."""
    asked = sanitize.plain(" ".join(run.request.split()), limit=_REQUEST_SHOWN)
    comment = run.trigger.comment
    if not asked or comment is None:
        return ""
    return f"Requested in [a comment]({comment.url}): {asked}"


def _address(login: str, account_id: int) -> str:
    """The address that GitHub links to the account.

    https://docs.github.com/en/account-and-profile/reference/email-addresses-reference
    """
    return f"{login} <{account_id}+{login}@users.noreply.github.com>"
