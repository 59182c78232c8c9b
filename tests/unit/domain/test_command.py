"""The grammar of `/honk`."""

from __future__ import annotations

import time

import pytest

from app.domain.command import Arguments, Command, parse

_SHA = "1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d"


def _read(text: str) -> Command:
    command = parse(text, "honk")
    assert command is not None
    return command


def _task(text: str) -> str | None:
    command = parse(text, "honk")
    return command.task if command else None


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("/honk", ""),
        ("/honk fix it", "fix it"),
        ("/HoNk Fix It", "Fix It"),
        ("@honk please fix it", "please fix it"),
        ("@Honk, please", "please"),
        ("/honk: please", "please"),
        ("   /honk three blanks", "three blanks"),
        ("/honk\u00a0from a phone", "from a phone"),
        ("/honk\u3000wide", "wide"),
        ("\u00a0/honk from a phone", "from a phone"),
        ("\u200f/honk\u200f \u05e9\u05dc\u05d5\u05dd", "\u05e9\u05dc\u05d5\u05dd"),
        ("\u2067/honk\u2069 words", "words"),
        ("\ufeff/honk from a file", "from a file"),
        ("@honk[bot] please do", "please do"),
        ("@Honk[BOT]: do it", "do it"),
        ("/honk\tafter a tab", "after a tab"),
        ("Thanks!\r\n\r\n/honk and now\r\nthe rest\r\n", "and now\nthe rest"),
        ("old\r/honk Mac", "Mac"),
        ("in a paragraph\n/honk look\non", "look\non"),
        ("/honk with\n```py\ncode\n```", "with\n```py\ncode\n```"),
        ("```\n/honk no\n```\n/honk yes", "yes"),
        ("```\n~~~\n```\n/honk yes", "yes"),
        ("````\n```\n/honk no\n````\n/honk yes", "yes"),
        ("- ```\n  /honk no\n  ```\n\n/honk yes", "yes"),
        ("1. item\n   ~~~ py\n   /honk no\n   ~~~\n/honk yes", "yes"),
        ("```not`a fence\n/honk yes", "yes"),
        ("> ```\n\n/honk yes", "yes"),
        ("> /honk no\n\n/honk yes", "yes"),
        ("> quoted\n>\n/honk yes", "yes"),
        ("> # quoted\n/honk yes", "yes"),
        ("> ---\n/honk yes", "yes"),
        ("> ```\n/honk yes", "yes"),
        ("> quoted\n---\n/honk yes", "yes"),
        ("> quoted\n- a\n/honk yes", "yes"),
        ("<details>\n\n/honk no\n</details>\n/honk yes", "yes"),
        ("<details><summary>x</summary>a</details>\n/honk yes", "yes"),
        ("with `<details>` in it\n\n/honk yes", "yes"),
        ("<blockquote>\n/honk no\n</blockquote>\n/honk yes", "yes"),
        ("<!-- /honk no -->\n/honk yes", "yes"),
        ("<!--\n```\n\n/honk no\n-->\n/honk yes", "yes"),
        ("a <!-- b\n\n/honk yes", "yes"),
        ("<pre>\n/honk no\n\n</pre>\n/honk yes", "yes"),
        ("one ` tick\n\n/honk yes `", "yes `"),
        ("\\`\n/honk yes\n`", "yes\n`"),
        ("``\n/honk yes\n`", "yes\n`"),
        ("<code> without end\n\n/honk yes", "yes"),
        ("<details>\n```\n</details>\n```\n/honk yes", "yes"),
        ("The <title> and List<String>\n\n/honk yes", "yes"),
        ("/honk yes\n---", "yes\n---"),
        ("a [link](https://e.com\n'title') b\n/honk yes", "yes"),
        ("[x]: https://e.com\n/honk yes", "yes"),
        ("\u00a0\n/honk yes", "yes"),
        ("- item\n- item\n\n/honk yes", "yes"),
        ("a | b\n-|-\n1 | 2\n\n/honk yes", "yes"),
    ],
)
def test_mentions_of_the_app_are_commands(text: str, task: str) -> None:
    assert _task(text) == task


