"""Turn a quadrature into a certificate: primal function, strict signs, integers.

With the nodes z_0 < ... < z_m of `solver`, the optimal f of degree K = 4m + 3 has a simple root at
z_0 and double roots at z_1, ..., z_m, and f^ has double roots at all nodes. Split f^ = (h + g)/2,
f = (h - g)/2 with g over odd and h over even Laguerre functions. Normalised by g'(z_0) = 1:

    g(z_0) = 0, g'(z_0) = 1,     g(z_i) = g'(z_i) = 0    (i >= 1)    odd k: 2m + 2 unknowns
    h(z_0) = 0, h'(z_0) = -1,    h(z_i) = h'(z_i) = 0    (i >= 1)    even k: 2m + 2 unknowns

The quadrature gives g(0) = -sum w_i g(z_i) for every such g. To make all signs strict, ask instead
for g(z_0) = h(z_0) = e_0, g(z_i) = 2 e_i: then f^(z_i) = e_i > 0 and f(z_i) = -e_i < 0, and the
bound grows by the factor 1 - 2 g(0)/h(0) + ... = 1 + 2 (w_0 e_0 + 2 sum w_i e_i)/h(0). Equal shares
w_i e_i make that 1 + `loss`. Integers are taken just long enough for the margins e_i.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flint import arb, arb_mat, ctx, fmpq, fmpz

from pipeline.certify import format as certificates
from pipeline.errors import SolverError
from pipeline.packing import laguerre
from pipeline.packing.solver import Quadrature

# The rounding of all coefficients together moves a value at a node by < 2^-GUARD_BITS of e_i.
_GUARD_BITS = 12
_RADIUS_TRIES = 16


@dataclass(frozen=True)
class _System:
    """Rows L_k(z_i) and L_k'(z_i) of one parity of k, solved rigorously for given node values."""

    parity: range
    values: list[laguerre.Row]
    slopes: list[laguerre.Row]

    def solve(self, at_nodes: Sequence[arb], first_slope: int) -> list[arb]:
        """Return balls of the coefficients with these values, slopes 0 but for the first node."""
        num_nodes = len(self.values)
        right = [*at_nodes, arb(first_slope)] + [arb(0)] * (num_nodes - 1)
        # Entries grow by orders of magnitude with the node, and pivots are chosen by size.
        rows = []
        for index, row in enumerate([*self.values, *self.slopes]):
            entries = [row[k] for k in self.parity]
            scale = sum((abs(entry) for entry in entries), arb(0)).mid()
            rows.append([(entry / scale).mid() for entry in entries])
            right[index] = right[index] / scale
        solution: list[arb] = arb_mat(rows).solve(arb_mat(len(right), 1, right)).entries()
        return solution


def certificate(
    quadrature: Quadrature, *, precision_bits: int, loss: str = "1e-20"
) -> certificates.TwoPoint:
    """Return a certificate whose bound exceeds that of the quadrature by the factor 1 + `loss`.

    Heuristic: the verifier proved the result in all dimensions tried, and it alone decides.

    Raises:
        SolverError: `precision_bits` do not resolve the margins, or the function has a wrong sign
            at a node or at the origin.
    """
    dim, degree, nodes = quadrature.dim, quadrature.degree, list(quadrature.nodes)
    with ctx.workprec(precision_bits):
        values, slopes = laguerre.table(degree, arb(dim), nodes)
        odd = _System(range(1, degree + 1, 2), values, slopes)
        even = _System(range(0, degree, 2), values, slopes)
        try:
            margins = _margins(even, quadrature, arb(loss))
            antisymmetric = odd.solve([margins[0], *(2 * e for e in margins[1:])], 1)
            symmetric = even.solve([margins[0]] + [arb(0)] * (len(nodes) - 1), -1)
        except ZeroDivisionError:
            raise _precision_error(quadrature, precision_bits) from None
        coefficients = [c / 2 for pair in zip(symmetric, antisymmetric, strict=True) for c in pair]
        shift = _scale_bits(values, margins)
        # Here the radii count: they say whether the bits determine the integers.
        if not all(c.rad() * arb(2) ** shift < 0.25 for c in coefficients):
            raise _precision_error(quadrature, precision_bits)
        integers = tuple(_nearest(c * arb(2) ** shift) for c in coefficients)
        rounded = laguerre.Expansion(dim, tuple(arb(c) for c in integers))
        _check_signs(rounded, nodes, quadrature)
        return certificates.TwoPoint(dim, _radius(rounded, nodes[0], shift), integers)


