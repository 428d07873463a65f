"""The three-point bound: what a certificate has to satisfy. Theorem and proof: docs/three_point.md.

In units in which |x|^2 is z = 2 pi |x|^2, let X be the origin and the shell rho_r <= |x| <= rho_R.
f2 is the function of a two-point bound and f3 a kernel on X, with u, v, w for <x,x>, <y,y>, <x,y>:

    f3(x, y) = sum_l H_l(w, uv) / z_R^l * sum_ij F_l[i, j] e_i(x) e_j(y),   F_l positive definite

H_l(w, uv) = (uv)^(l/2) C_l^s(w / sqrt(uv)) / C_l^s(1) with s = n/2 - 1, a polynomial. On the shell
e_i is the Chebyshev polynomial T_i of u, scaled from [z_r, z_R]; at the origin it is 0. Block 0 has
one more basis function, the first: 1 at the origin and 0 on the shell. Then f3 is positive definite
by the theorems of Schoenberg and Schur, and with t = <x-y, x-y> = u + v - 2w it is to be proved:

    transform_*, function_*   as for two points, with the radius rho_R in place of r
    kernel_semidefinite       F_l is positive semidefinite
    pairs_nonpositive         f2(x) + f3(x, x) + 2 f3(x, 0) <= 0 on the shell
    triangles_nonpositive     f3(x, y) + f3(-x, y-x) + f3(-y, x-y) <= 0 if z_r <= u, v, t <= z_R
    far_pairs_nonpositive     f3(x, y) <= 0 if z_r <= u, v <= z_R <= t

Every packing then has density at most vol(B_n) (r/2)^n (f2(0) + f3(0, 0)) / f2^(0).
"""

from collections.abc import Iterator, Sequence
from math import factorial
from typing import Any

from flint import Ordering, arb, ctx, fmpq, fmpq_mpoly_ctx, fmpq_poly, fmpz

from pipeline.certify import bernstein, sturm, two_point
from pipeline.certify.format import Check, Rejected, ThreePoint
from pipeline.certify.work import Work

_EXPONENTIAL_BITS = 160


def obligations(certificate: ThreePoint, work: Work) -> Iterator[Check]:
    """Yield the proof obligations as they are found to hold, the cheap ones first.

    Raises:
        Rejected: at the first one that fails.
    """
    function, transform = two_point.polynomials(certificate.dim, certificate.coefficients)
    yield from two_point.signs(function, transform, certificate.outer_radius**2)
    for index, block in enumerate(certificate.kernel):
        if not semidefinite(block):
            raise Rejected("kernel_semidefinite", f"block {index}: expected no negative pivot")
    yield Check("kernel_semidefinite", f"{len(certificate.kernel)} blocks, exact elimination")
    yield _pairs(certificate, function)
    r, big = certificate.inner_radius, certificate.outer_radius
    square, side = (r**2, big**2), (r, big)
    for name, p, domain, symmetric in (
        ("triangles_nonpositive", triangles(certificate), [square] * 3, 3),
        ("far_pairs_nonpositive", far_pairs(certificate), [side, side, (fmpq(0), fmpq(1))], 2),
    ):
        yield Check(name, bernstein.negative(name, p, domain, symmetric, work))


def ratio(certificate: ThreePoint) -> fmpq:
    """Return (f2(0) + f3(0, 0)) / f2^(0)."""
    function, transform = two_point.polynomials(certificate.dim, certificate.coefficients)
    return (function(fmpq(0)) + certificate.kernel[0][0][0]) / transform(fmpq(0))


def kernel(certificate: ThreePoint, u: Any, v: Any, w: Any) -> Any:
    """Return f3(x, y) on the shell, where u, v, w are numbers over Q or polynomials.

    Clenshaw's summation of (l + 2s) H_{l+1} = 2 (l + s) w H_l - l uv H_{l-1}, H_0 = 1, s = n/2 - 1.
    """
    twice = certificate.dim - 2
    left, right = (_chebyshev(certificate, x) for x in (u, v))
    uv, unit = u * v, 1 / certificate.outer_radius**2
    following, current = 0 * u, 0 * u
    for l in range(certificate.kernel_degree, -1, -1):  # noqa: E741
        block = certificate.kernel[l]
        first = 1 if l == 0 else 0
        term = 0 * u
        for i in range(first, len(block)):
            row = 0 * u
            for j in range(first, len(block)):
                row += right[j - first] * fmpq(block[max(i, j)][min(i, j)])
            term += left[i - first] * row
        ahead = w * current * (fmpq(2 * l + twice, l + twice) * unit)
        behind = uv * following * (fmpq(l + 1, l + 1 + twice) * unit**2)
        following, current = current, term + ahead - behind
    return current


def at_origin(certificate: ThreePoint, u: Any) -> Any:
    """Return f3(x, 0) on the shell."""
    rows = certificate.kernel[0][1:]
    terms = zip(rows, _chebyshev(certificate, u), strict=True)
    return sum((polynomial * fmpq(row[0]) for row, polynomial in terms), 0 * u)


