"""Steps, patches and Markdown of a run's page: bounded, complete and harmless."""

from __future__ import annotations

import pytest

from app.domain.transcript import RecordedTurn, read_turn
from app.store.messages import StoredMessage
from app.web.markdown import as_html
from app.web.patches import files_of, shortened
from app.web.run_feed import Cursor
from app.web.transcript import SHORT, StepReader


def _answer(seq: int, *calls: tuple[str, str, dict[str, object]], text: str = "") -> RecordedTurn:
    content: list[dict[str, object]] = [{"type": "text", "text": text}]
    content += [
        {"type": "tool_use", "id": id, "name": name, "input": given} for id, name, given in calls
    ]
    return read_turn({"seq": seq, "role": "assistant", "content": content}, 100.0 + seq)


def _results(seq: int, *results: tuple[str, str]) -> RecordedTurn:
    content = [{"type": "tool_result", "tool_use_id": id, "content": text} for id, text in results]
    return read_turn({"seq": seq, "role": "user", "content": content}, 100.0 + seq)


def test_results_belong_to_their_calls_however_they_arrive() -> None:
    turns = [
        _answer(1, ("a", "bash", {"command": "ls"}), ("b", "bash", {"command": "pwd"})),
        _results(2, ("b", "/workspace")),
        _results(3, ("a", "x" * 10_000)),
        _answer(4, ("c", "bash", {"command": "sleep"})),
    ]
    first, second = StepReader((), {}).steps(turns)
    assert (first.key, first.last, second.key, second.last) == (1, 3, 4, 4)
    assert [each.title for each in first.actions] == ["ls", "pwd"]
    assert first.actions[1].output == "/workspace"
    assert len(first.actions[0].output) <= SHORT
    assert [each.pending for each in (*first.actions, *second.actions)] == [False, False, True]


def test_what_people_said_is_theirs_and_results_without_calls_are_left_out() -> None:
    said = StoredMessage(id="m", author="olivia", text="Use **two**.", created_at=1.0)
    record = {
        "seq": 5,
        "role": "user",
        "content": [{"type": "text", "text": "olivia says"}],
        "usage": {"feedback_id": "m"},
    }
    (step,) = StepReader((), {"m": said}).steps([_results(4, ("gone", "x")), read_turn(record)])
    assert (step.who, step.kind, step.text) == (
        "olivia",
        "person",
        "<p>Use <strong>two</strong>.</p>\n",
    )


@pytest.mark.parametrize(
    ("given", "title"),
    [
        (
            {"command": "str_replace", "path": "/workspace/a.py", "old_str": "a", "new_str": "b"},
            "a.py",
        ),
        ({"file_path": "a.py", "old_string": "a", "new_string": "b"}, "a.py"),
        ({"path": "a.py", "edits": [{"oldText": "a", "newText": "b"}]}, "a.py"),
    ],
)
def test_edits_of_every_engine_are_diffs(given: dict[str, object], title: str) -> None:
    (step,) = StepReader((), {}).steps([_answer(1, ("a", "edit", given))])
    assert step.actions[0].title == f"Edited {title} +1 −1"
    assert [(row.kind, row.text) for row in step.actions[0].rows] == [("del", "a"), ("add", "b")]


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![x](https://evil.test/pixel)",
        "[x](javascript:alert(1))",
        "<a href='data:text/html,x' onclick='x'>x</a>",
        "<form action=/logout><button>x</button></form>",
        "<style>*{display:none}</style>",
        "<iframe src=//evil.test></iframe>",
        "<div id='act' style='position:fixed'>x</div>",
        "</div></main><h1>",
    ],
)
def test_hostile_markdown_loads_and_runs_nothing(text: str) -> None:
    html = as_html(text, (), limit=1_000).lower()
    for part in ("<script", "<img", "<form", "<style", "<iframe", "style=", "id=", "</main"):
        assert part not in html
    for part in (' onerror="', ' onclick="', 'href="javascript', 'href="data'):
        assert part not in html


def test_secrets_are_redacted_before_markdown_hides_them() -> None:
    assert "hunter2hunter2" not in as_html("a `hunter2hunter2` b", ("hunter2hunter2",), limit=100)


def test_a_patch_is_read_by_file_and_cut() -> None:
    patch = (
        "diff --git a/a.py b/a.py\nindex 1..2 100644\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n"
        "--- not a header\n+++ nor this\n"
        "diff --git a/x b/y\nrename from x\nrename to y\n"
        "diff --git a/p.png b/p.png\nBinary files a/p.png and b/p.png differ\n"
    )
    files = files_of(patch)
    assert [(each.path, each.added, each.removed) for each in files] == [
        ("a.py", 1, 1),
        ("y", 0, 0),
        ("p.png", 0, 0),
    ]
    assert [row.text for row in files[0].rows][1:] == ["-- not a header", "++ nor this"]
    assert [each.left_out for each in shortened(files, 2)] == [1, 2, 1]
    assert files_of("") == []


@pytest.mark.parametrize(
    "text", ["", "x", "1", "1.", ".1", "-1.5", "1.2.3", "9" * 30 + ".1", "١.1"]
)
def test_a_cursor_that_nobody_wrote_is_none(text: str) -> None:
    assert Cursor.parse(text) is None
    for cursor in (Cursor(), Cursor(0, 5), Cursor(12, 1_796_074_991_238)):
        assert Cursor.parse(str(cursor)) == cursor
