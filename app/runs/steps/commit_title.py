"""The title of a run's change, in the style of the repository's commits."""

from __future__ import annotations

from app.domain.bug import is_bug
from app.domain.commit_style import SUBJECTS, CommitStyle, learned, styled
from app.domain.run import RunInput
from app.domain.sanitize import printable
from app.domain.values import CommitSha, TreeSha, Value
from app.git.command import GitError
from app.runs.services import Services
from app.runs.steps import handoff


class CommitTitle(Value):
    """`text` may be longer than `length`, the repository's usual limit.

    `issue` is what the repository's commits write before an issue's number, or empty.
    """

    text: str
    length: int
    issue: str = ""


async def commit_title(
    services: Services, run: RunInput, plain: str, base: CommitSha, changed: TreeSha
) -> CommitTitle:
    """The plain title in the style of the base's history, by what the tree `changed` changes.

    A history that cannot be read shows no style.
    """
    repo = run.trigger.repository
    try:
        await handoff.fetch_commits(services, run, base)
        history = await services.mirrors.history(repo, base, SUBJECTS)
        changes = await services.mirrors.changes(repo, base, changed)
    except GitError:
        return CommitTitle(text=plain, length=CommitStyle().length)
    style = learned(each.message for each in history)
    text = styled(
        style,
        plain,
        bug=is_bug(run.trigger, run.policy),
        labels=run.trigger.labels,
        paths=[printable(each.path) for each in changes],
    )
    return CommitTitle(text=text or plain, length=style.length, issue=style.issue)
