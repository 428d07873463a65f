"""Training runs: errors and costs, the runs of one problem together."""

from collections.abc import Hashable

from pipeline.aggregate import baselines
from pipeline.aggregate.describe import method_title, problem_identity, problem_title
from pipeline.aggregate.read.quantities import duration, percent, short
from pipeline.aggregate.read.results import Results, RunResult
from pipeline.aggregate.sections.base import Link, Row
from pipeline.training.operator.config import OperatorRun

NAME, LINK = "runs", Link("training", "Training")


def build(results: Results) -> Row | None:
    """Return a group of rows for each problem; the least error of several is marked."""
    groups = []
    for problem, runs in by_problem(results).items():
        best = min(run.relative_l2 for run in runs)
        rows = [_row(run) | {"best": len(runs) > 1 and run.relative_l2 == best} for run in runs]
        groups.append({"problem": problem, "rows": rows})
    return {"groups": groups} if groups else None


def by_problem(results: Results) -> dict[str, list[RunResult]]:
    """Return the runs grouped by the problem they solve, under its title, in their order.

    What is equal is decided by the configurations, not by the titles made of them.
    """
    groups: dict[Hashable, list[RunResult]] = {}
    for run in results.runs:
        groups.setdefault(problem_identity(run.config, results.experiment), []).append(run)
    titles = [problem_title(runs[0].config, results.experiment) for runs in groups.values()]
    # Two problems under one title would be one group without a word.
    assert len(set(titles)) == len(groups), titles
    return dict(zip(titles, groups.values(), strict=True))


def headlines(results: Results) -> list[Row]:
    """Return the most accurate run of each problem, with its rivals."""
    rows = []
    for problem, runs in by_problem(results).items():
        best, *others = sorted(runs, key=lambda run: run.relative_l2)
        against = [f"{run.name} {percent(run.relative_l2)}" for run in others]
        summary = best.record["summary"]
        if (skill := summary.get("skill")) is not None:
            known = baselines.of_run(best.config, summary)[0].name
            # First: it says whether anything was learnt at all, before who learnt more.
            against.insert(0, f"{short(skill)}× better than {known}, without learning")
        rows.append(
            {
                "what": problem,
                "name": best.name,
                "result": f"{percent(best.relative_l2)} relative L² error",
                "label": "empirical",
                "against": "; ".join(against) or "–",
            }
        )
    return rows


def _row(run: RunResult) -> Row:
    summary = run.record["summary"]
    # A run on a coarser grid also reports its error there, as relative_l2@<points>.
    elsewhere = [
        f"{percent(value)} at {_grid(run, key.split('@')[1])} points"
        for key, value in summary.items()
        if key.startswith("relative_l2@") and value != summary["relative_l2"]
    ]
    return {
        "name": run.name,
        "method": method_title(run.config),
        "error": percent(run.relative_l2),
        "elsewhere": "; ".join(elsewhere),
        "bound": _error_bound(summary),
        "skill": short(summary.get("skill")),
        "baselines": baselines.of_run(run.config, summary),
        "steps": f"{run.num_steps:,}",
        "training_time": duration(run.training_s),
        "wall_time": duration(run.record["wall_time_s"]),
        "rate": short(summary.get("samples_per_second")),
        "parameters": short(summary.get("num_parameters")),
    }


def _error_bound(summary: Row) -> str:
    """Return the bound from the residual; one that does not even exclude u = 0 says so."""
    if "error_bound" not in summary:
        return "–"
    bound = summary.get("relative_error_bound")
    return "none" if bound is None else f"≤ {percent(bound)}"


def _grid(run: RunResult, points: str) -> str:
    axes = len(run.prediction["coordinates"]) if isinstance(run.config, OperatorRun) else 1
    return " × ".join([f"{int(points):,}"] * axes)
