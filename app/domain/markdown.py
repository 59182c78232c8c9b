"""Rewrites untrusted Markdown so that it is only text to read. Pure.

The text is parsed, and its tree is written in a small, strict subset of GitHub Flavored Markdown
(https://github.github.com/gfm/). The output

- is closed: no fence, list or piece of HTML swallows the text after it;
- cannot pass for Honk's own text: headings are smaller than Honk's, no footnotes, no HTML, no
  pictures, no alerts, no diagrams, no formulas;
- has no mentions, references or bot commands: references and commands become inline code, on
which GitHub does not act, and mentions are broken up;
- keeps code unchanged.

The output is parsed again. If the result differs from the intended tree, the text becomes a code
block instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

_TOP_HEADING = 4
"""Honk's own headings are of the second level."""

_DEEPEST = 16
_ROUNDS = 4

# Code languages that GitHub draws, or offers to apply as a suggestion.
_DRAWN = frozenset({"mermaid", "math", "geojson", "topojson", "stl", "suggestion"})
_LANGUAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+#._-]{0,29}")

_COMMENT = re.compile(r"<!--(?:>|->|.*?-->)", re.DOTALL)
_OUR_MARKER = re.compile(r"<!--(?=\s*honk\b)", re.IGNORECASE)
_SHOWS_NOTHING = re.compile(r"</?(?:details|summary)\s*>", re.IGNORECASE)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)

_WORD = re.compile(r"\S+")
_AROUND = "([{\"'“‘<.,:;!?…’”'\"}])>"
# Each of these matches within one word.
_MENTION = re.compile(r"(?<![A-Za-z0-9])@(?=\w)")
_REFERENCE = re.compile(r"#[0-9]|(?<![A-Za-z0-9])gh-[0-9]", re.IGNORECASE)
_COMMIT = re.compile(
    r"(?<![A-Za-z0-9])(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{7,64}(?![A-Za-z0-9])", re.IGNORECASE
)
_PLACE = re.compile(
    r"/(?:issues|pull|pulls|discussions|commit|commits|compare|milestone)/[\w.-]", re.IGNORECASE
)
_ALERT = re.compile(r"\[!")
_LOOSE_ADDRESS = re.compile(r"www\.|(?:https?|ftp)://", re.IGNORECASE)
_FORMS = (_REFERENCE, _COMMIT, _PLACE, _ALERT)
_MENTION_BROKEN = "@\N{ZERO WIDTH SPACE}"

# Programs that act on comments read the lines of the raw text: `/word`, `!word`, and a few names
# and phrases without any mark.
_NAMES = "atlantis|bors|digger|homu|terrateam"
_BARE = (
    rf"(?:{_NAMES})\b[:,]?[^\S\n]+\S+"
    r"|jenkins[:,]?[^\S\n]+(?:build|please|re-?build|re-?test|run|test)\b"
    r"|(?:re)?test this please|ok to test|add to whitelist"
    r"|(?:re-?(?:build|check|run|test|verify)|(?:re-?)?run (?:all|ci|tests?))"
    r"(?=[^\S\n]*(?:$|please\b|no bug\b|bug\b))"
)
# The text after the name may be a link or code, which is a separate item.
_COMMAND = re.compile(rf"[/!][A-Za-z]\S*|{_BARE}|(?:{_NAMES})\b[:,]?(?=\s*\Z)", re.IGNORECASE)
_COMMAND_LINE = re.compile(
    r"^[^\S\n]*(?:[>*+-][^\S\n]*)*"
    rf"(?:[/!][a-z][\w-]*(?=[\s:=]|\Z)|@[a-z0-9][\w/-]*[^\S\n]+\S|{_BARE})",
    re.IGNORECASE | re.MULTILINE,
)

