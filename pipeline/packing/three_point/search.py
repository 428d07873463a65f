"""The three-point bound (Cohn, de Laat, Salmon, arXiv:2206.15373): f_2 radial, f_3 a kernel.

Every sphere packing has density at most vol(B_n) (r/2)^n (f_2(0) + f_3(0, 0)) / f_2^(0) under the
conditions proved in docs/three_point.md. `search` takes f_2 in the coordinates of `radial`, f_3 in
those of `kernel`, optimises both by cutting planes (`cutting`; in doubles or, if asked for, more),
shifts every condition strictly below zero and rounds to integers. If the verifier refutes the
result, the point it names is one more cut. Heuristic: only `pipeline.certify` decides.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from fractions import Fraction
from math import log, log2
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq, fmpz

from pipeline.certify import format as certificates
from pipeline.errors import SolverError
from pipeline.packing import laguerre
from pipeline.packing.base import Evaluation, Failure, Found, State
from pipeline.packing.three_point import cutting, radial, refute
from pipeline.packing.three_point.config import ThreePoint
from pipeline.packing.three_point.kernel import Kernel
from pipeline.packing.two_point.search import decimal, density_bound

# Radii are multiples of this: of 8 digits, where the verifier takes up to 12.
_RADIUS_UNIT = Fraction(1, 2**20)
# What rounding and the shift of the blocks may use up of a margin.
_SHARE = 2.0**-6
# The verifier's conditions that are sampled in a cube, by our names.
_SAMPLED = {"triangles_nonpositive": "triangles", "far_pairs_nonpositive": "far"}


def search(
    formulation: ThreePoint,
    precision_bits: int,
    *,
    resume: State | None = None,
    reached: Callable[[State], None] | None = None,
) -> Found:
    """Return the optimum with a certificate; a claim counts only after `pipeline.certify`.

    Deterministic but for `seconds`.

    Args:
        formulation: dimension, degrees, ratio of the radii, margin, precision of conic problems.
        precision_bits: working precision of f_2's basis.
        resume: a state that `reached` was given: the search goes on there, to the same result.
        reached: called after each round of cuts with all that is behind it, as JSON values.
    """
    clock = time.perf_counter()

    def keep(cuts: cutting.Cuts) -> None:
        if reached:
            reached(_to_state(cuts))

    parameters = {"kernel_degree": formulation.kernel_degree}
    try:
        problem = _problem(formulation, precision_bits)
        optimum, certificate = _unrefuted(problem, _from_state(resume) if resume else None, keep)
    except SolverError as error:
        return Found((), (Failure(parameters, str(error)),), None)
    with ctx.workprec(precision_bits):
        claimed = decimal(_claimed(certificate))
    seconds = round(time.perf_counter() - clock, 3)
    evaluation = Evaluation(
        parameters,
        claimed,
        optimum.cuts.iterations,
        seconds,
    )
    return Found((evaluation,), (), certificates.to_json(certificate))


def progress(state: State) -> str:
    """Return how far the search with this state has come, for people."""
    return str(state["report"])


def _to_state(cuts: cutting.Cuts) -> State:
    samples = {name: points.tolist() for name, points in cuts.samples.items()}
    return {**asdict(replace(cuts, samples={})), "samples": samples}


def _from_state(state: Mapping[str, Any]) -> cutting.Cuts:
    samples = {name: np.array(points) for name, points in state["samples"].items()}
    return cutting.Cuts(**{**state, "samples": samples})


def _problem(formulation: ThreePoint, precision_bits: int) -> cutting.ThreePointProblem:
    basis = radial.basis(formulation.dim, formulation.degree, precision_bits)
    inner = _rational(basis.radius_squared**0.5)
    outer = _rational(float(inner) * formulation.outer_ratio)
    kernel = Kernel(formulation.dim, formulation.kernel_degree, float(inner), float(outer))
    margins = cutting.Margins(kernel=formulation.margin)
    precision = cutting.Precision(formulation.conic_bits, formulation.gap)
    return cutting.ThreePointProblem(basis, kernel, margins, precision)


def _unrefuted(
    problem: cutting.ThreePointProblem,
    start: cutting.Cuts | None,
    keep: Callable[[cutting.Cuts], None],
) -> tuple[cutting.Optimum, certificates.ThreePoint]:
    """Return an optimum and its certificate, in which the verifier finds no fault."""
    while True:
        optimum = problem.optimise(start, keep)
        certificate = _certificate(problem, optimum)
        found = refute.refutation(certificates.to_json(certificate))
        if found is None:
            return optimum, certificate
        start = problem.missed(optimum, _SAMPLED[found.condition], found.point)
        keep(start)


def _rational(radius: float) -> Fraction:
    return round(Fraction(radius) / _RADIUS_UNIT) * _RADIUS_UNIT


def _certificate(
    problem: cutting.ThreePointProblem, optimum: cutting.Optimum
) -> certificates.ThreePoint:
    """Return the optimum in integers: blocks shifted by a multiple of 1 to be positive definite.

    With a margin e in the spatial conditions, adding delta to the diagonals raises them by at most
    3 delta sum(sizes): that may use up a small share of e, and rounding as much again.
    """
    kernel, basis = problem.kernel, problem.radial
    spatial = problem.margins.kernel * min(optimum.cuts.sizes.values())
    shift = _SHARE * spatial / (3 * sum(kernel.sizes))
    # Rounding a block of size k moves eigenvalues by k/2 units at most: an eighth of the shift.
    kernel_bits = -log2(shift / max(kernel.sizes)) + 2
    bits = max(0, round(max(kernel_bits, _radial_bits(problem)) + 0.5))
    unit = fmpq(2) ** bits
    with ctx.workprec(basis.precision_bits):
        coefficients = tuple(
            (c * arb(2) ** bits + arb(0.5)).floor().unique_fmpz()
            for c in basis.coefficients(optimum.radial)
        )
    blocks = []
    for block in optimum.blocks:
        # Interior points are definite, but hardly: rounding alone could undo that.
        raised = block + shift * np.eye(len(block))
        blocks.append(
            tuple(
                tuple(_integer(raised[i, j], unit) for j in range(i + 1))
                for i in range(len(raised))
            )
        )
    radii = (_exact(kernel.inner), _exact(kernel.outer))
    return certificates.ThreePoint(kernel.dim, *radii, coefficients, tuple(blocks))


def _radial_bits(problem: cutting.ThreePointProblem) -> float:
    """Return s such that rounding 2^s c_k moves f_2, f_2^ by a small share of their margins."""
    basis = problem.radial
    with ctx.workprec(basis.precision_bits):
        knots = basis.knots[basis.knots > 0]
        smaller = np.minimum(basis.transform_size(knots), basis.function_size(knots))
        values, _ = laguerre.table(basis.degree, arb(basis.dim), [arb(float(z)) for z in knots])
        totals = [sum((abs(v) for v in row), arb(0)) for row in values]
        needed = [
            float((total / arb(size)).log()) / log(2)
            for total, size in zip(totals, smaller, strict=True)
        ]
    return max(needed) - log2(_SHARE * problem.margins.radial)


def _integer(value: float, unit: fmpq) -> fmpz:
    return (_exact(value) * unit + fmpq(1, 2)).floor()


def _exact(value: float) -> fmpq:
    return fmpq(*float(value).as_integer_ratio())


def _claimed(certificate: certificates.ThreePoint) -> arb:
    """Return the bound a certificate claims, at the working precision and without proof."""
    expansion = laguerre.Expansion(certificate.dim, tuple(arb(c) for c in certificate.coefficients))
    value = expansion.function(arb(0)) + arb(certificate.kernel[0][0][0])
    radius = arb(certificate.inner_radius) ** 2
    return density_bound(certificate.dim, radius, value / expansion.transform(arb(0)))
