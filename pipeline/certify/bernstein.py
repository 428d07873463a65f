"""Prove that a polynomial in a few variables is negative on a box, by branch and bound.

On a box, a polynomial is a convex combination of its Bernstein coefficients, and those at the
corners are its values there. If all are negative, so is the polynomial; otherwise the box is halved
and de Casteljau's algorithm gives the coefficients of both halves by averaging neighbours.

Rounding. Coefficients are multiplied by a positive number and rounded up to integers, and every
average is rounded up. The Bernstein basis is nonnegative, so raising coefficients raises the
polynomial: what is proved negative is an upper bound of it. No error analysis is needed.

Packing. The coefficients of a box are the 64-bit fields of one integer, the last axis fastest. A
field holds a coefficient plus 2^62, a number below 2^63: two of them and 1 more fit in a field. So
one addition of integers adds all fields, and bit 62 of a field is set if its coefficient is >= 0.
"""

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache, partial
from itertools import combinations, product
from math import comb, prod

from flint import fmpq, fmpq_mat, fmpq_mpoly, fmpz

from pipeline.certify.format import Rejected
from pipeline.certify.sturm import Check
from pipeline.certify.work import Result, Work

# The same for every number of processes: a saved state has to fit another one.
NUM_PARTS = 256
# The limits of the work: halvings of a box, boxes, their coefficients; some minutes of one core.
MAX_HALVINGS, MAX_BOXES, MAX_COEFFICIENTS = 120, 100_000, 5 * 10**8
_FIELD, _OFFSET = 64, 1 << 62

# The coefficients of the monomials, by the exponents of the variables.
Terms = dict[tuple[int, ...], fmpq]
# Packed coefficients on a box and, for each axis, its place (i, k) in the unit cube: the interval
# from i/2^k to (i + 1)/2^k.
Box = tuple[fmpz, tuple[tuple[int, int], ...]]


