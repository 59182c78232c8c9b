"""`.github/honk.yml`: absent, wrong and right are three different things."""

from __future__ import annotations

import contextlib
import json
import re
import time
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from app.domain import policy
from app.domain.policy import (
    BadPolicyError,
    BudgetPolicy,
    Policy,
    PolicyError,
    UnreadablePolicyError,
)
from app.errors import UserError


def test_absent_and_empty_are_the_defaults() -> None:
    assert policy.parse(None) == policy.parse("") == policy.parse("# nothing yet\n") == Policy()


def test_a_whole_file() -> None:
    read = policy.parse(
        "verify: ['pytest -q']\nwho: maintain\nbase: develop\nbudget: {usd: 2, minutes: 10}\n"
        "no_tests: neutral\ncorrections: 0\nsign_off: true\nbots: [49699333]\njudge: true\n"
        "network: {allow: [python]}\npaths: {protect: ['.github/**']}\nscope: {max_lines: 2000}\n"
        "expectations: allow\nproof: required\nbug_labels: [defect]\n"
        "integrity: {block: [removed]}\nauto_fix_ci: 0\nengine: anthropic\nmerge: never\n"
        "approvals: {human: 2}\n"
    )
    assert read.approvals == policy.ApprovalsPolicy(human=2, requester_counts=False)
    assert read.verify == ("pytest -q",)
    assert (read.who, read.base, read.no_tests) == ("maintain", "develop", "neutral")
    assert (read.expectations, read.proof, read.bug_labels) == ("allow", "required", ("defect",))
    assert (read.budget.usd, read.budget.minutes, read.budget.turns) == (2, 10, 200)
    assert (read.bots, read.network.allow) == ((49699333,), ("python",))


