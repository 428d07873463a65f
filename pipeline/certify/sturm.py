"""Signs of polynomials over Q on intervals and half-lines, decided by Sturm's theorem.

For p(a), p(b) != 0 the number of distinct real roots of p in (a, b) is V(a) - V(b), with V(t) the
number of sign changes at t in the chain p, p', -rem(p, p'), ...; b may be infinity. This needs a
small base of trust, division with remainder and signs of rationals, and it always decides: no
tolerance, no subdivision. The chain is computed in ball arithmetic first, which proves as much
wherever every ball that matters excludes zero, and over Q if some ball does not at any of a few
precisions. Cost for degree K: K^2 operations on balls of 2^12 to 2^16 bits, 3 s for K = 283; over Q
on integers that grow to about 2 K times the length of the coefficients, a minute there.
"""

from flint import arb, arb_poly, ctx, fmpq, fmpq_poly

_CHAIN_BITS = (2**12, 2**14, 2**16)
# The signs of each member of a chain at the start of the interval and at its end.
Signs = list[tuple[int, int]]


def sign(value: fmpq) -> int:
    """Return -1, 0 or 1."""
    return int(value > 0) - int(value < 0)


def num_roots(p: fmpq_poly, start: fmpq, end: fmpq | None = None) -> tuple[int, str]:
    """Return the number of distinct real roots of p in (start, end), and how the chain was made.

    Requires p(start) != 0 and p(end) != 0; no `end` stands for infinity.
    """
    assert p(start) != 0 and (end is None or p(end) != 0)
    for bits in _CHAIN_BITS:
        with ctx.workprec(bits):
            signs = _signs_in_balls(p, start, end)
        if signs is not None:
            return _variation(signs), f"{len(signs)} polynomials, balls of {bits} bits"
    signs = _signs_exactly(p, start, end)
    return _variation(signs), f"{len(signs)} polynomials, exact"


def _variation(signs: Signs) -> int:
    """Return V(start) - V(end): zeros are skipped when sign changes are counted."""
    at_start, at_end = ([sign for sign in side if sign] for side in zip(*signs, strict=True))
    return _changes(at_start) - _changes(at_end)


def _changes(signs: list[int]) -> int:
    return sum(left != right for left, right in zip(signs, signs[1:], strict=False))


def _signs_exactly(p: fmpq_poly, start: fmpq, end: fmpq | None) -> Signs:
    """Return the signs of the Sturm chain of p, computed over Q.

    Members are divided by positive integers, which changes no sign and keeps them short.
    """
    chain = [_primitive(p), _primitive(p.derivative())]
    while chain[-1].degree() > 0:
        chain.append(_primitive(-(chain[-2] % chain[-1])))
    return [
        (sign(q(start)), sign(q[q.degree()] if end is None else q(end))) for q in chain if q != 0
    ]


def _signs_in_balls(p: fmpq_poly, start: fmpq, end: fmpq | None) -> Signs | None:
    """Return the same signs from balls; None if the working precision leaves one open.

    Two steps of division take the degree from d + 2 to d exactly: what cancels is dropped. If all
    leading balls exclude zero, the degrees fall by one each, as assumed, and the balls enclose the
    members of the chain up to positive factors.
    """
    upper, lower = arb_poly(p), arb_poly(p.derivative())
    signs = [(sign(p(start)), sign(p[p.degree()] if end is None else p(end)))]
    for degree in range(p.degree() - 1, -1, -1):
        leading = lower[degree]
        at_start = _ball_sign(lower(arb(start)))
        at_end = _ball_sign(leading if end is None else lower(arb(end)))
        if at_start is None or at_end is None or _ball_sign(leading) is None:
            return None
        signs.append((at_start, at_end))
        if degree:
            partial = upper - arb_poly([0, upper[degree + 1] / leading]) * lower
            remainder = lower * (partial[degree] / leading) - partial
            positive = 1 / abs(leading).mid()
            upper, lower = lower, arb_poly((remainder * positive).coeffs()[:degree])
    return signs


def _ball_sign(value: arb) -> int | None:
    return 1 if value > 0 else -1 if value < 0 else None


def _primitive(p: fmpq_poly) -> fmpq_poly:
    numerator = p.numer()
    return fmpq_poly(numerator // numerator.content()) if numerator else p
