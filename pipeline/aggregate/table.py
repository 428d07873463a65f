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
from decimal import Decimal
from typing import Any

import pandas as pd

from pipeline.aggregate import baselines
from pipeline.aggregate.describe import dimension, formulation_title, method_title, problem_title
from pipeline.aggregate.read.collect import BoundResult, Missing, Results
from pipeline.aggregate.read.quantities import float_above, relative_gap
from pipeline.aggregate.sections.comparison import comparison
from pipeline.packing.config import Bound

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
    columns = {key: [row.get(key) for row in rows] for key in COLUMNS}
    return pd.DataFrame({key: pd.Series(columns[key], dtype=COLUMNS[key]) for key in COLUMNS})


def _datasets(results: Results) -> Iterator[Row]:
    for result in results.datasets:
        base = {"stage": "generate", "name": result.name, "dim": dimension(result.config)}
        yield from _measured(base, result.record)


def _runs(results: Results) -> Iterator[Row]:
    for result in results.runs:
        base = {
            "stage": "train",
            "name": result.name,
            "dim": dimension(result.config),
            "detail": f"{problem_title(result.config, results.experiment)};"
            f" {method_title(result.config)}",
        }
        summary = result.record["summary"]
        for row in _measured(base, result.record):
            told = baselines.meaning(result.config, summary, row["quantity"])
            yield row | {"detail": f"{base['detail']}; {told}"} if told else row
        last_step = {"num_steps": int(result.metrics["step"].max())}
        yield from _measured(base, {"summary": last_step})
        if found := comparison(result):
            differs = "; ".join(found.differences)
            for number in found.numbers:
                yield base | {
                    "quantity": f"published_{found.quantity}@{number.key}",
                    "value": float(number.value), "text": number.value,
                    "label": "published", "unit": "1",
                    "detail": f"{number.method}; {number.source}; what differs: {differs}",
                }  # fmt: skip


def _measured(base: Row, record: dict[str, Any]) -> Iterator[Row]:
    """Yield one empirical row for each number of a run record's summary, time and memory."""
    costs = {key: record[key] for key in ("wall_time_s", "peak_memory_mb") if key in record}
    for quantity, number in {**record["summary"], **costs}.items():
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            continue
        yield base | {
            "quantity": quantity, "value": float(number), "label": "empirical",
            "unit": unit(quantity),
        }  # fmt: skip


def unit(quantity: str) -> str:
    """Return the unit of a number of a run record, which the end of its name tells: 1 if none.

    `quantity@...` is the same on another grid.
    """
    quantity = quantity.split("@")[0]
    if quantity.endswith("_per_second"):
        return "1/s"
    if quantity.startswith("seconds_") or quantity.endswith("_s"):
        return "s"
    if quantity.endswith("_mb"):
        return "MB"
    return "B" if "bytes" in quantity.split("_") else "1"


def _bound(result: BoundResult) -> list[Row]:
    dim = dimension(result.config)
    title = formulation_title(result.config, result.degree)
    search = {"stage": "search", "name": result.name, "dim": dim, "detail": title}
    certify = search | {"stage": "certify"}
    rows = [*_measured(search, result.record), _claimed(search, result.record)]
    rows.append(certify | _proved_or_rejected(result))
    rows.append(_seconds(certify, result.verdict.seconds))
    published = result.published
    rows.append(certify | _published("published_upper_bound", published.value, published))
    if result.peer != published:
        rows.append(certify | _published("published_peer_bound", result.peer.value, result.peer))
    if result.packing is not None:
        source = result.packing
        rows.append(certify | _published("best_known_packing", source.value, source))
    if result.proved_bound is not None:
        gap = relative_gap(result.proved_bound, published.value)
        rows.append(certify | _gap(gap, published.value))
    return rows


def _claimed(base: Row, record: dict[str, Any]) -> Row:
    claimed = record["summary"]["bound"]
    return base | {
        "quantity": "solver_value", "value": float(claimed), "text": claimed,
        "label": "empirical", "unit": "density",
        "detail": f"{base['detail']}; the solver's own value, no bound unless certified",
    }  # fmt: skip


def _missing(part: Missing) -> Iterator[Row]:
    """Yield why a part has no result, and what its earlier stages measured."""
    base = {"name": part.name, "dim": dimension(part.config)}
    for record in part.records:
        assert isinstance(part.config, Bound)
        title = formulation_title(part.config, record["summary"]["degree"])
        search = base | {"stage": record["stage"], "detail": title}
        yield from _measured(search, record)
        yield _claimed(search, record)
    yield base | {
        "stage": part.stage, "quantity": "status", "label": part.status, "detail": part.reason
    }  # fmt: skip


def _proved_or_rejected(result: BoundResult) -> Row:
    bound = result.proved_bound
    if bound is None:
        return {
            "quantity": "upper_bound", "label": "rejected", "unit": "density",
            "detail": result.verdict.failed_condition,
        }  # fmt: skip
    return {
        "quantity": "upper_bound", "value": float_above(bound), "text": bound,
        "label": "proved", "unit": "density",
    }  # fmt: skip


def _seconds(base: Row, seconds: float) -> Row:
    return base | {
        "quantity": "wall_time_s", "value": seconds, "label": "empirical", "unit": "s"
    }  # fmt: skip


def _published(quantity: str, text: str, source: Any) -> Row:
    detail = "; ".join(part for part in (source.name, source.kind, source.source) if part)
    return {
        "quantity": quantity, "value": float(text), "text": text,
        "label": "published", "unit": "density", "detail": detail,
    }  # fmt: skip


def _gap(gap: Decimal, reference: str) -> Row:
    return {
        "quantity": "relative_gap_to_published", "value": float(gap), "label": "empirical",
        "unit": "1", "detail": f"(proved - published) / published, published = {reference}",
    }  # fmt: skip
