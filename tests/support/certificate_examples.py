"""Small three-point certificates, and a deliberately naive opinion on any certificate.

The opinion shares no code with the verifier: it evaluates the definitions of the theorems at many
points, with the textbook recurrences, in 300-bit arithmetic.
"""

import json
from fractions import Fraction
from functools import cache
from math import comb, isqrt

import numpy as np
from flint import arb, ctx, fmpq, fmpz_poly

from pipeline.certify import verify
from pipeline.certify.format import Rejected, ThreePoint, TwoPoint, to_json
from pipeline.packing import known, rounding, solver

RADIAL_OBLIGATIONS = (
    "transform_at_zero",
    "function_at_radius",
    "transform_nonnegative",
    "function_nonpositive",
)
KERNEL_OBLIGATIONS = (
    "kernel_semidefinite",
    "pairs_nonpositive",
    "triangles_nonpositive",
    "far_pairs_nonpositive",
)
OBLIGATIONS = RADIAL_OBLIGATIONS + KERNEL_OBLIGATIONS

# Kernels that satisfy the conditions on triangles and far pairs strictly, found by maximising the
# slack for these radii; they are added to a two-point function in a small multiple.
_SHELLS = {3: ("2877/1000", "187/50"), 4: ("3033/1000", "3943/1000")}
_KERNELS = {
    3: (
        10_000,
        ((1,), (-1, 7), (0, 8, 19), (0, 0, 0, 2), (0, 3, 6, 0, 4), (0, 0, 0, 0, 0, 2)),
        ((1691,), (-65, 262), (-15, -7, 2), (18, 47, -2, 10)),
        ((2640,), (-693, 472), (143, -116, 31)),
        ((3106,), (-906, 373)),
        ((1405,),),
    ),
    4: (
        100_000,
        ((3,), (-2, 113), (0, 101, 94), (0, -107, -98, 106), (0, -30, -28, 30, 10),
         (0, -17, -15, 16, 5, 4)),
        ((10034,), (-2655, 3078), (-915, 53, 167), (198, 23, 27, 47)),
        ((19786,), (-9458, 5933), (957, -1131, 369)),
        ((35892,), (-20467, 14900)),
        ((9492,),),
    ),
}  # fmt: skip


@cache
def two_point(dim: int, degree: int, loss: str = "1e-20") -> TwoPoint:
    return rounding.certificate(solver.solve(dim, degree, 256), precision_bits=256, loss=loss)


@cache
def three_point(dim: int) -> ThreePoint:
    function = [c * 10**30 for c in two_point(dim, 15, "1e-4").coefficients]
    scale, *blocks = _KERNELS[dim]
    unit = max(map(abs, function)) // (1000 * scale)
    inner, outer = (fmpq(*map(int, radius.split("/"))) for radius in _SHELLS[dim])
    kernel = tuple(tuple(tuple(unit * x for x in row) for row in block) for block in blocks)
    return ThreePoint(dim, inner, outer, tuple(function), kernel)


def densest(dim: int) -> Fraction:
    """Return a density that a packing attains, rounded down: no upper bound may lie below it."""
    packing = known.packing(dim)
    return Fraction(packing.value) * (1 - Fraction(1, 10**11)) if packing else Fraction(0)


def encoded(certificate: TwoPoint | ThreePoint, **changes: object) -> bytes:
    return json.dumps(to_json(certificate) | changes).encode()


def judge(certificate: TwoPoint | ThreePoint) -> str:
    """Return "proved" or the failed obligation; check the claims of an accepted certificate."""
    try:
        bound = verify.verify(certificate)
    except Rejected as rejection:
        assert rejection.condition in OBLIGATIONS
        return rejection.condition
    assert Fraction(int(bound.p), int(bound.q)) >= densest(certificate.dim)
    assert violation(certificate, num_points=150) is None
    return "proved"


