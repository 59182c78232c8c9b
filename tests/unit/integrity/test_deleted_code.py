"""Removed tests whose exercised code the change deleted, too."""

from __future__ import annotations

import pytest

from app.domain.diff import Diff, FileDiff
from app.domain.evidence import ChangedSides
from app.integrity.deleted_code import removed_with_code
from tests.unit.integrity.test_moved_tests import results

FLASK = """\
@app.route("/new")
def new():
    return "new"


@app.route("/old/<int:number>")
def old(number):
    return "old"
"""
FLASK_TEST = "def test_{0}():\n    assert client.get('/{0}/1').text == '{0}'\n"
GO = """\
package a
func routes(m *http.ServeMux) {
	m.HandleFunc("/new", newPage)
	m.HandleFunc("/old", oldPage)
}
func newPage(w http.ResponseWriter, r *http.Request) { w.Write([]byte("new")) }
func oldPage(w http.ResponseWriter, r *http.Request) { w.Write([]byte("old")) }
"""
GO_LESS = GO.replace('\tm.HandleFunc("/old", oldPage)\n', "")
GO_TEST = (
    'package a\nfunc TestOld(t *testing.T) {\n\tif get("/old") != "old" {\n\t\tt.Fatal()\n\t}\n}\n'
)
EXPRESS = """\
app.get('/new', (req, res) => { res.send('new') })
app.get('/old', (req, res) => { res.send('old') })
"""
CLICK = "@cli.command()\ndef old_one():\n    print(1)\n\n\ndef main():\n    cli()\n"
ARGPARSE = """\
def old():
    print(1)

def main():
    commands.add_parser("obsolete").set_defaults(run=old)
"""

Files = dict[str, tuple[str | None, str | None]]

DELETED: dict[str, tuple[Files, str]] = {
    "a route with a parameter": (
        {
            "app.py": (FLASK, FLASK[: FLASK.index("\n\n\n") + 1]),
            "test_a.py": (FLASK_TEST.format("old"), ""),
        },
        "test_a.py::test_old",
    ),
    "a route that another function registers": (
        {
            "a.go": (GO, GO_LESS[: GO_LESS.index("func oldPage")]),
            "a_test.go": (GO_TEST, "package a\n"),
        },
        "example.com/a TestOld",
    ),
    "one of several handlers without names": (
        {
            "app.js": (EXPRESS, EXPRESS.splitlines()[0]),
            "app.test.js": ("it('is old', () => { expect(get('/old')).toBe('old') })", ""),
        },
        "app.test.js > is old",
    ),
    "a command with the name of its function": (
        {
            "cli.py": (CLICK, CLICK[CLICK.index("def main") :]),
            "test_a.py": ("def test_a():\n    assert run(['old-one']) == 0\n", ""),
        },
        "test_a.py::test_a[x]",
    ),
    "a command with another name": (
        {
            "cli.py": (ARGPARSE, "def main():\n    pass\n"),
            "test_a.py": ("def test_a():\n    assert run(['obsolete']) == 0\n", ""),
        },
        "test_a.py::test_a",
    ),
    "a script": (
        {
            "bin/old.sh": ("echo 1\n", None),
            "test_a.py": ("def test_a():\n    assert run('bin/old.sh') == 0\n", ""),
        },
        "test_a.py::test_a",
    ),
    "a patched name": (
        {
            "pkg/a.py": ("def fetch():\n    return 1\n", ""),
            "test_a.py": (
                "def test_a():\n    with patch('pkg.a.fetch'):\n        assert f()\n",
                "",
            ),
        },
        "test_a.py::test_a",
    ),
}


def found(files: Files, test_id: str) -> list[str]:
    diff = Diff(tuple(FileDiff.of(path, *texts) for path, texts in files.items()))
    source = tuple(path for path in files if "test" not in path)
    names = removed_with_code(diff, ChangedSides(source=source), results(test_id), results("other"))
    return [name.id for name in names]


@pytest.mark.parametrize("what", DELETED)
def test_a_test_that_reaches_deleted_code_through_a_text(what: str) -> None:
    files, test_id = DELETED[what]
    assert found(files, test_id) == [test_id]


@pytest.mark.parametrize("what", DELETED)
def test_the_same_with_code_that_only_changed(what: str) -> None:
    files, test_id = DELETED[what]
    changed = {
        path: (old, f"{old}\n" if "test" not in path else new) for path, (old, new) in files.items()
    }
    assert found(changed, test_id) == []


@pytest.mark.parametrize(
    "files",
    [
        # A check inside a function that is still there.
        {
            "a.py": (
                "def pay(n):\n    check(n)\n\n\ndef check(n):\n    raise Odd('too little')\n",
                "def pay(n):\n    return n\n",
            ),
            "test_a.py": ("def test_a():\n    assert message(pay, 0) == 'too little'\n", ""),
        },
        # The route has another function now.
        {
            "app.py": (FLASK, FLASK.replace("def old(", "def newer(")),
            "test_a.py": (FLASK_TEST.format("old"), ""),
        },
        # Another route.
        {
            "app.py": (FLASK, FLASK[: FLASK.index("\n\n\n") + 1]),
            "test_a.py": (FLASK_TEST.format("new"), ""),
        },
        # The function moved.
        {
            "cli.py": (CLICK, CLICK[CLICK.index("def main") :]),
            "other.py": (None, CLICK[: CLICK.index("def main")]),
            "test_a.py": ("def test_old():\n    assert run(['old_one']) == 0\n", ""),
        },
        # The test is still there.
        {
            "bin/old.sh": ("echo 1\n", None),
            "test_a.py": ("def test_old():\n    assert run('bin/old.sh') == 0\n",) * 2,
        },
    ],
)
def test_code_that_is_still_there(files: Files) -> None:
    assert found(files, "test_a.py::test_a") == found(files, "test_a.py::test_old") == []


def test_a_test_of_the_same_name_in_another_file() -> None:
    files, _ = DELETED["a script"]
    assert found(files, "other/test_a.py::test_a") == []
    assert found(files, "test_a.py::not_test_a") == []


def test_hostile_contents() -> None:
    for text in ('"' + '\\"' * 20_000, "'" * 20_000, "`\\" * 5_000):
        assert found({"a.py": (text, ""), "test_a.py": ("def test_a(): ''", "")}, "test_a") == []
