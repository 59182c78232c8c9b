"""Parses untrusted JSON, with one error type for anything invalid. Pure."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_HALF_A_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")


def json_value(text: str | bytes) -> Any:
    """Parse a JSON text.

    Raises ValueError for anything but UTF-8 JSON, for deep nesting, and for non-finite numbers
    and lone surrogates, which files, databases and APIs reject.
    """
    whole = text if isinstance(text, str) else text.decode("utf-8")
    try:
        value = json.loads(whole, parse_float=_finite, parse_constant=_finite)
    except RecursionError:
        raise ValueError("this is nested too deeply") from None
    if _HALF_A_CHARACTER.search(whole):
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError("a number is not finite")
    return value
