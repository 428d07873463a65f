"""The few lines a finished workflow leaves on the screen."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.aggregate import baselines
from pipeline.aggregate.describe import problem_title
from pipeline.aggregate.read.collect import Results
from pipeline.aggregate.read.quantities import duration, gap_text, percent, short, shorten_above
from pipeline.aggregate.sections import missing
from pipeline.runtime.failure import one_line

WIDTH = 120


def closing_table(results: Results, report: Path, width: int = WIDTH) -> str:
    """Return runs, bounds and what is missing as aligned plain text, the report's path last.

    Lines are cut at `width` characters; the path is not.
    """
    lines: list[str] = []
    # The first row of each is its header: without a second one nothing is shown.
    for title, rows in (
        ("Runs (empirical)", _runs(results)),
        ("Bounds", _bounds(results)),
        (f"MISSING: {missing.summary(results)}", _missing(results)),
    ):
        header, *body = rows
        if body:
            lines += ["", title, *(f"  {line}" for line in align([header, *body]))]
    return "\n".join([*(cut(line, width) for line in lines), "", f"report: {report}", ""])


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return `rows` as lines with left-aligned columns two blanks apart."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def cut(line: str, width: int) -> str:
    """Return `line` with at most `width` characters."""
    return line if len(line) <= width else f"{line[: width - 1]}…"


def _runs(results: Results) -> Iterator[tuple[str, ...]]:
    yield "run", "relative L2", "without learning", "skill", "wall time", "problem"
    for run in results.runs:
        summary = run.record["summary"]
        yield (
            run.name,
            percent(summary["relative_l2"]),
            str(baselines.of_run(run.config, summary)[0]),
            short(summary.get("skill")),
            duration(run.record["wall_time_s"]),
            problem_title(run.config, results.experiment),
        )


def _bounds(results: Results) -> Iterator[tuple[str, ...]]:
    yield "bound", "dim", "status", "density at most", "published", "relative gap"
    for result in results.bounds:
        bound = result.proved_bound
        published = f"{result.published.value} ({result.published.kind})"
        dim = str(result.config.formulation.dim)
        if bound is None:
            yield (
                result.name,
                dim,
                "rejected",
                "–",
                published,
                one_line(result.verdict.failed_condition or ""),
            )
        else:
            gap = gap_text(bound, result.published.value)
            yield result.name, dim, "proved", shorten_above(bound, 20), published, gap


def _missing(results: Results) -> Iterator[tuple[str, ...]]:
    yield "part", "name", "status", "reason"
    for part in results.missing:
        yield missing.PARTS[part.stage], part.name, part.status, part.reason
