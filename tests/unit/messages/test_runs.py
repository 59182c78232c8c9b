"""The transcript and the facts of a run in the terminal."""

from __future__ import annotations

from app.domain.run import Phase
from app.domain.transcript import RecordedCall, RecordedResult, RecordedTurn
from app.messages import runs


def _output(text: str, *, whole: bool) -> list[str]:
    turn = RecordedTurn(seq=2, role="user", results=(RecordedResult(call="t", text=text),))
    return [line for _, line in runs.turn_lines(turn, whole=whole)]


def test_long_output_is_cut_in_the_middle_unless_all_is_asked_for() -> None:
    text = "\n".join(f"line {number}" for number in range(100))
    cut = _output(text, whole=False)
    assert (cut[0], cut[-1]) == ("  line 0", "  line 99")
    assert "  … 88 lines left out …" in cut
    assert _output(text, whole=True) == [f"  line {number}" for number in range(100)]


def test_nothing_recorded_can_move_the_cursor_or_hide() -> None:
    hostile = "\x1b[2Jclear\x1b]0;title\x07 \u202eback\u200b\rover"
    shown = "\n".join(_output(hostile, whole=True))
    assert not any(each in shown for each in "\x1b\x07\u202e\u200b\r")


def test_a_call_is_one_line_and_its_long_arguments_follow() -> None:
    call = RecordedCall(id="t", name="edit", arguments={"path": "a.py", "text": "one\ntwo", "n": 3})
    lines = list(runs.turn_lines(RecordedTurn(seq=1, role="assistant", calls=(call,)), whole=False))
    assert lines == [
        ("call", "edit a.py 3"),
        ("text", "  text:"),
        ("text", "    one"),
        ("text", "    two"),
    ]


def test_each_phase_has_its_time_and_the_last_one_lasts_until_the_end() -> None:
    phases = [(Phase.QUEUED, 0.0), (Phase.WORKING, 5.0), (Phase.FINISHED, 70.0)]
    assert runs.phase_rows(phases, 70.0) == [
        ("queued", "1970-01-01 00:00:00", "5 s"),
        ("working", "1970-01-01 00:00:05", "1 min 5 s"),
    ]
    assert runs.phase_rows(phases[:2], 6.0)[-1][-1] == "1 s"
