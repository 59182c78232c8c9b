"""Unlikely inputs: good samples with bad edits, piles of significant pieces, and noise.

Hypothesis draws the dice, and from one throw of them a handful of examples is made by hand: that is
a hundred times cheaper than a strategy for each edit, so that a hundred thousand take minutes.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

NOISE: tuple[bytes, ...] = (
    *(b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xc0\x80", b"\xed\xa0\x80", b"\r", b"\n"),
    *(b"\r\n", b"\t", b" ", b'"', b"'", b"\\", b"/", b"<", b">", b"&", b"{", b"}", b"[", b"]"),
    *(b"(", b")", b":", b",", b"-", b"--", b"=", b"#", b"%", b"@", b"..", b"../", b"/etc/passwd"),
    *(b"9" * 400, b"9" * 5000, b"-1", b"0", b"1e999", b"NaN", b"Infinity", b"null", b"true"),
    *("é".encode(), "\u2028".encode(), "\u202e".encode(), "\u200b".encode(), "🦆".encode()),
    *("\U000e0041".encode(), "\u0661".encode(), "²".encode(), "İ".encode(), b"\x1b[31m", b"\x85"),
    *(b"[" * 300, b"{" * 300, b"(" * 300, b"<a>" * 100, b"a" * 3000, b"\x0b", b"\x0c", b"\x1c"),
)

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 7.5, 1e308, -0.0, 2**31, 2**63, 2**64, 10**30, "", "x", "0"),
    *("\u0000", "\u202e", "é", "a" * 3000, "/honk", "../../x", "-1", "1e9", "true", "null", "²"),
    *([], {}, [None], [[]], {"": None}, {"a": {"b": []}}, ["x"] * 50, "2026-01-01T00:00:00Z"),
    *("9999-99-99", "honk", "labeled", "created", "acme/rounding", "a/b/c", "\n", "٣", "[bot]"),
)


class Dice:
    """Where chance comes from; the same seed throws the same."""

    def __init__(self, seed: bytes) -> None:
        self._random = random.Random(seed)

    def below(self, limit: int) -> int:
        """A number from 0, less than the limit."""
        return int(self._random.random() * limit)

    def one_of(self, things: Sequence[T]) -> T:
        return things[int(self._random.random() * len(things))]

    def noise(self, most: int = 200) -> bytes:
        """Any bytes at all."""
        return self._random.randbytes(self.below(most + 1))


Make = Callable[[Dice], T]


def edited(samples: Sequence[bytes], pieces: Sequence[bytes], *, most: int = 8) -> Make[bytes]:
    """A sample with some edits: put in, taken out, written over, doubled, cut."""

    def make(dice: Dice) -> bytes:
        sample = dice.one_of(samples)
        for _ in range(dice.below(most + 1)):
            sample = _edit(sample, dice, pieces)
        return sample

    return make


def _edit(sample: bytes, dice: Dice, pieces: Sequence[bytes]) -> bytes:
    at = dice.below(len(sample) + 1)
    end = at + dice.below(40)
    match dice.below(9):
        case 0 | 1 | 2:
            return sample[:at] + dice.one_of(pieces) + sample[at:]
        case 3 | 4:
            return sample[:at] + sample[end:]
        case 5:
            piece = dice.one_of(pieces)
            return sample[:at] + piece + sample[at + len(piece) :]
        case 6:
            return sample[:end] + sample[at:]
        case 7:
            byte = bytes([dice.below(256)])
            return sample[:at] + byte + sample[at + 1 :]
        case _:
            return sample[:at] if dice.below(4) == 0 else sample


def heaps(pieces: Sequence[bytes], *, most: int = 25) -> Make[bytes]:
    """Pieces, one after the other."""
    return lambda dice: b"".join(dice.one_of(pieces) for _ in range(dice.below(most + 1)))


def foreign(
    samples: Sequence[bytes], pieces: Sequence[bytes] = (), *, most: int = 25
) -> Make[bytes]:
    """Bytes of one format: edited, heaped up, or any at all."""
    known = (*pieces, *pieces, *NOISE)
    ways = (edited(samples, known), edited(samples, known), heaps(known, most=most), Dice.noise)
    return either(*ways)


def either(*ways: Make[T]) -> Make[T]:
    """One of several ways."""
    return lambda dice: dice.one_of(ways)(dice)


def words(samples: Sequence[str], pieces: Sequence[str] = (), *, most: int = 25) -> Make[str]:
    """The same as text: what is no UTF-8 comes as the sign for that."""
    make = foreign([s.encode() for s in samples], [p.encode() for p in pieces], most=most)
    return lambda dice: make(dice).decode("utf-8", "replace")


def odd_json(samples: Sequence[Any], odd: Sequence[Any] = ODD) -> Make[Any]:
    """A sample of JSON in which some values are others, or gone, or doubled."""

    def make(dice: Dice) -> Any:
        whole = [copy.deepcopy(dice.one_of(samples))]
        for _ in range(dice.below(6)):
            _change(whole, dice, odd)
        return whole[0]

    return make


def _change(whole: list[Any], dice: Dice, odd: Sequence[Any]) -> None:
    container, key = dice.one_of(_places(whole))
    kind, value = dice.below(5), dice.one_of(odd)
    if kind == 0 and container is not whole:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        container[str(value)[:20]] = container[key]
    elif kind == 2 and isinstance(container, list) and container is not whole:
        container.append(copy.deepcopy(container[key]))
    else:
        container[key] = copy.deepcopy(value)


def _places(node: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    waiting = [node]
    while waiting:
        at = waiting.pop()
        keys: list[Any] = list(at) if isinstance(at, dict) else list(range(len(at)))
        for key in keys:
            found.append((at, key))
            if isinstance(at[key], dict | list):
                waiting.append(at[key])
    return found


def as_bytes(value: Any) -> bytes:
    """JSON as it is sent."""
    return json.dumps(value).encode()


def json_text(samples: Sequence[Any], pieces: Sequence[bytes] = ()) -> Make[bytes]:
    """JSON as bytes: odd in its values, or broken as a text."""
    odd = odd_json(samples)
    texts = [as_bytes(sample) for sample in samples]
    return either(lambda dice: as_bytes(odd(dice)), foreign(texts, pieces))


def both(*makes: Make[Any]) -> Make[Any]:
    """A tuple of one of each."""
    return lambda dice: tuple(make(dice) for make in makes)


def many(make: Make[T], *, least: int = 0, most: int = 3) -> Make[list[T]]:
    """Some of them."""
    return lambda dice: [make(dice) for _ in range(least + dice.below(most - least + 1))]


def some_of(things: Sequence[T]) -> Make[T]:
    """One of these."""
    return lambda dice: dice.one_of(things)
