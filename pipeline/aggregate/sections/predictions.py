"""Figures of a sample prediction against the truth: lines, maps, or scatter and ray.

An operator run stores `input`, `truth`, `prediction` (samples, channels, *grid), `coordinates`
and `relative_l2` (samples,): a typical and the worst test sample. A PINN run stores `exact` and
`prediction` at test points, and along one ray `ray_distance`, `ray_exact`, `ray_prediction`, all at
time `ray_time` (NaN where there is no time). The exact solution is NaN where it is not known.
"""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.aggregate.describe import problem_title
from pipeline.aggregate.figures.figure import COLOURS, INK, finish, panels, style, svg
from pipeline.aggregate.read.quantities import percent
from pipeline.aggregate.read.results import Results, RunResult
from pipeline.aggregate.sections.base import Link, Row
from pipeline.training.operator.config import OperatorRun

NAME, LINK = "predictions", Link("samples", "Sample predictions")
# One line in the report under each kind of figure.
CAPTIONS = {
    "lines": "Typical (median error) and worst test sample: input, truth with prediction, and"
    " pointwise error.",
    "maps": "Typical (median error) and worst test sample; truth and prediction share one scale.",
    "points": "Left: prediction against the solution at test points; the closer to the diagonal,"
    " the better. Right: both along one ray of space from the origin to the distance of a typical"
    " point, at the time given if there is time; dots where the solution is known at single points"
    " only.",
}


def build(results: Results) -> Row | None:
    """Return a figure for each run."""
    samples = [
        {
            "name": run.name,
            "problem": problem_title(run.config, results.experiment),
            "caption": CAPTIONS[kind(run)],
            "svg": svg(prediction_figure(run), f"sample{index}"),
        }
        for index, run in enumerate(results.runs)
    ]
    return {"samples": samples} if samples else None


def kind(run: RunResult) -> str:
    """Return which figure fits the run: "points" (PINN), "lines" (1-D) or "maps" (2-D)."""
    if not isinstance(run.config, OperatorRun):
        return "points"
    return "lines" if run.prediction["truth"].ndim == 3 else "maps"


def prediction_figure(run: RunResult) -> Figure:
    """Draw sample predictions of `run` against the truth."""
    draw = {"lines": _lines, "maps": _maps}
    with style():
        if (found := kind(run)) == "points":
            return _points(run.prediction, solution_name(run))
        return draw[found](run.prediction)


def solution_name(run: RunResult) -> str:
    """Return what a PINN's error refers to: the exact solution, or a reference with an error."""
    return "reference" if run.record["summary"].get("reference_error") else "exact"


def _lines(sample: dict[str, np.ndarray]) -> Figure:
    x = sample["coordinates"].reshape(-1)
    figure, axes = panels(len(sample["truth"]), 3, 2.3, sharex=True)
    for row, index in zip(axes, range(len(sample["truth"])), strict=True):
        truth, predicted = sample["truth"][index, 0], sample["prediction"][index, 0]
        row[0].plot(x, sample["input"][index, 0], color=COLOURS[2])
        row[1].plot(x, truth, color=INK, linewidth=2.4, alpha=0.55, label="truth")
        row[1].plot(x, predicted, color=COLOURS[1], linestyle=(0, (4, 2)), label="prediction")
        row[2].plot(x, predicted - truth, color=COLOURS[0])
        row[2].axhline(0, color=INK, linewidth=0.8)
        finish(row[0], title=_sample_title(sample, index), ylabel="input")
        finish(row[1], ylabel="u")
        finish(row[2], ylabel="prediction − truth")
        row[2].ticklabel_format(axis="y", scilimits=(-2, 3), useMathText=False)
    axes[0, 1].legend(loc="best")
    for panel in axes[-1]:
        panel.set_xlabel("x")
    return figure


def _maps(sample: dict[str, np.ndarray]) -> Figure:
    figure, axes = panels(len(sample["truth"]), 4, 2.25)
    for row, index in zip(axes, range(len(sample["truth"])), strict=True):
        truth, predicted = sample["truth"][index, 0], sample["prediction"][index, 0]
        # The truth sets the scale of both maps: one of its own would hide a wrong amplitude.
        low, high = float(truth.min()), float(truth.max())
        _map(figure, row[0], sample["input"][index, 0], "cividis")
        _map(figure, row[1], truth, "viridis", low, high)
        _map(figure, row[2], predicted, "viridis", low, high)
        _map(figure, row[3], np.abs(predicted - truth), "magma", 0.0)
        for panel, text in zip(
            row, ("input", "truth", "prediction", "|prediction − truth|"), strict=True
        ):
            finish(panel, title=text)
        row[0].set_ylabel(_sample_title(sample, index))
    return figure


def _map(
    figure: Figure,
    panel: Axes,
    values: np.ndarray,
    colours: str,
    low: float | None = None,
    high: float | None = None,
) -> None:
    # Transposed: imshow takes the first axis for rows, and it is x.
    image = panel.imshow(values.T, origin="lower", cmap=colours, vmin=low, vmax=high)
    figure.colorbar(image, ax=panel, shrink=0.78, pad=0.03)
    panel.set_xticks([])
    panel.set_yticks([])
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)


def _points(sample: dict[str, np.ndarray], solution: str) -> Figure:
    exact, predicted = sample["exact"], sample["prediction"]
    figure, axes = panels(1, 2, 3.4)
    left, right = axes[0]
    both = np.concatenate([exact, predicted])
    ends = [float(np.nanmin(both)), float(np.nanmax(both))]
    left.plot(ends, ends, color=INK, linewidth=1, linestyle=(0, (4, 2)), label="equal")
    # Some solutions are known at a single point: a dot would be lost.
    marker = "." if len(exact) > 1 else "o"
    left.plot(
        exact, predicted, linestyle="none", marker=marker, markersize=4, alpha=0.6,
        color=COLOURS[0], label=f"test point{'s' if len(exact) > 1 else ''}", markeredgewidth=0,
    )  # fmt: skip
    left.set_box_aspect(0.8)
    left.legend()
    finish(left, xlabel=f"{solution} u", ylabel="predicted u")
    distance, known = sample["ray_distance"], sample["ray_exact"]
    right.plot(
        distance, known, color=INK, linewidth=2.4, alpha=0.55, label=solution,
        marker="o", markersize=6, markevery=_alone(known),
    )  # fmt: skip
    right.plot(
        distance, sample["ray_prediction"], color=COLOURS[1], linestyle=(0, (4, 2)),
        label="prediction",
    )  # fmt: skip
    right.legend()
    finish(right, xlabel=distance_label(float(sample["ray_time"])), ylabel="u along a ray")
    return figure


def distance_label(time: float) -> str:
    """Return the label of the axis of |x|, with the time on the ray (NaN without time)."""
    return f"distance |x| from the origin{'' if math.isnan(time) else f', t = {time:.3g}'}"


def _alone(values: np.ndarray) -> list[int]:
    """Return the places of numbers without a neighbour that is one: no line would show them."""
    known = np.pad(np.isfinite(values), 1)
    return [int(i) for i in np.flatnonzero(known[1:-1] & ~known[:-2] & ~known[2:])]


def _sample_title(sample: dict[str, np.ndarray], index: int) -> str:
    name = ("typical sample", "worst sample")[index] if index < 2 else f"sample {index}"
    return f"{name}: {percent(float(sample['relative_l2'][index]))}"