@pytest.mark.parametrize(
    "text",
    [
        "",
        "honk",
        "please /honk",
        "- /honk in a list",
        "/honker",
        "/honk-max",
        "/honk/x",
        "//honk",
        "/ honk",
        "@honk-team",
        "@honk[bots]",
        "@honkers",
        "me@honk",
        "/hon\u212a",  # the Kelvin sign, which folds to k
        "/h\u043enk",  # a Cyrillic o
        "\uff0fhonk",  # a full-width slash
        "\u200b/honk",
        "\u202e/honk",
        "x\n\ufeff/honk",
        "x\u2028/honk",
        "x\x0b/honk",
        "> /honk",
        ">/honk",
        "   > > /honk",
        "1. > x\n   > /honk",
        "> quoted\n/honk no",
        "> quoted\nand on\n/honk no",
        "> - quoted\n/honk no",
        "- > quoted\n/honk no",
        "> a\n>> b\n/honk no",
        "<details>\n/honk\n</details>",
        "<DETAILS open>\n\n/honk\n",
        "<details>\n<details>\n</details>\n\n/honk\n</details>",
        "<details>\n\n```\n</details>\n```\n\n/honk\n</details>",
        "<code> without end\n/honk",
        "[x](https://e.com 'title\n/honk\n')",
        "[x]: https://e.com 'title\n/honk\n'",
        "[^1]: a note that nothing refers to\n/honk",
        "[^1]\n\n[^1]: a note\n/honk",
        "<div>\n/honk\n</div>",
        "<b title='\n/honk\n'>bold</b>",
        "<?\n/honk\n?>",
        "<svg><title>\n/honk\n</title></svg>",
        "/honk | b\n-|-",
        "<blockquote>\n\n/honk\n\n</blockquote>",
        "- item\n\n      /honk",
        "\u202e/honk",
        "/ho\u200bnk",
        "    /honk",
        "\t/honk",
        "```\n/honk",
        "~~~ sh\n/honk\n```",
        "```\n/honk\n~~~\n/honk\n``",
        "```\n    ```\n/honk",
        "`/honk`",
        "`a\n/honk\n`",
        "``a ` b\n/honk\n``",
        "<!--\n\n/honk\n",
        "a <!--\n/honk\n-->",
        "<PRE>\n/honk\n</PRE>",
        "<code>\n/honk\n</CODE>",
    ],
)
def test_what_does_not_speak_to_honk_is_left_alone(text: str) -> None:
    assert parse(text, "honk") is None


def test_the_mention_is_that_of_this_app() -> None:
    assert parse("@acme-honk go", "acme-honk") is not None
    assert parse("@honk go", "acme-honk") is None
    assert parse("@a.b go", "a.b") is not None
    assert parse("@axb go", "a.b") is None


@pytest.mark.parametrize(
    "piece",
    ["`", "` ", "``` ` ", "<!-- ", "x <!--\n", "<code> ", "```\n", "-   ", "> ", "\t", "\n", "\\`",
     "<pre>\n", "`a\n/honk\n", "/honk a\n", "/honk\n", "> x\n", "<details>\n", ":\n", "budget=1 ",
     "On 2026 <a@b> wrote:\n", "2026 :\n", "From: a\n", "--", "@a@a>", "\u200f"],
)  # fmt: skip
def test_long_comments_take_no_time(piece: str) -> None:
    text = "`\n/honk x\n" + (piece * 65_536)[:65_536] + "\n`"
    start = time.process_time()
    parse(text, "honk")
    assert time.process_time() - start < 10.0  # what is quadratic takes minutes


@pytest.mark.parametrize(
    ("line", "name", "task"),
    [
        ("/honk stop", "stop", ""),
        ("/HONK Stop", "stop", ""),
        ("@honk stop", "stop", ""),
        ("/honk stop\n\nthanks!", "stop", ""),
        ("/honk stop using floats for money", "work", "stop using floats for money"),
        ("/honk go", "go", ""),
        ("/honk go test fails since monday", "work", "go test fails since monday"),
        ("/honk plan", "plan", ""),
        (
            "/honk plan the move to dataclasses\nstep by step",
            "plan",
            "the move to dataclasses\nstep by step",
        ),
        ("/honk ask where is it?", "ask", "where is it?"),
        ("/honk retry", "retry", ""),
        ("/honk status", "status", ""),
        ("/honk help", "help", ""),
        ("/honk continue", "continue", ""),
        ("/honk continue where you left off", "work", "continue where you left off"),
        ("/honk fix", "fix", ""),
        ("/honk fix\nthe lint first", "fix", "the lint first"),
        ("/honk fix the rounding\nplease", "fix", "fix the rounding\nplease"),
        ("/honk undo", "undo", ""),
        ("/honk ready", "ready", ""),
        ("/honk test", "test", ""),
        ("/honk test the rounding", "work", "test the rounding"),
        ("/honk rebase", "rebase", ""),
        ("/honk doctor", "doctor", ""),
        ("/honk trust the tests", "work", "trust the tests"),
        ("/honk accept", "accept", ""),
        ("/honk accept it.", "accept", ""),
        ("/honk accept empty names", "work", "accept empty names"),
        ("/honk accept everything", "work", "accept everything"),
        ("/honk merge", "merge", ""),
        ("/honk merge it now, please.", "merge", ""),
        ("/honk merge squash", "merge", ""),
        ("/honk merge the two helpers", "work", "merge the two helpers"),
        ("/honk merge main", "work", "merge main"),
        ("/honk", "work", ""),
        ("/honk work", "work", ""),
        ("/honk Work\non this", "work", "on this"),
        ("/honk work on the docs", "work", "work on the docs"),
        ("/honk stop.", "stop", ""),
        ("/honk please stop!", "stop", ""),
        ("/honk retry, please", "retry", ""),
        ("/honk stop it", "stop", ""),
        ("/honk undo that, please", "undo", ""),
        ("/honk go ahead!", "go", ""),
        ("/honk fix it", "fix", "fix it"),
        ("/honk fix, please.", "fix", "fix, please."),
        ("/honk retry draft=true please", "retry", ""),
        ("/honk retry draft=maybe for all", "work", "retry draft=maybe for all"),
        ("/honk ask this", "ask", ""),
        ("/honk ask this: why?", "ask", "this: why?"),
        ("/honk please", "work", "please"),
    ],
)
def test_commands_and_sentences(line: str, name: str, task: str) -> None:
    found = parse(line, "honk")
    assert found is not None
    assert (found.name, found.task) == (name, task)


