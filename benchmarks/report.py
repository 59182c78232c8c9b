"""How long does reading a report of 50,000 tests take, beside the XML parser alone?

`python -m benchmarks.report`. The parser is expat with handlers that do nothing, and then the one
that builds the standard library's tree, over the same text.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from xml.etree import ElementTree
from xml.parsers import expat

from app.verify.junit import read_junit
from app.verify.verifiers.pytest import node_prefix

CASES = 50_000
ROUNDS = 7


def main() -> None:
    """Print the best time of each, and the ratios."""
    report = made(CASES)
    print(f"{CASES:,} tests, {len(report) / 2**20:.1f} MiB")
    floor = best(lambda: _handlers_alone(report))
    tree = best(lambda: ElementTree.fromstring(report))  # noqa: S314 - made here
    ours = best(lambda: read_junit(report, node_prefix))
    print(f"expat, handlers that do nothing {floor * 1e3:7.0f} ms")
    print(f"expat, into a tree              {tree * 1e3:7.0f} ms")
    print(f"honk, into results              {ours * 1e3:7.0f} ms")
    print(f"honk takes {ours / tree:.2f} times the tree, {ours / floor:.2f} times the handlers")


def made(cases: int) -> bytes:
    """A report as pytest writes it: one test in twenty fails, one is skipped."""
    parts = ['<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest">']
    for number in range(cases):
        module = number // 50
        head = (
            f'<testcase classname="tests.unit.test_module_{module}.TestThing" '
            f'name="test_case[{number}-value]" file="tests/unit/test_module_{module}.py" '
            f'line="{number % 50 * 7}" time="0.001"'
        )
        if number % 20 == 0:
            trace = f"tests/unit/test_module_{module}.py:12: in test_case\n    assert 1 == 2\n" * 5
            parts.append(f'{head}><failure message="assert 1 == 2">{trace}</failure></testcase>')
        elif number % 20 == 1:
            parts.append(f'{head}><skipped message="later" type="pytest.skip" /></testcase>')
        else:
            parts.append(f"{head} />")
    return "".join([*parts, "</testsuite></testsuites>"]).encode()


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest round: other load on this machine can only add time."""
    times = []
    for _ in range(ROUNDS):
        gc.collect()
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def _handlers_alone(report: bytes) -> None:
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = lambda tag, attributes: None
    parser.EndElementHandler = lambda tag: None
    parser.CharacterDataHandler = lambda text: None
    parser.Parse(report, True)


if __name__ == "__main__":
    main()
