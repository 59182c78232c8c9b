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


def repaired_json_value(text: bytes) -> Any:
    """Like `json_value`, for a program whose every line matters: bytes that are not UTF-8 and lone
    surrogates are replaced. Raises ValueError for everything else.
    """
    whole = text.decode("utf-8", "replace")
    if not _HALF_A_CHARACTER.search(whole):
        return json_value(whole)
    try:
        return _paired(json.loads(whole, parse_float=_finite, parse_constant=_finite))
    except RecursionError:
        raise ValueError("this is nested too deeply") from None


def _paired(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_paired(name): _paired(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_paired(part) for part in value]
    return value


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError("a number is not finite")
    return value
