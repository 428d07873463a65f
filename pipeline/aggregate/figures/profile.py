"""The radial functions of a certificate against the radius, and their envelopes beyond r."""

from dataclasses import dataclass

import numpy as np
from flint import arb, arb_poly, ctx, fmpq, fmpq_poly
from scipy.interpolate import PchipInterpolator

from pipeline.certify.format import ThreePoint, TwoPoint
from pipeline.certify.two_point import polynomials

# In |x|^2; double roots are about 2 apart there, as the squared lengths of an even lattice are. The
# envelopes of what is shown need the next extremum, too.
_SHOWN, _COMPUTED = 18.0, 24.0
_POINTS = 1000
# A millionth of each value: finer than any figure shows.
_ACCURATE_BITS = 20
_ENVELOPE_STEPS = 8


@dataclass(frozen=True)
class Profile:
    """f and f^ of |x|, each divided by its value at 0; accurate to 1e-6 of each value.

    `radii` are r, beyond which f <= 0, or r and R of a three-point bound, where f is f_2 and f <= 0
    beyond R; `end` is where a figure may end, about nine double roots later. Arrays are
    (points,), `x` increasing from 0 to beyond `end`.
    """

    dim: int
    radii: tuple[float, ...]
    end: float
    x: np.ndarray
    function: np.ndarray
    transform: np.ndarray


def radial_profile(certificate: TwoPoint | ThreePoint) -> Profile:
    """Return f and f^ from 0 to |x|^2 = r^2 + 24.

    Evaluated in ball arithmetic from the exact polynomials, at a precision that defeats the
    cancellation between their terms.
    """
    if isinstance(certificate, TwoPoint):
        squares = [certificate.radius]
    else:
        squares = [certificate.inner_radius**2, certificate.outer_radius**2]
    squared = [float(arb(square)) / (2 * np.pi) for square in squares]
    radii = tuple(float(np.sqrt(square)) for square in squared)
    end, last = (float(np.sqrt(squared[0] + more)) for more in (_SHOWN, _COMPUTED))
    x = np.linspace(0, last, _POINTS)
    both = polynomials(certificate.dim, certificate.coefficients)
    function, transform = (_values(p, x) for p in both)
    return Profile(certificate.dim, radii, end, x, function, transform)


def _values(polynomial: fmpq_poly, x: np.ndarray) -> np.ndarray:
    """Return p(z) exp(-z/2) / p(0) at z = 2 pi x^2."""
    normalised = polynomial / polynomial(fmpq(0))
    bits = 1024
    # It ends: the z are 0 or transcendental, so that no value is 0.
    while True:
        with ctx.workprec(bits):
            p = arb_poly(normalised)
            points = [2 * arb.pi() * arb(float(point)) ** 2 for point in x]
            values = [p(z) * (-z / 2).exp() for z in points]
        if all(value.rel_accuracy_bits() >= _ACCURATE_BITS for value in values):
            return np.array([float(value) for value in values])
        # How much cancels depends on the degree; doubling costs at most twice the last attempt.
        bits *= 2


def envelope(profile: Profile, values: np.ndarray) -> np.ndarray:
    """Return the smooth curve that touches |values| once between any two roots beyond r.

    Its logarithm is interpolated monotonically between these points, and linear outside of them.
    """
    sizes = np.log(np.abs(values))
    found = np.zeros_like(sizes)
    # The extrema of a falling curve lie before the points where its envelope touches it.
    for _ in range(_ENVELOPE_STEPS):
        rest = sizes - found
        inner = np.flatnonzero((rest[1:-1] > rest[:-2]) & (rest[1:-1] > rest[2:])) + 1
        peaks = inner[profile.x[inner] > profile.radii[0]]
        if len(peaks) < 2:
            beyond = profile.x > profile.radii[0]
            return np.asarray(np.exp(found + rest[beyond].max()))
        found += _through(profile.x[peaks], rest[peaks], profile.x)
    return np.asarray(np.exp(found))


def _through(knots: np.ndarray, heights: np.ndarray, x: np.ndarray) -> np.ndarray:
    slopes = np.diff(heights)[[0, -1]] / np.diff(knots)[[0, -1]]
    ends = heights[[0, -1]] + slopes * (x[[0, -1]] - knots[[0, -1]])
    # Monotone between knots: a cubic spline would overshoot where sizes fall steeply.
    inside = PchipInterpolator([x[0], *knots, x[-1]], [ends[0], *heights, ends[1]])
    return np.asarray(inside(x))
