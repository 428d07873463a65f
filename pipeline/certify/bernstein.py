"""Prove that a polynomial in a few variables is negative on a box.

On a box, a polynomial is a convex combination of its Bernstein coefficients, and those at the
corners are its values there. If all are negative, so is the polynomial; otherwise the box is halved
and de Casteljau's algorithm gives the coefficients of both halves by averaging neighbours.

Rounding. Coefficients are multiplied by a positive number and rounded up to integers, and every
average is rounded up. The Bernstein basis is nonnegative, so raising coefficients raises the
polynomial: what is proved negative is an upper bound of it. No error analysis is needed.

Packing. The coefficients of a box are the 64-bit fields of one integer, the last axis fastest. A
field holds a coefficient plus 2^62, a number below 2^63: two of them and one more fit in a field, so
one addition of integers adds all fields, and bit 62 of a field is set if its coefficient is >= 0.
"""

import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import combinations, product
from math import comb, prod

from flint import fmpq, fmpq_mat, fmpq_mpoly, fmpz

from pipeline.certify.format import Rejected
from pipeline.certify.work import Work

MAX_HALVINGS = 120
MAX_BOXES = 500_000
NUM_PARTS = 256
_FIELD = 64
_OFFSET = 1 << (_FIELD - 2)

# Where a box lies in the unit cube, for each axis: (i, k) is the interval from i/2^k to (i+1)/2^k.
Place = tuple[tuple[int, int], ...]
Box = tuple[fmpz, Place]
Domain = Sequence[tuple[fmpq, fmpq]]


