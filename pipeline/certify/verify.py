"""Prove an upper bound on the density of sphere packings from a certificate, exactly over Q.

The theorems and what they ask of a certificate stand in `two_point` and `three_point`. Every
obligation is decided by integers, rationals, or balls and bounds that enclose: no tolerance, no
number of the solver is believed.

The bound. vol(B_n) (r/2)^n = (z_r/8)^(n/2) / Gamma(n/2 + 1): the powers of pi cancel. For even n
the bound is rational; for odd n it is sqrt(R/pi) with R rational, enclosed by one evaluation in
ball arithmetic. The decimal printed is rounded upward.

Trusted: this package, the integers, rationals, polynomials and balls of FLINT.
"""

import hashlib
import time
from collections.abc import Iterator
from math import factorial
from pathlib import Path
from typing import Any

from flint import arb, ctx, fmpq, fmpz

from pipeline.certify import three_point, two_point
from pipeline.certify.format import Check, Rejected, ThreePoint, TwoPoint, kind, parse, read
from pipeline.certify.work import Work

BOUND_DIGITS = 24
_BALL_BITS = 512


def verdict(path: Path, jobs: int = 1, state: Path | None = None) -> dict[str, Any]:
    """Return the verdict on the certificate in `path` as a JSON object; never raises for a bad one.

    Keys: schema_version, status ("proved" or "rejected"), bound (decimal, rounded upward, or None),
    failed_condition, detail, checks, dim, formulation, certificate_sha256, seconds. A proof in
    parts uses `jobs` processes and goes on from `state`, which is deleted with the verdict.
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
        result |= {"dim": certificate.dim, "formulation": kind(certificate)}
        work = Work(jobs, state, f"{result['certificate_sha256']} {_source_sha256()}")
        for check in obligations(certificate, work):
            result["checks"].append({"name": check.name, "detail": check.detail})
        result |= {"status": "proved", "bound": decimal_upward(bound(certificate))}
    except Rejected as rejection:
        result |= {"failed_condition": rejection.condition, "detail": rejection.detail}
    if state:
        state.unlink(missing_ok=True)
    result["seconds"] = round(time.perf_counter() - clock, 3)
    return result


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
    if isinstance(certificate, TwoPoint):
        yield from two_point.obligations(certificate)
    else:
        yield from three_point.obligations(certificate, work)


def bound(certificate: TwoPoint | ThreePoint) -> fmpq:
    """Return a rational upper bound on (z_r/8)^(n/2) / Gamma(n/2 + 1) times the `ratio`.

    Equal to it for even n; for odd n the upper end of a ball, wider by less than 1e-100 relatively.
    It is a bound on densities only if the obligations hold.
    """
    if isinstance(certificate, TwoPoint):
        ratio, radius = two_point.ratio(certificate), certificate.radius
    else:
        ratio, radius = three_point.ratio(certificate), certificate.inner_radius**2
    half, odd = divmod(certificate.dim, 2)
    if not odd:
        return (radius / 8) ** half * ratio / factorial(half)
    # Gamma(n/2 + 1) = n!! sqrt(pi) / 2^((n+1)/2), n!! = n! / (2^half half!)
    double_factorial = factorial(certificate.dim) // (2**half * factorial(half))
    square = (radius / 8) ** certificate.dim * fmpq(2) ** (certificate.dim + 1)
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


def _source_sha256() -> str:
    """Return the digest of the verifier: a state of another version proves nothing."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