def test_results_of_the_repositorys_own_ci() -> None:
    text = "verify: {workflow: ci.yml, junit: ['reports/**/*.xml']}"
    read = policy.parse(text)
    assert read.ci is not None
    assert read.ci == policy.CiPolicy(workflow="ci.yml", junit=("reports/**/*.xml",))
    assert (read.ci.file, read.ci.path) == ("ci.yml", ".github/workflows/ci.yml")
    assert read.commands == ()
    assert Policy.recorded(read.model_dump(mode="json")) == read
    named = policy.parse(text.replace("ci.yml", ".github/workflows/ci.yml")).ci
    assert named is not None
    assert (named.file, named.path) == (read.ci.file, read.ci.path)
    commands = policy.parse("verify: [make test]")
    assert (commands.ci, commands.commands) == (None, ("make test",))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("verfy: []", ("line 1", "`verfy`", "did you mean `verify`?")),
        ("draft: true\nbudget:\n  usd: 1\n  minuts: 3\n", ("line 4", "`budget.minuts`", "minutes")),
        ("who: everybody", ("line 1", "`who`")),
        ("draft: true\ncorrections: many", ("line 2", "`corrections`")),
        ("budget: {usd: 0}", ("line 1", "`budget.usd`")),
        ("approvals: {human: 0}", ("line 1", "`approvals.human`", "at least 1")),
        ("approvals: true", ("line 1", "`approvals`", "indented keys")),
        ("- a\n- b\n", ("line 1", "expected keys with values")),
        ("a: [", ("not YAML",)),
        ("branch: 'x/{nmber}'", ("line 1", "{number} and {slug}")),
        ("just words", ("line 1", "expected keys with values")),
        ("x: &a [*a]", ("line 1", "aliases")),
        ("a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]", ("line 2", "aliases")),
        ("budget:\n  <<: {usd: 1}", ("line 2", "`<<`")),
        ("setup: " + "[" * 9 + "]" * 9, ("nested too deeply",)),
        ("setup: " + "[" * 30_000, ("nested too deeply",)),
        ("draft: true\n\nbudget:\n\tusd: 1", ("line 4", "starts with a tab")),
        ("draft: true\n\0", ("line 2", "not allowed in YAML")),
        ("draft: true\n---\ndraft: true", ("line 2", "not YAML")),
        ("draft: !!python/name:os.system x", ("line 1", "tags")),
        ("draft: true\nwho: write\ndraft: false", ("line 3", "duplicate key `draft`", "line 1")),
        ("budget:\n  usd: 1\n  usd: 2", ("line 3", "duplicate key `budget.usd`, first on line 2")),
        ("Draft: true", ("did you mean `draft`?",)),
        ("sign-off: true", ("did you mean `sign_off`?",)),
        ("verfy:", ("`verfy`", "did you mean `verify`?")),
        ("budget: {minuets: 3}", ("did you mean `budget.minutes`?",)),
        ("minutes: 3", ("`minutes`", "it belongs under `budget:`")),
        ("budget:\n  verify: [x]", ("line 2", "not under `budget`")),
        ("7: x", ("unknown key `7`", "known keys: setup,")),
        ("yes: x", ("unknown key",)),
        ("verify: pytest -q", ("line 1", "`verify`: expected a list", 'found `"pytest -q"`')),
        ("verify:\n- pytest\n- 7", ("line 3", "`verify`: expected text", "found `7`")),
        ("verify: 7", ("line 1", "`verify`: expected a list", "found `7`")),
        ("who: write\nverify:\n  workflow: ci.yml", ("line 2", "`verify.junit` is missing")),
        ("verify: {junit: [x]}", ("line 1", "`verify.workflow` is missing", "`ci.yml`")),
        ("verify: {}", ("line 1", "`verify.workflow` is missing")),
        ("verify:\n  workflow: CI\n  junit: [x]", ("line 2", "a file in `.github/workflows`")),
        ("verify:\n  workflow: ../ci.yml\n  junit: [x]", ("line 2", "`verify.workflow`")),
        ("verify:\n  workflow: [a]\n  junit: [x]", ("line 2", "`verify.workflow`")),
        ("verify:\n  workflow: ci.yml\n  junit: x.xml", ("line 3", "`verify.junit`: expected a")),
        ("verify:\n  workflow: ci.yml\n  junit: []", ("line 3", "a list that is not empty")),
        ("verify:\n  workflow: ci.yml\n  junit:\n  - a\n  - 7", ("line 5", "`verify.junit`")),
        ("verify:\n  workflow: ci.yml\n  juint: [x]", ("line 3", "`verify.juint`", "verify.junit")),
        ("setup:\n- ok\n-", ("line 3", "`setup`: expected text", "found `null`")),
        ("setup: ['']", ("expected text that is not empty",)),
        ("setup: [{a: b}]", ("expected text",)),
        ("who: mantain", ("`write` or `maintain` or `admin`", "did you mean `maintain`?")),
        ("network: {mode: fetch}", ("`network.mode`", "`fetch-only` or `connect`")),
        ("draft: maybe", ("expected `true` or `false`", "maybe")),
        ("judge: 1", ("expected `true` or `false`",)),
        ("corrections: true", ("expected a whole number",)),
        ("corrections: 2.5", ("expected a whole number",)),
        ("corrections: 21", ("expected a number of at most 20, found `21`",)),
        ("auto_fix_ci: -1", ("expected a number of at least 0",)),
        ("budget: {usd: five}", ("`budget.usd`: expected a number", "five")),
        ("budget: {usd: .inf}", ("`budget.usd`: expected a number",)),
        ("budget: {usd: .nan}", ("`budget.usd`: expected a number",)),
        ("budget: 5", ("`budget`: expected indented keys", "found `5`")),
        ("base: 1.0", ("`base`: expected text (quote it",)),
        (f"base: {'x' * 300}", ("at most 244 characters", "…")),
        ("branch: '{number.real}'", ("{number} and {slug}",)),
        ("branch: '{slug:>999999999}'", ("{number} and {slug}",)),
        ("branch: 'my {slug}'", ("`branch` is not a valid branch name",)),
        ("base: a..b", ("`base` is not a valid branch name",)),
        ("expectations: ask", ("`expectations`", "`confirm` or `allow`")),
        ("proof: require", ("`proof`", "did you mean `required`?")),
        ("integrity: {block: [snapshots]}", ("name of a flag", "did you mean `snapshot`?")),
        ("integrity: {block: [3]}", ("name of a flag", "such as `removed`")),
        ("bots: [true]", ("numeric account id",)),
        ("bots: 7", ("`bots`: expected a list",)),
        ("bots:\n- dependabot[bot]", ("line 2", "numeric account id", "api.github.com/users/")),
        ("preview: {keep_days: 3}", ("either `artifact`, or `command` and `path`",)),
        ("draft: true\npreview: {artifact: a, command: b, path: c}", ("line 2", "either")),
        ("preview: {command: make}", ("`path`, the folder with what `command` builds",)),
        ("preview: {command: make, path: ../out}", ("a folder of the repository",)),
        ("preview: {command: make, path: /out}", ("`preview.path`",)),
        ("draft: true\ncontrol_room: true", ("line 2", "`control_room` is not supported yet")),
    ],
)
def test_errors_have_a_line_and_a_suggestion(text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(PolicyError) as caught:
        policy.parse(text)
    for word in words:
        assert word in str(caught.value)


def test_what_cannot_be_read_is_another_thing_than_what_is_wrong() -> None:
    assert (
        policy.read(None) == policy.read(b"") == policy.read(b"\xef\xbb\xbf# nothing") == Policy()
    )
    assert policy.read("base: caf\u00e9".encode()).base == "caf\u00e9"
    with pytest.raises(UnreadablePolicyError, match="line 2 has an invalid byte"):
        policy.read("draft: true\nbase: caf\u00e9".encode("latin-1"))
    with pytest.raises(
        UnreadablePolicyError, match="has 65537 bytes, more than the limit of 65536"
    ):
        policy.read(b"#" * 65_537)
    with pytest.raises(PolicyError):
        policy.read(b"- no")


def test_a_key_without_a_value_has_its_default() -> None:
    assert policy.parse("setup:\nbase: ~\nimage: null\nbudget:\n  usd:\n") == Policy()


@pytest.mark.parametrize(
    "piece", ["a: 1\n", "- ", "{", "[", "? ", "'", "&a ", "a: &a\n", "\t", "- a\n"]
)
def test_no_file_takes_long(piece: str) -> None:
    text = (piece * policy.POLICY_MAX_BYTES)[: policy.POLICY_MAX_BYTES]
    start = time.process_time()
    with contextlib.suppress(PolicyError):
        policy.read(text.encode())
    assert time.process_time() - start < 5


_MARKS = [
    ": ",
    ":",
    "\n",
    "\n  ",
    "\n- ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "'",
    "? ",
    "---",
    "\t",
    "#",
    "|",
]
_VALUES = ["1", "-1", ".nan", "9" * 400, "1e999", "true", "null", "2026-01-01", "x", "\u00e9"]
_TAGS = ["&a ", "*a", "<<: ", "!!set ", "!!binary "]
_PIECES = [*Policy.model_fields, *BudgetPolicy.model_fields, *_MARKS, *_VALUES, *_TAGS]
_YAML = st.lists(st.sampled_from(_PIECES)).map("".join)


@given(st.text(max_size=200) | _YAML)
def test_no_text_raises_anything_else(text: str) -> None:
    with contextlib.suppress(PolicyError):
        policy.parse(text)


@given(st.binary(max_size=100))
def test_no_bytes_raise_anything_else(content: bytes) -> None:
    with contextlib.suppress(PolicyError, UnreadablePolicyError):
        policy.read(content)


@pytest.mark.parametrize(
    "text",
    [
        "base: !!timestamp x",
        "draft: !!bool maybe",
        "corrections: !!int ''",
        "!!set {a}",
        "0001-01-01T00:00:00+23:59: 1",
        'base: "\\ud800"',
    ],
)
def test_what_yaml_itself_stumbles_over_is_a_wrong_policy(text: str) -> None:
    with pytest.raises(PolicyError):
        policy.parse(text)


class TestSchema:
    """The schema for editors accepts what the code accepts."""

    schema: ClassVar[dict[str, Any]] = json.loads(policy.json_schema())

    def test_the_published_one_is_what_the_code_makes(self) -> None:
        published = Path(__file__).parents[3] / "docs" / "honk.schema.json"
        assert published.read_text("utf-8") == policy.json_schema(), "run `make schema`"

    def test_every_key_is_described(self) -> None:
        named = [part for part in self.schema["$defs"].values() if "enum" not in part]
        parts = [self.schema, *named]
        for part in parts:
            assert part["additionalProperties"] is False
            for key in part["properties"].values():
                assert key.get("description") or key.get("$ref")

    @pytest.mark.parametrize(
        ("text", "right"),
        [
            ("draft: true\nbudget: {usd: 2}\nbots: [7]\nmerge: never\nimage: null\n", True),
            ("verfy: []", False),
            ("budget: {minuts: 3}", False),
            ("who: everybody", False),
            ("merge: on-command", True),
            ("merge: always", False),
            ("verify: pytest", False),
            ("corrections: true", False),
            ("integrity: {block: [removed, snapshot]}", True),
            ("integrity: {block: [snapshots]}", False),
            ("bots: ['dependabot[bot]']", False),
        ],
    )
    def test_it_says_what_the_code_says(self, text: str, right: bool) -> None:
        validator = jsonschema.Draft202012Validator(self.schema)
        assert validator.is_valid(yaml.safe_load(text)) is right
        with contextlib.nullcontext() if right else pytest.raises(PolicyError):
            policy.parse(text)


def test_an_unknown_engine_names_the_known_ones() -> None:
    known = ("anthropic", "claude-code")
    assert policy.parse("engine: claude-code", engines=known).engine == "claude-code"
    assert policy.parse("engine:", engines=known).engine is None
    with pytest.raises(PolicyError, match=r"line 2: `engine`: expected `anthropic` or `claude-cod"):
        policy.read(b"draft: true\nengine: gpt", engines=known)
    with pytest.raises(PolicyError, match=r"\(did you mean `anthropic`\?\)"):
        policy.parse("engine: antropic", engines=known)


def test_the_other_ending_is_read_and_named() -> None:
    assert policy.choose(None, None) == (None, ".github/honk.yml")
    assert policy.choose(b"draft: true", None) == (b"draft: true", ".github/honk.yml")
    assert policy.choose(None, b"draft: true") == (b"draft: true", ".github/honk.yaml")
    assert policy.read(b"draft: true", policy.OTHER_POLICY_PATH).draft
    with pytest.raises(PolicyError, match=r"`\.github/honk\.yaml`, line 1: "):
        policy.read(b"drafd: true", policy.OTHER_POLICY_PATH)
    with pytest.raises(UnreadablePolicyError, match=r"`\.github/honk\.yaml` is not UTF-8"):
        policy.read(b"\xff", policy.OTHER_POLICY_PATH)
    for other in (b"", b"draft: true"):
        with pytest.raises(UserError, match=r"both `\.github/honk\.yml` and `\.github/honk\.yaml`"):
            policy.choose(b"draft: true", other)


def test_services_are_a_list_or_settings_by_name() -> None:
    (listed,) = policy.services_of(policy.parse("services: [redis]"))
    assert (listed.kind, listed.names, listed.port) == ("redis", ("redis",), 6379)
    settings = "services: {db: {kind: postgres, port: 5433, user: app, database: t}, redis: }"
    postgres, redis = policy.services_of(policy.parse(settings))
    assert (postgres.names, postgres.port) == (("db", "postgres"), 5433)
    assert postgres.environment == {"POSTGRES_USER": "app", "POSTGRES_DB": "t"}
    assert redis == listed


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("services: [mysql]", "`services.mysql`: set `kind` to `postgres` or `redis`"),
        ("services:\n  db: {prot: 1}", "line 2: unknown key `services.db.prot`; did you mean"),
        ("services: {redis: {port: 80}}", "a number of at least 1024, found `80`"),
    ],
)
def test_wrong_services_and_variables(text: str, says: str) -> None:
    with pytest.raises(PolicyError, match=re.escape(says)):
        policy.parse(text)


