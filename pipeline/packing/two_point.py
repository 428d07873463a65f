"""The two-point (Cohn-Elkies) bound: what is optimised, and the bound a function gives.

For radial f on R^n with f(x) <= 0 for |x| >= r, f^ >= 0 and f^(0) > 0, every sphere packing has
density at most vol(B_n) (r/2)^n f(0)/f^(0) (Cohn & Elkies, Ann. of Math. 157 (2003), Theorem 3.2).
Here f is a polynomial of degree K = 4m + 3 in z = 2 pi |x|^2 times exp(-z/2), written in Laguerre
functions (`laguerre.Expansion`), so that f^ has the same form and the conditions are

    P(z) <= 0 for z >= z_r = 2 pi r^2,    Q(z) >= 0 for z >= 0,    Q(0) > 0.

`attempt` finds the optimum under the normalisation f(0) = f^(0), gives away 1e-20 of it to make all
signs strict, and returns it with a certificate in integers.
"""

import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from flint import arb, ctx

from pipeline.certify import format as certificates
from pipeline.config import TwoPoint
from pipeline.packing import laguerre, rounding, solver

_DIGITS = 24
_LADDER_STEPS = 4


@dataclass(frozen=True)
class Attempt:
    """What the solver found at one degree: an empirical value and a certificate to be verified."""

    degree: int
    bound: str
    newton_steps: int
    seconds: float
    certificate: dict[str, Any]


def ladder(formulation: TwoPoint) -> tuple[int, ...]:
    """Return increasing degrees 4m + 3 up to that of `formulation`: m in quarters of the last."""
    last = formulation.degree // 4
    steps = {last * step // _LADDER_STEPS for step in range(1, _LADDER_STEPS + 1)}
    return tuple(4 * m + 3 for m in sorted(steps))


def attempt(
    formulation: TwoPoint,
    degree: int,
    precision_bits: int,
    progress: solver.Progress | None = None,
) -> Attempt:
    """Return the optimal function of `degree` as a certificate, and the bound it claims.

    Heuristic: the claim counts only after `pipeline.certify` proved it. Deterministic but for
    `seconds`.

    Raises:
        SolverError: see `solver.solve` and `rounding.certificate`.
    """
    clock = time.perf_counter()
    quadrature = solver.solve(formulation.dim, degree, precision_bits, progress)
    found = rounding.certificate(quadrature, precision_bits=precision_bits)
    with ctx.workprec(precision_bits):
        # Without an exponent: arb prints small numbers as 4.7e-7.
        claimed = f"{Decimal(claimed_bound(found).str(_DIGITS, radius=False)):f}"
    return Attempt(
        degree,
        claimed,
        quadrature.newton_steps,
        round(time.perf_counter() - clock, 3),
        certificates.to_json(found),
    )


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
