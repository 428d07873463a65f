"""The comparison as one HTML file: what the template shows, as finished text."""

from collections.abc import Sequence
from typing import Any

from pipeline.aggregate import overview
from pipeline.aggregate.across import bounds, datasets, differences, seeds
from pipeline.aggregate.across.experiments import Member
from pipeline.aggregate.across.text import mean_text
from pipeline.aggregate.figures.figure import COLOURS
from pipeline.aggregate.read.measured import unit
from pipeline.aggregate.read.quantities import percent, short, shorten_above
from pipeline.aggregate.read.results import BoundResult, Missing
from pipeline.aggregate.sections import missing
from pipeline.aggregate.templates import templates

# By which a page is recognised as one of these.
GENERATOR = "pipeline.aggregate: experiments compared"
# Told in percent; all other numbers as they are.
_FRACTIONS = ("relative_l2", "trivial_relative_l2", "relative_error_bound", "reference_error")
Row = dict[str, Any]


def compared_page(members: Sequence[Member]) -> str:
    """Return the comparison: self-contained HTML, a pure function of `members`."""
    return templates().get_template("across/compared.html.j2").render(
        generator=GENERATOR,
        colours=COLOURS,
        labels=[member.label for member in members],
        experiments=[_experiment(member) for member in members],
        missing=[
            row | {"experiment": member.label}
            for member in members
            for row in missing.rows(member.results)
        ],
        num_parts=sum(member.results.num_parts for member in members),
        runs=[_run(same) for same in seeds.same_runs(members)],
        settings=differences.differences(members),
        bounds=[_bound(row, members) for row in bounds.side_by_side(members)],
        datasets=datasets.definitions(members),
    )  # fmt: skip


def _experiment(member: Member) -> Row:
    counts = overview.counts(member.results)
    return overview.asked(member.results) | {
        "label": member.label,
        "seed": member.seed,
        "there": counts["there"],
        "proved": counts["proved"],
    }


def _run(same: seeds.SameRun) -> Row:
    return {
        "names": ", ".join(same.names),
        "problem": same.problem,
        "method": same.method,
        "seeds": [
            {"seed": seed, "experiment": member.label} for seed, (member, _) in same.by_seed.items()
        ],
        "notes": same.notes(),
        "error": mean_text(same.statistics["relative_l2"], "percent"),
        "skill": mean_text(same.statistics["skill"]) if "skill" in same.statistics else "–",
        "metrics": [_metric(key, found) for key, found in sorted(same.statistics.items())],
    }


def _metric(key: str, found: seeds.Statistic) -> Row:
    fraction = key.split("@")[0].removesuffix("_standard_error") in _FRACTIONS
    show = percent if fraction else short
    measure = unit(key)
    return {
        "key": key,
        "unit": "" if fraction or measure in (None, "1") else measure,
        "mean": show(found.mean),
        "error": "–" if found.standard_error is None else show(found.standard_error),
        "n": found.n,
        "values": [show(value) for value in found.values],
    }


def _bound(row: bounds.SideBySide, members: Sequence[Member]) -> Row:
    best = row.best
    return {
        "dim": row.dim,
        "name": row.name,
        "cells": [_cell(cell, best) for cell in row.cells],
        "notes": row.same_certificates(members),
    }


def _cell(cell: BoundResult | Missing | None, best: BoundResult | None) -> Row | None:
    """Return what a cell tells; only a proved bound has a number."""
    match cell:
        case None:
            return None
        case Missing():
            return {"kind": "rejected", "status": cell.status, "bound": "", "detail": cell.reason}
    bound = cell.proved_bound
    if bound is None:
        reason = cell.verdict.failed_condition or ""
        return {"kind": "rejected", "status": "rejected", "bound": "", "detail": reason}
    # Several experiments may have the least bound: all of their cells are marked.
    least = best is not None and best.proved_bound == bound
    digest = cell.verdict.certificate_sha256 or ""
    return {
        "kind": "proved",
        "status": "proved",
        "bound": shorten_above(bound, 16),
        "least": least,
        "detail": f"degree {cell.degree}; certificate {digest[:12]}…",
    }