_SPECIAL = re.compile(r"[\\`*\[\]~|]|_+|&(?=[#A-Za-z])|<(?! )")
_AT_LINE_START = re.compile(r"[-+=>]|:(?=-)|#(?=#{0,5}(?:\s|\Z))|[0-9]{1,9}(?=[.)](?:\s|\Z))")
_TRAILING_MARKS = re.compile(r"#+(?=\s*\Z)")
_ADDRESS = re.compile(r"https?://[^\s<>]+\Z", re.IGNORECASE)
_PLAIN_ADDRESS = re.compile(r"https?://[A-Za-z0-9._~:/?#%=+,;@-]+\Z", re.IGNORECASE)
_UNSAFE_IN_DESTINATION = re.compile(r"[\s()<>\[\]{}\\\"'`*|^~$&\x00-\x1f\x7f]")


def render(text: str) -> str:
    """Rewrite Markdown as one closed, inert block."""
    try:
        written = _written(_parser().parse(text))
    except _TooDeepError:
        written = None
    if written is None or not is_closed(written):
        return code_block(text)
    return written


def render_line(text: str) -> str:
    """Escape one line of plain text for use within a line of Markdown; code spans stay."""
    tokens = _line_parser().parseInline(" ".join(text.split()))[0].children or []
    items = [
        _Code(token.content) if token.type == "code_inline" else _Text(token.content)
        for token in tokens
        if token.content
    ]
    return _inline(items, _Setting(dollars=True))


def code_span(text: str) -> str:
    """The text as inline code on one line."""
    text = _OUR_MARKER.sub("<! --", re.sub(r"\n+", " ", text))
    if not text:
        return ""
    taken = {len(run) for run in re.findall("`+", text)}
    marks = "`" * next(n for n in range(1, len(taken) + 2) if n not in taken)
    edged = text[0] == "`" or text[-1] == "`"
    spaced = text[0] == text[-1] == " " and text.strip(" ") != ""
    return f"{marks} {text} {marks}" if edged or spaced else f"{marks}{text}{marks}"


def code_block(text: str, language: str = "", *, in_quote: bool = False) -> str:
    """The text as a fenced block; `in_quote` means that it goes into a quote.

    Bots read commands at the start of a line even in code: such a block is quoted, which moves
    the line's start and leaves the code unchanged.
    """
    text = _OUR_MARKER.sub("<! --", text)
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    marks = "`" * (longest + 1)
    body = text if not text or text.endswith("\n") else f"{text}\n"
    block = f"{marks}{language}\n{body}{marks}"
    return quoted(block) if not in_quote and _COMMAND_LINE.search(body) else block


def headings(text: str) -> list[str]:
    """The headings of a text, as they are written."""
    pairs = pairwise(_parser().parse(text))
    return [inline.content for token, inline in pairs if _is_heading(token, inline)]


def is_closed(written: str) -> bool:
    """Whether `render`'s output is closed and inert.

    Parses it again, with every GitHub extension that Honk does not write.
    """
    below = "Below."
    found: dict[str, object] = {}
    tokens = _reader().parse(f"{written}\n\n{below}\n", found)
    shape = [(token.type, token.level) for token in tokens[-3:]]
    if shape != [("paragraph_open", 0), ("inline", 1), ("paragraph_close", 0)]:
        return False
    if tokens[-2].content != below or found.get("references"):
        return False
    return all(map(_is_calm, tokens))


def _is_calm(token: Token) -> bool:
    if token.type in ("html_block", "html_inline", "image", "code_block"):
        return False
    if token.type == "heading_open":
        return int(token.tag[1]) >= _TOP_HEADING
    if token.type == "text":
        forms = (_MENTION, _REFERENCE, _ALERT)
        return not any(form.search(token.content) for form in forms)
    return all(map(_is_calm, token.children or ()))


# -- parsers


@cache
def _parser() -> MarkdownIt:
    """The parser for input. A reference definition is shown as text."""
    parser = MarkdownIt("gfm-like", {"strikethrough_single_tilde": True, "maxNesting": 100})
    parser.disable("reference")
    _set_addresses(parser)
    return parser


@cache
def _text_parser() -> MarkdownIt:
    """The same parser, with HTML as text."""
    parser = MarkdownIt("gfm-like", {"html": False, "maxNesting": 100}).disable("reference")
    _set_addresses(parser)
    return parser


@cache
def _line_parser() -> MarkdownIt:
    return MarkdownIt("zero").enable("backticks")


