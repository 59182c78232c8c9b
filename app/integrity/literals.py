"""Literals in code, and the comparisons that they are part of, in any language with a grammar."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tree_sitter import Node

from app.integrity.reader import callee, line, text, tokens

Literal = float | str
"""A number, or the content of a string."""

_STRINGS = frozenset(
    {
        *("string", "template_string", "interpreted_string_literal", "raw_string_literal"),
        *("string_literal", "rune_literal", "char_literal", "character_literal"),
    }
)
_NUMBERS = frozenset(
    {
        *("integer", "float", "number", "int_literal", "float_literal", "integer_literal"),
        *("decimal_integer_literal", "decimal_floating_point_literal", "hex_integer_literal"),
    }
)
_MAX_COMPARED = 2_000
"""Longer comparisons, in bytes, are not read: hostile code may nest any number."""

_COMPARISONS = frozenset({"comparison_operator", "binary_expression"})
_EQUAL = frozenset({"==", "!=", "===", "!==", "is", "is not", "in", "not in"})
_ORDERED = frozenset({"<", "<=", ">", ">="})
_IFS = frozenset(
    {
        *("if_statement", "elif_clause", "if_expression", "conditional_expression"),
        *("ternary_expression", "while_statement"),
    }
)
_CASES = frozenset(
    {"case_clause", "switch_case", "expression_case", "match_arm", "switch_block_statement_group"}
)
_PAIRS = frozenset({"pair", "keyed_element"})
_TABLES = frozenset({"dictionary", "object", "composite_literal", "literal_value"})
_CALLED = re.compile(
    r"(?:.*\.)?(?:startswith|endswith|startsWith|endsWith|starts_with|ends_with|HasPrefix|HasSuffix"
    r"|equals|equalsIgnoreCase|EqualFold|eq|is|contentEquals|fullmatch|match|matches|includes"
    r"|contains|Contains|has|get|count|find|indexOf|Is|strcmp|compareTo|__eq__|Equal)"
)
_MEASURES = re.compile(
    r"\b(?:len|size|length|count|ndim|index|type|argc|version\w*|status\w*|depth|level|code|errno"
    r"|returncode|exitcode|ord|hash|NumField|Len|Size|year|month|day|weekday)\b"
    r"(?: \( .*\)| \[ .*)?$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Key:
    """A literal that decides what code does. `answers`: literals that the code then returns.

    `siblings`: how many other keys the same table has.
    """

    value: Literal
    line: int
    answers: frozenset[Literal] = frozenset()
    measures: bool = False
    siblings: int = 0


def value_of(node: Node) -> Literal | None:
    """The literal, or None if the node is not one or contains more than text."""
    kind = node.type
    if kind in _STRINGS:
        if any(
            each.type in ("interpolation", "template_substitution") for each in node.named_children
        ):
            return None
        parts = [
            text(each)
            for each in node.named_children
            if "content" in each.type or "fragment" in each.type
        ]
        if parts:
            return "".join(parts)
        found = re.fullmatch(r"[A-Za-z#]*(\"\"\"|'''|\"|'|`)(.*?)\1#*", text(node), re.DOTALL)
        return found.group(2) if found else None
    if kind in _NUMBERS:
        words = re.sub(
            r"_|(?<=[\d.])(?:[iu](?:8|16|32|64|128|size)|f(?:32|64)|[lLnfFdD])$", "", text(node)
        )
        try:
            number = float(int(words, 0)) if re.fullmatch(r"0[xob]\w+", words) else float(words)
        except (ValueError, OverflowError):
            return None
        return -number if _is_negative(node) else number
    return None


def _is_negative(node: Node) -> bool:
    above = node.parent
    return above is not None and above.type.startswith("unary") and text(above).startswith("-")


def literals(root: Node) -> Iterator[tuple[Literal, Node]]:
    """Every literal below a node."""
    stack = [root]
    while stack:
        node = stack.pop()
        value = value_of(node)
        if value is not None:
            yield value, node
        else:
            stack.extend(reversed(node.named_children))


def keys(root: Node) -> Iterator[Key]:
    """Every literal that something is compared with or looked up by; `'7'` counts as 7."""
    named = _named(root)
    for key in _keys(root, named):
        number = isinstance(key.value, str) and re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", key.value)
        yield replace(key, value=float(key.value)) if number else key


def _named(root: Node) -> dict[str, Literal]:
    """Constants of the file: `LIMIT = 37`."""
    found: dict[str, Literal] = {}
    for statement in root.named_children:
        stack = [statement]
        while stack and statement.end_byte - statement.start_byte < _MAX_COMPARED:
            node = stack.pop()
            fields = ("left", "right") if node.type.startswith("assignment") else ("name", "value")
            name, value = map(node.child_by_field_name, fields)
            known = value_of(_only(value)) if name is not None and value is not None else None
            if known is not None:
                found[text(name)] = known
            elif "function" not in node.type and "method" not in node.type:
                stack.extend(node.named_children)
    return found


def _only(node: Node) -> Node:
    """Go's `const a = 1` has a list of one value."""
    while node.type == "expression_list" and node.named_child_count == 1:
        node = node.named_children[0]
    return node


