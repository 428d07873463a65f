"""The search stage: a ladder of degrees as Ray tasks, the best claim kept as a certificate."""

import importlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from decimal import Decimal
from fractions import Fraction
from math import log10
from pathlib import Path
from typing import Any

from cluster.ray_cluster import session
from pipeline import config, provenance
from pipeline.errors import SolverError
from pipeline.packing import known


def run(
    bound: config.Bound,
    *,
    name: str,
    seed: int,
    output: Path,
    num_workers: int,
    source: str,
    ray_address: str = "",
) -> None:
    """Write trace.json, candidate.json and, last, run.json of one bound to `output`.

    trace.json: {"schema_version": 1, "name", "dim", "label": "empirical", "ladder": [{"degree",
    "bound", "newton_steps", "seconds", "digits"}], "failed": [{"degree", "reason"}]}.
    candidate.json: the certificate of the smallest claimed bound (`certify.format`). All numbers
    are claims of the solver until `pipeline.certify` has proved them. `seed` is recorded only: the
    search is deterministic. Up to `num_workers` degrees are solved at a time, on a Ray of their own
    or the one at `ray_address` (see `ray_cluster.session`).

    Raises:
        SolverError: no degree of the ladder gave a certificate.
    """
    dim = bound.formulation.dim
    with provenance.record(
        output / "run.json", stage="search", name=name, seed=seed, config=bound, source=source
    ) as summary:
        ladder, failed = _ladder(bound, name, _attempts(bound, num_workers, ray_address))
        if not ladder:
            raise SolverError(f"bounds.{name}: {failed[0]['reason']}")
        best = min(ladder, key=lambda step: Decimal(step["bound"]))
        certificate = best["certificate"]
        trace = {
            "schema_version": 1,
            "name": name,
            "dim": dim,
            "label": "empirical",
            "ladder": [{k: v for k, v in step.items() if k != "certificate"} for step in ladder],
            "failed": failed,
        }
        provenance.write_json(output / "trace.json", trace)
        provenance.write_json(output / "candidate.json", certificate)
        published = known.upper_bound(dim)
        summary.update(
            label="empirical",
            bound=best["bound"],
            degree=best["degree"],
            relative_gap_to_known=relative_gap(best["bound"], published),
            known=published.value,
            known_kind=published.kind,
        )
        print(f"{name}: claims {best['bound']} at degree {best['degree']}, not yet proved")


def relative_gap(value: str, published: known.Known) -> float:
    """Return value / published - 1 for decimal strings, without cancellation."""
    return float(Fraction(value) / Fraction(published.value) - 1)


def agreeing_digits(value: str, published: known.Known) -> float:
    """Return -log10 of the relative difference, at most the digits `published` has."""
    most = float(len(published.value.replace(".", "").lstrip("0")))
    gap = abs(relative_gap(value, published))
    return round(min(-log10(gap), most), 2) if gap else most


def _ladder(
    bound: config.Bound, name: str, attempts: Iterable[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the degrees that succeeded and those that failed, both by degree."""
    formulation = bound.formulation
    published = known.two_point_bound(formulation.dim)
    ladder: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for found in attempts:
        if "reason" in found:
            failed.append(found)
            print(f"{name}: degree {found['degree']} failed: {found['reason']}", flush=True)
            continue
        found["digits"] = agreeing_digits(found["bound"], published)
        ladder.append(found)
        print(
            f"{name}: degree {found['degree']:>3}: bound {found['bound']} (empirical),"
            f" {found['digits']:.1f} digits of the published one,"
            f" {found['newton_steps']} Newton steps, {found['seconds']:.1f} s",
            flush=True,
        )
    return sorted(ladder, key=_degree), sorted(failed, key=_degree)


def _attempts(bound: config.Bound, num_workers: int, ray_address: str) -> Iterator[dict[str, Any]]:
    """Yield what each degree gave, as the Ray tasks end."""
    with session(num_workers, address=ray_address):
        import ray

        task = ray.remote(_attempt)
        formulation = importlib.import_module(f"pipeline.packing.{bound.formulation.kind}")
        # The longest first: it decides when the stage ends.
        degrees = reversed(formulation.ladder(bound.formulation))
        pending = [task.remote(bound.model_dump(mode="json"), degree) for degree in degrees]
        while pending:
            ended, pending = ray.wait(pending, num_returns=1)
            yield from ray.get(ended)


def _attempt(bound: dict[str, Any], degree: int) -> dict[str, Any]:
    """Return the attempt at one degree as plain JSON values; runs in a Ray worker."""
    part = config.Bound.model_validate(bound)
    formulation = importlib.import_module(f"pipeline.packing.{part.formulation.kind}")
    try:
        found = formulation.attempt(part.formulation, degree, part.solver.precision_bits)
    except SolverError as error:
        return {"degree": degree, "reason": str(error)}
    return asdict(found)


def _degree(step: dict[str, Any]) -> int:
    return int(step["degree"])
