"""Prove an upper bound on the density of sphere packings from a certificate.

`two_point` and `three_point` state the theorems and what they ask of a certificate. Integers and
rationals decide, or balls and bounds that enclose: no tolerance, and no number of the solver is
believed. Trusted: this package, the numbers and polynomials of FLINT.

The bound. vol(B_n) (r/2)^n = (z_r/8)^(n/2) / Gamma(n/2 + 1): the powers of pi cancel. For even n
the bound is rational; for odd n it is sqrt(R/pi) with R rational, enclosed by a ball.
"""

import hashlib
import time
from collections.abc import Iterator
from math import factorial
from pathlib import Path
from typing import Any

from flint import arb, ctx, fmpq, fmpz

from pipeline.certify import files, three_point, two_point
from pipeline.certify.format import Rejected, ThreePoint, TwoPoint, kind, parse
from pipeline.certify.sturm import Check
from pipeline.certify.work import Work

BOUND_DIGITS = 24


def verdict(path: Path, jobs: int = 1, state: Path | None = None) -> dict[str, Any]:
    """Return the verdict on `path`, whatever it is or holds, as a JSON object.

    Keys: schema_version, kind, status ("proved" or "rejected"), bound (decimal, rounded upward, or
    None), failed_condition, detail, point (where an upper bound was not negative, by the names of
    the variables, or None), checks, parts (of long proofs), parts_from_state (those not proved
    anew), dim, formulation, certificate_sha256, seconds. Long proofs use up to `jobs` processes;
    interrupted, they go on from the file `state`, which a verdict deletes.

    Raises:
        NoVerdict: `state` holds something else, or a process was killed.
        OSError: `state` cannot be written.
    """
    clock, work = time.perf_counter(), Work(jobs, state)
    keys = ["bound", "failed_condition", "detail", "point", "dim", "formulation"]
    result: dict[str, Any] = dict.fromkeys([*keys, "certificate_sha256"])
    # Rejected until everything is proved: no way through here can forget to say so.
    result |= {"schema_version": 1, "kind": files.VERDICT, "status": "rejected", "checks": []}
    try:
        # Read once: the digest names the bytes that are judged, whatever becomes of the file.
        content = files.read(path)
        result["certificate_sha256"] = hashlib.sha256(content).hexdigest()
        certificate = parse(content)
        result |= {"dim": certificate.dim, "formulation": kind(certificate)}
        work.begin(result["certificate_sha256"])
        for name, detail in obligations(certificate, work):
            result["checks"].append({"name": name, "detail": detail})
        result |= {"status": "proved", "bound": decimal_upward(bound(certificate))}
    except Rejected as rejection:
        failed = {"failed_condition": rejection.condition, "detail": rejection.detail}
        result |= failed | {"point": rejection.point}
    if state:
        state.unlink(missing_ok=True)
    result |= {"parts": work.parts, "parts_from_state": work.parts_from_state}
    return result | {"seconds": round(time.perf_counter() - clock, 3)}


def verify(certificate: TwoPoint | ThreePoint) -> fmpq:
    """Return a proved upper bound on the density in R^dim: all obligations hold, or it raises.

    Raises:
        Rejected: its `condition` names the obligation that fails.
    """
    for _ in obligations(certificate, Work()):
        pass
    return bound(certificate)


def obligations(certificate: TwoPoint | ThreePoint, work: Work) -> Iterator[Check]:
    """Yield the proof obligations as they are found to hold, the cheap ones first.

    Raises:
        Rejected: at the first one that fails.
    """
    function, transform = two_point.polynomials(certificate.dim, certificate.coefficients)
    if isinstance(certificate, TwoPoint):
        yield from two_point.obligations(function, transform, certificate.radius)
    else:
        yield from two_point.obligations(function, transform, certificate.outer_radius**2)
        yield from three_point.obligations(certificate, function, work)


def bound(certificate: TwoPoint | ThreePoint) -> fmpq:
    """Return a rational upper bound on (z_r/8)^(n/2) / Gamma(n/2 + 1) times f(0) / f^(0).

    Equal to it for even n; for odd n the upper end of a ball, wider by less than 1e-100 relatively.
    It is a bound on densities only if the obligations hold. For three points f(0) is
    f2(0) + f3(0, 0).
    """
    function, transform = two_point.polynomials(certificate.dim, certificate.coefficients)
    if isinstance(certificate, TwoPoint):
        radius, origin = certificate.radius, fmpq(0)
    else:
        # f2 <= 0 begins at rho_R only, but centres are rho_r apart: that gives the radius of balls.
        radius, origin = certificate.inner_radius**2, fmpq(certificate.kernel[0][0][0])
    # Positive if the obligations hold: f(0) is the integral of f^, F_0 is semidefinite.
    ratio = (function(fmpq(0)) + origin) / transform(fmpq(0))
    half, odd = divmod(certificate.dim, 2)
    if not odd:
        return (radius / 8) ** half * ratio / factorial(half)
    # Gamma(n/2 + 1) = n!! sqrt(pi) / 2^((n+1)/2), n!! = n! / (2^half half!)
    double_factorial = factorial(certificate.dim) // (2**half * factorial(half))
    square = (radius / 8) ** certificate.dim * fmpq(2) ** (certificate.dim + 1)
    square *= (ratio / double_factorial) ** 2
    with ctx.workprec(512):
        root: fmpq = (arb(square) / arb.pi()).sqrt().upper().fmpq()
    return root


def decimal_upward(value: fmpq, digits: int = BOUND_DIGITS) -> str:
    """Return the least decimal with `digits` significant digits that is >= value > 0."""
    places = 0
    while value * fmpq(10) ** places < fmpq(10) ** (digits - 1):
        places += 1
    scaled: fmpz = (value * fmpq(10) ** places).ceil()
    text = str(scaled).rjust(places + 1, "0")
    return f"{text[:-places]}.{text[-places:]}" if places else text
