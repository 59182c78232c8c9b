"""Where two runs of the same turns differ first."""

from __future__ import annotations

from app.domain.replay import compare
from app.domain.transcript import RecordedCall, RecordedResult, RecordedTurn
from app.domain.verdict import Verdict, VerdictKind


def _turns(*steps: tuple[str, str, str | None]) -> list[RecordedTurn]:
    """A request, then for each step a call of `bash`, its answer, and the tree after it."""
    turns = [RecordedTurn(seq=0, role="user", text="do it")]
    for command, answer, tree in steps:
        call = RecordedCall(id=f"t{len(turns)}", name="bash", arguments={"command": command})
        turns.append(RecordedTurn(seq=len(turns), role="assistant", calls=(call,)))
        result = RecordedResult(call=call.id, text=answer)
        turns.append(RecordedTurn(seq=len(turns), role="user", results=(result,), snapshot=tree))
    return turns


def _verdict(title: str) -> Verdict:
    return Verdict(kind=VerdictKind.PROVEN, conclusion="success", title=title, ready=True)


def test_the_same_trees_and_verdict_are_the_same() -> None:
    then = _turns(("ls", "a", "t1"), ("date", "12:00", "t1"))
    now = _turns(("ls", "a", "t1"), ("date", "12:01", "t1"))
    found = compare(then, now, (_verdict("Proven"), _verdict("Proven")))
    assert found.difference is None
    assert (found.turns, found.trees, found.answers, found.verdict_compared) == (2, 2, 1, True)


def test_the_first_other_tree_is_named_with_its_answers() -> None:
    then = _turns(("ls", "a", "t1"), ("make", "ok", "t2"), ("rm x", "", "t3"))
    now = _turns(("ls", "a", "t1"), ("make", "no cc", "t9"), ("rm x", "", "t8"))
    difference = compare(then, now, (None, None)).difference
    assert difference is not None
    assert (difference.what, difference.turn) == ("tree", 3)
    assert (difference.then, difference.now) == ("t2", "t9")
    assert [(each.then, each.now) for each in difference.answers] == [("ok", "no cc")]


def test_a_replay_that_ends_early_or_does_something_else_is_a_difference() -> None:
    then = _turns(("ls", "a", "t1"), ("make", "ok", "t2"))
    early = compare(then, _turns(("ls", "a", "t1")), (None, None)).difference
    assert early is not None
    assert (early.what, early.turn, early.now) == ("calls", 3, "the run had ended")
    other = compare(then, _turns(("pwd", "a", "t1")), (None, None)).difference
    assert other is not None
    assert (other.what, other.turn) == ("calls", 1)


def test_another_verdict_on_the_same_files_is_a_difference() -> None:
    turns = _turns(("ls", "a", "t1"))
    found = compare(turns, turns, (_verdict("Proven: 1"), _verdict("Proven: 2")))
    assert found.difference is not None
    assert found.difference.what == "verdict"
    unknown = compare(turns, turns, (None, _verdict("Proven")))
    assert (unknown.difference, unknown.verdict_compared) == (None, False)
