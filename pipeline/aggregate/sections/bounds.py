"""Bounds on the sphere packing density: a row a dimension, ours beside the published ones."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_FLOOR, Context
from itertools import groupby

from pipeline.aggregate.read.quantities import (
    duration,
    exact_decimal,
    gap_text,
    num_digits,
    same_digits,
    shorten_above,
)
from pipeline.aggregate.read.results import BoundResult, Results
from pipeline.aggregate.sections.base import Link, Row

NAME, LINK = "bounds", Link("bounds", "Bounds")
# The columns of our bounds, in order; one without a bound stays empty.
FORMULATIONS = ("two_point", "three_point")
_COLUMN_DIGITS = 8
_MOST_HEADLINES = 6


def build(results: Results) -> Row | None:
    """Return a row for each dimension."""
    rows = by_dimension(results.bounds)
    return {"rows": rows} if rows else None


def best(results: Sequence[BoundResult]) -> BoundResult | None:
    """Return the result with the least proved bound, or None if none is proved."""
    # As decimals: different bounds may round to one double.
    proved = [(exact_decimal(r.proved_bound), r) for r in results if r.proved_bound is not None]
    return min(proved, key=lambda pair: pair[0])[1] if proved else None


def by_dimension(results: Sequence[BoundResult]) -> list[Row]:
    """Return a row for each dimension of `results`, which are ordered by dimension."""
    groups = groupby(results, key=lambda result: result.config.formulation.dim)
    return [_dimension(dim, list(group)) for dim, group in groups]


def headlines(results: Sequence[BoundResult]) -> list[Row]:
    """Return one answer for each dimension, or one for all if there are many."""
    groups = groupby(results, key=lambda result: result.config.formulation.dim)
    chosen = {dim: best(members := list(group)) or members[0] for dim, group in groups}
    if len(chosen) > _MOST_HEADLINES:
        return [_summary(chosen)]
    return [_headline(dim, result) for dim, result in chosen.items()]


def _headline(dim: int, result: BoundResult) -> Row:
    bound, published = result.proved_bound, result.published
    return {
        "what": f"Sphere packing density, n = {dim}",
        "name": result.name,
        "result": f"≤ {shorten_above(bound)}" if bound else "no bound",
        "label": "proved" if bound else "rejected",
        "against": _against(bound, published.value, published.kind)
        if bound
        else result.verdict.failed_condition,
    }


def _summary(chosen: Mapping[int, BoundResult]) -> Row:
    """Return one answer about the best bounds of many dimensions."""
    proved = [(r.proved_bound, r.published.value) for r in chosen.values() if r.proved_bound]
    # Published values are rounded: within their last digit a bound is equal, not better.
    equal = sum(same_digits(bound, published) for bound, published in proved)
    below = sum(
        exact_decimal(bound) < exact_decimal(published) and not same_digits(bound, published)
        for bound, published in proved
    )
    return {
        "what": f"Sphere packing densities in {len(chosen)} dimensions",
        "name": f"n = {min(chosen)} to {max(chosen)}",
        "result": f"{len(proved)} of {len(chosen)} bounds",
        "label": "proved" if proved else "rejected",
        "against": f"the best published bounds: below them in {below} dimensions, equal in all"
        f" published digits in {equal}, above in {len(proved) - equal - below}",
    }


def _against(bound: str, published: str, kind: str) -> str:
    if same_digits(bound, published):
        return f"published ({kind}) {published}: the same in all {num_digits(published)} digits"
    return f"published ({kind}) {published}: relative gap {gap_text(bound, published)}"


def _dimension(dim: int, results: list[BoundResult]) -> Row:
    chosen = best(results)
    # Without a proof the row still tells the published bound.
    shown = chosen or results[0]
    bound, published, packing = shown.proved_bound, shown.published, shown.packing
    return {
        "dim": dim,
        "packing": _rounded_down(packing.value) if packing else "–",
        "packing_name": packing.name if packing else "",
        "published": published.value,
        "published_kind": published.kind,
        "peer": shown.peer if shown.peer != published else None,
        "ours": [
            _cell([r for r in results if r.config.formulation.kind == kind])
            for kind in FORMULATIONS
        ],
        "best": shorten_above(bound) if bound else "–",
        "proved": bound is not None,
        "gap": gap_text(bound, published.value) if bound else "–",
        "search_time": duration(sum(r.record["wall_time_s"] for r in results)),
        "verify_time": duration(sum(r.verdict.seconds for r in results)),
    }


def _rounded_down(text: str) -> str:
    """Return the density of a packing, a lower bound, as a decimal without an exponent."""
    value = Context(prec=_COLUMN_DIGITS, rounding=ROUND_FLOOR).create_decimal(text)
    return f"{value:f}"


def _cell(results: list[BoundResult]) -> Row:
    """Return what one formulation gave in a dimension, and how many of it were rejected."""
    chosen = best(results)
    bound = chosen.proved_bound if chosen else None
    return {
        "bound": shorten_above(bound, _COLUMN_DIGITS) if bound else "",
        "degree": chosen.degree if chosen else None,
        "rejected": sum(r.proved_bound is None for r in results),
    }
