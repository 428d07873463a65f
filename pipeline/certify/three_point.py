"""The three-point bound: what a certificate has to satisfy. Theorem and proof: docs/three_point.md.

Lengths are scaled so that |x|^2 is z = 2 pi |x|^2. X is the origin and the shell rho_r <= |x| <=
rho_R; u, v, w stand for <x,x>, <y,y>, <x,y>. With f2 as for two points, f3 on the shell is

    f3(x, y) = sum_l H_l(w, uv) / z_R^l * sum_ij F_l[i, j] T_i(u) T_j(v)

H_l(w, uv) = (uv)^(l/2) C_l^s(w / sqrt(uv)) / C_l^s(1), s = n/2 - 1, is a polynomial, T_i the i-th
Chebyshev polynomial, scaled from [z_r, z_R]. Block 0 has one more basis function, the first: 1 at
the origin and 0 on the shell, where the others are 0 at the origin. To be proved:

    transform_*, function_*   as for two points, with rho_R in place of r
    kernel_semidefinite       all F_l are positive semidefinite: then so is f3
    pairs_nonpositive         f2(x) + f3(x, x) + 2 f3(x, 0) <= 0 on the shell
    triangles_nonpositive     f3(x, y) + f3(-x, y-x) + f3(-y, x-y) <= 0 if z_r <= u, v, t <= z_R,
                              where t = <x-y, x-y> = u + v - 2w
    far_pairs_nonpositive     f3(x, y) <= 0 if z_r <= u, v <= z_R <= t

Then every packing has density at most vol(B_n) (r/2)^n (f2(0) + f3(0, 0)) / f2^(0).
"""

from collections.abc import Iterator
from math import factorial
from typing import Any

from flint import Ordering, arb, ctx, fmpq, fmpq_mpoly, fmpq_mpoly_ctx, fmpq_poly, fmpz

from pipeline.certify import bernstein
from pipeline.certify.format import Rejected, ThreePoint, Triangle
from pipeline.certify.sturm import Check, no_root
from pipeline.certify.work import Work

# The relative error of exp(z/2): far below any margin that a search leaves, at few terms more.
_EXPONENTIAL_BITS = 160


def obligations(certificate: ThreePoint, function: fmpq_poly, work: Work) -> Iterator[Check]:
    """Yield the proofs about f3 as they are found, the cheap ones first.

    Raises:
        Rejected: at the first that fails.
    """
    for index, block in enumerate(certificate.kernel):
        if not semidefinite(block):
            raise Rejected("kernel_semidefinite", f"block {index}: expected no negative pivot")
    yield "kernel_semidefinite", f"{len(certificate.kernel)} blocks, exact elimination"
    yield _pairs(certificate, function)
    r, big = certificate.inner_radius, certificate.outer_radius
    side, square = (r, big), (r**2, big**2)
    # As rho_R < 2 rho_r, all of the cube obeys the triangle inequality: no point of it is spurious.
    three, far = [square] * 3, [side, side, (fmpq(0), fmpq(1))]
    yield bernstein.negative("triangles_nonpositive", triangles(certificate), three, 3, work)
    yield bernstein.negative("far_pairs_nonpositive", far_pairs(certificate), far, 2, work)


def kernel(certificate: ThreePoint, u: Any, v: Any, w: Any) -> Any:
    """Return f3(x, y) on the shell; u, v, w are numbers over Q or polynomials.

    Clenshaw's summation with (l + 2s) H_{l+1} = 2 (l + s) w H_l - l uv H_{l-1}, H_0 = 1.
    """
    twice_s, unit = certificate.dim - 2, 1 / certificate.outer_radius**2
    left, right = chebyshev(certificate, u), chebyshev(certificate, v)
    # A zero of the type of u, be it a number or a polynomial.
    following = current = 0 * u
    for order in range(certificate.kernel_degree, -1, -1):
        block = certificate.kernel[order]
        # The first function of block 0 lives at the origin and is 0 on the shell.
        skipped = 1 if order == 0 else 0
        ahead = fmpq(2 * order + twice_s, order + twice_s) * unit * w * current
        behind = fmpq(order + 1, order + 1 + twice_s) * unit**2 * u * v * following
        following, current = current, ahead - behind
        for i in range(skipped, len(block)):
            entries = [block[max(i, j)][min(i, j)] for j in range(skipped, len(block))]
            row = sum((fmpq(x) * T for x, T in zip(entries, right, strict=False)), 0 * u)
            current += left[i - skipped] * row
    return current


def at_origin(certificate: ThreePoint, u: Any) -> Any:
    """Return f3(x, 0) on the shell."""
    terms = zip(certificate.kernel[0][1:], chebyshev(certificate, u), strict=True)
    return sum((fmpq(row[0]) * T for row, T in terms), 0 * u)