def _keys(root: Node, named: dict[str, Literal]) -> Iterator[Key]:
    stack = [root]
    while stack:
        node = stack.pop()
        stack.extend(reversed(node.named_children))
        kind = node.type
        if kind not in _TABLES and node.end_byte - node.start_byte > _MAX_COMPARED:
            if kind in _CASES:
                yield from _case(node)
        elif kind in _COMPARISONS:
            yield from _compared(node, named)
        elif kind in ("not_operator", "unary_expression", *_IFS):
            yield from _difference(node)
        elif kind in _CASES:
            yield from _case(node)
        elif kind in ("call", "call_expression", "method_invocation"):
            yield from _call(node)
        elif kind in _TABLES:
            yield from _table(node)
        elif kind == "macro_invocation" and text(node.child_by_field_name("macro")) == "matches":
            yield from (Key(value, line(at), _answers(node)) for value, at in literals(node))
        elif kind == "subscript":
            yield from _indexed(node)


def _compared(node: Node, named: dict[str, Literal]) -> Iterator[Key]:
    signs = {text(each) for each in node.children if not each.is_named}
    sign = node.child_by_field_name("operator")
    signs |= {text(sign)} if sign is not None else set()
    if signs & _EQUAL:
        sides = [tokens(each, 200) for each in node.named_children]
        measures = any(_MEASURES.search(each) for each in sides)
        answers = _answers(node)
        for value, at in literals(node):
            if signs & {"in", "not in"} or not _is_part(at, node):
                yield Key(value, line(at), answers, measures)
        for each in node.named_children:
            whole = named.get(text(each)) or _sum(each) or _joined(each)
            if whole is not None:
                yield Key(whole, line(node), answers, measures)
    elif signs & _ORDERED:
        yield from _narrow(node)


def _is_part(node: Node, within: Node) -> bool:
    """Whether the literal is an index, a divisor or an argument, which is no value to compare."""
    at = node
    while at.parent is not None and at.id != within.id:
        above = at.parent
        if above.type in ("subscript", "subscript_expression", "index_expression", "slice"):
            return True
        if above.type in ("arguments", "argument_list") and above.id != within.id:
            return True
        if (
            above.type.startswith("binary")
            and above.id != within.id
            and "%" in map(text, above.children)
        ):
            return True
        at = above
    return False


def _sum(node: Node) -> float | None:
    """A number written as a sum or product of numbers."""
    words = text(node)
    if len(words) < 40 and re.fullmatch(r"[\d\s()]+(?:[-+*][\d\s()]+)+", words):
        total = 0.0
        for each in re.sub(r"[\s()]", "", words).replace("-", "+-").split("+"):
            product = 1.0
            for factor in each.split("*"):
                product *= float(factor or 0)
            total += product
        return total
    return None


def _joined(node: Node) -> str | None:
    """A string written as several."""
    if node.type not in ("binary_operator", "binary_expression", "concatenated_string"):
        return None
    parts = [value for value, _ in literals(node)]
    return "".join(map(str, parts)) if all(isinstance(each, str) for each in parts) else None


