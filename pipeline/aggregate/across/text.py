"""The comparison as a few lines of plain text."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.aggregate import overview
from pipeline.aggregate.across import bounds, datasets, differences, seeds
from pipeline.aggregate.across.experiments import Member
from pipeline.aggregate.console import WIDTH, align, cut
from pipeline.aggregate.read.quantities import duration, percent, short, shorten_above
from pipeline.aggregate.read.results import BoundResult, Missing
from pipeline.aggregate.sections import missing

# The first line of the file, by which it is recognised.
HEADING = "Experiments compared"
# Of a bound in a column, rounded upward.
_DIGITS = 12


def compared_text(members: Sequence[Member], page: Path, width: int = WIDTH) -> str:
    """Return experiments, runs, bounds, settings and what is missing; the page's path last."""
    lines: list[str] = [HEADING]
    for title, rows in (
        ("Experiments", _experiments(members)),
        ("Runs over seeds (empirical): mean ± standard error of the mean", _runs(members)),
        ("Bounds on the density", _bounds(members)),
        ("Data sets", _datasets(members)),
        ("Differing settings", _settings(members)),
        ("MISSING", _missing(members)),
    ):
        header, *body = rows
        if body:
            lines += ["", title, *(f"  {line}" for line in align([header, *body]))]
    return "\n".join([*(cut(line, width) for line in lines), "", f"report: {page}", ""])


def mean_text(found: seeds.Statistic, form: str = "short") -> str:
    """Return mean ± standard error, as they are or in percent; one seed has no error."""
    show = percent if form == "percent" else short
    mean = show(found.mean)
    if found.standard_error is None:
        return mean
    return f"{mean} ± {show(found.standard_error)}"


def bound_text(cell: BoundResult | Missing | None) -> str:
    """Return what a bound is in a cell: only a proved one has a number."""
    match cell:
        case None:
            return "–"
        case Missing():
            return cell.status
    return (
        f"proved ≤ {shorten_above(cell.proved_bound, _DIGITS)}" if cell.proved_bound else "rejected"
    )


def _experiments(members: Sequence[Member]) -> Iterator[tuple[str, ...]]:
    yield "experiment", "seed", "data sets", "runs", "bounds", "files"
    for member in members:
        found = overview.counts(member.results)["there"]
        files = ", ".join(member.results.asked.files) or "unknown"
        there = (found["datasets"], found["runs"], found["bounds"])
        yield member.label, str(member.seed), *there, files


def _runs(members: Sequence[Member]) -> Iterator[tuple[str, ...]]:
    yield "run", "seeds", "relative L2", "skill", "wall time", "experiments", "problem and method"
    for same in seeds.same_runs(members):
        found = same.statistics
        yield (
            ", ".join(same.names),
            str(len(same.by_seed)),
            mean_text(found["relative_l2"], "percent"),
            mean_text(found["skill"]) if "skill" in found else "–",
            duration(found["wall_time_s"].mean),
            ", ".join(member.label for member, _ in same.by_seed.values()),
            f"{same.problem}; {same.method}",
        )


def _bounds(members: Sequence[Member]) -> Iterator[tuple[str, ...]]:
    yield "bound", "dim", *(member.label for member in members), "note"
    for row in bounds.side_by_side(members):
        cells = map(bound_text, row.cells)
        yield row.name, str(row.dim), *cells, "; ".join(row.same_certificates(members))


def _datasets(members: Sequence[Member]) -> Iterator[tuple[str, ...]]:
    yield "data set", "experiments", "", "definition"
    for found in datasets.definitions(members):
        yield ", ".join(found.names), ", ".join(found.experiments), found.state, found.title


def _settings(members: Sequence[Member]) -> Iterator[tuple[str, ...]]:
    yield "part", "name", "key: values", "experiments"
    for found in differences.differences(members):
        key = found.text if found.shapes else f"{found.text} (no number depends on it)"
        yield found.part, found.name, key, found.whose


def _missing(members: Sequence[Member]) -> Iterator[tuple[str, ...]]:
    yield "experiment", "part", "name", "status", "reason"
    for member in members:
        for part in member.results.missing:
            yield member.label, missing.PARTS[part.stage], part.name, part.status, part.reason
