"""The two-point (Cohn-Elkies) bound: what a certificate has to satisfy. Proof: docs/two_point.md.

Theorem (Cohn & Elkies, Ann. of Math. 157 (2003), Theorem 3.2). Let f: R^n -> R be a Schwartz
function and r > 0 be such that f(x) <= 0 for |x| >= r, f^ >= 0 and f^(0) > 0. Then every sphere
packing in R^n has density at most vol(B_n) (r/2)^n f(0) / f^(0).

With a = n/2 - 1 and z = 2 pi |x|^2, the Laguerre functions L_k^a(z) exp(-z/2) are eigenfunctions of
the Fourier transform with eigenvalues (-1)^k. So for f = P(z) exp(-z/2), f^ = Q(z) exp(-z/2) with

    P = sum_k (-1)^k c_k L_k^a,    Q = sum_k c_k L_k^a,    z_r = 2 pi r^2

the conditions are P <= 0 on [z_r, oo), Q >= 0 on [0, oo) and Q(0) > 0: about polynomials over Q.
They are proved with strict signs, which costs a solver next to nothing of its bound.
"""

from collections.abc import Iterator, Sequence

from flint import fmpq, fmpq_poly, fmpz

from pipeline.certify import sturm
from pipeline.certify.format import Check, Rejected, TwoPoint


def obligations(certificate: TwoPoint) -> Iterator[Check]:
    """Yield the proof obligations as they are found to hold, the cheap ones first.

    Raises:
        Rejected: at the first one that fails.
    """
    yield from signs(*polynomials(certificate.dim, certificate.coefficients), certificate.radius)


def ratio(certificate: TwoPoint) -> fmpq:
    """Return f(0) / f^(0)."""
    function, transform = polynomials(certificate.dim, certificate.coefficients)
    return function(fmpq(0)) / transform(fmpq(0))


def signs(function: fmpq_poly, transform: fmpq_poly, radius: fmpq) -> Iterator[Check]:
    """Yield the proofs that Q > 0 on [0, oo) and P < 0 on [radius, oo).

    Raises:
        Rejected: at the first that fails.
    """
    sides = (
        ("transform_at_zero", "transform_nonnegative", "Q", transform, fmpq(0), 1),
        ("function_at_radius", "function_nonpositive", "P", function, radius, -1),
    )
    for name, _, symbol, p, point, wanted in sides:
        relation = f"{symbol} {'>' if wanted > 0 else '<'} 0 at z = {float(point):.6g}"
        if sturm.sign(p(point)) != wanted:
            raise Rejected(name, f"expected {relation}, got sign {sturm.sign(p(point))}")
        yield Check(name, relation)
    for _, name, symbol, p, point, _ in sides:
        count, chain = sturm.num_roots(p, point)
        where = f"{symbol} beyond z = {float(point):.6g}"
        if count:
            raise Rejected(name, f"{where}: expected no root, Sturm's theorem counts {count}")
        yield Check(name, f"{where}: no root (Sturm chain of {chain})")


def polynomials(dim: int, coefficients: Sequence[fmpz]) -> tuple[fmpq_poly, fmpq_poly]:
    """Return P and Q.

    L_0 = 1, L_1 = 1 + a - z, (k+1) L_{k+1} = (2k + 1 + a - z) L_k - (k + a) L_{k-1}, a = n/2 - 1.
    """
    a = fmpq(dim, 2) - 1
    previous, current = fmpq_poly([0]), fmpq_poly([1])
    function, transform = fmpq_poly([0]), fmpq_poly([0])
    for k, coefficient in enumerate(coefficients):
        term = current * coefficient
        transform += term
        function += term if k % 2 == 0 else -term
        factor = fmpq_poly([2 * k + 1 + a, -1])
        previous, current = current, (factor * current - (k + a) * previous) * fmpq(1, k + 1)
    return function, transform
