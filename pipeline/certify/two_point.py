"""The two-point (Cohn-Elkies) bound: what a certificate has to satisfy. Proof: docs/two_point.md.

Theorem (Ann. of Math. 157 (2003), Theorem 3.2). Let f: R^n -> R be a Schwartz function and r > 0 be
such that f(x) <= 0 for |x| >= r, f^ >= 0 and f^(0) > 0. Then every sphere packing in R^n has
density at most vol(B_n) (r/2)^n f(0) / f^(0).

With a = n/2 - 1 and z = 2 pi |x|^2, the Laguerre functions L_k^a(z) exp(-z/2) are eigenfunctions of
the Fourier transform with eigenvalues (-1)^k. So for f = P(z) exp(-z/2), f^ = Q(z) exp(-z/2) with

    P = sum_k (-1)^k c_k L_k^a,    Q = sum_k c_k L_k^a,    z_r = 2 pi r^2

the conditions are P <= 0 on [z_r, oo), Q >= 0 on [0, oo), Q(0) > 0. Strict signs are asked for: a
solver can meet them by giving away next to nothing of its bound.
"""

from collections.abc import Iterator, Sequence

from flint import fmpq, fmpq_poly, fmpz

from pipeline.certify.format import Rejected
from pipeline.certify.sturm import Check, no_root


def obligations(function: fmpq_poly, transform: fmpq_poly, radius: fmpq) -> Iterator[Check]:
    """Yield the proofs that Q > 0 on [0, oo) and P < 0 on [radius, oo), the cheap ones first.

    Raises:
        Rejected: at the first that fails.
    """
    if not transform(fmpq(0)) > 0:
        raise Rejected("transform_at_zero", "expected Q(0) > 0")
    yield "transform_at_zero", "Q(0) > 0"
    if not function(radius) < 0:
        raise Rejected("function_at_radius", f"expected P < 0 at z = {float(radius):.6g}")
    yield "function_at_radius", f"P < 0 at z = {float(radius):.6g}"
    # Positive at 0, negative at z_r, and no root beyond: no sign can change.
    yield no_root("transform_nonnegative", "Q on (0, oo)", transform, fmpq(0))
    yield no_root("function_nonpositive", "P beyond there", function, radius)


def polynomials(dim: int, coefficients: Sequence[fmpz]) -> tuple[fmpq_poly, fmpq_poly]:
    """Return P and Q.

    L_0 = 1, L_1 = 1 + a - z, (k+1) L_{k+1} = (2k + 1 + a - z) L_k - (k + a) L_{k-1}, a = n/2 - 1.
    """
    a = fmpq(dim, 2) - 1
    previous, current = fmpq_poly([0]), fmpq_poly([1])
    function, transform = fmpq_poly([0]), fmpq_poly([0])
    for k, coefficient in enumerate(coefficients):
        transform += current * coefficient
        function += current * (coefficient if k % 2 == 0 else -coefficient)
        factor = fmpq_poly([2 * k + 1 + a, -1])
        previous, current = current, (factor * current - (k + a) * previous) * fmpq(1, k + 1)
    return function, transform