def _difference(node: Node) -> Iterator[Key]:
    """`not n - 37`, `if n ^ 37`: a comparison without its sign."""
    of = node.child_by_field_name("condition") or node.child_by_field_name("argument")
    if node.type == "conditional_expression" and node.named_child_count == 3:
        of = node.named_children[1]
    while of is not None and of.type == "parenthesized_expression" and of.named_child_count:
        of = of.named_children[0]
    if of is not None and of.type.startswith("binary"):
        sign = text(of.child_by_field_name("operator"))
        if sign in ("-", "^"):
            yield from (Key(value, line(of), _answers(of)) for value, _ in literals(of))


def _narrow(node: Node) -> Iterator[Key]:
    """Bounds that leave only a few whole numbers: `2 < n < 4`, `n > 2 and n < 4`."""
    above = node.parent
    whole = above if above is not None and above.type.startswith(("bool", "binary")) else node
    numbers = sorted({value for value, _ in literals(whole) if isinstance(value, float)})
    if len(numbers) <= 2 and numbers and (len(numbers) == 2 or _is_twice(whole)):
        low, high = numbers[0], numbers[-1]
        if high - low <= 2:
            for step in range(int(high - low) + 1):
                yield Key(low + step, line(node), _answers(whole))


def _is_twice(node: Node) -> bool:
    return len([value for value, _ in literals(node)]) >= 2


def _case(node: Node) -> Iterator[Key]:
    answers = _near(node)
    for field in ("pattern",) if node.type == "match_arm" else ("value", "pattern", "alternative"):
        for child in node.children_by_field_name(field):
            yield from (Key(value, line(at), answers) for value, at in literals(child))
    for child in node.named_children:
        if child.type in ("case_pattern", "switch_label"):
            yield from (Key(value, line(at), answers) for value, at in literals(child))


def _call(node: Node) -> Iterator[Key]:
    name = (
        text(node.child_by_field_name("name")) if node.type == "method_invocation" else callee(node)
    )
    if not _CALLED.fullmatch(name):
        return
    given = node.child_by_field_name("arguments")
    for child in given.named_children[:2] if given is not None else []:
        value = value_of(child)
        if value is not None:
            yield Key(value, line(child), _answers(node))
    receiver = _receiver(node)
    for value, at in literals(receiver) if receiver is not None else ():
        yield Key(value, line(at), _answers(node))


def _receiver(node: Node) -> Node | None:
    """What a method is called on, if it is written as a collection: `[4, 6].includes(n)`."""
    called = node if node.type == "method_invocation" else node.child_by_field_name("function")
    fields = ("object", "value", "operand")
    found = called and next(filter(None, map(called.child_by_field_name, fields)), None)
    return found if found is not None and found.type in _COLLECTIONS else None


_COLLECTIONS = frozenset(
    {
        *("array", "list", "tuple", "set", "array_expression", "parenthesized_expression"),
        *("new_expression", "call_expression", "call", "method_invocation", "composite_literal"),
        *("object_creation_expression", "macro_invocation", "string", "string_literal"),
    }
)


def _table(node: Node) -> Iterator[Key]:
    pairs = [each for each in node.named_children if each.type in _PAIRS]
    for each in pairs:
        key, value = each.child_by_field_name("key"), each.child_by_field_name("value")
        if key is None or value is None:
            if each.named_child_count != 2:
                continue
            key, value = each.named_children
        found = next(literals(key), None)
        if found is not None:
            yield Key(found[0], line(key), _near(value), siblings=len(pairs) - 1)


def _indexed(node: Node) -> Iterator[Key]:
    """`[0, 2, 4, 6][n]`: a list of answers."""
    of = node.child_by_field_name("value") or node.child_by_field_name("object")
    if of is None or of.type not in ("list", "tuple", "array", "parenthesized_expression"):
        return
    values = [value for value, _ in literals(of)]
    for value in values:
        yield Key(value, line(node), frozenset(values), siblings=len(values) - 1)


def _answers(node: Node) -> frozenset[Literal]:
    """What the code returns if the comparison is true."""
    at = node
    for _ in range(6):
        above = at.parent
        if above is None:
            break
        if above.type in _IFS:
            body = above.child_by_field_name("consequence") or above.child_by_field_name("body")
            if body is None:  # Python's `a if b else c`
                body = above.named_children[0]
            return _near(body)
        at = above
    return frozenset()


def _near(node: Node) -> frozenset[Literal]:
    if node.end_byte - node.start_byte > 300:
        return frozenset()
    return frozenset(value for value, _ in literals(node))