def negative(
    name: str, p: fmpq_mpoly, domain: Sequence[tuple[fmpq, fmpq]], symmetric: int, work: Work
) -> Check:
    """Return the proof that p < 0 on the box `domain`; both are symmetric in the first variables.

    Raises:
        Rejected: condition `name`: near a point p is not negative, or too close to 0 to be decided;
            condition `work`: too many boxes are needed.
    """
    degrees = tuple(max(int(n), 0) for n in p.degrees())
    root = pack(coefficients(p.to_dict(), degrees, domain)), ((0, 0),) * len(degrees)
    # The work is in the coefficients: the more of them a box has, the fewer boxes are allowed.
    limit = min(MAX_BOXES, MAX_COEFFICIENTS // prod(n + 1 for n in degrees))
    boxes, count, reported = [root], 0, time.monotonic()
    for _ in range(NUM_PARTS):
        # Breadth first: the oldest box is one of the largest, so the parts end alike in size.
        boxes = boxes[1:] + halves(degrees, symmetric, boxes[0]) if boxes else []
    proof = partial(prove, degrees, symmetric, limit)
    for done, (number, found, point) in enumerate(work.run(name, proof, boxes), start=1):
        # `prove` holds one part to the limit; here their sum is held to it.
        count += number
        if count > limit:
            raise Rejected("work", f"{name}: expected at most {limit} boxes, more are needed")
        if found:
            at = (float(a) + float(b - a) * x for (a, b), x in zip(domain, point, strict=True))
            where = dict(zip(p.context().names(), at, strict=True))
            text = ", ".join(f"{variable} = {x:.9g}" for variable, x in where.items())
            raise Rejected(name, f"expected < 0, got {found} at {text}", where)
        if time.monotonic() > reported + 2:
            reported = time.monotonic()
            with suppress(OSError):
                print(f"{name}: {count} boxes, {done} of {len(boxes)} parts", file=sys.stderr)
    return name, f"negative on {count} boxes"


def coefficients(
    terms: Terms, degrees: Sequence[int], domain: Sequence[tuple[fmpq, fmpq]]
) -> list[fmpq]:
    """Return the Bernstein coefficients on `domain`, exactly, the last axis fastest.

    The polar form gives the i-th coefficient of x^k on [a, b] in degree N: the mean of the products
    of k of N numbers, of which i are b and the others a.
    """
    values = [terms.get(index, fmpq(0)) for index in product(*(range(n + 1) for n in degrees))]
    for n, (a, b) in zip(degrees, domain, strict=True):
        entries = [
            sum(comb(i, m) * comb(n - i, k - m) * b**m * a ** (k - m) for m in range(k + 1))
            * fmpq(1, comb(n, k))
            for i, k in product(range(n + 1), repeat=2)
        ]
        rest = len(values) // (n + 1)
        converted = fmpq_mat(n + 1, n + 1, entries) * fmpq_mat(n + 1, rest, values)
        # The transpose makes the next axis the first; after all of them the order is restored.
        values = converted.transpose().entries()
    return values


def pack(values: Sequence[fmpq]) -> fmpz:
    """Return the values, scaled to at most 2^62 - 1 and rounded up, as the fields of an integer."""
    # Any positive scale is sound; 2^-62 only keeps the zero polynomial from a division by zero.
    scale = fmpq(_OFFSET - 1) / max(max(map(abs, values)), fmpq(1, _OFFSET))
    return _joined(b"".join(_field(int((value * scale).ceil()) + _OFFSET) for value in values))


def prove(degrees: tuple[int, ...], symmetric: int, limit: int, box: Box) -> Result:
    """Return the number of boxes into which `box` was cut until the coefficients were negative.

    Otherwise also what was found and at which point of the unit cube, or more than `limit` boxes.
    """
    count, stack, signs = 0, [box], mask(degrees, 0, 0, degrees[0], _OFFSET)
    # Depth first: the stack holds a few boxes of each size, not a whole generation of them.
    while stack:
        if count == limit:
            return count + 1, "too many boxes", []
        tensor, place = stack.pop()
        count += 1
        # No field has bit 62 set: all coefficients are negative.
        if tensor & signs == 0:
            continue
        corner = nonnegative_corner(degrees, tensor)
        if corner or sum(k for _, k in place) >= MAX_HALVINGS:
            found = "an upper bound >= 0" if corner else "no decision"
            ends = corner or (0,) * len(place)
            return count, found, [(i + x) / 2**k for (i, k), x in zip(place, ends, strict=True)]
        stack.extend(halves(degrees, symmetric, (tensor, place)))
    return count, "", []


def nonnegative_corner(degrees: tuple[int, ...], tensor: fmpz) -> tuple[int, ...]:
    """Return a corner (0 or 1 for each axis) where the coefficient is not negative, or ().

    A coefficient is the value of the polynomial there, rounded up: the polynomial itself may be
    negative by less than the rounding.
    """
    for corner in product((1, 0), repeat=len(degrees)):
        field = 0
        for n, end in zip(degrees, corner, strict=True):
            field = field * (n + 1) + n * end
        if (tensor >> (_FIELD * field)) & _OFFSET:
            return corner
    return ()


def halves(degrees: tuple[int, ...], symmetric: int, box: Box) -> list[Box]:
    """Return the halves of a box along its longest axis that symmetry does not make needless.

    A box is needed if it has inner points x_0 < x_1 < ... in the symmetric variables: other orders
    are images of this one. The boxes are closed, so those kept also cover equal coordinates.
    """
    tensor, place = box
    axis = min(range(len(place)), key=lambda axis: place[axis][1])
    (i, k), found = place[axis], []
    for side, half in enumerate(split(degrees, tensor, axis)):
        new = (*place[:axis], (2 * i + side, k + 1), *place[axis + 1 :])
        pairs = combinations(new[:symmetric], 2)
        # low / 2^m < (high + 1) / 2^n for each pair, which is enough for increasing points.
        if all(low << n < (high + 1) << m for (low, m), (high, n) in pairs):
            found.append((half, new))
    return found


def split(degrees: tuple[int, ...], tensor: fmpz, axis: int) -> tuple[fmpz, fmpz]:
    """Return the coefficients on both halves along `axis`, each step rounded up.

    Step k replaces the coefficients of index j >= k by the means with their left neighbours: index
    j ends as the j-th coefficient of the left half, and the last index N, before step k, is
    coefficient N - k + 1 of the right half. What a field's neighbours shift into it is masked.
    """
    n, ones = degrees[axis], mask(degrees, 0, 0, degrees[0], 1)
    stride = _FIELD * prod(m + 1 for m in degrees[axis + 1 :])
    last = mask(degrees, axis, n, n, 2**_FIELD - 1)
    right = tensor & last
    for k in range(1, n + 1):
        # ((a + 2^62) + (b + 2^62) + 1) >> 1 is the mean, rounded up, plus 2^62: again a field.
        means = (tensor + (tensor << stride) + ones) >> 1
        ready = tensor & mask(degrees, axis, 0, k - 1, 2**_FIELD - 1)
        tensor = ready | (means & mask(degrees, axis, k, n, 2 * _OFFSET - 1))
        right |= (tensor & last) >> (k * stride)
    return tensor, right


@cache
def mask(degrees: tuple[int, ...], axis: int, low: int, high: int, value: int) -> fmpz:
    """Return `value` in the fields with low <= index on `axis` <= high, zero in all others."""
    before, after = (prod(n + 1 for n in part) for part in (degrees[:axis], degrees[axis + 1 :]))
    rows = (value if low <= index <= high else 0 for index in range(degrees[axis] + 1))
    return _joined(b"".join(_field(x) * after for x in rows) * before)


def _field(value: int) -> bytes:
    return value.to_bytes(_FIELD // 8, "little")


def _joined(fields: bytes) -> fmpz:
    return fmpz(int.from_bytes(fields, "little"))