def radial(certificate: TwoPoint | ThreePoint, z: arb) -> tuple[arb, arb]:
    """Return f2 and its transform at z, both without the factor exp(-z/2)."""
    order = arb(certificate.dim) / 2 - 1
    previous, current = arb(0), arb(1)
    function = transform = arb(0)
    for k, c in enumerate(certificate.coefficients):
        transform += arb(c) * current
        function += arb(-c if k % 2 else c) * current
        following = (2 * k + 1 + order - z) * current - (k + order) * previous
        previous, current = current, following / (k + 1)
    return function, transform


def kernel(certificate: ThreePoint, u: arb, v: arb, w: arb) -> arb:
    """Return f3(x, y) on the shell for <x,x> = u, <y,y> = v, <x,y> = w, from its definition."""
    start, end = (
        arb(radius) ** 2 for radius in (certificate.inner_radius, certificate.outer_radius)
    )
    degree, cosine = certificate.kernel_degree, w / (u * v).sqrt()
    left, right = (_chebyshev(degree, (2 * z - start - end) / (end - start)) for z in (u, v))
    total = arb(0)
    for order, block in enumerate(certificate.kernel):
        first = 1 if order == 0 else 0
        radius = ((u * v).sqrt() / end) ** order
        angle = _gegenbauer(order, certificate.dim, cosine)
        for i, row in enumerate(block):
            for j, entry in enumerate(row):
                if j < first:
                    continue
                terms = left[i - first] * right[j - first]
                if i != j:
                    terms += left[j - first] * right[i - first]
                total += radius * angle * arb(entry) * terms
    return total


def at_origin(certificate: ThreePoint, u: arb) -> arb:
    """Return f3(x, 0) on the shell."""
    start, end = (
        arb(radius) ** 2 for radius in (certificate.inner_radius, certificate.outer_radius)
    )
    values = _chebyshev(certificate.kernel_degree, (2 * u - start - end) / (end - start))
    rows = certificate.kernel[0][1:]
    return sum((arb(row[0]) * value for row, value in zip(rows, values, strict=True)), arb(0))


def triangle(certificate: ThreePoint, u: arb, v: arb, t: arb) -> arb:
    """Return f3(x, y) + f3(-x, y-x) + f3(-y, x-y) for <x,x> = u, <y,y> = v, <x-y, x-y> = t."""
    return (
        kernel(certificate, u, v, (u + v - t) / 2)
        + kernel(certificate, u, t, (u + t - v) / 2)
        + kernel(certificate, v, t, (v + t - u) / 2)
    )


def violation(certificate: TwoPoint | ThreePoint, num_points: int = 300) -> str | None:
    """Return a condition of the theorem and a sampled point that violates it, or None."""
    with ctx.workprec(300):
        two = isinstance(certificate, TwoPoint)
        radius = arb(certificate.radius) if two else arb(certificate.outer_radius) ** 2
        top = 6 * certificate.degree + 4 * certificate.dim
        for j in range(num_points):
            z = arb(top) * j / num_points
            if radial(certificate, z)[1] < 0:
                return f"transform negative at {z}"
            if radial(certificate, radius + z)[0] > 0:
                return f"function positive at {radius + z}"
        return (
            None
            if isinstance(certificate, TwoPoint)
            else _kernel_violation(certificate, num_points)
        )


def _kernel_violation(certificate: ThreePoint, num_points: int) -> str | None:
    inner, outer = arb(certificate.inner_radius), arb(certificate.outer_radius)
    for j in range(num_points):
        # Irrational steps fill the box evenly; the ends are among the values.
        x, y, s = (
            arb(min(1, max(0, 1.1 * (j * step % 1) - 0.05)))
            for step in (0.8191725, 0.6710436, 0.5497005)
        )
        u, v, t = (inner**2 + (outer**2 - inner**2) * x for x in (x, y, s))
        if (-u / 2).exp() * radial(certificate, u)[0] + kernel(
            certificate, u, u, u
        ) + 2 * at_origin(certificate, u) > 0:
            return f"pair at {u}"
        if triangle(certificate, u, v, t) > 0:
            return f"triangle at {u}, {v}, {t}"
        far = outer**2 + s * ((u.sqrt() + v.sqrt()) ** 2 - outer**2)
        if kernel(certificate, u, v, (u + v - far) / 2) > 0:
            return f"far pair at {u}, {v}, {far}"
    return None


