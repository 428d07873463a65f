"""One style for all figures, and figures as inline SVG that follows the page's colours.

The SVG is deterministic (salted hashes, no date), names no address, and takes its ink from the
page: `currentColor` for text and axes, `--grid` and `--curve0`.. for the rest, so that it reads
on a light and on a dark ground.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from pipeline.aggregate.read.quantities import power_of_ten

# Okabe and Ito's palette, without the yellow that vanishes on white: safe for colour-blind eyes.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
WIDTH = 9.6  # inches: 922 px, the width of the page's column
# Stand-ins, replaced by the page's variables when the figure is written.
INK, GRID = "#010203", "#040506"
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pipeline",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.7,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.unicode_minus": True,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the report's style within this block."""
    with mpl.rc_context(_STYLE):
        yield


def panels(rows: int, columns: int, height: float, **options: Any) -> tuple[Figure, np.ndarray]:
    """Return a figure as wide as the page with rows × columns axes, each row `height` inches."""
    figure = Figure(figsize=(WIDTH, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def line_style(index: int) -> dict[str, Any]:
    """Return colour and dashes of the `index`-th curve: told apart without colour as well."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[(index // len(COLOURS) + index) % len(DASHES)],
    }


def log_axis(axis: Any, values: Sequence[float] | np.ndarray) -> None:
    """Make `axis` logarithmic, with ticks that are always at least two labelled numbers."""
    axis.axes.set_xscale("log") if axis.axis_name == "x" else axis.axes.set_yscale("log")
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite) & (finite > 0)]
    decades = float(np.log10(finite.max() / finite.min())) if finite.size else 1.0
    # Powers of ten label a long axis; on a shorter one digits between them have to help.
    if decades >= 1.7:
        axis.set_major_locator(LogLocator(base=10, numticks=9))
        axis.set_major_formatter(FuncFormatter(lambda x, _: power_of_ten(round(np.log10(x)))))
        axis.set_minor_formatter(NullFormatter())
        return
    digits = (1, 2, 5) if decades > 1 else (1, 2, 3, 5, 7) if decades > 0.5 else range(1, 10)
    axis.set_major_locator(LogLocator(base=10, subs=digits))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.3g}"))
    axis.set_minor_locator(NullLocator())


def thin(
    x: np.ndarray, y: np.ndarray, low: np.ndarray, high: np.ndarray, bins: int = 240
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return medians of x and y, minimum of `low`, maximum of `high` in at most `bins` groups.

    `low` and `high` are the ends of each value's band; groups have equal lengths.
    """
    # The band takes the extremes of a group: a spike stays visible beside the median.
    groups = np.array_split(np.arange(len(x)), min(bins, len(x)))
    columns = ((np.median, x), (np.median, y), (np.min, low), (np.max, high))
    middle, median, least, most = (
        np.array([statistic(values[group]) for group in groups]) for statistic, values in columns
    )
    return middle, median, least, most


def svg(figure: Figure, prefix: str) -> Markup:
    """Return `figure` as an <svg> element whose ids start with `prefix`, unique on the page.

    It is safe markup: matplotlib escapes the texts of a figure.
    """
    buffer = io.StringIO()
    with style():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:xlink)?="[^"]*"', "", text)
    # Within HTML a plain href serves, and needs no namespace.
    text = text.replace("xlink:href=", "href=")
    # Only ids that are referred to are kept: equal images in one figure would share theirs.
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', text))
    text = re.sub(
        r' id="([^"]*)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", text
    )
    text = re.sub(r"url\(#", f"url(#{prefix}-", text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    text = text.replace(INK, "currentColor").replace(GRID, "var(--grid)")
    for index, colour in enumerate(COLOURS):
        text = text.replace(colour.lower(), f"var(--curve{index})")
    return Markup(re.sub(r'<svg ([^>]*?)height="[^"]*" ?', r"<svg \1", text, count=1))


def finish(axes: Axes, *, title: str = "", xlabel: str = "", ylabel: str = "") -> None:
    """Set the texts of `axes`."""
    axes.set_title(title)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
