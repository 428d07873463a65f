"""The report as one HTML file: what the template shows, as finished text."""

from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from pipeline.aggregate import baselines, overview
from pipeline.aggregate.describe import (
    dataset_count,
    dataset_title,
    method_title,
    problem_title,
    solver_check,
)
from pipeline.aggregate.figures.figure import COLOURS, svg
from pipeline.aggregate.figures.profile import radial_profile
from pipeline.aggregate.figures.profile_figure import profile_figure
from pipeline.aggregate.read import origin
from pipeline.aggregate.read.collect import BoundResult, DatasetResult, Results, RunResult
from pipeline.aggregate.read.quantities import duration, percent, short, size
from pipeline.aggregate.sections import (
    ablation,
    bounds,
    comparison,
    curves,
    missing,
    predictions,
)
from pipeline.store.config import Trajectory
from pipeline.training.operator.config import OperatorRun

Row = dict[str, Any]


def render(results: Results) -> str:
    """Return the report: self-contained HTML, a pure function of `results`."""
    return (
        templates()
        .get_template("report.html.j2")
        .render(
            colours=COLOURS,
            counts=overview.counts(results),
            asked=overview.asked(results),
            missing=missing.rows(results),
            headlines=[*bounds.headlines(results.bounds), *_run_headlines(results)],
            datasets=[_dataset_row(result) for result in results.datasets],
            flows=[_flow_row(r) for r in results.datasets if isinstance(r.config, Trajectory)],
            groups=_run_groups(results),
            compared=comparison.rows(results),
            dimensions=bounds.by_dimension(results.bounds),
            bounds=_bounds(results),
            figures=_figures(results),
            stages=origin.stages(results),
            environments=origin.environments(results),
            experiment=results.experiment.model_dump(mode="json"),
        )
    )


def templates() -> Environment:
    """Return the templates of pages: they escape every text and refuse an unknown name."""
    environment = Environment(
        # Templates lie beside the modules that fill them, and are named from this folder.
        loader=PackageLoader("pipeline.aggregate", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["yaml"] = _yaml
    return environment


def _figures(results: Results) -> Row:
    """Return all figures but those of single bounds."""
    samples = [
        {
            "name": run.name,
            "problem": problem_title(run.config, results.experiment),
            "caption": predictions.CAPTIONS[predictions.kind(run)],
            "svg": _markup(predictions.prediction_figure(run), f"sample{index}"),
        }
        for index, run in enumerate(results.runs)
    ]
    return {
        "loss": _markup(curves.loss_curves(results) if results.runs else None, "loss"),
        "residual": _markup(curves.residual_curves(results), "residual"),
        "error": _markup(curves.error_curves(results) if results.runs else None, "error"),
        "skill": _markup(curves.skill_chart(results), "skill"),
        "ablations": [
            _markup(ablation.ablation_figure(group), f"ablation{index}")
            for index, group in enumerate(ablation.groups(results.runs))
        ],
        "convergence": _markup(curves.bound_convergence(results.bounds), "bounds"),
        "samples": samples,
    }


def _markup(figure: Figure | None, prefix: str) -> Markup | None:
    """Return a figure as safe markup: matplotlib escapes the texts in it."""
    return Markup(svg(figure, prefix)) if figure else None  # noqa: S704


def _bounds(results: Results) -> list[Row]:
    """Return what is told of each bound below the table: checks, certificate, figure."""
    return [
        bounds.details(result) | {"profile": _profile(result, index)}
        for index, result in enumerate(results.bounds)
    ]


def _profile(result: BoundResult, index: int) -> Markup | None:
    if result.certificate is None:
        return None
    return _markup(profile_figure(radial_profile(result.certificate)), f"profile{index}")


def _run_headlines(results: Results) -> list[Row]:
    """Return the most accurate run of each problem, with its rivals."""
    rows = []
    for problem, runs in curves.by_problem(results).items():
        ranked = sorted(runs, key=_error)
        best, others = ranked[0], ranked[1:]
        against = [f"{run.name} {percent(_error(run))}" for run in others]
        summary = best.record["summary"]
        if (skill := summary.get("skill")) is not None:
            known = baselines.of_run(best.config, summary)[0].name
            against.insert(0, f"{short(skill)}× better than {known}, without learning")
        rows.append(
            {
                "what": problem,
                "name": best.name,
                "result": f"{percent(_error(best))} relative L² error",
                "label": "empirical",
                "against": "; ".join(against) or "–",
            }
        )
    return rows


def _error(run: RunResult) -> float:
    return float(run.record["summary"]["relative_l2"])


def _dataset_row(result: DatasetResult) -> Row:
    summary, part = result.record["summary"], result.config
    return {
        "name": result.name,
        "title": dataset_title(part),
        "samples": dataset_count(part),
        "dtype": part.dtype,
        "size": size(summary.get("bytes")),
        "wall_time": duration(result.record["wall_time_s"]),
        "error": short(summary.get("max_error"), 2),
        "check": solver_check(part),
        "per_sample": duration(summary.get("seconds_per_sample")),
    }


def _flow_row(result: DatasetResult) -> Row:
    summary = result.record["summary"]
    return {
        "name": result.name,
        "title": dataset_title(result.config),
        "dissipation": short(summary["peak_dissipation"], 4),
        "time": short(summary["peak_dissipation_time"]),
        "resolution": short(summary["resolution"], 2),
        "imbalance": short(summary.get("energy_imbalance"), 2),
    }


def _run_groups(results: Results) -> list[Row]:
    groups = []
    for problem, runs in curves.by_problem(results).items():
        best = min(map(_error, runs))
        rows = [_run_row(run) | {"best": len(runs) > 1 and _error(run) == best} for run in runs]
        groups.append({"problem": problem, "rows": rows})
    return groups


def _run_row(run: RunResult) -> Row:
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
        "error": percent(_error(run)),
        "elsewhere": "; ".join(elsewhere),
        "bound": _error_bound(summary),
        "skill": short(summary.get("skill")),
        "baselines": baselines.of_run(run.config, summary),
        "steps": f"{int(run.metrics['step'].max()):,}",
        "training_time": duration(float(run.metrics["elapsed_s"].max())),
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
    axes = len(run.config.model.modes) if isinstance(run.config, OperatorRun) else 1
    return " × ".join([f"{int(points):,}"] * axes)


def _yaml(content: object) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=88)
