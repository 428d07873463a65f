"""How the solver's value of each bound approaches the published one as the degree grows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from pipeline.aggregate.figures.figure import INK, finish, line_style, log_axis, panels, style, svg
from pipeline.aggregate.read.quantities import exact_decimal, last_place, relative_gap
from pipeline.aggregate.read.results import BoundResult, Results
from pipeline.aggregate.sections.base import Row

NAME, LINK = "convergence", None
# So many bounds are told apart by colour and name, more by a shade.
_MOST_NAMES = 6


def build(results: Results) -> Row | None:
    """Return the figure, if any search climbed degrees."""
    figure = bound_convergence(results.bounds)
    return {"figure": svg(figure, "bounds")} if figure else None


def bound_convergence(bounds: Sequence[BoundResult]) -> Figure | None:
    """Draw the gap of the solver's value to the published one of its formulation by degree."""
    with style():
        figure, axes = panels(1, 1, 3.6)
        panel = axes[0, 0]
        values: list[float] = []
        few = len(bounds) <= _MOST_NAMES
        shades = ListedColormap(colormaps["viridis"](np.linspace(0.1, 0.9, len(bounds))))
        for index, result in enumerate(bounds):
            look = line_style(index) if few else {"color": shades(index), "linewidth": 1.0}
            values += _ladder(panel, result, look)
        if not values:
            return None
        log_axis(panel.yaxis, values)
        finish(
            panel,
            xlabel="degree of the polynomial",
            ylabel="|relative gap to the published value|",
        )
        if few:
            panel.legend(ncols=2)
        else:
            dims = [result.config.formulation.dim for result in bounds]
            _dimension_bar(figure, panel, shades, dims)
    return figure


def _dimension_bar(
    figure: Figure, panel: Axes, shades: ListedColormap, dims: Sequence[int]
) -> None:
    """Draw which of `dims`, which are in order, each shade stands for."""
    bar = figure.colorbar(ScalarMappable(cmap=shades), ax=panel, pad=0.01, aspect=30)
    ticks = [round(tick) for tick in np.linspace(0, len(dims) - 1, 6)]
    places = [(tick + 0.5) / len(dims) for tick in ticks]
    bar.set_ticks(places, labels=[str(dims[tick]) for tick in ticks])
    bar.outline.set_visible(False)
    bar.set_label("dimension n")


def _ladder(panel: Axes, result: BoundResult, look: dict[str, Any]) -> list[float]:
    """Draw one ladder of degrees; gaps below the published digits sit at their resolution."""
    reference = result.peer.value
    floor = float(last_place(reference) / exact_decimal(reference)) or 1e-16

    def gap(bound: str) -> float:
        # Below the last published digit a gap means nothing, and 0 has no logarithm.
        return max(abs(float(relative_gap(bound, reference))), floor)

    steps = result.ladder
    if not steps:
        return []
    gaps = [gap(bound) for _, bound in steps]
    label = f"{result.name} (n = {result.config.formulation.dim}), solver"
    degrees = [degree for degree, _ in steps]
    panel.plot(degrees, gaps, marker="o", markersize=4, label=label, **look)
    if result.proved_bound is not None:
        proved = gap(result.proved_bound)
        panel.plot(
            result.degree, proved, marker="*", markersize=13, linestyle="none",
            color=look["color"], markeredgecolor=INK, markeredgewidth=0.6,
            label=f"{result.name}, proved",
        )  # fmt: skip
        gaps.append(proved)
    return gaps