def chebyshev(certificate: ThreePoint, u: Any) -> list[Any]:
    """Return T_0 ... T_d of (2 u - z_r - z_R) / (z_R - z_r)."""
    start, end = certificate.inner_radius**2, certificate.outer_radius**2
    x = (2 * u - (start + end)) * (1 / (end - start))
    found = [0 * u + 1, x]
    for _ in range(certificate.kernel_degree - 1):
        found.append(2 * x * found[-1] - found[-2])
    return found


def triangles(certificate: ThreePoint) -> fmpq_mpoly:
    """Return the left side of `triangles_nonpositive`: a symmetric polynomial in u, v, t."""
    u, v, t = fmpq_mpoly_ctx.get(("u", "v", "t"), Ordering.lex).gens()
    # f3(-x, y-x) has the squares u and t and the distance v, since <-x, y-x> = u - w.
    turns = ((u, v, t), (u, t, v), (v, t, u))
    return sum(kernel(certificate, a, b, (a + b - c) * fmpq(1, 2)) for a, b, c in turns)


def far_pairs(certificate: ThreePoint) -> fmpq_mpoly:
    """Return f3 for u = rho^2, v = sigma^2, t = z_R + theta ((rho + sigma)^2 - z_R).

    theta in [0, 1] covers all t from z_R to (rho + sigma)^2: no curved boundary remains.
    """
    rho, sigma, theta = fmpq_mpoly_ctx.get(("rho", "sigma", "theta"), Ordering.lex).gens()
    u, v, end = rho**2, sigma**2, certificate.outer_radius**2
    t = end + theta * ((rho + sigma) ** 2 - end)
    return kernel(certificate, u, v, (u + v - t) * fmpq(1, 2))


def semidefinite(block: Triangle) -> bool:
    """Return whether a matrix is positive semidefinite.

    Elimination without fractions (Bareiss): a pivot is that of LDL^T times a positive number. Below
    a pivot 0 the column has to be 0.
    """
    rows, previous = [list(row) for row in block], fmpz(1)
    for k, pivot in ((k, rows[k][k]) for k in range(len(rows))):
        below = range(k + 1, len(rows))
        if pivot < 0 or (pivot == 0 and any(rows[i][k] != 0 for i in below)):
            return False
        # A zero pivot drops out with its row and column; what remains is a smaller block.
        if pivot > 0:
            for i in below:
                for j in range(k + 1, i + 1):
                    # Exact: the quotient is a minor of the block (Sylvester's identity).
                    rows[i][j] = (rows[i][j] * pivot - rows[i][k] * rows[j][k]) // previous
            previous = pivot
    return True


def _pairs(certificate: ThreePoint, function: fmpq_poly) -> Check:
    """Return the proof of P + exp(z/2) q < 0 on [z_r, z_R], where q(z) = f3(x, x) + 2 f3(x, 0).

    exp(z/2) is replaced by a polynomial within an error e, and e |q| by a number.
    """
    name, z = "pairs_nonpositive", fmpq_poly([0, 1])
    start, end = certificate.inner_radius**2, certificate.outer_radius**2
    q = kernel(certificate, z, z, z) + 2 * at_origin(certificate, z)
    exponential, error = exponential_of_half(start, end)
    terms: bernstein.Terms = {(k,): c for k, c in enumerate(q.coeffs())}
    # The Bernstein coefficients on the interval bound |q| there.
    largest = max(map(abs, bernstein.coefficients(terms, (max(q.degree(), 0),), [(start, end)])))
    above = function + exponential * q + error * largest
    for point in (start, end):
        if not above(point) < 0:
            raise Rejected(name, f"expected < 0 at z = {float(point):.6g}, got an upper bound >= 0")
    # Negative at both ends and without a root between them: negative throughout.
    return no_root(name, "upper bound on the shell", above, start, end)


def exponential_of_half(start: fmpq, end: fmpq) -> tuple[fmpq_poly, fmpq]:
    """Return a polynomial T over Q and e > 0 with |exp(z/2) - T(z)| <= e on [start, end].

    With m the middle, x = (z - m)/2, |x| <= X and N >= 2 X, Taylor's polynomial S of degree N - 1
    leaves |exp(x) - S(x)| <= sum_{k >= N} X^k / k! <= 2 X^N / N!; T = E S with E near exp(m/2).
    """
    middle, reach = (start + end) / 2, (end - start) / 4
    terms = 1
    while terms < 2 * reach or reach**terms * 2**_EXPONENTIAL_BITS > factorial(terms):
        terms += 1
    taylor = fmpq_poly([fmpq(1, factorial(k)) for k in range(terms)])
    # Bits enough for the radius of exp(m/2) to vanish beside the error of the Taylor polynomial.
    with ctx.workprec(4 * _EXPONENTIAL_BITS):
        ball = (arb(middle) / 2).exp()
        value, radius = ball.mid().fmpq(), ball.rad().fmpq()
    error = (value + radius) * 2 * reach**terms / factorial(terms) + radius * taylor(reach)
    return value * taylor(fmpq_poly([-middle / 2, fmpq(1, 2)])), error