def coefficients(
    terms: dict[tuple[int, ...], fmpq], degrees: Sequence[int], domain: Domain
) -> list[fmpq]:
    """Return the Bernstein coefficients of a polynomial on `domain`, exactly, the last axis fastest.

    The polar form gives the i-th coefficient of x^k on [a, b] in degree N: the mean of the products
    of k of N numbers, of which i are b and the others a.
    """
    values = [terms.get(index, 0) for index in product(*(range(n + 1) for n in degrees))]
    for degree, (a, b) in zip(degrees, domain, strict=True):
        size = degree + 1
        to_bernstein = fmpq_mat(size, size, [
            sum((comb(i, m) * comb(degree - i, k - m) * b**m * a ** (k - m)
                 for m in range(max(0, k - degree + i), min(i, k) + 1)), fmpq(0))
            / comb(degree, k)
            for i in range(size) for k in range(size)
        ])  # fmt: skip
        # The transpose makes the next axis the first; after all of them the order is restored.
        converted = to_bernstein * fmpq_mat(size, len(values) // size, values)
        values = converted.transpose().entries()
    return values


def pack(values: Sequence[fmpq]) -> fmpz:
    """Return the values, scaled to [-2^62, 2^62) and rounded up, in the fields of one integer."""
    scale = fmpq(_OFFSET - 1) / max(max(abs(value) for value in values), fmpq(1, _OFFSET))
    fields = (int((value * scale).ceil()) + _OFFSET for value in values)
    return _joined(b"".join(field.to_bytes(_FIELD // 8, "little") for field in fields))


@dataclass(frozen=True)
class Form:
    """Polynomials of at most these degrees, symmetric in the first `symmetric` variables."""

    degrees: tuple[int, ...]
    symmetric: int

    def halves(self, tensor: fmpz, axis: int) -> tuple[fmpz, fmpz]:
        """Return the coefficients on both halves along `axis`, each step rounded up.

        Step k replaces the coefficients of index j >= k by the means with their left neighbours:
        index j ends as the j-th coefficient of the left half, and the last index before step k is
        coefficient N - k of the right half, in which step k + 1 begins.
        """
        shift, last, steps = self._steps[axis]
        right = tensor & last
        for k, (finished, rest) in enumerate(steps, start=1):
            means = (tensor + (tensor << shift) + self._ones) >> 1
            tensor = (tensor & finished) | (means & rest)
            right |= (tensor & last) >> (k * shift)
        return tensor, right

    def negative(self, tensor: fmpz) -> bool:
        """Return whether all coefficients are."""
        return (tensor & self._signs) == 0

    def corner(self, tensor: fmpz) -> tuple[int, ...] | None:
        """Return a corner (0 or 1 for each axis) at which the value is not negative, if any."""
        found = tensor & self._signs & self._corners
        if not found:
            return None
        rest, place = int(found).bit_length() // _FIELD, []
        for degree in reversed(self.degrees):
            rest, index = divmod(rest, degree + 1)
            place.append(int(index > 0))
        return tuple(reversed(place))

    def redundant(self, place: Place) -> bool:
        """Return whether no point inside has x_0 < x_1 < ... in the symmetric variables."""
        return any(
            i << m >= (j + 1) << k for (i, k), (j, m) in combinations(place[: self.symmetric], 2)
        )

    def _mask(self, axis: int, low: int, high: int, field: int) -> fmpz:
        """Return `field` in all fields whose index on `axis` is in [low, high), zero elsewhere."""
        sizes = [degree + 1 for degree in self.degrees]
        full = field.to_bytes(_FIELD // 8, "little") * prod(sizes[axis + 1 :])
        empty = bytes(len(full))
        row = empty * low + full * (high - low) + empty * (sizes[axis] - high)
        return _joined(row * prod(sizes[:axis]))

    @cached_property
    def _ones(self) -> fmpz:
        return self._mask(0, 0, self.degrees[0] + 1, 1)

    @cached_property
    def _signs(self) -> fmpz:
        return self._ones * _OFFSET

    @cached_property
    def _corners(self) -> fmpz:
        found = fmpz(-1)
        for axis, n in enumerate(self.degrees):
            found &= self._mask(axis, 0, 1, _OFFSET) | self._mask(axis, n, n + 1, _OFFSET)
        return found

    @cached_property
    def _steps(self) -> list[tuple[int, fmpz, list[tuple[fmpz, fmpz]]]]:
        everything, number = 2**_FIELD - 1, 2 * _OFFSET - 1
        return [
            (
                _FIELD * prod(degree + 1 for degree in self.degrees[axis + 1 :]),
                self._mask(axis, n, n + 1, everything),
                [
                    (self._mask(axis, 0, k, everything), self._mask(axis, k, n + 1, number))
                    for k in range(1, n + 1)
                ],
            )
            for axis, n in enumerate(self.degrees)
        ]


@cache
def _form(form: Form) -> Form:
    """Return one copy of `form` for each process, so that its masks are made once."""
    return form


def split(form: Form, box: Box) -> Iterator[Box]:
    """Yield the halves of a box along its longest axis."""
    tensor, place = box
    axis = min(range(len(place)), key=lambda i: place[i][1])
    i, k = place[axis]
    for side, half in enumerate(_form(form).halves(tensor, axis)):
        yield half, (*place[:axis], (2 * i + side, k + 1), *place[axis + 1 :])


def parts(form: Form, tensor: fmpz, number: int) -> list[Box]:
    """Return about `number` boxes that cover the domain up to symmetry, the same at every call."""
    boxes: deque[Box] = deque([(tensor, tuple((0, 0) for _ in form.degrees))])
    for _ in range(number):
        if boxes:
            boxes.extend(b for b in split(form, boxes.popleft()) if not form.redundant(b[1]))
    return list(boxes)


def negative(name: str, p: fmpq_mpoly, domain: Domain, symmetric: int, work: Work) -> str:
    """Return how it was proved that p < 0 on the box `domain`.

    p has to be symmetric in its first `symmetric` variables, and so has the domain.

    Raises:
        Rejected: p is not negative at a point, or not decided by `MAX_BOXES` or `MAX_HALVINGS`.
    """
    form = Form(tuple(p.degrees()), symmetric)
    boxes = parts(form, pack(coefficients(p.to_dict(), form.degrees, domain)), NUM_PARTS)
    volumes = [2.0 ** -sum(k for _, k in place) for _, place in boxes]
    count, volume, reported = 0, 0.0, time.monotonic()
    for index, (number, found, point) in work.run(name, partial(prove, form), boxes):
        count, volume = count + number, volume + volumes[index]
        if found or count > MAX_BOXES:
            at = (float(a) + float(b - a) * x for (a, b), x in zip(domain, point, strict=False))
            where = ", ".join(
                f"{n} = {x:.9g}" for n, x in zip(p.context().names(), at, strict=False)
            )
            raise Rejected(name, f"expected < 0, got {found or 'too many boxes'} at {where}")
        if time.monotonic() > reported + 2:
            reported = time.monotonic()
            done = f"{count} boxes proved, {100 * volume / sum(volumes):.1f}% of the volume"
            print(f"{name}: {done}", file=sys.stderr, flush=True)
    return f"{count} boxes"


def prove(form: Form, box: Box) -> tuple[int, str, list[float]]:
    """Return the number of boxes into which `box` was cut until all were negative.

    Otherwise also what was found and at which point of the unit cube.
    """
    form, count, stack = _form(form), 0, [box]
    while stack:
        tensor, place = stack.pop()
        if form.redundant(place):
            continue
        count += 1
        if form.negative(tensor):
            continue
        corner = form.corner(tensor)
        depth = sum(k for _, k in place)
        if corner is not None or depth >= MAX_HALVINGS or count >= MAX_BOXES:
            found = "no decision" if corner is None else "a value >= 0"
            ends = corner or (0,) * len(place)
            return count, found, [(i + x) / 2**k for (i, k), x in zip(place, ends, strict=True)]
        stack.extend(split(form, (tensor, place)))
    return count, "", []


def _joined(fields: bytes) -> fmpz:
    return fmpz(int.from_bytes(fields, "little"))