@cache
def _reader() -> MarkdownIt:
    parser = MarkdownIt("gfm-like", {"strikethrough_single_tilde": True, "maxNesting": 100})
    _set_addresses(parser)
    return parser


def _set_addresses(parser: MarkdownIt) -> None:
    """Link only full URLs: `money.py` is a file, not a host in Paraguay."""
    assert parser.linkify is not None
    parser.linkify.set({"fuzzy_link": False, "fuzzy_email": False})


class _TooDeepError(Exception):
    """The text is nested deeper than the parser reads; it would drop the rest."""


# -- blocks


@dataclass(frozen=True)
class _Setting:
    """The context of a text, which decides how it is written."""

    dollars: bool = False  # two would start a formula
    in_quote: bool = False
    top: int = 0  # the highest heading's level, 0 where there is none
    heading: bool = False
    cell: bool = False


def _written(tokens: Sequence[Token]) -> str:
    if any(token.level > _DEEPEST for token in tokens):
        raise _TooDeepError
    setting = _Setting(dollars=sum(map(_dollars, tokens)) > 1, top=_top(tokens))
    return _blocks(SyntaxTreeNode(tokens).children, setting)


def _dollars(token: Token) -> int:
    """Count the occurrences outside of code."""
    own = token.content.count("$") if token.type in ("text", "html_block", "html_inline") else 0
    return own + sum(map(_dollars, token.children or ()))


def _top(tokens: Sequence[Token]) -> int:
    pairs = pairwise(tokens)
    levels = [int(token.tag[1]) for token, text in pairs if _is_heading(token, text)]
    return min(levels, default=0)


def _is_heading(token: Token, text: Token) -> bool:
    return token.type == "heading_open" and bool(text.content.strip())


def _blocks(nodes: Sequence[SyntaxTreeNode], setting: _Setting) -> str:
    return "\n\n".join(_each_block(nodes, setting))


def _each_block(nodes: Sequence[SyntaxTreeNode], setting: _Setting) -> Iterator[str]:
    before, nth = "", 0
    for node in nodes:
        # Adjacent lists with the same marker would merge.
        following = nth + 1 if node.type == before else 0
        is_list = node.type in ("bullet_list", "ordered_list")
        part = _list(node, setting, following) if is_list else _block(node, setting)
        if part.strip():
            before, nth = node.type, following
            yield part


def _block(node: SyntaxTreeNode, setting: _Setting) -> str:
    match node.type:
        case "paragraph":
            return _inline(_items(node), setting)
        case "heading":
            level = min(6, max(0, int(node.tag[1]) - setting.top) + _TOP_HEADING)
            words = _inline(_items(node), replace(setting, heading=True))
            return f"{'#' * level} {words}" if words else ""
        case "fence" | "code_block":
            info = (node.info.split() or [""])[0]
            known = _LANGUAGE.fullmatch(info) and info.lower() not in _DRAWN
            return code_block(node.content, info if known else "", in_quote=setting.in_quote)
        case "blockquote":
            return quoted(_blocks(node.children, replace(setting, in_quote=True)))
        case "hr":
            return "___"
        case "html_block":
            return _html(node.content, setting)
        case "table":
            return _table(node, setting)
    raise AssertionError(f"unknown block {node.type}")


def quoted(text: str) -> str:
    """Blocks within a quote."""
    return "\n".join(f"> {line}" if line else ">" for line in text.split("\n")) if text else ""


def _list(node: SyntaxTreeNode, setting: _Setting, nth: int) -> str:
    """Honk's own lists use `-`, so another marker keeps the lists from merging."""
    start = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else None
    items = []
    for number, item in enumerate(node.children):
        if start is None:
            mark = "*+"[nth % 2]
        else:
            mark = f"{min(start + number, 999_999_999)}{'.)'[nth % 2]}"
        items.append(_list_item(item, setting, mark))
    joint = "\n" if all("\n\n" not in item for item in items) else "\n\n"
    return joint.join(items)


