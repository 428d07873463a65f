"""CPU time and digits of our solvers and of SDPA-GMP on the same optimisation problems, in turns.

`python -m benchmarks.sdp_solver --json [--quick]`. Two-point: ours is the quadrature by Newton's
method and a certificate, the peer solves the sums of squares at our optimal radius, both with 256
bits; `digits` are those of our *proved* bound and of the peer's optimum, which is 1. Three-point:
the conic problem of a first round of cuts, ours in double precision (`ours`) and with 256 bits
(`ours_256`), the peer with 256 bits, all asked for the same gap; `digits_agreed` compares the
values. Without `sdpa-multiprecision` our figures stand alone. Times are medians of CPU seconds of
one thread. The last line is one JSON object.
"""

import os
import statistics
import time
from math import log10
from types import ModuleType

os.environ.setdefault("OMP_NUM_THREADS", "1")

from flint import arb, ctx

from benchmarks import sdp_instances, sdpa
from benchmarks.report import Report, parser
from pipeline.certify import verify
from pipeline.packing import rounding, solver
from pipeline.packing.conic import arb as conic_arb
from pipeline.packing.conic import doubles as conic
from pipeline.packing.two_point import search as two_point

Figures = dict[str, float | int | str]

# (dim, degree)
TWO_POINT_QUICK, TWO_POINT = [(24, 31)], [(24, 59)]
# (dim, degree, degree of the kernel)
THREE_POINT_QUICK, THREE_POINT = [(4, 19, 4)], [(4, 31, 6), (12, 31, 6), (4, 43, 8)]
# Values are read as doubles.
TWO_POINT_GAP, LARGEST_DIGITS = 1e-15, 16.0
THREE_POINT_GAP = 1e-12
BASIS_BITS = 512


def measure_two_point(dim: int, degree: int, rounds: int, peer: ModuleType | None) -> Figures:
    """Return times and digits at one degree; raises if our bound is not proved."""
    bits = sdpa.PRECISION_BITS
    times, outcomes = [], []
    exact = solver.solve(dim, degree, 2 * bits)
    instance = sdp_instances.two_point(exact, bits)
    for _ in range(rounds):
        started = time.process_time()
        quadrature = solver.solve(dim, degree, bits)
        certificate = rounding.certificate(quadrature, precision_bits=bits)
        times.append(time.process_time() - started)
        if peer:
            outcomes.append(sdpa.solve(peer, instance, TWO_POINT_GAP))
    with ctx.workprec(bits):
        optimum = two_point.density_bound(dim, exact.nodes[0], arb(1))
        loss = float(arb(verify.verify(certificate)) / optimum - 1)
    figures: Figures = {"precision_bits": bits, "ours_digits": round(-log10(abs(loss)), 1)}
    if outcomes:
        off = max(abs(outcomes[0].primal - 1), abs(outcomes[0].dual - 1))
        figures["sdpa_digits"] = _digits(off)
    return figures | _compared(times, outcomes)


def measure_three_point(
    dim: int, degree: int, kernel_degree: int, rounds: int, peer: ModuleType | None
) -> Figures:
    """Return times, gaps and the digits in which the values agree."""
    problem = sdp_instances.three_point(dim, degree, kernel_degree, BASIS_BITS)
    instance, constant = sdp_instances.matrix_inequality(problem)
    bits = sdpa.PRECISION_BITS
    times, precise_times, outcomes = [], [], []
    for _ in range(rounds):
        started = time.process_time()
        solution = conic.solve(problem, THREE_POINT_GAP)
        middle = time.process_time()
        precise = conic_arb.solve(problem, THREE_POINT_GAP, bits).rounded()
        times.append(middle - started)
        precise_times.append(time.process_time() - middle)
        if peer:
            outcomes.append(sdpa.solve(peer, instance, THREE_POINT_GAP))
    figures: Figures = {"num_rows": len(problem.rows), "num_unknowns": len(problem.objective)}
    figures |= _solved("ours", solution) | _solved(f"ours_{bits}", precise)
    if outcomes:
        values = [constant - outcomes[0].primal, constant - outcomes[0].dual]
        figures["sdpa_value"] = values[0]
        for name, found in (("ours", solution), (f"ours_{bits}", precise)):
            off = max(abs(found.value / value - 1) for value in values)
            figures[f"{name}_digits_agreed"] = _digits(off)
    return figures | _compared(times, outcomes) | _compared(precise_times, outcomes, f"ours_{bits}")


def _solved(name: str, solution: conic.Solution) -> Figures:
    return {
        f"{name}_value": solution.value,
        f"{name}_gap": float(f"{solution.gap:.1e}"),
        f"{name}_dual_residual": float(f"{solution.dual_residual:.1e}"),
        f"{name}_iterations": solution.iterations,
    }


def _compared(times: list[float], outcomes: list[sdpa.Outcome], name: str = "ours") -> Figures:
    """Return the median times and, if the peer solved its problem, the ratio."""
    ours = statistics.median(times)
    figures: Figures = {f"{name}_s": round(ours, 3)}
    if outcomes:
        first, theirs = outcomes[0], statistics.median(found.seconds for found in outcomes)
        figures |= {
            "sdpa_s": round(theirs, 3),
            "sdpa_phase": first.phase,
            "sdpa_gap": float(f"{first.gap:.1e}"),
            "sdpa_infeasibility": float(f"{first.infeasibility:.1e}"),
            "sdpa_iterations": first.iterations,
        }
        if first.phase == "pdOPT":
            figures[f"sdpa_over_{name}"] = round(theirs / ours, 1)
    return figures


def _digits(off: float) -> float:
    return round(-log10(off), 1) if off > 10**-LARGEST_DIGITS else LARGEST_DIGITS


def main() -> None:
    """Run the benchmark and print its figures."""
    options = parser(__doc__, "small degrees, one round").parse_args()
    peer = sdpa.load()
    rounds = 1 if options.quick else 3
    report = Report("sdp_solver", options, num_threads=1, rounds=rounds)
    if not peer:
        report.add({"sdpa-multiprecision": "absent"})
    for dim, degree in TWO_POINT_QUICK if options.quick else TWO_POINT:
        found = measure_two_point(dim, degree, rounds, peer)
        report.add({f"two_point_n{dim}_degree{degree}": found})
    for dim, degree, kernel in THREE_POINT_QUICK if options.quick else THREE_POINT:
        found = measure_three_point(dim, degree, kernel, rounds, peer)
        report.add({f"three_point_n{dim}_degree{degree}_kernel{kernel}": found})
    report.finish("sdpa-multiprecision", "python-flint", "scipy")


if __name__ == "__main__":
    main()
