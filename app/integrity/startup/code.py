"""Product code that interferes with the code that runs the tests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tree_sitter import Node, Parser

from app.domain.flag import Kind, snippet
from app.integrity.facts import TestMark
from app.integrity.go import GoReader
from app.integrity.java import JavaReader
from app.integrity.javascript import JavaScriptReader, TsxReader, TypeScriptReader
from app.integrity.python import PythonReader
from app.integrity.reader import callee, line, text, tokens
from app.integrity.rust import RustReader
from app.integrity.startup import names


@dataclass(frozen=True)
class Sign:
    """One place. `text` identifies it, so that existing code is not reported."""

    line: int
    text: str
    reason: str


def signs(reader: str, source: bytes) -> Iterator[Sign]:
    """Read one file. `reader` is what its ecosystem declares. Never raises for its contents."""
    kind, own = _LANGUAGES[reader]
    for mark in kind(is_test=False).read(source).marks:
        if mark.kind is Kind.FRAMEWORK_PATCHED and not _is_own_setting(mark):
            yield Sign(mark.line, mark.text, mark.reason)
    root = Parser(kind.language()).parse(source).root_node
    aliases: dict[str, str] = {}
    stack = [root]
    while stack:
        node = stack.pop()
        stack.extend(reversed(node.named_children))
        yield from own(node, aliases)


def readable(reader: str) -> bool:
    return reader in _LANGUAGES


def _is_own_setting(mark: TestMark) -> bool:
    """Programs may set their exit, and modules may replace themselves."""
    return bool(
        re.match(r"sys \. (?:exit|excepthook)\b|sys \. modules\b|builtins \. _ ", mark.text)
        or re.match(r"process \. exitCode\b", mark.text)
        or "for every comparison" in mark.reason  # a value, not a hook: see `keyed_answers`
    )


def _sign(node: Node, reason: str) -> Sign:
    return Sign(line(node), tokens(node, 400), reason)


# Python.

_PYTHON_WATCHES = re.compile(
    r"(?:sys|threading)\.(?:settrace|setprofile|settrace_all_threads|setprofile_all_threads)"
    r"|sys\.(?:addaudithook|monitoring\.\w+)|gc\.(?:get_objects|get_referrers)"
    r"|sys\.(?:meta_path|path_hooks)\.(?:insert|append)|ctypes\.pythonapi\.\w+"
)
_PYTHON_IMPORTS = re.compile(r"(?:__import__|(?:importlib\.)?import_module|sys\.modules\.get)")


def _python(node: Node, aliases: dict[str, str]) -> Iterator[Sign]:
    kind = node.type
    if kind in ("import_statement", "import_from_statement"):
        for name, module in _imported(node):
            aliases[name] = module
            if names.PYTHON_MODULES.match(module) and not _for_types(node):
                yield _sign(node, f"This code imports `{module}`, which runs the tests.")
                break
    elif kind == "call":
        yield from _python_call(node, aliases)
    elif kind == "subscript" and text(node.child_by_field_name("value")) == "sys.modules":
        if names.PYTHON_MODULES.match(_folded(node)):
            yield _sign(node, "This code accesses or replaces a module that runs the tests.")
    elif kind in ("assignment", "augmented_assignment"):
        left = node.child_by_field_name("left")
        if left is not None and left.type in ("attribute", "subscript"):
            yield from _python_set(node, tokens(left, 200).replace(" ", ""), aliases)
        elif text(left) == "pytest_plugins":
            yield _sign(node, "This code loads plugins into pytest.")
        elif left is not None and left.type == "identifier":
            value = tokens(node.child_by_field_name("right"), 200).replace(" ", "")
            if re.fullmatch(r"[\w.]+", value):
                aliases[text(left)] = _resolved(value, aliases)
    elif kind == "delete_statement":
        yield from _python_set(
            node, tokens(node, 200).removeprefix("del ").replace(" ", ""), aliases
        )


def _python_call(node: Node, aliases: Mapping[str, str]) -> Iterator[Sign]:
    name = _resolved(callee(node), aliases)
    given = node.child_by_field_name("arguments")
    if _PYTHON_WATCHES.fullmatch(name):
        yield _sign(node, f"`{name}` watches or changes code that other modules run.")
    elif _PYTHON_IMPORTS.fullmatch(name) and given is not None:
        if names.PYTHON_MODULES.match(_folded(given)):
            yield _sign(node, "This code imports a module that runs the tests.")
    elif name in ("setattr", "delattr", "type.__setattr__") and given is not None:
        first = given.named_children[0] if given.named_children else None
        yield from _python_set(node, f"{tokens(first, 200).replace(' ', '')}.", aliases)
    elif name.endswith(("patch.object", "patch")) and "mock" in name and given is not None:
        first = given.named_children[0] if given.named_children else None
        target = tokens(first, 200).replace(" ", "").strip("'\"")
        yield from _python_set(node, f"{target}.", aliases)


def _python_set(node: Node, target: str, aliases: Mapping[str, str]) -> Iterator[Sign]:
    inner = re.match(r"(?:getattr|vars|dict)\((?P<of>[\w.]+)", target)
    whole = _resolved(f"{inner['of']}." if inner else target, aliases)
    if names.PYTHON_OWNERS.match(whole) and not whole.startswith("builtins._."):
        yield _sign(
            node, f"`{whole.rstrip('.')}` is replaced, but belongs to the code that runs the tests."
        )


def _resolved(name: str, aliases: Mapping[str, str]) -> str:
    first, rest = re.match(r"(\w*)(.*)", name, re.DOTALL).groups()  # type: ignore[union-attr]
    return f"{aliases.get(first, first)}{rest}"


def _imported(node: Node) -> Iterator[tuple[str, str]]:
    """Each name that the statement binds, and what it refers to."""
    of = text(node.child_by_field_name("module_name"))
    module = node.child_by_field_name("module_name")
    for each in node.named_children:
        if module is not None and each.id == module.id:
            continue
        if each.type == "aliased_import":
            whole = text(each.child_by_field_name("name"))
            name = text(each.child_by_field_name("alias"))
        elif each.type in ("dotted_name", "wildcard_import"):
            whole, name = text(each), text(each)
        else:
            continue
        if of:
            yield name, f"{of}.{whole}" if each.type != "wildcard_import" else of
        else:
            yield name.partition(".")[0] if each.type == "dotted_name" else name, whole


def _for_types(node: Node) -> bool:
    above = node.parent
    while above is not None:
        if above.type == "if_statement":
            return "TYPE_CHECKING" in text(above.child_by_field_name("condition"))
        above = above.parent
    return False


def _folded(node: Node) -> str:
    """The strings below a node, put together: `"a" + "b"`, `"".join(["a", "b"])`."""
    parts: list[str] = []
    stack = [node]
    while stack:
        at = stack.pop()
        if at.type == "string_content":
            parts.append(text(at))
        stack.extend(reversed(at.named_children))
    return "".join(parts)


# JavaScript and TypeScript.

_NODE_SETS = re.compile(
    r"Module\.(?:_\w+|prototype\.\w+)|require\.(?:cache|extensions)\[.*|assert\.\w+|Object\.is$"
    r"|process\.(?:exit|reallyExit|emit)$|(?:globalThis|global)\.(?:expect|it|test|describe|assert)$"
    r"|(?:expect|jest|vi)\.\w+"
)
_NODE_CALLS = re.compile(
    r"(?:\w+\.)?(?:registerHooks|setUncaughtExceptionCaptureCallback)|module\.register"
)


def _node(node: Node, _: dict[str, str]) -> Iterator[Sign]:
    kind = node.type
    if kind == "import_statement" or (
        kind == "call_expression" and callee(node) in ("require", "import")
    ):
        if kind == "import_statement" and text(node).startswith("import type"):
            return
        module = _node_source(node)
        if names.NODE_MODULES.match(module):
            yield _sign(node, f"This code imports `{module}`, which runs the tests.")
    elif kind == "assignment_expression":
        left = tokens(node.child_by_field_name("left"), 200).replace(" ", "")
        if _NODE_SETS.match(left):
            yield _sign(node, f"`{left}` is replaced, but belongs to the code that runs the tests.")
    elif kind == "call_expression":
        name = callee(node)
        if _NODE_CALLS.fullmatch(name):
            yield _sign(node, f"`{name}` changes how all modules are loaded.")
        elif name in ("Object.defineProperty", "Reflect.set", "Object.assign"):
            given = node.child_by_field_name("arguments")
            first = given.named_children[0] if given and given.named_children else None
            target = tokens(first, 100).replace(" ", "")
            if _NODE_SETS.match(f"{target}.x") or target in ("assert", "expect"):
                yield _sign(
                    node, f"`{target}` is changed, but belongs to the code that runs the tests."
                )


def _node_source(node: Node) -> str:
    if node.type == "import_statement":
        return text(node.child_by_field_name("source")).strip("'\"`")
    given = node.child_by_field_name("arguments")
    return _fragments(given) if given is not None else ""


def _fragments(node: Node) -> str:
    parts: list[str] = []
    stack = [node]
    while stack:
        at = stack.pop()
        if at.type == "string_fragment":
            parts.append(text(at))
        stack.extend(reversed(at.named_children))
    return "".join(parts)


# Go.

_GO_FLAGS = re.compile(r"flag \. (?:Set|CommandLine)|os \. Args =|testing \.")
_GO_MAIN = re.compile(r"testing\.(?:Init|Main\w*|RunTests|RegisterCover)$")


def _go(node: Node, _: dict[str, str]) -> Iterator[Sign]:
    if node.type == "comment" and text(node).startswith("//go:linkname"):
        yield Sign(line(node), text(node), "`go:linkname` reaches into another package.")
    elif node.type == "selector_expression" and _GO_MAIN.match(text(node)[:100]):
        yield _sign(node, f"`{text(node)}` changes how the tests run.")
    elif node.type == "function_declaration" and text(node.child_by_field_name("name")) == "init":
        body = tokens(node.child_by_field_name("body"), 4000)
        if _GO_FLAGS.search(body):
            yield _sign(node, "`init` changes how the tests run or how they end.")


# Rust.

_RUST_ATTRIBUTES = re.compile(
    r"# (?:! )?\[ (?:feature \(.*\b(?:custom_test_frameworks|test)\b|test_runner|ctor\b"
    r"|reexport_test_harness_main|(?:unsafe \( )?link_section =|(?:unsafe \( )?export_name ="
    r"|panic_handler|macro_use \( (?:test|libtest))"
)


def _rust(node: Node, _: dict[str, str]) -> Iterator[Sign]:
    is_attribute = node.type in ("attribute_item", "inner_attribute_item")
    if is_attribute and _RUST_ATTRIBUTES.match(tokens(node, 400)):
        yield _sign(node, "This attribute runs code at startup, or changes the test harness.")
    elif node.type == "use_as_clause":
        alias = text(node.child_by_field_name("alias"))
        if re.fullmatch(r"(?:debug_)?assert(?:_eq|_ne)?|panic|test", alias):
            yield _sign(
                node, f"`{alias}!` is replaced, but belongs to the code that judges the tests."
            )


# Java.

_JAVA_LISTENS = re.compile(
    r"\b(?:TestExecutionListener|LauncherSessionListener|LauncherInterceptor|TestEngine"
    r"|LauncherDiscoveryListener|RunListener|ITestListener|InvocationInterceptor)\b"
)


def _java(node: Node, _: dict[str, str]) -> Iterator[Sign]:
    if node.type == "import_declaration":
        package = tokens(node, 200).replace(" ", "").removeprefix("import").removeprefix("static")
        if names.JAVA_PACKAGES.match(package):
            yield _sign(node, f"This code imports `{package.rstrip(';')}`, which runs the tests.")
    elif node.type == "super_interfaces" and _JAVA_LISTENS.search(text(node)):
        yield _sign(node, "This class takes part in running the tests.")
    elif node.type == "method_declaration":
        name = text(node.child_by_field_name("name"))
        if name in ("premain", "agentmain"):
            yield _sign(node, f"`{name}` makes this class a Java agent.")


_LANGUAGES = {
    "python:PythonReader": (PythonReader, _python),
    "javascript:JavaScriptReader": (JavaScriptReader, _node),
    "javascript:TypeScriptReader": (TypeScriptReader, _node),
    "javascript:TsxReader": (TsxReader, _node),
    "go:GoReader": (GoReader, _go),
    "rust:RustReader": (RustReader, _rust),
    "java:JavaReader": (JavaReader, _java),
}

# Languages without a syntax reader: the lines that the change adds.

_RUBY_LINE = re.compile(
    r"\b(?:Minitest|RSpec|Test::Unit)\b.*(?:\bprepend\b|\.extensions\b|class_eval|module_eval"
    r"|define_method|configure|after_run|Assertions)"
    r"|^\s*(?:class|module)\s+(?:Minitest|RSpec|Test::Unit)\b"
    r"|require\s*\(?\s*['\"](?:minitest|rspec)"
    r"|\b(?:TracePoint|ObjectSpace)\b"
)


def line_sign(path: str, number: int, words: str) -> Sign | None:
    if path.endswith(".rb") and not words.lstrip().startswith("#") and _RUBY_LINE.search(words):
        return Sign(number, snippet(words), "This code reaches into the code that runs the tests.")
    return None