def _chebyshev(degree: int, x: arb) -> list[arb]:
    return [x.chebyshev_t(k) for k in range(degree + 1)]


def _gegenbauer(degree: int, dim: int, x: arb) -> arb:
    """Return C_l^s(x) / C_l^s(1), s = dim/2 - 1, as an explicit sum over powers of x."""
    s = arb(dim) / 2 - 1

    def rising(number: int) -> arb:
        return s.rising(number) if number else arb(1)

    total = arb(0)
    for k in range(degree // 2 + 1):
        # (-1)^k (s)_{l-k} / (k! (l-2k)!) (2x)^{l-2k}
        count = arb(comb(degree - k, k)) / arb(degree - k).fac()
        total += (-1) ** k * rising(degree - k) * count * (2 * x) ** (degree - 2 * k)
    return total / ((2 * s).rising(degree) / arb(degree).fac() if degree else arb(1))


def sums_over_checkerboard(certificate: ThreePoint) -> tuple[arb, arb, arb]:
    """Return the sums of f2 and f3 over the lattice D_n, and f2^(0) by its volume, in 300 bits.

    The lattice is scaled to the minimal distance rho_r. The sum of f3 is over all pairs of its
    vectors in X: it is what the proof of the theorem calls nonnegative.
    """
    dim, unit = certificate.dim, certificate.inner_radius**2 / 2
    with ctx.workprec(300):
        # The number of vectors of norm k: the mean of the powers of two theta functions.
        longest = int(400 / unit)
        f2 = arb(0)
        for sign in (1, -1):
            theta = fmpz_poly([1] + [0] * longest)
            for k in range(1, isqrt(longest) + 1):
                theta[k**2] = 2 * sign**k
            for norm, number in enumerate((theta**dim).coeffs()[: longest + 1]):
                z = arb(unit * norm)
                f2 += number * (-z / 2).exp() * radial(certificate, z)[0] / 2
        volume = 2 * (arb(unit) / (2 * arb.pi())).sqrt() ** dim
        vectors = _checkerboard(dim, int(certificate.outer_radius**2 / unit))
        gram = vectors @ vectors.T
        norms = np.diag(gram)
        f3 = arb(certificate.kernel[0][0][0])
        for norm, number in zip(*np.unique(norms, return_counts=True), strict=True):
            f3 += 2 * int(number) * at_origin(certificate, arb(unit * int(norm)))
        columns = (*np.broadcast_arrays(norms[:, None], norms), gram)
        pairs = np.stack([column.ravel() for column in columns])
        distinct, numbers = np.unique(pairs, axis=1, return_counts=True)
        for (u, v, w), number in zip(distinct.T, numbers, strict=True):
            places = (arb(unit * int(x)) for x in (u, v, w))
            f3 += int(number) * kernel(certificate, *places)
        return f2, f3, radial(certificate, arb(0))[1] / volume


def _checkerboard(dim: int, most: int) -> np.ndarray:
    """Return the vectors of D_n of norm 1 to `most`."""
    rows = np.zeros((1, 0), dtype=int)
    reach = range(-isqrt(most), isqrt(most) + 1)
    for _ in range(dim):
        rows = np.concatenate([np.c_[rows, np.full(len(rows), x)] for x in reach])
        rows = rows[(rows**2).sum(axis=1) <= most]
    return rows[(rows.sum(axis=1) % 2 == 0) & (rows.any(axis=1))]