def _list_item(item: SyntaxTreeNode, setting: _Setting, mark: str) -> str:
    parts = list(_each_block(item.children, setting))
    box = ""
    first = item.children[0] if item.children else None
    if first is not None and first.type == "paragraph" and first.children:
        found = re.match(r"\[([ xX])\]\s+(?=\S)", first.children[0].content)
        if found:
            items = _items(first)
            assert isinstance(items[0], _Text)
            items[0] = _Text(items[0].content[found.end() :])
            box = f"[{found[1]}] "
            parts[0] = _inline(items, setting)
    is_tight = len(parts) == 2 and parts[1].startswith(("* ", "1. "))
    is_tight = is_tight and first is not None and first.type == "paragraph"
    body = ("\n" if is_tight else "\n\n").join(parts)
    indent = " " * (len(mark) + 1)
    lines = f"{box}{body}".split("\n")
    return "\n".join(
        f"{indent}{line}" if number and line else f"{mark} {line}" if not number else ""
        for number, line in enumerate(lines)
    ).rstrip()


def _html(content: str, setting: _Setting) -> str:
    """Drop comments and show tags as text; the content between them is read as Markdown."""
    text = _SHOWS_NOTHING.sub("\n\n", _COMMENT.sub("", content))
    tokens = _text_parser().parse(text)
    below = replace(setting, top=setting.top or _top(tokens))
    return _blocks(SyntaxTreeNode(tokens).children, below)


def _table(node: SyntaxTreeNode, setting: _Setting) -> str:
    in_cell = replace(setting, cell=True)
    rows = [
        [_inline(_items(cell), in_cell) for cell in row.children]
        for part in node.children
        for row in part.children
    ]
    head = node.children[0].children[0].children
    sides = [_SIDES.get(str(cell.attrs.get("style", "")), "---") for cell in head]
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], sides, *rows[1:]])


_SIDES = {"text-align:left": ":--", "text-align:right": "--:", "text-align:center": ":-:"}


# -- text within a block


@dataclass(frozen=True)
class _Text:
    content: str


@dataclass(frozen=True)
class _Code:
    content: str


@dataclass(frozen=True)
class _Break:
    pass


@dataclass(frozen=True)
class _Mark:
    """One end of an emphasis; `number` identifies the pair."""

    marks: str
    number: int
    opens: bool


@dataclass(frozen=True)
class _Link:
    """The end of a link, after its text."""

    to: str
    opens: bool


_Item = _Text | _Code | _Break | _Mark | _Link
_EMPHASIS = {"em": "*", "strong": "**", "s": "~~"}


def _items(node: SyntaxTreeNode) -> list[_Item]:
    """The text of a block as a sequence of items."""
    numbers = iter(range(1_000_000))
    children = [child for inline in node.children for child in inline.children]
    return list(_flat(children, numbers, frozenset(), linked=False))


def _flat(
    nodes: Iterable[SyntaxTreeNode],
    numbers: Iterator[int],
    within: frozenset[str],
    *,
    linked: bool,
) -> Iterator[_Item]:
    for node in nodes:
        match node.type:
            case "text" | "text_special":
                yield _Text(node.content)
            case "html_inline":
                yield from _element(node.content, linked=linked)
            case "code_inline":
                yield _Code(node.content)
            case "softbreak" | "hardbreak":
                yield _Text(" ") if linked else _Break()
            case "em" | "strong" | "s":
                if node.type in within:
                    yield from _flat(node.children, numbers, within, linked=linked)
                    continue
                number = next(numbers)
                marks = "_" if _meets_strong(node, within) else _EMPHASIS[node.type]
                yield _Mark(marks, number, opens=True)
                yield from _flat(node.children, numbers, within | {node.type}, linked=linked)
                yield _Mark(marks, number, opens=False)
            case "link":
                yield from _link(node, numbers, within)
            case "image":
                yield from _picture(node, linked=linked)
            case _:
                raise AssertionError(f"unknown text {node.type}")


def _meets_strong(node: SyntaxTreeNode, within: frozenset[str]) -> bool:
    """Whether its asterisks would merge with adjacent or nested ones."""
    inner = any(child.type == "strong" for child in node.children)
    return node.type == "em" and ("strong" in within or inner)