def triangles(certificate: ThreePoint) -> Any:
    """Return the left side of `triangles_nonpositive` as a polynomial in u, v, t."""
    u, v, t = fmpq_mpoly_ctx.get(("u", "v", "t"), Ordering.lex).gens()
    half = fmpq(1, 2)
    return (
        kernel(certificate, u, v, (u + v - t) * half)
        + kernel(certificate, u, t, (u + t - v) * half)
        + kernel(certificate, v, t, (v + t - u) * half)
    )


def far_pairs(certificate: ThreePoint) -> Any:
    """Return f3 where u = rho^2, v = sigma^2, t = z_R + theta ((rho + sigma)^2 - z_R).

    theta in [0, 1] covers all t from z_R to (rho + sigma)^2: no curved boundary remains.
    """
    rho, sigma, theta = fmpq_mpoly_ctx.get(("rho", "sigma", "theta"), Ordering.lex).gens()
    u, v, end = rho**2, sigma**2, certificate.outer_radius**2
    t = end + theta * ((rho + sigma) ** 2 - end)
    return kernel(certificate, u, v, (u + v - t) * fmpq(1, 2))


def semidefinite(block: Sequence[Sequence[fmpz]]) -> bool:
    """Return whether the symmetric matrix with this lower triangle is positive semidefinite.

    Elimination without fractions (Bareiss): a pivot is that of LDL^T times a positive number. The
    row of a pivot 0 has to be 0.
    """
    rows, previous = [list(row) for row in block], fmpz(1)
    for k in range(len(rows)):
        pivot = rows[k][k]
        below = range(k + 1, len(rows))
        if pivot < 0 or (pivot == 0 and any(rows[i][k] != 0 for i in below)):
            return False
        if pivot == 0:
            continue
        for i in below:
            for j in range(k + 1, i + 1):
                rows[i][j] = (rows[i][j] * pivot - rows[i][k] * rows[j][k]) // previous
        previous = pivot
    return True


def _chebyshev(certificate: ThreePoint, u: Any) -> list[Any]:
    """Return T_0 ... T_d of (2 u - z_r - z_R) / (z_R - z_r)."""
    start, end = certificate.inner_radius**2, certificate.outer_radius**2
    x = (2 * u - (start + end)) * (1 / (end - start))
    found = [0 * u + 1, x]
    while len(found) <= certificate.kernel_degree:
        found.append(2 * x * found[-1] - found[-2])
    return found[: certificate.kernel_degree + 1]


def _pairs(certificate: ThreePoint, function: fmpq_poly) -> Check:
    """Return the proof of P + exp(z/2) q < 0 on [z_r, z_R], q(z) = f3(x, x) + 2 f3(x, 0).

    exp(z/2) is replaced by a polynomial T that is within an error e, and e |q| by a number.
    """
    name, z = "pairs_nonpositive", fmpq_poly([0, 1])
    start, end = certificate.inner_radius**2, certificate.outer_radius**2
    q = kernel(certificate, z, z, z) + 2 * at_origin(certificate, z)
    exponential, error = exponential_of_half(start, end)
    terms = {(k,): c for k, c in enumerate(q.coeffs())}
    values = bernstein.coefficients(terms, (max(q.degree(), 0),), [(start, end)])
    p = function + exponential * q + error * max(map(abs, values))
    for point in (start, end):
        if sturm.sign(p(point)) >= 0:
            raise Rejected(name, f"expected < 0 at z = {float(point):.6g}, got an upper bound >= 0")
    count, chain = sturm.num_roots(p, start, end)
    if count:
        raise Rejected(name, f"expected no root, Sturm's theorem counts {count} of an upper bound")
    return Check(name, f"no root on [z_r, z_R] (Sturm chain of {chain})")


def exponential_of_half(start: fmpq, end: fmpq) -> tuple[fmpq_poly, fmpq]:
    """Return a polynomial T over Q and e > 0 with |exp(z/2) - T(z)| <= e on [start, end].

    With m the middle, x = (z - m)/2, |x| <= X and N >= 2 X, Taylor's polynomial S of degree N - 1
    leaves |exp(x) - S(x)| <= sum_{k >= N} X^k / k! <= 2 X^N / N!, and T = E S for E near exp(m/2).
    """
    middle, reach = (start + end) / 2, (end - start) / 4
    degree = 1
    while degree < 2 * reach or reach**degree * 2**_EXPONENTIAL_BITS > factorial(degree):
        degree += 1
    taylor = fmpq_poly([fmpq(1, factorial(k)) for k in range(degree)])
    with ctx.workprec(4 * _EXPONENTIAL_BITS):
        ball = (arb(middle) / 2).exp()
        value, radius = ball.mid().fmpq(), ball.rad().fmpq()
    error = (value + radius) * 2 * reach**degree / factorial(degree) + radius * taylor(reach)
    return value * taylor(fmpq_poly([-middle / 2, fmpq(1, 2)])), error
