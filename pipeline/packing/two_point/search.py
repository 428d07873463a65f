"""The two-point (Cohn-Elkies) bound: what is optimised, and the bound a function gives.

For radial f on R^n with f(x) <= 0 for |x| >= r, f^ >= 0 and f^(0) > 0, every sphere packing has
density at most vol(B_n) (r/2)^n f(0)/f^(0) (Cohn & Elkies, Ann. of Math. 157 (2003), Theorem 3.2).
Here f is a polynomial of degree K = 4m + 3 in z = 2 pi |x|^2 times exp(-z/2), written in Laguerre
functions (`laguerre.Expansion`), so that f^ has the same form and the conditions are

    P(z) <= 0 for z >= z_r = 2 pi r^2,    Q(z) >= 0 for z >= 0,    Q(0) > 0.

`search` finds the optimum under the normalisation f(0) = f^(0), gives away 1e-20 of it to make all
signs strict, and returns it with a certificate in integers.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from flint import arb, ctx

from pipeline.certify import format as certificates
from pipeline.errors import SolverError
from pipeline.packing import laguerre, rounding, solver
from pipeline.packing.base import Evaluation, Failure, Found, State
from pipeline.packing.two_point.config import TwoPoint

# As many as the verifier prints.
_DIGITS = 24
_LADDER_STEPS = 4


def ladder(formulation: TwoPoint) -> tuple[int, ...]:
    """Return increasing degrees 4m + 3 up to that of `formulation`: m in quarters of the last."""
    last = formulation.degree // 4
    steps = {last * step // _LADDER_STEPS for step in range(1, _LADDER_STEPS + 1)}
    return tuple(4 * m + 3 for m in sorted(steps))


def search(
    formulation: TwoPoint,
    precision_bits: int,
    *,
    resume: State | None = None,
    reached: Callable[[State], None] | None = None,
) -> Found:
    """Return the optimum at each degree of `ladder`, the best with a certificate.

    One climb of the degrees serves them all. Heuristic: a claim counts only after
    `pipeline.certify` proved it. Deterministic but for `seconds`.

    Args:
        formulation: dimension and highest degree.
        precision_bits: working precision.
        resume: a state that `reached` was given: the search goes on there, to the same result.
        reached: called after each degree of the climb with all that is behind it, as JSON values.
    """
    climbs = _from_state(resume or {})

    def keep(rungs: solver.Climbs) -> None:
        nonlocal climbs
        climbs = rungs
        if reached:
            reached(_to_state(rungs))

    found: list[Evaluation] = []
    failed: list[Failure] = []
    certificate = None
    # The highest degree first: it makes the climb, and gives the certificate unless it fails.
    for degree in reversed(ladder(formulation)):
        clock = time.perf_counter()
        try:
            quadrature = solver.solve(
                formulation.dim, degree, precision_bits, resume=climbs, reached=keep
            )
            # Only the best is certified; the quarters show how the bound falls with the degree.
            if certificate is None:
                certificate = rounding.certificate(quadrature, precision_bits=precision_bits)
                value = _claimed(certificate, precision_bits)
            else:
                value = _optimum(quadrature, precision_bits)
        except SolverError as error:
            failed.append(Failure({"degree": degree}, str(error)))
            continue
        seconds = round(time.perf_counter() - clock, 3)
        found.append(Evaluation({"degree": degree}, value, quadrature.newton_steps, seconds))
    return Found(
        tuple(reversed(found)),
        tuple(reversed(failed)),
        certificates.to_json(certificate) if certificate else None,
    )


def progress(state: State) -> str:
    """Return how far the search with this state has come, for people."""
    rungs = max((rungs for rungs in state["climbs"].values()), key=len)
    return f"degree {4 * len(rungs) - 1}"


def _to_state(climbs: solver.Climbs) -> State:
    return {"climbs": {str(dim): [asdict(r) for r in rungs] for dim, rungs in climbs.items()}}


def _from_state(state: Mapping[str, Any]) -> solver.Climbs:
    return {
        int(dim): tuple(solver.Rung(tuple(r["nodes"]), r["newton_steps"]) for r in rungs)
        for dim, rungs in state.get("climbs", {}).items()
    }


def _claimed(certificate: certificates.TwoPoint, precision_bits: int) -> str:
    with ctx.workprec(precision_bits):
        return decimal(claimed_bound(certificate))


def _optimum(quadrature: solver.Quadrature, precision_bits: int) -> str:
    """Return the bound of the optimal function: f(0) = f^(0), and z_r is the first node."""
    with ctx.workprec(precision_bits):
        return decimal(density_bound(quadrature.dim, quadrature.nodes[0], arb(1)))


def decimal(value: arb) -> str:
    """Return what a solver claims, rounded to 24 digits, as people write it."""
    # Without an exponent: arb prints small numbers as 4.7e-7.
    return f"{Decimal(value.str(_DIGITS, radius=False)):f}"


def claimed_bound(certificate: certificates.TwoPoint) -> arb:
    """Return the bound a certificate claims, at the working precision and without proof."""
    expansion = laguerre.Expansion(certificate.dim, tuple(arb(c) for c in certificate.coefficients))
    ratio = expansion.function(arb(0)) / expansion.transform(arb(0))
    return density_bound(certificate.dim, arb(certificate.radius), ratio)


def density_bound(dim: int, radius: arb, ratio: arb) -> arb:
    """Return vol(B_n) (r/2)^n * ratio for `radius` z_r = 2 pi r^2 and `ratio` f(0)/f^(0).

    vol(B_n) (r/2)^n = (z_r/8)^(n/2) / Gamma(n/2 + 1): the powers of pi cancel.
    """
    half = arb(dim) / 2
    return (radius / 8) ** half / (half + 1).gamma() * ratio
