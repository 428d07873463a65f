"""Figures of a sample prediction against the truth: lines, maps, or scatter and ray.

An operator run stores `input`, `truth`, `prediction` (samples, channels, *grid), `coordinates`
and `relative_l2` (samples,): a typical and the worst test sample. A PINN run stores `exact` and
`prediction` at test points, and along one ray `ray_radius`, `ray_exact`, `ray_prediction`.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.aggregate.collect import RunResult
from pipeline.aggregate.figure import COLOURS, INK, finish, panels, style
from pipeline.aggregate.quantities import percent
from pipeline.config import OperatorRun

# One line in the report under each kind of figure.
CAPTIONS = {
    "lines": "Typical (median error) and worst test sample: input, truth with prediction, and"
    " pointwise error.",
    "maps": "Typical (median error) and worst test sample; truth and prediction share one scale.",
    "points": "Left: prediction against exact solution at random test points; the closer to the"
    " diagonal, the better. Right: both along one ray from the origin.",
}


def kind(run: RunResult) -> str:
    """Return which figure fits the run: "points" (PINN), "lines" (1-D) or "maps" (2-D)."""
    if not isinstance(run.config, OperatorRun):
        return "points"
    return "lines" if run.prediction["truth"].ndim == 3 else "maps"


def prediction_figure(run: RunResult) -> Figure:
    """Draw sample predictions of `run` against the truth."""
    draw = {"points": _points, "lines": _lines, "maps": _maps}[kind(run)]
    with style():
        return draw(run.prediction)


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
    image = panel.imshow(values.T, origin="lower", cmap=colours, vmin=low, vmax=high)
    figure.colorbar(image, ax=panel, shrink=0.78, pad=0.03)
    panel.set_xticks([])
    panel.set_yticks([])
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)


def _points(sample: dict[str, np.ndarray]) -> Figure:
    exact, predicted = sample["exact"], sample["prediction"]
    figure, axes = panels(1, 2, 3.4)
    left, right = axes[0]
    ends = [float(min(exact.min(), predicted.min())), float(max(exact.max(), predicted.max()))]
    left.plot(ends, ends, color=INK, linewidth=1, linestyle=(0, (4, 2)), label="exact")
    left.plot(
        exact, predicted, linestyle="none", marker=".", markersize=4, alpha=0.6,
        color=COLOURS[0], label="test points", markeredgewidth=0,
    )  # fmt: skip
    left.set_box_aspect(0.8)
    left.legend()
    finish(left, xlabel="exact u(x)", ylabel="predicted u(x)")
    right.plot(
        sample["ray_radius"], sample["ray_exact"], color=INK, linewidth=2.4, alpha=0.55,
        label="exact",
    )  # fmt: skip
    right.plot(
        sample["ray_radius"], sample["ray_prediction"], color=COLOURS[1],
        linestyle=(0, (4, 2)), label="prediction",
    )  # fmt: skip
    right.legend()
    finish(right, xlabel="distance |x| from the origin", ylabel="u along a ray")
    return figure


def _sample_title(sample: dict[str, np.ndarray], index: int) -> str:
    name = ("typical sample", "worst sample")[index] if index < 2 else f"sample {index}"
    return f"{name}: {percent(float(sample['relative_l2'][index]))}"
