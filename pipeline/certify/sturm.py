"""Prove that a polynomial over Q has no root in an interval: Sturm's theorem in ball arithmetic.

For p(a), p(b) != 0 the number of distinct real roots of p in (a, b) is V(a) - V(b), with V(t) the
number of sign changes at t in the chain p, p', -rem(p, p'), ...; b may be infinity. The chain is
enclosed by balls; where every one that matters excludes zero, its signs are proved. No precision is
enough if p has a multiple root, real or complex: then nothing is proved.
Cost: K^2 operations on balls for degree K, 3 s for K = 283 at 2^12 bits.
"""

from flint import arb, arb_poly, ctx, fmpq, fmpq_poly

from pipeline.certify.format import Rejected

# The exact chain has 100,000 bits a coefficient in high degrees, and only its signs are needed.
_CHAIN_BITS = (2**12, 2**14, 2**16)
# The name of a proof obligation that holds, and what was found.
Check = tuple[str, str]


def no_root(name: str, what: str, p: fmpq_poly, start: fmpq, end: fmpq | None = None) -> Check:
    """Return the proof that p has no root in (start, end); no `end` stands for infinity.

    Raises:
        Rejected: condition `name`: it has one, or a zero at an end, or a multiple root anywhere.
    """
    for bits in _CHAIN_BITS:
        with ctx.workprec(bits):
            chain = _signs(p, start, end)
        if chain is not None:
            count = _changes([at_start for at_start, _ in chain])
            count -= _changes([at_end for _, at_end in chain])
            if count:
                raise Rejected(name, f"{what}: expected no root, Sturm's theorem counts {count}")
            size = f"{len(chain)} polynomials, balls of {bits} bits"
            return name, f"{what}: no root (Sturm chain of {size})"
    # A common factor of p and p' makes the last members zero, which no ball can exclude.
    raise Rejected(name, f"{what}: expected no zero at the ends and no multiple root anywhere")


def _changes(signs: list[int]) -> int:
    return sum(left != right for left, right in zip(signs, signs[1:], strict=False))


def _signs(p: fmpq_poly, start: fmpq, end: fmpq | None) -> list[tuple[int, int]] | None:
    """Return the signs of the Sturm chain at both ends; None if a ball that matters contains 0.

    A remainder takes two steps of division, each of which cancels a leading term. These terms are
    dropped: as balls they would contain 0 without being 0. If all leading balls exclude zero, the
    degrees fall by one each, as assumed, and the balls enclose the members of the chain up to
    positive factors.
    """
    upper, lower = arb_poly(p), arb_poly(p.derivative())
    # At infinity a polynomial has the sign of its leading coefficient.
    signs = [(_sign(p(start)), _sign(p[p.degree()] if end is None else p(end)))]
    for degree in range(p.degree() - 1, -1, -1):
        leading = lower[degree]
        signs.append((_sign(lower(arb(start))), _sign(leading if end is None else lower(arb(end)))))
        if 0 in signs[-1] or not _sign(leading):
            return None
        if degree:
            # Sturm's chain takes the remainder with its sign turned; a positive factor is harmless.
            partial = upper - arb_poly([0, upper[degree + 1] / leading]) * lower
            remainder = lower * (partial[degree] / leading) - partial
            positive = 1 / abs(leading).mid()
            upper, lower = lower, arb_poly((remainder * positive).coeffs()[:degree])
    return None if 0 in signs[0] else signs


def _sign(value: fmpq | arb) -> int:
    """Return -1 or 1 if that is the sign of the number, of all numbers of the ball; else 0."""
    return int(value > 0) - int(value < 0)
