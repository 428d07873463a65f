"""The tidy table of an experiment: one row a number, each labelled by what stands behind it.

Columns: stage, name, quantity, value (float64), text (exact decimal where the number has one),
label, unit, dim (space dimension), detail.

Labels: `proved` - an upper bound from a verdict, rounded upward in `text` and in `value`;
`published` - quoted from the literature; `empirical` - anything measured or computed without
proof; `rejected` - a certificate that was refused, without a number, the reason in `detail`.

A part without a result has one row with the quantity `status`, of the stage that has to run and
without a number: its label says why (`failed`, `blocked`, `missing`, `damaged`, `outdated`,
`unsound`; see `results.Status`) and `detail` is the reason, one line. Without such a row everything
that was asked for is there.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from pipeline.aggregate import baselines
from pipeline.aggregate.describe import dimension, formulation_title, method_title, problem_title
from pipeline.aggregate.read import measured
from pipeline.aggregate.read.quantities import Figure, relative_gap
from pipeline.aggregate.read.results import BoundResult, Missing, Record, Results
from pipeline.aggregate.sections.comparison import comparison
from pipeline.packing.config import Bound
from pipeline.packing.known import Known

COLUMNS = {
    "stage": "str",
    "name": "str",
    "quantity": "str",
    "value": "float64",
    "text": "str",
    "label": "str",
    "unit": "str",
    "dim": "Int64",
    "detail": "str",
}
Row = dict[str, Any]


def summary_table(results: Results) -> pd.DataFrame:
    """Return all numbers of `results`, one a row (columns and labels: see the module)."""
    rows = [*_datasets(results), *_runs(results)]
    for result in results.bounds:
        rows += _bound(result)
    for part in results.missing:
        rows += _missing(part)
    # Types are given and not guessed: a column may be empty, or all of it missing.
    columns = {key: [row.get(key) for row in rows] for key in COLUMNS}
    return pd.DataFrame({key: pd.Series(columns[key], dtype=COLUMNS[key]) for key in COLUMNS})


def _row(base: Row, figure: Figure, **more: str) -> Row:
    """Return the row of a number of the part that `base` describes."""
    return base | {
        "quantity": figure.name, "value": figure.value, "text": figure.text,
        "label": figure.label, "unit": figure.unit,
    } | more  # fmt: skip


def _datasets(results: Results) -> Iterator[Row]:
    for result in results.datasets:
        base = {"stage": "generate", "name": result.name, "dim": dimension(result.config)}
        for figure in measured.of_record(result.record):
            yield _row(base, figure)


def _runs(results: Results) -> Iterator[Row]:
    for result in results.runs:
        detail = (
            f"{problem_title(result.config, results.experiment)}; {method_title(result.config)}"
        )
        base = {"stage": "train", "name": result.name, "dim": dimension(result.config)}
        for figure in measured.of_run(result):
            told = baselines.meaning(result.config, result.record["summary"], figure.name)
            yield _row(base, figure, detail=f"{detail}; {told}" if told else detail)
        if found := comparison(result):
            differs = "; ".join(found.differences)
            for number in found.numbers:
                yield _row(
                    base,
                    number.figure(found.quantity),
                    detail=f"{number.method}; {number.source}; what differs: {differs}",
                )


def _bound(result: BoundResult) -> Iterator[Row]:
    base = {"name": result.name, "dim": dimension(result.config)}
    title = formulation_title(result.config, result.degree)
    yield from _searched(base, title, result.record)
    certify = base | {"stage": "certify", "detail": title}
    yield _proved_or_rejected(certify, result)
    yield _row(certify, Figure("wall_time_s", result.verdict.seconds, "s"))
    published = result.published
    yield _known(certify, "published_upper_bound", published)
    # Else it is the row above.
    if result.peer != published:
        yield _known(certify, "published_peer_bound", result.peer)
    if result.packing is not None:
        yield _known(certify, "best_known_packing", result.packing)
    if result.proved_bound is not None:
        gap = float(relative_gap(result.proved_bound, published.value))
        yield _row(
            certify,
            Figure("relative_gap_to_published", gap),
            detail=f"(proved - published) / published, published = {published.value}",
        )


def _searched(base: Row, title: str, record: Record) -> Iterator[Row]:
    """Yield what a search measured, and last the solver's own value."""
    search = base | {"stage": record["stage"], "detail": title}
    for figure in measured.of_record(record):
        yield _row(search, figure)
    claimed = record["summary"]["bound"]
    value = Figure("solver_value", float(claimed), "density", text=claimed)
    yield _row(search, value, detail=f"{title}; the solver's own value, no bound unless certified")


def _proved_or_rejected(base: Row, result: BoundResult) -> Row:
    if (bound := result.upper_bound) is not None:
        return _row(base, bound)
    return base | {
        "quantity": "upper_bound", "label": "rejected", "unit": "density",
        "detail": result.verdict.failed_condition,
    }  # fmt: skip


def _known(base: Row, quantity: str, source: Known) -> Row:
    figure = Figure(quantity, float(source.value), "density", kind="published", text=source.value)
    told = (source.name, source.kind, source.source)
    return _row(base, figure, detail="; ".join(filter(None, told)))


def _missing(part: Missing) -> Iterator[Row]:
    """Yield why a part has no result, and what its earlier stages measured."""
    base = {"name": part.name, "dim": dimension(part.config)}
    for record in part.records:
        assert isinstance(part.config, Bound)
        title = formulation_title(part.config, record["summary"]["degree"])
        yield from _searched(base, title, record)
    yield base | {
        "stage": part.stage, "quantity": "status", "label": part.status, "detail": part.reason
    }  # fmt: skip
