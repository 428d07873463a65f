"""CPU time and proved digits of two-point bounds: search, then verification.

`python -m benchmarks.bounds --json [--quick]`. For each dimension and degree: solve (Newton's
method up the degrees), round to integers, and verify exactly, each timed in CPU seconds of one
thread. `digits` is -log10 of the relative distance of the proved bound to the yardstick: the exact
density in dimensions 1, 8 and 24, elsewhere the published two-point value, which has 9 to 16 digits
itself. No peer runs here: the specialised solvers are Julia and C++ programs outside Python's
package index. The last line is one JSON object.
"""

import json
import os
import time
from fractions import Fraction
from math import log10

os.environ.setdefault("OMP_NUM_THREADS", "1")

from flint import arb, ctx, fmpq

from benchmarks.report import Report, parser
from pipeline.certify import format as certificates
from pipeline.certify import verify
from pipeline.packing import known, rounding, solver

# (dim, degree, precision_bits)
QUICK = [(1, 11, 256), (3, 47, 320), (8, 95, 512), (8, 163, 512), (24, 95, 512)]
FULL = [
    *QUICK,
    (2, 27, 320),
    (4, 83, 512),
    (12, 163, 512),
    (17, 203, 768),
    (24, 203, 768),
    (24, 243, 768),
    (30, 283, 768),
    (36, 323, 1024),
    (48, 403, 1024),
]


def measure(dim: int, degree: int, bits: int) -> dict[str, float | int | str]:
    """Return times, size and proved digits of one bound; raises if it is not proved."""
    started = time.process_time()
    quadrature = solver.solve(dim, degree, bits)
    solved = time.process_time()
    content = json.dumps(
        certificates.to_json(rounding.certificate(quadrature, precision_bits=bits))
    ).encode()
    rounded = time.process_time()
    bound = verify.verify(certificates.parse(content))
    verified = time.process_time()
    return {
        "bound": verify.decimal_upward(bound),
        "digits": round(digits(dim, Fraction(int(bound.p), int(bound.q))), 1),
        "newton_steps": quadrature.newton_steps,
        "solve_s": round(solved - started, 3),
        "round_s": round(rounded - solved, 3),
        "verify_s": round(verified - rounded, 3),
        "certificate_bytes": len(content),
        "precision_bits": bits,
    }


def digits(dim: int, bound: Fraction) -> float:
    """Return -log10 |bound / yardstick - 1|."""
    gap = abs(bound / yardstick(dim) - 1)
    return -log10(gap) if gap else float("inf")


def yardstick(dim: int) -> Fraction:
    """Return the exact density to 60 digits where it is known, else the published value."""
    powers = {8: (4, 384), 24: (12, 479001600)}
    if dim == 1:
        return Fraction(1)
    if dim not in powers:
        return Fraction(known.two_point_bound(dim).value)
    power, divisor = powers[dim]
    with ctx.workprec(200):
        mantissa, exponent = (arb.pi() ** power / divisor).mid().man_exp()
    value = fmpq(mantissa) * fmpq(2) ** int(exponent)
    return Fraction(int(value.p), int(value.q))


def main() -> None:
    """Run the benchmark and print its figures."""
    options = parser(__doc__, "small degrees, less than a minute").parse_args()
    report = Report("bounds", options)
    for dim, degree, bits in QUICK if options.quick else FULL:
        report.add({f"n{dim}_degree{degree}": measure(dim, degree, bits)})
    report.finish()


if __name__ == "__main__":
    main()
