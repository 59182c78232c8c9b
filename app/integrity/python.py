"""Python: pytest and unittest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import tree_sitter_python
from tree_sitter import Language, Node

from app.domain.flag import Kind
from app.integrity.facts import (
    CLOSE,
    EVERYTHING,
    EXACT,
    LOOSE,
    PARTIAL,
    TRIVIAL,
    Assertion,
    TestMark,
)
from app.integrity.reader import (
    SyntaxContext,
    SyntaxReader,
    callee,
    equality,
    is_literal,
    line,
    number,
    text,
    tokens,
)

_MARKS = re.compile(r"(?:pytest\.)?mark\.(skip|skipif|xfail|flaky)")
_SKIPS = re.compile(
    r"(?:unittest\.)?(?:skip|skipIf|skipUnless|case\.skip)|pytest\.skip|self\.skipTest"
)
_XFAILS = re.compile(r"(?:unittest\.)?expectedFailure|pytest\.xfail")
_RETRIES = re.compile(r"flaky|(?:\w+\.)?(?:retry|rerun|repeat_on_failure)")
# Hooks that decide which tests run and how they count:
# https://docs.pytest.org/en/stable/reference/reference.html#hooks
_HOOKS = re.compile(
    r"pytest_(?:collection_modifyitems|ignore_collect|collect_file|pycollect_makeitem|itemcollected"
    r"|deselected|runtest_\w+|runtestloop|pyfunc_call|fixture_setup|report_teststatus"
    r"|terminal_summary|sessionfinish|cmdline_\w+|load_initial_conftests|exception_interact"
    r"|make_collect_report|collectstart|report_to_serializable|unconfigure)"
)
_FRAMEWORK = re.compile(
    r"(?:unittest|pytest|_pytest|builtins|__builtins__|doctest)\b.*\.|(?:\w+\.)*TestCase\.\w+"
    r"|sys\.(?:exit|excepthook|modules)\b|os\._exit|(?:\w+\.)+__eq__"
)
_PLAIN_SETTINGS = re.compile(
    r"sys\.(?:path|argv|dont_write_bytecode)|(?:\w+\.)*(?:config|settings)\."
)
_EXITS = re.compile(r"(?:sys\.)?exit|quit|os\._exit|pytest\.exit|SystemExit")
_DETACHES = re.compile(r"os\.(?:fork|forkpty|setsid|spawn\w+|posix_spawn\w*)|daemon\w*\.\w+")
_SPAWNS = re.compile(r"(?:subprocess\.)?Popen|(?:multiprocessing\.)?Process")
_DETACHED = re.compile(r"start_new_session = True|preexec_fn|nohup|setsid|& ?['\"]|DETACHED")

_METHODS: dict[str, int] = {
    **dict.fromkeys(
        ["assertTrue", "assertIsNotNone", "assertIsInstance", "assertNotIsInstance"], LOOSE
    ),
    **dict.fromkeys(
        ["assertIn", "assertNotIn", "assertNotEqual", "assertGreater", "assertGreaterEqual"],
        PARTIAL,
    ),
    **dict.fromkeys(["assertLess", "assertLessEqual", "assertIsNot", "assertRegex"], PARTIAL),
    **dict.fromkeys(["assertFalse", "assert_called_once", "assert_any_call"], PARTIAL),
    **dict.fromkeys(["assert_called", "assert_has_calls"], LOOSE),
}
_NOTHING = frozenset({"[ ]", "( )", "{ }", "''", "range ( 0 )", "set ( )"})
_BROAD = frozenset({"Exception", "BaseException"})
_DEFAULT_TOLERANCE = 1e-6


@cache
def _language() -> Language:
    return Language(tree_sitter_python.language())


class PythonReader(SyntaxReader):
    """See `SyntaxReader`."""

    conditions = frozenset({"if_statement", "conditional_expression", "while_statement"})

    @classmethod
    def language(cls) -> Language:
        return _language()

    def enter(self, node: Node, place: SyntaxContext) -> SyntaxContext:
        definition = node
        if node.type == "decorated_definition":
            definition = node.child_by_field_name("definition") or node
        elif node.type not in ("function_definition", "class_definition"):
            return place
        elif node.parent is not None and node.parent.type == "decorated_definition":
            return place  # handled with its decorators
        body = definition.child_by_field_name("body")
        if body is None or place.test is not None:
            return place
        name = text(definition.child_by_field_name("name"))
        if definition.type == "class_definition":
            return replace(place, names=(*place.names, name))
        if definition.type != "function_definition":
            return place
        if not self._is_test(name, definition, place):
            self.note_helper(name, definition, body)
            return place
        opened = self.open_test(name, definition, body, place)
        if opened.test is not None:
            opened.test.rows = _rows(node)
        return opened

    def _is_test(self, name: str, definition: Node, place: SyntaxContext) -> bool:
        if not self.is_test or not name.startswith("test"):
            return False
        if not place.names:
            return True
        owner = definition.parent
        while owner is not None and owner.type != "class_definition":
            owner = owner.parent
        bases = text(owner.child_by_field_name("superclasses")) if owner else ""
        return place.names[-1].startswith("Test") or bool(bases)

    def guard(self, node: Node) -> str:
        if node.type == "try_statement" and any(
            child.type == "except_clause" and "raise" not in tokens(child, 4000).split()
            for child in node.named_children
        ):
            return "a try that swallows the failure"
        if node.type == "with_statement" and "suppress (" in tokens(node.named_children[0], 400):
            return "a `suppress` that swallows the failure"
        if node.type == "for_statement":
            over = tokens(node.child_by_field_name("right"), 40)
            return "a loop that never runs" if over in _NOTHING else ""
        return super().guard(node)

    def assertion(self, node: Node) -> Assertion | None:
        if node.type == "assert_statement" and node.named_children:
            parts = [child for child in node.named_children if child.type != "comment"]
            message = tokens(parts[1]) if len(parts) > 1 else ""
            return _expression(node, parts[0], message) if parts else None
        if node.type == "call":
            return _call(node)
        return None

    def own_marks(self, node: Node, place: SyntaxContext) -> Iterator[TestMark]:
        kind = node.type
        if kind == "attribute":
            yield from self._attribute(node, place)
        elif kind == "call":
            yield from self._called(node, place)
        elif kind == "decorator":
            yield from self._decorator(node, place)
        elif kind == "assignment":
            yield from self._assignment(node, place)
        elif kind == "delete_statement" and place.test is None:
            yield from self._taken_away(node, tokens(node, 200).removeprefix("del "))
        elif kind == "raise_statement":
            yield from self._raised(node, place)
        elif kind == "function_definition":
            yield from self._defined(node)

    def _attribute(self, node: Node, place: SyntaxContext) -> Iterator[TestMark]:
        found = _MARKS.fullmatch(tokens(node, 60).replace(" ", ""))
        if not found:
            return
        above = node.parent
        whole = above if above is not None and above.type == "call" else node
        kind, words = {
            "xfail": (Kind.EXPECTED_TO_FAIL, "is expected to fail"),
            "flaky": (Kind.RETRY, "is run again when it fails"),
        }.get(found.group(1), (Kind.SKIPPED, "is skipped"))
        yield self.mark(kind, whole, f"{_owner(place)} {words}.", place.owner)

    def _decorator(self, node: Node, place: SyntaxContext) -> Iterator[TestMark]:
        inner = node.named_children[0] if node.named_children else node
        name = callee(inner) if inner.type == "call" else "".join(text(inner).split())
        if _SKIPS.fullmatch(name) and inner.type != "call":
            yield self.mark(Kind.SKIPPED, inner, f"{_owner(place)} is skipped.", place.owner)
        elif _XFAILS.fullmatch(name):
            reason = f"{_owner(place)} is expected to fail."
            yield self.mark(Kind.EXPECTED_TO_FAIL, inner, reason, place.owner)
        elif _RETRIES.fullmatch(name) and place.test:
            reason = f"{_owner(place)} is retried when it fails."
            yield self.mark(Kind.RETRY, inner, reason, place.owner)

    def _called(self, node: Node, place: SyntaxContext) -> Iterator[TestMark]:
        name = callee(node)
        if _SKIPS.fullmatch(name) and self.is_test:
            yield self.mark(Kind.SKIPPED, node, f"{_owner(place)} is skipped.", place.owner)
        elif _XFAILS.fullmatch(name):
            reason = f"{_owner(place)} is expected to fail."
            yield self.mark(Kind.EXPECTED_TO_FAIL, node, reason, place.owner)
        elif _EXITS.fullmatch(name) and (self.is_test or name == "os._exit"):
            if _means_success(node):
                reason = f"`{name}` ends the run as a success."
                yield self.mark(Kind.EXIT_CODE, node, reason, place.owner)
        elif _DETACHES.fullmatch(name) or (
            _SPAWNS.fullmatch(name) and (self.is_test or _DETACHED.search(tokens(node, 2000)))
        ):
            reason = f"`{name}` starts a process that keeps running."
            yield self.mark(Kind.BACKGROUND_PROCESS, node, reason, place.owner)
        elif name in ("setattr", "monkeypatch.setattr") and self.is_test:
            target = tokens(_arguments(node)[0][0]) if _arguments(node)[0] else ""
            plain = target.replace(" ", "").strip("'\"")
            if _FRAMEWORK.match(plain + "."):
                yield self._patched(node, plain, place)

    def _assignment(self, node: Node, place: SyntaxContext) -> Iterator[TestMark]:
        left = node.child_by_field_name("left")
        name = tokens(left, 200).replace(" ", "")
        if name in ("collect_ignore", "collect_ignore_glob"):
            reason = f"`{name}` keeps files away from the test runner."
            yield self.mark(Kind.SKIPPED, node, reason, EVERYTHING)
        elif name == "__test__" and tokens(node.child_by_field_name("right")) == "False":
            reason = f"{_owner(place)} is hidden from the test runner."
            yield self.mark(Kind.SKIPPED, node, reason, place.owner)
        elif place.test is None and self.is_test and not place.names:
            yield from self._taken_away(node, name)
        if "." in name or "[" in name:
            yield from self._patched_where(node, name, place)

    def _taken_away(self, node: Node, names: str) -> Iterator[TestMark]:
        """`del test_a`, `test_a = None`: the runner no longer finds the test."""
        for name in re.split(r"[\s,]+", names):
            if name.startswith(("test", "Test")):
                reason = f"`{name}` is hidden from the test runner."
                yield self.mark(Kind.SKIPPED, node, reason, name)

    def _patched_where(self, node: Node, name: str, place: SyntaxContext) -> Iterator[TestMark]:
        if _FRAMEWORK.match(name):
            yield self._patched(node, name, place)
        elif self.is_test and "[" not in name and _is_imported(node, name):
            reason = f"`{name}` is replaced for all tests that run after this."
            yield self.mark(Kind.FRAMEWORK_PATCHED, node, reason, place.owner)

    def _raised(self, node: Node, place: SyntaxContext) -> Iterator[TestMark]:
        words = tokens(node, 400)
        if re.match(r"raise (?:unittest \. (?:case \. )?)?SkipTest\b", words):
            yield self.mark(Kind.SKIPPED, node, f"{_owner(place)} is skipped.", place.owner)
        elif self.is_test and words == "raise SystemExit":
            reason = "`SystemExit` ends the run as a success."
            yield self.mark(Kind.EXIT_CODE, node, reason, place.owner)

    def _defined(self, node: Node) -> Iterator[TestMark]:
        name = text(node.child_by_field_name("name"))
        body = tokens(node.child_by_field_name("body"), 200)
        if _HOOKS.fullmatch(name):
            reason = f"The hook `{name}` changes which tests run or how they are counted."
            yield self.mark(Kind.FRAMEWORK_PATCHED, node, reason, name)
        elif name in ("__eq__", "__ne__") and re.fullmatch(r"return (?:True|False)", body):
            reason = f"`{name}` returns the same value for every comparison."
            yield self.mark(Kind.FRAMEWORK_PATCHED, node, reason)

    def _patched(self, node: Node, name: str, place: SyntaxContext) -> TestMark:
        reason = f"`{name}` is replaced, but belongs to the test framework or the interpreter."
        return self.mark(Kind.FRAMEWORK_PATCHED, node, reason, place.owner)


def _is_imported(node: Node, name: str) -> bool:
    """Whether a module-level statement sets an attribute of an imported object."""
    module = node.parent.parent if node.parent is not None else None
    if module is None or module.type != "module" or _PLAIN_SETTINGS.match(name):
        return False
    first = name.partition(".")[0]
    imports = (each for each in module.named_children if each.type.startswith("import_"))
    return any(first in re.findall(r"\w+", text(each)) for each in imports)


def _owner(place: SyntaxContext) -> str:
    return f"`{place.owner}`" if place.owner else "A part of this file"


def _arguments(node: Node) -> tuple[list[Node], dict[str, Node]]:
    """Positional and named arguments of a call."""
    places: list[Node] = []
    named: dict[str, Node] = {}
    given = node.child_by_field_name("arguments")
    for child in given.named_children if given is not None else []:
        value = child.child_by_field_name("value")
        if child.type == "keyword_argument" and value is not None:
            named[text(child.child_by_field_name("name"))] = value
        elif child.type != "comment":
            places.append(child)
    return places, named


def _means_success(node: Node) -> bool:
    places, named = _arguments(node)
    given = [tokens(argument) for argument in [*places, *named.values()]]
    return not given or any(words in ("0", "None", "False", "os . EX_OK") for words in given)


def _expression(whole: Node, expression: Node, message: str) -> Assertion:
    """`assert <expression>`."""
    while expression.type == "parenthesized_expression" and expression.named_children:
        expression = expression.named_children[0]
    words = tokens(expression)
    at = line(whole)
    if expression.type == "comparison_operator":
        return _comparison(at, expression, words, message)
    if expression.type == "boolean_operator" and text(expression.children[1]) == "or":
        strength = TRIVIAL if "True" in words.split() else LOOSE
        return Assertion(at, words, words, "", strength, message)
    if expression.type == "boolean_operator":
        return Assertion(at, words, words, "", EXACT, message)
    if expression.type == "call":
        near = _nearness(expression)
        weak = callee(expression) in ("isinstance", "hasattr", "callable", "bool", "issubclass")
        strength = CLOSE if near is not None else LOOSE if weak else PARTIAL
        return Assertion(at, words, words, "", strength, message, near)
    if expression.type == "not_operator":
        return Assertion(at, words, words, "", PARTIAL, message)
    nothing = is_literal(words) or words in ("True", "...")
    return Assertion(at, words, words, "", TRIVIAL if nothing else LOOSE, message)


def _comparison(at: int, expression: Node, words: str, message: str) -> Assertion:
    operands = expression.named_children
    signs = [child.type for child in expression.children if not child.is_named]
    if len(operands) != 2:
        return Assertion(at, words, words, "", PARTIAL, message)
    left, right = tokens(operands[0]), tokens(operands[1])
    sign = " ".join(signs)
    strength = EXACT if sign in ("==", "is") else PARTIAL
    if sign in ("is not", "!=") and "None" in (left, right):
        strength = LOOSE
    found = equality(at, words, left, right, strength, message)
    near = [_nearness(each) for each in operands if each.type == "call"]
    tolerance = next((each for each in near if each is not None), None)
    if tolerance is None or strength != EXACT:
        return found
    return replace(found, strength=CLOSE, tolerance=tolerance)


def _nearness(node: Node) -> float | None:
    """The tolerance of `approx`, `isclose` or `allclose`."""
    if callee(node).rpartition(".")[2] not in ("approx", "isclose", "allclose", "assert_allclose"):
        return None
    places, named = _arguments(node)
    wanted = ("rel", "abs", "rel_tol", "abs_tol", "rtol", "atol")
    given = [number(tokens(named[name])) for name in wanted if name in named]
    if callee(node).endswith("approx"):
        given += [number(tokens(each)) for each in places[1:]]
    known = [each for each in given if each is not None]
    return max(known) if known else _DEFAULT_TOLERANCE


def _call(node: Node) -> Assertion | None:
    """unittest's methods, `pytest.raises`, and other functions whose name starts with `assert`,
    such as those of mocks."""
    name = callee(node)
    last = name.rpartition(".")[2]
    if last in ("raises", "assertRaises", "assertRaisesRegex", "warns", "assertWarns"):
        return _raises(node, last)
    if not last.startswith("assert"):
        return None
    places, named = _arguments(node)
    words = [tokens(each) for each in places]
    at = line(node)
    if last in ("assertAlmostEqual", "assertAlmostEquals", "assert_allclose"):
        return _almost(node, places, named)
    strength = _METHODS.get(last, EXACT)
    if len(words) >= 2 and last not in ("assertTrue", "assertFalse"):
        message = " ".join([*words[2:], *(tokens(each) for each in named.values())])
        plain = f"{name} ( {words[0]} , {words[1]} )"
        return equality(at, plain, words[0], words[1], strength, message)
    subject = words[0] if words else name
    nothing = last == "assertTrue" and subject in ("True", "1")
    message = " ".join([*words[1:], *(tokens(each) for each in named.values())])
    whole = f"{name} ( {' '.join(words[:1])} )"
    return Assertion(at, whole, subject, "", TRIVIAL if nothing else strength, message)


def _raises(node: Node, last: str) -> Assertion:
    places, named = _arguments(node)
    expected = tokens(places[0]) if places else tokens(named.get("expected_exception"))
    match = tokens(named.get("match")) or ("pattern" if last.endswith("Regex") else "")
    broad = expected.rpartition(" ")[2] in _BROAD
    strength = LOOSE if broad else EXACT if match else CLOSE
    words = tokens(node)
    return Assertion(line(node), words, f"raises {last}", f"{expected} {match}".strip(), strength)


def _almost(node: Node, places: list[Node], named: dict[str, Node]) -> Assertion:
    words = [tokens(each) for each in places]
    delta = number(tokens(named["delta"])) if "delta" in named else None
    digits = tokens(named["places"]) if "places" in named else (words[2] if len(words) > 2 else "7")
    if delta is None and _nearness(node) is None:
        delta = 10 ** -(number(digits) or 0)
    one, other = [*words, "", ""][:2]
    found = equality(line(node), tokens(node), one, other, CLOSE, "")
    return replace(found, tolerance=delta if delta is not None else _nearness(node))


def _rows(node: Node) -> tuple[str, ...]:
    """The literal cases of `parametrize`; a list that is built elsewhere yields none."""
    rows: list[str] = []
    for child in node.named_children:
        inner = child.named_children[0] if child.type == "decorator" else None
        if inner is None or inner.type != "call" or not callee(inner).endswith("parametrize"):
            continue
        places, named = _arguments(inner)
        values = places[1] if len(places) > 1 else named.get("argvalues")
        if values is not None and values.type in ("list", "tuple", "set"):
            rows += [tokens(each) for each in values.named_children if each.type != "comment"]
    return tuple(rows)