def _element(content: str, *, linked: bool) -> Iterator[_Item]:
    if _BREAK.fullmatch(content):
        yield _Text(" ") if linked else _Break()
    elif not _COMMENT.fullmatch(content) and not _SHOWS_NOTHING.fullmatch(content):
        yield _Text(content)


def _link(node: SyntaxTreeNode, numbers: Iterator[int], within: frozenset[str]) -> Iterator[_Item]:
    to = str(node.attrs.get("href", ""))
    words = list(_flat(node.children, numbers, within, linked=True))
    said = "".join(item.content for item in words if isinstance(item, _Text | _Code))
    if not _ADDRESS.match(to):
        yield from words
    elif _PLACE.search(to):
        # GitHub would record the reference on the issue even within a link.
        if said and said != to and not node.info:
            yield from words
            yield _Text(" ")
        yield _Code(to)
    else:
        yield _Link(to, opens=True)
        yield from words if said.strip() else [_Text(to)]
        yield _Link(to, opens=False)


def _picture(node: SyntaxTreeNode, *, linked: bool) -> Iterator[_Item]:
    """Write a picture as a link, or as its description within one, so that nothing is loaded."""
    to = str(node.attrs.get("src", ""))
    words = " ".join(node.content.split()) or "image"
    if linked or not _ADDRESS.match(to):
        yield _Text(words)
    elif _PLACE.search(to):
        yield _Code(to)
    else:
        yield from (_Link(to, opens=True), _Text(words), _Link(to, opens=False))


def _inline(items: Sequence[_Item], setting: _Setting) -> str:
    """Write the items as Markdown. Emphasis that would not parse in its position is dropped."""
    for _ in range(_ROUNDS):
        ready = list(_neutral(_joined(items), setting))
        parts = list(_parts(ready, setting))
        failing = _failing(ready, parts)
        if not failing:
            return _trimmed(parts)
        items = [item for item in items if not (isinstance(item, _Mark) and item.number in failing)]
    items = [item for item in items if not isinstance(item, _Mark)]
    return _trimmed(_parts(list(_neutral(_joined(items), setting)), setting))


def _trimmed(parts: Iterable[str]) -> str:
    """Trailing blanks would break the line, and an empty line would end the block."""
    lines = [line.strip() for line in "".join(parts).split("\n")]
    return "\n".join(line for line in lines if line)


def _joined(items: Iterable[_Item]) -> Iterator[_Item]:
    """Merge adjacent items that GitHub shows as one text."""
    text = ""
    for item in items:
        if isinstance(item, _Text):
            text += item.content
            continue
        if text:
            yield _Text(text)
        text = ""
        yield item
    if text:
        yield _Text(text)


def _neutral(items: Iterable[_Item], setting: _Setting) -> Iterator[_Item]:
    """Turn what GitHub or a bot would act on into code; two pieces of code never touch."""
    was_code, starts, linked = False, True, False
    for item in items:
        if isinstance(item, _Link):
            linked = item.opens
        parts: Iterable[_Item] = (item,)
        if isinstance(item, _Text):
            parts = _calmed(item, setting, starts=starts, linked=linked)
        for each in parts:
            if isinstance(each, _Code) and was_code:
                yield _Text(" ")
            was_code = isinstance(each, _Code)
            if isinstance(each, _Text):
                yield _Text(_MENTION.sub(_MENTION_BROKEN, each.content))
            else:
                yield each
        if isinstance(item, _Break):
            starts = True
        elif not (isinstance(item, _Mark | _Link) and item.opens):
            starts = False


def _calmed(item: _Text, setting: _Setting, *, starts: bool, linked: bool) -> Iterator[_Item]:
    """Handle addresses that the parser sees as text and GitHub links."""
    forms = _FORMS if linked else (*_FORMS, _LOOSE_ADDRESS)
    text, at = item.content, 0
    if starts:
        begins = len(text) - len(text.lstrip(" \t\xa0\u2000\u3000>*+-"))
        command = _COMMAND.match(text, begins)
        if command:
            yield from (_Text(text[:begins]), _Code(command.group()))
            at = command.end()
    done = at
    for word in _WORD.finditer(text, at):
        found = word.group()
        acts = any(form.search(found) for form in forms) or (setting.dollars and "$" in found)
        if not acts:
            continue
        core = found if "[!" in found else found.strip(_AROUND) or found
        begin = word.start() + found.index(core)
        if begin > done:
            yield _Text(text[done:begin])
        yield _Code(core)
        done = begin + len(core)
    if done < len(text):
        yield _Text(text[done:])