def _margins(even: _System, quadrature: Quadrature, loss: arb) -> list[arb]:
    """Return e_0, ..., e_m of equal cost w_i e_i, together worth the relative `loss`."""
    unperturbed = even.solve([arb(0)] * len(quadrature.nodes), -1)
    scale = laguerre.at_zero(quadrature.degree, arb(quadrature.dim))
    origin = sum((c * scale[k] for c, k in zip(unperturbed, even.parity, strict=True)), arb(0))
    if not origin > 0:
        raise SolverError(
            f"two-point bound, dimension {quadrature.dim}, degree {quadrature.degree}:"
            " expected f(0) > 0, got a value not above 0; raise precision_bits or the degree"
        )
    # 2 (w_0 e_0 + 2 sum w_i e_i) = (4 m + 2) shares, m + 1 the number of nodes.
    share = loss * origin / (4 * len(quadrature.weights) - 2)
    return [(share / w).mid() for w in quadrature.weights]


def _scale_bits(values: list[laguerre.Row], margins: list[arb]) -> int:
    """Return s such that rounding 2^s c_k to integers moves no node value by much of its e_i."""
    ratios = [
        (sum((abs(v) for v in row), arb(0)) / e).log() / arb(2).log()
        for row, e in zip(values, margins, strict=True)
    ]
    return max(int(float(ratio)) for ratio in ratios) + _GUARD_BITS


def _nearest(value: arb) -> fmpz:
    return (value.mid() + arb(0.5)).floor().unique_fmpz()


def _radius(function: laguerre.Expansion, start: arb, bits: int) -> fmpq:
    """Return the least multiple of 2^-bits at which P < 0, next to the root near `start`."""
    unit = arb(2) ** -bits
    # The root of the rounded function: rounding has moved it off the node.
    root = start
    for _ in range(8):
        # The derivative by a difference quotient: the root is simple and `start` is close.
        rise = (function.function(root + unit) - function.function(root)) / unit
        root = (root - function.function(root) / rise).mid()
    first: fmpz = (root / unit).ceil().unique_fmpz()
    for ticks in range(int(first), int(first) + _RADIUS_TRIES):
        if function.function(arb(ticks) * unit) < 0:
            return fmpq(ticks) / fmpq(2) ** bits
    raise SolverError(
        f"two-point bound, dimension {function.dim}: expected f < 0 just beyond {float(start):.6f},"
        " got another sign; raise precision_bits"
    )


def _check_signs(function: laguerre.Expansion, nodes: list[arb], quadrature: Quadrature) -> None:
    where = f"two-point bound, dimension {quadrature.dim}, degree {quadrature.degree}"
    # Between the nodes nothing is looked at: the verifier decides, and by Sturm's theorem.
    for z in nodes:
        if not function.transform(z) > 0 or (z is not nodes[0] and not function.function(z) < 0):
            raise SolverError(
                f"{where}: expected strict signs at the node z = {float(z):.6f}, got a wrong one;"
                " raise precision_bits"
            )
    if not (function.transform(arb(0)) > 0 and function.function(arb(0)) > 0):
        raise SolverError(f"{where}: expected f(0), f^(0) > 0, got another sign; raise the degree")


def _precision_error(quadrature: Quadrature, precision_bits: int) -> SolverError:
    return SolverError(
        f"two-point bound, dimension {quadrature.dim}, degree {quadrature.degree}: expected"
        f" coefficients finer than the margins, {precision_bits} bits leave them undetermined;"
        " raise precision_bits"
    )
