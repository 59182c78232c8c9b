"""Lines over a logarithmic axis, as a self-contained SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 340, 260
_LEFT, _TOP, _RIGHT, _BOTTOM = 46, 56, 26, 44
_LEGEND = 62
_MOST = 1.5
_COLORS = ("#0969da", "#bf3989", "#1a7f37", "#9a6700", "#8250df")


@dataclass(frozen=True)
class Line:
    """Named points (x, y); x above 0, y from 0 to 1.5."""

    name: str
    points: Sequence[tuple[float, float]]


def plot(title: str, below: str, panels: Mapping[str, Sequence[Line]]) -> str:
    """The panels side by side, with the same axes; 0.9 and 1.1 are marked."""
    width = _WIDTH * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT + _LEGEND}" '
        f'width="{width}" height="{_HEIGHT + _LEGEND}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{_HEIGHT + _LEGEND}" fill="#fff"/>',
        f'<text x="{width / 2}" y="20" text-anchor="middle" font-size="13">{escape(title)}</text>',
    ]
    for number, (name, lines) in enumerate(panels.items()):
        parts += [f'<g transform="translate({number * _WIDTH} 0)">', *_panel(name, below, lines)]
        parts.append("</g>")
    parts += _legend(next(iter(panels.values())), width)
    return "\n".join([*parts, "</svg>", ""])


def _panel(name: str, below: str, lines: Sequence[Line]) -> list[str]:
    xs = sorted({x for line in lines for x, _ in line.points})
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def across(x: float) -> float:
        span = math.log10(xs[-1] / xs[0]) or 1.0
        return _LEFT + (right - _LEFT) * math.log10(x / xs[0]) / span

    def down(y: float) -> float:
        return bottom - (bottom - _TOP) * min(y, _MOST) / _MOST

    band = f'y="{down(1.1):.1f}" width="{right - _LEFT}" height="{down(0.9) - down(1.1):.1f}"'
    parts = [
        f'<text x="{_LEFT}" y="{_TOP - 8}" font-weight="bold">{escape(name)}</text>',
        f'<rect x="{_LEFT}" {band} fill="#ddf4ff"/>',
        f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="#59636e"/>',
        f'<text x="{(_LEFT + right) / 2}" y="{bottom + 34}" text-anchor="middle">'
        f"{escape(below)}</text>",
    ]
    parts += [
        f'<text x="{across(x):.1f}" y="{bottom + 16}" text-anchor="middle">{x:,.0f}</text>'
        for x in xs
    ]
    parts += [
        f'<text x="{_LEFT - 6}" y="{down(y) + 4:.1f}" text-anchor="end">{y}</text>'
        for y in (0, 0.5, 1.0, 1.5)
    ]
    for line, color in zip(lines, _COLORS, strict=False):
        path = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in line.points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
    return parts


def _legend(lines: Sequence[Line], width: int) -> list[str]:
    parts, at, top = [], _LEFT, _HEIGHT
    for line, color in zip(lines, _COLORS, strict=False):
        room = 40 + 7 * len(line.name)
        if at + room > width:
            at, top = _LEFT, top + 18
        parts.append(f'<rect x="{at}" y="{top + 2}" width="14" height="4" fill="{color}"/>')
        parts.append(f'<text x="{at + 20}" y="{top + 9}">{escape(line.name)}</text>')
        at += room
    return parts
