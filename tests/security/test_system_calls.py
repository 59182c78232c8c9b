"""The system-call filter, compared with the kernel's own table."""

from __future__ import annotations

import errno
import itertools
import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.sandbox import seccomp

_TABLE = Path(__file__).with_name("system_calls.txt")
_GROUPS = (seccomp.ALLOWED, seccomp.BY_ARGUMENTS, seccomp.PRIVILEGED, seccomp.REFUSED)


def known() -> Iterator[tuple[str, str, str]]:
    for line in _TABLE.read_text().splitlines():
        if not line.startswith("#"):
            x86, arm, name = line.split("\t")
            yield x86, arm, name


def test_every_call_of_the_kernel_is_decided_about() -> None:
    names = {name for _, _, name in known()}
    assert names == frozenset().union(*_GROUPS)


def test_a_call_is_decided_about_once() -> None:
    for one, other in itertools.combinations(_GROUPS, 2):
        assert not one & other


@pytest.mark.parametrize("machine", ["X86_64", "AARCH64"])
def test_numbers_are_those_that_libseccomp_uses(machine: str) -> None:
    import pyseccomp

    for x86, arm, name in known():
        number = x86 if machine == "X86_64" else arm
        found = pyseccomp.resolve_syscall(getattr(pyseccomp.Arch, machine), name)
        if number != "-" and found >= 0:
            assert found == int(number), name


def test_low_words_are_all_matched_but_the_excluded() -> None:
    pairs = list(seccomp.low_words_but({3, 5, 12}, bits=4))
    for word in range(64):
        matched = [pair for pair in pairs if word & pair[0] == pair[1]]
        assert len(matched) == (word & 15 not in (3, 5, 12)), word


def test_a_request_with_high_bits_is_the_same_request() -> None:
    wide = list(seccomp.low_words_but({0x5412, 0x541C}))
    for high in (0, 1 << 32, 1 << 63):
        for word in (0x5412, 0x541C):
            assert not any((word | high) & mask == value for mask, value in wide)
        for word in (0x5401, 0x5413, random.getrandbits(32) | 1 << 20):
            assert any((word | high) & mask == value for mask, value in wide)


@pytest.mark.parametrize("name", sorted(seccomp.BY_ARGUMENTS))
def test_the_filter_answers_as_its_rules_say(name: str) -> None:
    """What libseccomp made of rules for one call, tried with arguments near their borders."""
    import pyseccomp

    number = pyseccomp.resolve_syscall(pyseccomp.system_arch(), name)
    rules = [rule for rule in seccomp.rules() if name in rule.names]
    values = {0, 1, 2, 63, 1 << 31, 1 << 32, (1 << 64) - 1}
    values |= {each.value + n for rule in rules for each in rule.arguments for n in (-1, 0, 1)}
    values |= {value | high for value in set(values) for high in (1 << 32, 1 << 63)}
    near = [value % (1 << 64) for value in sorted(values)]
    chosen = random.Random(name)
    for _ in range(1500):
        words = tuple(chosen.choice(near) for _ in range(3))
        said = {rule.error for rule in rules if all(_holds(each, words) for each in rule.arguments)}
        assert len(said) == 1, (words, said)
        assert _answer(number, words) == said.pop(), words


@pytest.mark.parametrize("number", [206, 425, 467, 999, 4242])
def test_what_is_not_named_is_not_implemented(number: int) -> None:
    assert _answer(number if os.uname().machine == "x86_64" else 999, (0, 0, 0)) == errno.ENOSYS


def _holds(argument: seccomp.Argument, words: tuple[int, ...]) -> bool:
    word = words[argument.index]
    return {
        "EQ": word == argument.value,
        "NE": word != argument.value,
        "LE": word <= argument.value,
        "GT": word > argument.value,
        "GE": word >= argument.value,
        "MASKED_EQ": word & argument.value == argument.second,
    }[argument.op]


_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def _answer(number: int, words: tuple[int, ...]) -> int | None:
    """Run the filter as the kernel does (https://docs.kernel.org/networking/filter.html)."""
    program = list(struct.iter_unpack("=HBBI", seccomp.program()))
    data = struct.pack("=iIQ6Q", number, _ARCH[os.uname().machine], 0, *words, *[0] * 3)
    register = at = 0
    while True:
        code, yes, no, value = program[at]
        at += 1
        if code == 0x20:  # load a word
            register = struct.unpack_from("=I", data, value)[0]
        elif code == 0x54:  # and
            register &= value
        elif code == 0x06:  # return
            return None if value == 0x7FFF0000 else value & 0xFFFF
        elif code == 0x05:  # jump
            at += value
        else:
            taken = {
                0x15: register == value,
                0x25: register > value,
                0x35: register >= value,
                0x45: register & value != 0,
            }[code]
            at += yes if taken else no
