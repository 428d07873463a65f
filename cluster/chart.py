"""Line charts of time series as SVG text, without a plotting library or JavaScript."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from math import ceil, floor, isfinite, log10

WIDTH, HEIGHT = 560, 260
_LEFT, _RIGHT, _TOP, _BOTTOM, _LEGEND_ROW = 64, 12, 26, 22, 14
_MAX_LEGEND = 6
_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf")
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Series:
    """A named list of (Unix time, value), in order of time."""

    name: str
    points: Sequence[tuple[float, float]]


def draw(title: str, unit: str, series: Sequence[Series], start: float, end: float) -> str:
    """Return an SVG of `series` between the times `start` and `end`.

    The vertical axis holds zero and every finite value. A gap of the data is a gap of the line:
    points further apart than five times the smallest spacing are not joined. No data says so.
    """
    finite = [
        Series(one.name, [point for point in one.points if isfinite(point[1])]) for one in series
    ]
    values = [value for one in finite for _, value in one.points]
    legend = min(len(finite), _MAX_LEGEND)
    bottom = HEIGHT - _BOTTOM - _LEGEND_ROW * legend
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="sans-serif" font-size="11" fill="#444">',
        f'<text x="8" y="16" font-size="13" font-weight="bold">{escape(title)}</text>',
    ]
    if not values:
        parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle">No data</text>')
        return "".join([*parts, "</svg>"])
    low, high, step = _axis(min(0.0, *values), max(0.0, *values))

    def place(time: float, value: float) -> tuple[float, float]:
        x = _LEFT + (time - start) / (end - start) * (WIDTH - _LEFT - _RIGHT)
        return x, bottom - (value - low) / (high - low) * (bottom - _TOP)

    for tick in range(round((high - low) / step) + 1):
        value = low + tick * step
        _, y = place(start, value)
        parts.append(
            f'<path d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}" stroke="#ddd"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label(value, unit)}</text>'
        )
    for quarter in range(5):
        time = start + quarter / 4 * (end - start)
        x, _ = place(time, low)
        clock = datetime.fromtimestamp(time).strftime("%H:%M:%S")
        anchor = ("start", "middle", "middle", "middle", "end")[quarter]
        parts.append(f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="{anchor}">{clock}</text>')
    for index, one in enumerate(finite):
        colour = _COLOURS[index % len(_COLOURS)]
        for run in _runs(one.points):
            corners = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in run)
            parts.append(
                f'<polyline points="{corners}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
            )
        if index < legend:
            y = HEIGHT - _LEGEND_ROW * (legend - index) + 8
            more = (
                f" (+ {len(finite) - legend} more)" if index == legend - 1 < len(finite) - 1 else ""
            )
            text = escape(
                f"{one.name}: {label(one.points[-1][1], unit)}{more}" if one.points else one.name
            )
            parts.append(f'<path d="M10 {y - 4}h12" stroke="{colour}" stroke-width="3"/>')
            parts.append(f'<text x="28" y="{y}">{text}</text>')
    return "".join([*parts, "</svg>"])


def label(value: float, unit: str) -> str:
    """Return `value` in few characters: "1.5 GB", "40 %", "3.2e-05"."""
    suffix = {"bytes": "B", "Bps": "B/s", "%": " %"}.get(unit, "")
    for scale, prefix in _PREFIXES:
        if abs(value) >= scale and unit != "%":
            return f"{value / scale:.3g} {prefix}{suffix}"
    return f"{value:.3g}{' ' + suffix if suffix.startswith('B') else suffix}"


def _axis(low: float, high: float) -> tuple[float, float, float]:
    """Return round (low, high, step) around the values, with two to six steps."""
    if high == low:
        high = low + 1.0
    raw = (high - low) / 4
    scale = 10.0 ** floor(log10(raw))
    # Tolerances here and below: rounding must not add a step that the values do not need.
    step = scale * next(factor for factor in (1, 2, 5, 10) if raw <= factor * scale * 1.000001)
    return floor(low / step) * step, ceil(high / step - 1e-9) * step, step


def _runs(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Split `points` where the data has a gap."""
    # By the smallest spacing, which is that of samples without a gap.
    spacing = min((b[0] - a[0] for a, b in zip(points, points[1:], strict=False)), default=0.0)
    runs: list[list[tuple[float, float]]] = []
    for point in points:
        if runs and point[0] - runs[-1][-1][0] <= 5 * spacing:
            runs[-1].append(point)
        else:
            runs.append([point])
    return runs
