"""Error and time of a step against the number of sampled directions, estimator and dimension.

Runs belong together if they differ in the estimator and in the dimension of the problem only. Such
a group is drawn if one estimator has runs with several numbers of directions.
"""

import json
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.aggregate.figures.figure import finish, line_style, log_axis, panels, style, svg
from pipeline.aggregate.read.results import Results, RunResult
from pipeline.aggregate.sections.base import Row
from pipeline.training.pinn.config import PinnRun
from pipeline.wording import phrases

NAME, LINK = "ablation", None
_NUMBERS = frozenset({"sampled_axes", "num_directions"})


def build(results: Results) -> Row | None:
    """Return a figure for each group of runs that varies the number of directions."""
    figures = [
        svg(ablation_figure(group), f"ablation{index}")
        for index, group in enumerate(groups(results.runs))
    ]
    return {"figures": figures} if figures else None


def groups(runs: Sequence[RunResult]) -> list[list[RunResult]]:
    """Return the groups that vary the number of directions, in the experiment's order."""
    found: dict[str, list[RunResult]] = {}
    for run in runs:
        if isinstance(run.config, PinnRun):
            # Grouped by what is left of the configuration without the two things that may vary.
            common = run.config.model_dump(mode="json", exclude={"estimator"})
            del common["problem"]["dim"]
            found.setdefault(json.dumps(common, sort_keys=True), []).append(run)
    return [group for group in found.values() if _varies(group)]


def num_directions(run: RunResult) -> int | None:
    """Return how many axes or directions a step of `run` samples; None if it takes all."""
    assert isinstance(run.config, PinnRun)
    estimator = run.config.estimator
    numbers = (getattr(estimator, key) for key in _NUMBERS if hasattr(estimator, key))
    return next(map(int, numbers), None)


def ablation_figure(group: Sequence[RunResult]) -> Figure:
    """Draw error and seconds a step of `group` against b, one column for each dimension.

    Estimators that take all axes are level lines.
    """
    dims = sorted({_dim(run) for run in group})
    kinds = list(dict.fromkeys(_kind(run) for run in group))
    with style():
        figure, axes = panels(2, len(dims), 2.7, sharex=True, sharey="row")
        for column, dim in zip(axes.T, dims, strict=True):
            for row, panel in enumerate(column):
                for index, kind in enumerate(kinds):
                    _curve(panel, _members(group, dim, kind), kind, index, row)
            finish(column[0], title=f"d = {dim:,}")
            finish(column[1], xlabel="sampled directions b")
        for panel, value in zip(axes[:, 0], _VALUES, strict=True):
            log_axis(panel.yaxis, [value(run) for run in group])
        numbers = [b for run in group if (b := num_directions(run)) is not None]
        # The numbers that were run, and no others: minor ticks would label some between them.
        ticks = sorted(set(numbers))
        for panel in axes.flat:
            panel.set_xscale("log")
            panel.set_xticks(ticks, [str(b) for b in ticks])
            panel.minorticks_off()
            panel.tick_params(labelleft=True)
        axes[0, 0].set_ylabel("relative L² test error")
        axes[1, 0].set_ylabel("seconds a step")
        axes[0, 0].legend()
    return figure


def _varies(group: Sequence[RunResult]) -> bool:
    numbers: dict[tuple[str, int], set[int | None]] = {}
    for run in group:
        numbers.setdefault((_kind(run), _dim(run)), set()).add(num_directions(run))
    return any(len(found) > 1 for found in numbers.values())


def _members(group: Sequence[RunResult], dim: int, kind: str) -> list[RunResult]:
    runs = [run for run in group if (_dim(run), _kind(run)) == (dim, kind)]
    return sorted(runs, key=lambda run: num_directions(run) or 0)


def _curve(panel: Axes, runs: Sequence[RunResult], kind: str, index: int, row: int) -> None:
    value = _VALUES[row]
    look = line_style(index)
    sampled = [(b, value(run)) for run in runs if (b := num_directions(run)) is not None]
    if len(sampled) < len(runs):
        panel.axhline(value(runs[0]), label=kind, **look)
    else:
        numbers, values = [b for b, _ in sampled], [v for _, v in sampled]
        panel.plot(numbers, values, marker="o", markersize=4, label=kind, **look)


def _kind(run: RunResult) -> str:
    """Return an estimator without its number of directions: runs of equal ones are a curve."""
    assert isinstance(run.config, PinnRun)
    estimator = run.config.estimator
    words = {"distribution": lambda distribution, _: distribution}
    return " ".join([estimator.kind, *phrases(estimator, words, without=_NUMBERS)])


def _dim(run: RunResult) -> int:
    assert isinstance(run.config, PinnRun)
    return run.config.problem.dim


def _seconds(run: RunResult) -> float:
    """Return the time of the training loop over its steps, evaluations included."""
    return run.training_s / run.num_steps


# What the two rows of a figure show.
_VALUES: tuple[Callable[[RunResult], float], ...] = (lambda run: run.relative_l2, _seconds)