def _parts(items: Sequence[_Item], setting: _Setting) -> Iterator[str]:
    """Write each item as Markdown."""
    starts = True
    address = ""
    for number, item in enumerate(items):
        match item:
            case _Text():
                # `!` before a link would turn it into an image.
                is_next = isinstance((*items, None)[number + 1], _Link) and not address
                text = _escaped(item.content, setting, starts=starts)
                text = f"{text[:-1]}&#33;" if is_next and text.endswith("!") else text
                yield item.content if address else text
                starts = starts and not item.content.strip()
            case _Code():
                span = code_span(item.content)
                yield span.replace("|", "\\|") if setting.cell else span
                starts = False
            case _Break():
                starts = not (setting.cell or setting.heading)
                yield "\n" if starts else " "
            case _Mark():
                yield item.marks
                starts = False
            case _Link():
                starts = False
                if item.opens:
                    address = item.to if _is_bare(items, number) else ""
                    yield "<" if address else "["
                else:
                    yield ">" if address else f"]({_destination(item.to)})"
                    address = ""


def _is_bare(items: Sequence[_Item], at: int) -> bool:
    """Whether the text of this link is its address."""
    match items[at : at + 3]:
        case [_Link(to=to), _Text(content=content), _Link()]:
            return content == to and bool(_PLAIN_ADDRESS.match(to))
    return False


def _destination(to: str) -> str:
    def encoded(found: re.Match[str]) -> str:
        if found[0] == "&":
            return "&amp;"
        return "".join(f"%{byte:02X}" for byte in found[0].encode())

    return _UNSAFE_IN_DESTINATION.sub(encoded, to)


def _escaped(text: str, setting: _Setting, *, starts: bool) -> str:
    """Escape text so that it reads the same in any position."""

    def escape(found: re.Match[str]) -> str:
        what = found[0]
        if what[0] == "_":
            before, after = text[found.start() - 1 : found.start()], text[found.end() :][:1]
            return what if _is_word(before) and _is_word(after) else "\\_" * len(what)
        return {"&": "&amp;", "<": "&lt;"}.get(what, f"\\{what}")

    if starts:
        text = text.lstrip()
    first = _AT_LINE_START.match(text) if starts else None
    escaped = _SPECIAL.sub(escape, text)
    if setting.heading:
        escaped = _TRAILING_MARKS.sub(lambda found: "\\#" * len(found[0]), escaped)
    if first is None or escaped.startswith("\\"):
        return escaped
    at = first.end() if first[0][0].isdigit() else 0
    return f"{escaped[:at]}\\{escaped[at:]}"


def _is_word(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _failing(items: Sequence[_Item], parts: Sequence[str]) -> set[int]:
    """The emphasis pairs that CommonMark's flanking rules would not recognize."""
    failing: set[int] = set()
    befores, last = [], ""
    for part in parts:
        befores.append(last)
        last = part[-1:] or last
    afters, following = [], ""
    for part in reversed(parts):
        afters.append(following)
        following = part[:1] or following
    afters.reverse()
    for number, item in enumerate(items):
        if not isinstance(item, _Mark):
            continue
        outer, inner = befores[number], afters[number]
        if not item.opens:
            outer, inner = inner, outer
        beside = items[number + 1] if item.opens else items[number - 1]
        empty = isinstance(beside, _Mark) and beside.number == item.number
        # Adjacent marks of one kind could pair differently.
        touching = inner == item.marks[0] or outer == item.marks[0]
        open_air = not inner or inner.isspace()
        reads = inner.isalnum() and item.marks != "_"
        if empty or touching or open_air or not (reads or _is_apart(outer)):
            failing.add(item.number)
    return failing


def _is_apart(character: str) -> bool:
    """Non-ASCII characters count as letters: parsers disagree on which are punctuation."""
    return not character.isalnum() and (character.isascii() or character.isspace())
