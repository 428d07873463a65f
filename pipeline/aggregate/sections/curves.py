"""Loss, held-out residual and test error of the runs over steps and time."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.aggregate import baselines
from pipeline.aggregate.figures.figure import (
    COLOURS,
    INK,
    finish,
    line_style,
    log_axis,
    panels,
    style,
    svg,
    thin,
)
from pipeline.aggregate.read.results import Results, RunResult
from pipeline.aggregate.sections.base import Row
from pipeline.aggregate.sections.runs import by_problem

NAME, LINK = "curves", None


def build(results: Results) -> Row | None:
    """Return the figures; that of the residual is None if no run follows it."""
    if not results.runs:
        return None
    residual = residual_curves(results)
    return {
        "loss": svg(loss_curves(results), "loss"),
        "residual": svg(residual, "residual") if residual else None,
        "error": svg(error_curves(results), "error"),
    }


def loss_curves(results: Results) -> Figure:
    """Draw the training loss of every run, one panel a problem."""
    return _by_step(by_problem(results), "loss", "train", "training loss")


def residual_curves(results: Results) -> Figure | None:
    """Draw the held-out residual of the runs that follow it, or return None without one."""
    groups = {
        title: [run for run in runs if not _history(run.metrics, "residual", "held_out").empty]
        for title, runs in by_problem(results).items()
    }
    followed = {title: runs for title, runs in groups.items() if runs}
    if not followed:
        return None
    return _by_step(followed, "residual", "held_out", "held-out residual")


def _by_step(groups: dict[str, list[RunResult]], metric: str, split: str, ylabel: str) -> Figure:
    """Draw one metric of the runs of each group against steps, one panel a group."""
    columns = min(2, len(groups))
    with style():
        figure, axes = panels(-(-len(groups) // columns), columns, 3.1)
        # An odd number of groups leaves a place empty.
        for panel in axes.flat[len(groups) :]:
            panel.set_visible(False)
        for panel, (title, runs) in zip(axes.flat, groups.items(), strict=False):
            log_axis(panel.yaxis, _curves(panel, runs, metric, split, "step"))
            finish(panel, title=title, xlabel="optimiser step", ylabel=ylabel)
    return figure


def error_curves(results: Results) -> Figure:
    """Draw the test error of every run against steps and against wall time, one row a problem."""
    groups = by_problem(results)
    with style():
        figure, axes = panels(len(groups), 2, 3.0, sharey="row")
        for row, (title, runs) in zip(axes, groups.items(), strict=True):
            for panel, key in zip(row, ("step", "elapsed_s"), strict=True):
                drawn = _curves(panel, runs, "relative_l2", "test", key)
                log_axis(panel.yaxis, [*drawn, *_baseline(panel, runs)])
            finish(row[0], title=title, xlabel="optimiser step", ylabel="relative L² test error")
            finish(row[1], xlabel="training time in seconds")
            # sharey hides the labels of the right panel; they are wanted at reading distance.
            row[1].tick_params(labelleft=True)
    return figure


def _curves(
    panel: Axes, runs: Sequence[RunResult], metric: str, split: str, key: str
) -> list[float]:
    """Draw one metric of all runs, a long history as its median within its range; return values.

    Standard errors widen the range. On a logarithmic axis their band is [y/(1 + s), y (1 + s)] for
    an error of s y: y (1 ± s) to first order, and above zero.
    """
    drawn: list[float] = []
    for index, run in enumerate(runs):
        history = _history(run.metrics, metric, split)
        if history.empty:
            continue
        x, y, low, high = thin(*history[[key, "value", "low", "high"]].to_numpy(float).T)
        marker = "o" if len(x) <= 12 else None
        panel.plot(x, y, label=run.name, marker=marker, markersize=3.5, **line_style(index))
        panel.fill_between(x, low, high, color=COLOURS[index % len(COLOURS)], alpha=0.18, lw=0)
        drawn += y.tolist()
    # Panels of one row share their curves, except for the losses.
    if drawn and (metric == "loss" or key == "step"):
        panel.legend()
    return drawn


def _history(metrics: pd.DataFrame, metric: str, split: str) -> pd.DataFrame:
    """Return the rows of a metric with the `low` and `high` ends of its standard error."""
    parts = metrics[metrics["split"] == split]
    # A logarithmic axis has no place for zero.
    rows = parts[(parts["metric"] == metric) & (parts["value"] > 0)]
    errors = parts[parts["metric"] == f"{metric}_standard_error"].set_index("step")["value"]
    factor = 1.0 + rows["step"].map(errors).fillna(0.0) / rows["value"]
    return rows.assign(low=rows["value"] / factor, high=rows["value"] * factor)


def _baseline(panel: Axes, runs: Sequence[RunResult]) -> list[float]:
    """Mark the least error without learning of runs of one problem; return it."""
    found = [baselines.of_run(run.config, run.record["summary"])[0] for run in runs]
    known = [(each.error, each.name) for each in found if each.error]
    if not known:
        return []
    error, name = min(known)
    panel.axhline(error, color=INK, linewidth=1, linestyle=(0, (4, 2)))
    panel.annotate(
        name, (1, error), (-2, 3), xycoords=panel.get_yaxis_transform(),
        textcoords="offset points", ha="right",
    )  # fmt: skip
    return [error]