@pytest.mark.parametrize(
    ("text", "task", "arguments"),
    [
        ("/honk continue budget=2", "", Arguments(budget_usd=2)),
        ("/honk continue Budget=$2.50 model=claude-opus-5-5", "",
         Arguments(budget_usd=2.5, model="claude-opus-5-5")),
        ("/honk budget=2 base=release/1.0 fix the rounding", "fix the rounding",
         Arguments(budget_usd=2, base="release/1.0")),
        ("/honk round half up draft=yes\nas banks do", "round half up\nas banks do",
         Arguments(draft=True)),
        ("/honk plan draft=false the move", "the move", Arguments(draft=False)),
        ("/honk plan budget=1\nthe move", "the move", Arguments(budget_usd=1)),
        ("/honk budget=1 continue", "", Arguments(budget_usd=1)),
        ("/honk set budget=5 in the settings", "set budget=5 in the settings", Arguments()),
        ("/honk the default should be `budget=5`", "the default should be `budget=5`",
         Arguments()),
        ("/honk it prints x=1", "it prints x=1", Arguments()),
        ("/honk look at https://x.example/?base=1", "look at https://x.example/?base=1",
         Arguments()),
        ("/honk do this\nbudget=3", "do this\nbudget=3", Arguments()),
    ],
)  # fmt: skip
def test_arguments(text: str, task: str, arguments: Arguments) -> None:
    command = _read(text)
    assert (command.problem, command.task, command.arguments) == ("", task, arguments)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/honk continue budget=lots", "`budget=2.50`"),
        ("/honk continue budget=0", "more than 0"),
        ("/honk continue budget=1001", "up to 1000"),
        ("/honk continue budget=", "US dollars"),
        ("/honk continue budget = 2", "US dollars"),
        ("/honk continue budget=1 budget=2", "twice"),
        ("/honk round up budget=2,50", "US dollars"),
        ("/honk base=-x", "a branch name"),
        ("/honk base=a..b", "a branch name"),
        ("/honk base=main.lock", "a branch name"),
        ("/honk model=<b>", "a model id"),
        ("/honk draft=maybe", "`true` or `false`"),
        ("/honk budjet=2", "did you mean `budget=`?"),
        ("/honk tests=no", "`base=`, `model=`, `budget=`, `draft=`"),
        ("/honk stop budget=2", "`/honk stop` does not take `budget=`; it takes no arguments"),
        ("/honk fix base=main", "it takes `model=`, `budget=`"),
        ("/honk continue base=main", "it takes `model=`, `budget=`"),
        (f"/honk trust {_SHA} budget=1", "no arguments"),
        ("/honk accept 1a2b3c4", "takes the full SHA"),
        ("/honk merge 1a2b3c4", "one full SHA"),
        (f"/honk merge {_SHA} {_SHA}", "one full SHA"),
        ("/honk merge squash rebase", "one method"),
        ("/honk merge squash draft=true", "no arguments"),
        (f"/honk accept {_SHA}0", "takes the full SHA"),
        (f"/honk accept {_SHA} draft=true", "no arguments"),
    ],
)
def test_an_invalid_argument_is_reported(line: str, words: str) -> None:
    assert words in _read(line).problem


@pytest.mark.parametrize(
    ("text", "method", "sha"),
    [
        ("/honk merge", None, ""),
        ("/honk Merge Squash.", "squash", ""),
        (f"/honk merge {_SHA}", None, _SHA),
        (f"/honk merge rebase {_SHA}", "rebase", _SHA),
        (f"/honk merge {_SHA.upper()} merge", "merge", _SHA),
        (f"/honk squash {_SHA}", None, ""),
    ],
)
def test_merge_names_a_method_and_a_commit(text: str, method: str | None, sha: str) -> None:
    found = _read(text)
    assert (found.method, found.sha, found.problem) == (method, sha, "")


