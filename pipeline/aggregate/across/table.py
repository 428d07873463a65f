"""The tidy table of a comparison: one row a fact.

Columns: part (run, bound, dataset), name, quantity, value (float64), standard_error (float64), n,
text, label, unit, dim, experiments, detail.

- part "run": the mean of `quantity` over seeds; `n` seeds, `standard_error` missing for one of
  them; `text` holds the single values as `seed: value`; label "empirical".
- part "bound", quantity "upper_bound": one experiment's bound as in its summary.parquet: label
  "proved" with the exact decimal in `text`, or "rejected" without a number; `detail` is the
  certificate's SHA-256.
- quantity "status": a part without a result: label and `detail` as in summary.parquet.
- quantity "setting": parts of one name differ in the key `detail`; `text` holds its values,
  `experiments` the experiments of each, both separated by " | ";
  the label says whether numbers depend on it ("shapes numbers", "shapes no number").
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from pipeline.aggregate.across import bounds, differences, seeds
from pipeline.aggregate.across.experiments import Member
from pipeline.aggregate.describe import dimension
from pipeline.aggregate.read.measured import unit
from pipeline.aggregate.read.results import BoundResult
from pipeline.aggregate.sections.missing import PARTS

COLUMNS = {
    "part": "str",
    "name": "str",
    "quantity": "str",
    "value": "float64",
    "standard_error": "float64",
    "n": "Int64",
    "text": "str",
    "label": "str",
    "unit": "str",
    "dim": "Int64",
    "experiments": "str",
    "detail": "str",
}
Row = dict[str, Any]


def compared_table(members: Sequence[Member]) -> pd.DataFrame:
    """Return all facts of the comparison, one a row (columns and rows: see the module)."""
    rows = [*_runs(members), *_bounds(members), *_missing(members), *_settings(members)]
    columns = {key: [row.get(key) for row in rows] for key in COLUMNS}
    return pd.DataFrame({key: pd.Series(columns[key], dtype=COLUMNS[key]) for key in COLUMNS})


def _runs(members: Sequence[Member]) -> Iterator[Row]:
    for same in seeds.same_runs(members):
        base = {
            "part": "run",
            "name": ", ".join(same.names),
            "label": "empirical",
            "dim": dimension(same.members[0][1].config),
            "experiments": ", ".join(member.label for member, _ in same.by_seed.values()),
            "detail": "; ".join([same.problem, same.method, *same.notes()]),
        }
        for quantity, found in same.statistics.items():
            single = zip(same.by_seed, found.values, strict=True)
            yield base | {
                "quantity": quantity,
                "value": found.mean,
                "standard_error": found.standard_error,
                "n": found.n,
                "text": ", ".join(f"{seed}: {value!r}" for seed, value in single),
                "unit": unit(quantity),
            }


def _bounds(members: Sequence[Member]) -> Iterator[Row]:
    for row in bounds.side_by_side(members):
        for member, cell in zip(members, row.cells, strict=True):
            if not isinstance(cell, BoundResult):
                continue
            bound = cell.upper_bound
            yield {
                "part": "bound",
                "name": row.name,
                "quantity": "upper_bound",
                "value": bound.value if bound else None,
                "text": bound.text if bound else None,
                "label": bound.label if bound else "rejected",
                "unit": "density",
                "dim": row.dim,
                "experiments": member.label,
                "detail": cell.verdict.certificate_sha256 or cell.verdict.failed_condition,
            }


def _missing(members: Sequence[Member]) -> Iterator[Row]:
    for member in members:
        for part in member.results.missing:
            yield {
                "part": PARTS[part.stage],
                "name": part.name,
                "quantity": "status",
                "label": part.status,
                "dim": dimension(part.config),
                "experiments": member.label,
                "detail": part.reason,
            }


def _settings(members: Sequence[Member]) -> Iterator[Row]:
    for found in differences.differences(members):
        yield {
            "part": found.part,
            "name": found.name,
            "quantity": "setting",
            "text": " | ".join(found.values),
            "label": "shapes numbers" if found.shapes else "shapes no number",
            "experiments": found.whose,
            "detail": found.key,
        }
