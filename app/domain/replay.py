"""Comparing a replayed run with the recorded one. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from app.domain.transcript import RecordedCall, RecordedTurn
from app.domain.values import Value
from app.domain.verdict import Verdict


class CallDifference(Value):
    """A call with a different answer."""

    call: RecordedCall
    then: str
    now: str


class ReplayDifference(Value):
    """The first difference. `turn` is the recorded turn of the model; None for the end.

    "tree": its tools left different files. "calls": the replay did not get to that turn, or made
    different calls. "verdict": the files are the same, but the verdict is not.
    """

    what: Literal["tree", "calls", "verdict"]
    turn: int | None
    then: str
    now: str
    calls: tuple[RecordedCall, ...] = ()
    answers: tuple[CallDifference, ...] = ()


class ReplayComparison(Value):
    """The result of a replay. `trees` counts compared trees, `answers` the calls whose answers
    differ in text; times and temporary names vary, so that alone is not a difference.
    """

    difference: ReplayDifference | None
    turns: int
    trees: int
    answers: int
    verdict_compared: bool


class _Acted(Value):
    """A turn of the model with the results of its calls."""

    turn: RecordedTurn
    answer: RecordedTurn | None


def compare(
    then: Sequence[RecordedTurn],
    now: Sequence[RecordedTurn],
    verdicts: tuple[Verdict | None, Verdict | None],
) -> ReplayComparison:
    """Compare turn by turn, then the verdicts; one of these is compared if both are there."""
    pairs = list(zip(_acted(then), _acted(now), strict=False))
    trees = answers = 0
    for old, new in pairs:
        others = _other_answers(old, new)
        difference = _difference(old, new, others)
        if difference is not None:
            return _comparison(difference, old.turn.seq, trees, answers, verdicts)
        trees += bool(_tree(old) and _tree(new))
        answers += len(others)
    missing = _missing(then, len(pairs))
    difference = missing or _verdict_difference(*verdicts)
    return _comparison(difference, len(pairs), trees, answers, verdicts)


def _comparison(
    difference: ReplayDifference | None,
    turns: int,
    trees: int,
    answers: int,
    verdicts: tuple[Verdict | None, Verdict | None],
) -> ReplayComparison:
    early = difference is not None and difference.what != "verdict"
    return ReplayComparison(
        difference=difference,
        turns=turns,
        trees=trees,
        answers=answers,
        verdict_compared=not early and None not in verdicts,
    )


def _acted(turns: Sequence[RecordedTurn]) -> Iterator[_Acted]:
    answers = {turn.seq: turn for turn in turns if turn.role == "user" and turn.results}
    for turn in turns:
        if turn.role == "assistant":
            yield _Acted(turn=turn, answer=answers.get(turn.seq + 1))


def _difference(
    old: _Acted, new: _Acted, others: tuple[CallDifference, ...]
) -> ReplayDifference | None:
    calls = [(each.name, each.arguments) for each in old.turn.calls]
    if calls != [(each.name, each.arguments) for each in new.turn.calls]:
        said = ", ".join(each.name for each in new.turn.calls) or "no call"
        return ReplayDifference(
            what="calls", turn=old.turn.seq, then="", now=said, calls=old.turn.calls
        )
    before, after = _tree(old), _tree(new)
    if before and after and before != after:
        return ReplayDifference(
            what="tree",
            turn=old.turn.seq,
            then=before,
            now=after,
            calls=old.turn.calls,
            answers=others,
        )
    return None


def _tree(acted: _Acted) -> str | None:
    return acted.answer.snapshot if acted.answer else None


def _other_answers(old: _Acted, new: _Acted) -> tuple[CallDifference, ...]:
    """Calls in order, since their ids are new each time."""
    then, now = _answers(old), _answers(new)
    return tuple(
        CallDifference(call=call, then=before, now=after)
        for call, before, after in zip(old.turn.calls, then, now, strict=False)
        if before is not None and after is not None and before != after
    )


def _answers(acted: _Acted) -> list[str | None]:
    results = {each.call: each.text for each in (acted.answer.results if acted.answer else ())}
    return [results.get(call.id) for call in acted.turn.calls]


def _missing(then: Sequence[RecordedTurn], replayed: int) -> ReplayDifference | None:
    left = [turn for turn in then if turn.role == "assistant"][replayed:]
    if not left:
        return None
    return ReplayDifference(
        what="calls", turn=left[0].seq, then="", now="the run had ended", calls=left[0].calls
    )


def _verdict_difference(then: Verdict | None, now: Verdict | None) -> ReplayDifference | None:
    if then is None or now is None or (then.kind, then.title) == (now.kind, now.title):
        return None
    return ReplayDifference(what="verdict", turn=None, then=then.title, now=now.title)