@pytest.mark.parametrize("name", ["trust", "accept"])
@pytest.mark.parametrize("sha", [_SHA, _SHA.upper(), _SHA + _SHA[:24]])
def test_a_commit_is_named_in_full(name: str, sha: str) -> None:
    command = _read(f"/honk {name} {sha}")
    assert (command.name, command.sha, command.problem) == (name, sha.lower(), "")


@pytest.mark.parametrize("words", ["", " 1a2b3c4", " nobody", f" {_SHA}0"])
def test_trust_in_no_commit(words: str) -> None:
    command = _read(f"/honk trust{words}")
    assert (command.name, command.sha, command.problem) == ("trust", "", "")


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ("/honk stpo", "stop"),
        ("/honk retyr", "retry"),
        ("/honk Contineu budget=2", "continue"),
        ("/honk st\u043ep", "stop"),
        ("/honk tests", "test"),
        ("/honk hlep\nme", "help"),
        ("/honk refactor", ""),
        ("/honk do", ""),
        ("/honk ok", ""),
        ("/honk stpo it", ""),
        ("/honk stop", ""),
        ("/honk " + "stop" * 10_000, ""),
    ],
)
def test_a_slip_of_the_finger(line: str, near: str) -> None:
    assert _read(line).near == near


@pytest.mark.parametrize(
    ("text", "several"),
    [
        ("/honk one\n/honk two", ("work", "work")),
        ("/honk stop\nthanks\n\n@honk retry", ("stop", "retry")),
        ("/honk stop\n/honk stop", ()),
        ("/honk one\n> /honk two", ()),
        ("/honk one\n```\n/honk two\n```", ()),
        ("/honk a\n" * 3 + "/honk b\n" * 9, ("work",) * 3),
    ],
)
def test_one_command_in_a_comment(text: str, several: tuple[str, ...]) -> None:
    assert _read(text).several == several


_ANSWERED = [
    "On Mon, Nov 21, 2026 at 6:54 AM Ada <ada@x.example> wrote:",
    "On Mon, Nov 21, 2026 at 6:54 AM Ada ***@***.***> wrote:",
    "On Mon, Nov 21, 2026 at 6:54 AM Ada Lovelace\n(of the Engine) <ada@x.example>\nwrote:",
    "On 21. Nov 2026, at 06:54, Ada wrote:",
    "Am Mo., 21. Nov. 2026 um 06:54 Uhr schrieb Ada <ada@x.example>:",
    "Le lun. 21 nov. 2026 \u00e0 06:54, Ada <ada@x.example> a \u00e9crit :",
    "El lun, 21 nov 2026 a las 6:54, Ada (<ada@x.example>) escribi\u00f3:",
    "Il giorno lun 21 nov 2026 alle ore 06:54 Ada <ada@x.example> ha scritto:",
    "2026\u5e7411\u670821\u65e5(\u571f) 6:54 Ada <ada@x.example>:",
    "-----Original Message-----",
    "-----Urspr\u00fcngliche Nachricht-----",
    "---------- Forwarded message ---------",
    "Begin forwarded message:",
    "From: Ada <ada@x.example>\nSent: Monday, November 21, 2026 6:54 AM\nTo: Bob",
    "**Von:** Ada\n**Gesendet:** Montag, 21. November 2026 06:54",
    "De : Ada\nEnvoy\u00e9 : lundi 21 novembre 2026 06:54",
]


@pytest.mark.parametrize("header", _ANSWERED)
def test_the_message_that_is_answered_asks_for_nothing(header: str) -> None:
    assert parse(f"Thanks!\n\n{header}\n\n/honk stop\n", "honk") is None
    assert parse(f"Thanks!\n\n{header}\n> /honk stop\n", "honk") is None
    assert _read(f"/honk go\n\n{header}\n\n/honk stop\n").several == ()
    assert _task(f"/honk round up\n\n{header}\n\nold words\n/honk stop") == "round up"
    assert _task(f"/honk round up\n{header}\n> old words") == "round up"


@pytest.mark.parametrize("header", _ANSWERED[:4])
def test_a_reply_below_the_quoted_message_is_read(header: str) -> None:
    assert _task(f"{header}\n\n> old words\n\n/honk round up") == "round up"


@pytest.mark.parametrize(
    "line",
    [
        "From: here on it is wrong",
        "The log of 2026-11-21 06:54:",
        "Ada wrote:",
        "--- a separator ---",
        "```\nFrom: a\nSent: b\n```",
    ],
)
def test_text_that_looks_a_little_like_mail(line: str) -> None:
    assert _task(f"{line}\n\n/honk round up") == "round up"
