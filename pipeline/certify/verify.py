"""Prove an upper bound on the density of sphere packings from a certificate, exactly over Q.

Theorem (Cohn & Elkies, Ann. of Math. 157 (2003), Theorem 3.2). Let f: R^n -> R be admissible, not
identically zero, and let r > 0 be such that

    (1) f(x) <= 0 for |x| >= r,    (2) f^(xi) >= 0 for all xi,    (3) f^(0) > 0.

Then every sphere packing in R^n has density at most vol(B_n) (r/2)^n f(0) / f^(0), where
f^(xi) = integral of f(x) exp(-2 pi i <x, xi>) dx.

Why the certificate's f is covered. With a = n/2 - 1 and z = 2 pi |x|^2, the Laguerre functions
L_k^a(z) exp(-z/2) are eigenfunctions of the Fourier transform on R^n with eigenvalues (-1)^k.
So, if f(x) = P(z) exp(-z/2) with P = sum (-1)^k c_k L_k^a, then f^(xi) = Q(2 pi |xi|^2) exp(...)
with Q = sum c_k L_k^a. A polynomial times a Gaussian is a Schwartz function, hence admissible.
The exponentials are positive, so with z_r = 2 pi r^2 the conditions are about polynomials over Q:

    (1) P(z) <= 0 for z >= z_r,    (2) Q(z) >= 0 for z >= 0,    (3) Q(0) > 0.

Proof obligations, each decided exactly:

    transform_at_zero        Q(0) > 0
    transform_nonnegative    Q has no root in (0, oo)      [with Q(0) > 0 it stays positive]
    function_at_radius       P(z_r) < 0
    function_nonpositive     P has no root in (z_r, oo)    [with P(z_r) < 0 it stays negative]

They ask for strict signs, slightly more than the theorem: a solver can always meet that by giving
away a little of the bound. Roots are counted with Sturm's theorem: for p(a) != 0 the number of
distinct real roots of p in (a, oo) is V(a) - V(oo), V(t) the number of sign changes at t in the
chain p, p', -rem(...), ... Of the possible methods (root isolation, sums of squares, interval
enclosures) this needs the smallest base of trust: division with remainder in Q[z] and signs of
rationals. It is a decision procedure: no tolerance, no subdivision depth, no hint of the solver.
The chain is computed in ball arithmetic first, which proves as much wherever every ball that
matters excludes zero, and over Q if some ball does not at any of a few precisions.

The bound. vol(B_n) (r/2)^n = (z_r/8)^(n/2) / Gamma(n/2 + 1): the powers of pi cancel. For even n
the bound is rational; for odd n it is sqrt(R/pi) with R rational, enclosed by one evaluation in
ball arithmetic. The decimal printed is rounded upward.

Trusted: this file, `format.py`, the integers, polynomials and balls of FLINT.
Cost: K^2 operations on balls of 2^12 to 2^16 bits, 3 seconds for K = 283; over Q on integers that
grow to about 2 K times the length of the c_k, a minute there.
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import factorial
from pathlib import Path
from typing import Any

from flint import arb, arb_poly, ctx, fmpq, fmpq_poly, fmpz

from pipeline.certify.format import KIND, Rejected, TwoPoint, parse, read

BOUND_DIGITS = 24
_BALL_BITS = 512
_CHAIN_BITS = (2**12, 2**14, 2**16)


@dataclass(frozen=True)
class Check:
    """A proof obligation that holds, and what was found."""

    name: str
    detail: str


def verdict(path: Path) -> dict[str, Any]:
    """Return the verdict on the certificate in `path` as a JSON object; never raises for a bad one.

    Keys: schema_version, status ("proved" or "rejected"), bound (decimal, rounded upward, or None),
    failed_condition, detail, checks, dim, formulation, certificate_sha256, seconds.
    """
    clock = time.perf_counter()
    result: dict[str, Any] = {
        "schema_version": 1,
        "status": "rejected",
        "bound": None,
        "failed_condition": None,
        "detail": None,
        "checks": [],
        "dim": None,
        "formulation": None,
        "certificate_sha256": None,
    }
    try:
        content = read(path)
        result["certificate_sha256"] = hashlib.sha256(content).hexdigest()
        certificate = parse(content)
        result |= {"dim": certificate.dim, "formulation": KIND}
        for check in obligations(certificate):
            result["checks"].append({"name": check.name, "detail": check.detail})
        result |= {"status": "proved", "bound": decimal_upward(bound(certificate))}
    except Rejected as rejection:
        result |= {"failed_condition": rejection.condition, "detail": rejection.detail}
    result["seconds"] = round(time.perf_counter() - clock, 3)
    return result


def verify(certificate: TwoPoint) -> fmpq:
    """Return a proved upper bound on the density in R^dim: all obligations hold, or it raises.

    Raises:
        Rejected: its `condition` names the obligation that fails.
    """
    for _ in obligations(certificate):
        pass
    return bound(certificate)


def obligations(certificate: TwoPoint) -> Iterator[Check]:
    """Yield the proof obligations as they are found to hold, the cheap ones first.

    Raises:
        Rejected: at the first one that fails.
    """
    function, transform = polynomials(certificate)
    origin, radius = fmpq(0), certificate.radius
    for name, symbol, p, point, sign in (
        ("transform_at_zero", "Q(0)", transform, origin, 1),
        ("function_at_radius", "P(z_r)", function, radius, -1),
    ):
        relation = "> 0" if sign > 0 else "< 0"
        if _sign(p(point)) != sign:
            raise Rejected(name, f"expected {symbol} {relation}, got sign {_sign(p(point))}")
        yield Check(name, f"{symbol} {relation}")
    for name, symbol, p, point in (
        ("transform_nonnegative", "Q on (0, oo)", transform, origin),
        ("function_nonpositive", "P on (z_r, oo)", function, radius),
    ):
        count, chain = roots_beyond(p, point)
        if count:
            raise Rejected(name, f"{symbol}: expected no root, Sturm's theorem counts {count}")
        yield Check(name, f"{symbol}: no root (Sturm chain of {chain})")


def polynomials(certificate: TwoPoint) -> tuple[fmpq_poly, fmpq_poly]:
    """Return P and Q: f(x) = P(2 pi |x|^2) exp(-pi |x|^2), and likewise f^ = Q.

    L_0 = 1, L_1 = 1 + a - z, (k+1) L_{k+1} = (2k + 1 + a - z) L_k - (k + a) L_{k-1}, a = n/2 - 1.
    """
    a = fmpq(certificate.dim, 2) - 1
    previous, current = fmpq_poly([0]), fmpq_poly([1])
    function, transform = fmpq_poly([0]), fmpq_poly([0])
    for k, coefficient in enumerate(certificate.coefficients):
        term = current * coefficient
        transform += term
        function += term if k % 2 == 0 else -term
        factor = fmpq_poly([2 * k + 1 + a, -1])
        previous, current = current, (factor * current - (k + a) * previous) * fmpq(1, k + 1)
    return function, transform


def roots_beyond(p: fmpq_poly, point: fmpq) -> tuple[int, str]:
    """Return the number of distinct real roots of p in (point, oo), and how the chain was made.

    Requires p(point) != 0.
    """
    assert p(point) != 0
    for bits in _CHAIN_BITS:
        with ctx.workprec(bits):
            signs = _signs_in_balls(p, point)
        if signs is not None:
            return _variation(signs), f"{len(signs)} polynomials, balls of {bits} bits"
    signs = _signs_exactly(p, point)
    return _variation(signs), f"{len(signs)} polynomials, exact"


# The signs of each member of a chain, (at the point, at infinity).
Signs = list[tuple[int, int]]


def _variation(signs: Signs) -> int:
    """Return V(point) - V(oo): zeros are skipped when sign changes are counted."""
    at_point, at_infinity = ([sign for sign in end if sign] for end in zip(*signs, strict=True))
    return _changes(at_point) - _changes(at_infinity)


def _changes(signs: list[int]) -> int:
    return sum(left != right for left, right in zip(signs, signs[1:], strict=False))


def _signs_exactly(p: fmpq_poly, point: fmpq) -> Signs:
    """Return the signs of the Sturm chain of p, computed over Q.

    Members are divided by positive integers, which changes no sign and keeps them short.
    """
    chain = [_primitive(p), _primitive(p.derivative())]
    while chain[-1].degree() > 0:
        chain.append(_primitive(-(chain[-2] % chain[-1])))
    return [(_sign(q(point)), _sign(q[q.degree()])) for q in chain if q != 0]


def _signs_in_balls(p: fmpq_poly, point: fmpq) -> Signs | None:
    """Return the same signs from balls; None if the working precision leaves one open.

    Two steps of division take the degree from d + 2 to d exactly: what cancels is dropped. If all
    leading balls exclude zero, the degrees fall by one each, as assumed, and the balls enclose the
    members of the chain up to positive factors.
    """
    upper, lower = arb_poly(p), arb_poly(p.derivative())
    here, signs = arb(point), [(_sign(p(point)), _sign(p[p.degree()]))]
    for degree in range(p.degree() - 1, -1, -1):
        leading = lower[degree]
        at_point, at_infinity = _ball_sign(lower(here)), _ball_sign(leading)
        if at_point is None or at_infinity is None:
            return None
        signs.append((at_point, at_infinity))
        if degree:
            partial = upper - arb_poly([0, upper[degree + 1] / leading]) * lower
            remainder = lower * (partial[degree] / leading) - partial
            positive = 1 / abs(leading).mid()
            upper, lower = lower, arb_poly((remainder * positive).coeffs()[:degree])
    return signs


def _ball_sign(value: arb) -> int | None:
    return 1 if value > 0 else -1 if value < 0 else None


def bound(certificate: TwoPoint) -> fmpq:
    """Return a rational upper bound on (z_r/8)^(n/2) / Gamma(n/2 + 1) * P(0) / Q(0).

    Equal to it for even n; for odd n the upper end of a ball, wider by less than 1e-100 relatively.
    It is a bound on densities only if the obligations hold.
    """
    function, transform = polynomials(certificate)
    ratio = function(fmpq(0)) / transform(fmpq(0))
    half, odd = divmod(certificate.dim, 2)
    if not odd:
        return (certificate.radius / 8) ** half * ratio / factorial(half)
    # Gamma(n/2 + 1) = n!! sqrt(pi) / 2^((n+1)/2), n!! = n! / (2^half half!)
    double_factorial = factorial(certificate.dim) // (2**half * factorial(half))
    square = (certificate.radius / 8) ** certificate.dim * fmpq(2) ** (certificate.dim + 1)
    square *= (ratio / double_factorial) ** 2
    with ctx.workprec(_BALL_BITS):
        mantissa, exponent = (arb(square) / arb.pi()).sqrt().upper().man_exp()
    return fmpq(mantissa) * fmpq(2) ** int(exponent)


def decimal_upward(value: fmpq, digits: int = BOUND_DIGITS) -> str:
    """Return the least decimal with `digits` significant digits that is >= value > 0."""
    places = digits - 1
    while value * fmpq(10) ** places < fmpq(10) ** (digits - 1):
        places += 1
    while places > 0 and value * fmpq(10) ** places > fmpq(10) ** digits:
        places -= 1
    scaled: fmpz = (value * fmpq(10) ** places).ceil()
    text = str(scaled).rjust(places + 1, "0")
    return f"{text[:-places]}.{text[-places:]}" if places else text


def _primitive(p: fmpq_poly) -> fmpq_poly:
    numerator = p.numer()
    return fmpq_poly(numerator // numerator.content()) if numerator else p


def _sign(value: fmpq) -> int:
    return int(value > 0) - int(value < 0)