@pytest.mark.parametrize("text", ["check: all", "check: {authors: all}", 'check: "all"'])
def test_check_is_a_word_or_a_mapping(text: str) -> None:
    assert policy.parse(text).check.authors == "all"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("check: everyone", "`check.authors`: expected `own` or `bots` or `all`"),
        ("draft: true\ncheck: {fork: ask}", "did you mean `check.forks`?"),
        ("check: true", "`check`: expected"),
        ("check: [all]", "`check`: expected"),
    ],
)
def test_a_wrong_check_names_what_was_expected(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy.parse(text)
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("content", "asks"),
    [
        (b"check: all\nbudget: much\n", True),
        (b'draft: [\n"check" : bots # all\n', True),
        (b"check:\n  authors: all\n\ttabs: 1\n", True),
        (b"\xff\ncheck: all\n", True),
        (b"check: own\nbudget: much\n", False),
        (b"check: 'own' # not all\nbudget: much\n", False),
        (b"budget: much\n", False),
        (b"services: {check: all}\nsetup: |\n  check: all\n  [\nbudget: much\n", False),
    ],
)
def test_a_policy_that_is_invalid_may_still_ask_for_checks(content: bytes, asks: bool) -> None:
    with pytest.raises(BadPolicyError) as caught:
        policy.read(content)
    assert caught.value.asks_for_checks is asks
    with pytest.raises(BadPolicyError) as caught:
        policy.choose(b"", content)
    assert caught.value.asks_for_checks is asks
