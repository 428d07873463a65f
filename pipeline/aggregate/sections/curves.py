"""Figures over time: loss, error, skill; and the solver's value against the degree."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from pipeline.aggregate import baselines
from pipeline.aggregate.describe import problem_identity, problem_title
from pipeline.aggregate.figures.figure import (
    COLOURS,
    INK,
    finish,
    line_style,
    log_axis,
    panels,
    style,
    thin,
)
from pipeline.aggregate.read.collect import BoundResult, Results, RunResult
from pipeline.aggregate.read.quantities import exact_decimal, last_place, relative_gap, short

# So many bounds are told apart by colour and name, more by a shade.
_MOST_NAMES = 6


def by_problem(results: Results) -> dict[str, list[RunResult]]:
    """Return the runs grouped by the problem they solve, under its title, in their order.

    What is equal is decided by the configurations, not by the titles made of them.
    """
    groups: dict[Hashable, list[RunResult]] = {}
    for run in results.runs:
        groups.setdefault(problem_identity(run.config, results.experiment), []).append(run)
    titles = [problem_title(runs[0].config, results.experiment) for runs in groups.values()]
    assert len(set(titles)) == len(groups), titles
    return dict(zip(titles, groups.values(), strict=True))


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


def skill_chart(results: Results) -> Figure | None:
    """Draw the skill of every run that has one as a bar from 1, or return None without any."""
    runs = [run for run in results.runs if "skill" in run.record["summary"]]
    if not runs:
        return None
    skills = [float(run.record["summary"]["skill"]) for run in runs]
    with style():
        figure, axes = panels(1, 1, 0.75 + 0.32 * len(runs))
        panel = axes[0, 0]
        panel.barh(range(len(runs)), [s - 1 for s in skills], left=1, color=COLOURS[0], height=0.55)
        for row, skill in enumerate(skills):
            panel.annotate(
                short(skill), (max(skill, 1), row), (5, 0), textcoords="offset points", va="center"
            )
        log_axis(panel.xaxis, [*skills, 1, 2 * max(skills)])
        panel.set_xlim(min(0.8, 0.8 * min(skills)), 1.35 * max(*skills, 2))
        panel.axvline(1, color=INK, linewidth=1)
        panel.set_yticks(range(len(runs)), [run.name for run in runs])
        panel.set_ylim(len(runs) - 0.5, -0.5)
        panel.grid(axis="y", visible=False)
        finish(panel, xlabel="skill = least error without learning / error of the run")
    return figure


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


def _ladder(panel: Axes, result: BoundResult, look: dict[str, Any]) -> list[float]:
    """Draw one ladder of degrees; gaps below the published digits sit at their resolution."""
    reference = result.peer.value
    floor = float(last_place(reference) / exact_decimal(reference)) or 1e-16

    def gap(bound: str) -> float:
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
