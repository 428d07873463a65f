"""Fourth-order exponential time differencing (ETDRK4) for u_t = L u + N(u) in Fourier space."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.fft

from pipeline.errors import SolverError

ORDER = 4
# The trapezoidal rule on a circle converges geometrically: these reach rounding.
_CONTOUR_POINTS = 64

Nonlinearity = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Coefficients:
    """The diagonal coefficients of one ETDRK4 step of length h, z = h L (Kassam & Trefethen)."""

    half: np.ndarray  # exp(z/2)
    full: np.ndarray  # exp(z)
    stage: np.ndarray  # h (e^{z/2} - 1) / z
    first: np.ndarray  # h (-4 - z + e^z (4 - 3z + z²)) / z³
    middle: np.ndarray  # 2h (2 + z + e^z (z - 2)) / z³
    last: np.ndarray  # h (-4 - 3z - z² + e^z (4 - z)) / z³


def coefficients(linear: np.ndarray, step: float) -> Coefficients:
    """Return the step coefficients for the diagonal operator `linear` (real or complex).

    The quotients cancel catastrophically near z = 0, so each is averaged over 64 points of the
    unit circle around z, which is exact up to rounding for entire functions (mean value property,
    trapezoidal rule). Cost: 64 evaluations for each entry of `linear`, once.
    Reference: Kassam & Trefethen, SIAM J. Sci. Comput. 26 (2005), 1214–1233, eqs. (2.5), (3.3).
    """
    z = step * np.asarray(linear)[..., None]
    # Half-step angles make the points symmetric about the real axis: real z give real means.
    angles = 2 * np.pi * (np.arange(_CONTOUR_POINTS) + 0.5) / _CONTOUR_POINTS
    r = z + np.exp(1j * angles)
    e = np.exp(r)

    def mean(values: np.ndarray) -> np.ndarray:
        average = step * values.mean(axis=-1)
        return np.asarray(average if np.iscomplexobj(linear) else average.real)

    return Coefficients(
        half=np.exp(z[..., 0] / 2),
        full=np.exp(z[..., 0]),
        stage=mean((np.exp(r / 2) - 1) / r),
        first=mean((-4 - r + e * (4 - 3 * r + r**2)) / r**3),
        middle=2 * mean((2 + r + e * (r - 2)) / r**3),
        last=mean((-4 - 3 * r - r**2 + e * (4 - r)) / r**3),
    )


def integrate(
    state: np.ndarray,
    linear: np.ndarray,
    nonlinearity: Nonlinearity,
    final_time: float,
    time_step: float,
) -> np.ndarray:
    """Return the Fourier coefficients at `final_time`, from `state` at time 0, to O(h⁴).

    Steps of equal length h <= `time_step` with h dividing `final_time`. `state` has shape
    (..., modes), `linear` broadcasts against it, `nonlinearity` maps such an array to a new one.
    Guarantee: fourth order in h for smooth solutions, exact for N = 0. No error control: compare
    with half the step. Cost: 4 evaluations of `nonlinearity` a step.
    Reference: Cox & Matthews, J. Comput. Phys. 176 (2002), 430–455, eqs. (26)–(29).

    Raises:
        SolverError: the solution became infinite or NaN.
    """
    num_steps = count_steps(final_time, time_step)
    c = paired(coefficients(linear, final_time / num_steps))
    state = np.array(state, dtype=complex, order="C")
    advance(state, c, nonlinearity, num_steps)
    return state


def count_steps(final_time: float, time_step: float) -> int:
    """Return the least number of equal steps, none longer than `time_step`, to `final_time`."""
    # Rounding of a quotient that is whole must not add a step.
    return max(1, int(np.ceil(final_time / time_step * (1 - 1e-12))))


def paired(c: Coefficients) -> Coefficients:
    """Return the coefficients that `advance` takes: real ones repeated for the two parts.

    A complex state is then a real array of twice the length; numpy would otherwise convert the
    coefficients to complex in every product.
    """
    if np.iscomplexobj(c.half):
        return c
    return Coefficients(**{name: np.repeat(value, 2, axis=-1) for name, value in vars(c).items()})


def advance(state: np.ndarray, c: Coefficients, nonlinearity: Nonlinearity, num_steps: int) -> None:
    """Take `num_steps` steps in place from the contiguous complex `state`; `c` from `paired`.

    Raises:
        SolverError: the solution became infinite or NaN.
    """
    # Overflow is reported once, below, rather than as a warning in every later step.
    with np.errstate(over="ignore", invalid="ignore"):
        _take_steps(state, c, nonlinearity, num_steps)
    if not np.isfinite(state).all():
        raise SolverError(
            f"etdrk: expected a finite solution, got inf or nan within {num_steps} steps;"
            " use a smaller time_step"
        )


def _take_steps(
    state: np.ndarray, c: Coefficients, nonlinearity: Nonlinearity, num_steps: int
) -> None:
    """Take the steps; all temporary arrays but N's results are reused."""
    seen_as = c.half.dtype

    def n(values: np.ndarray) -> np.ndarray:
        # Arithmetic sees real pairs, the nonlinearity sees complex coefficients.
        return nonlinearity(values.view(complex)).view(seen_as)

    u = state.view(seen_as)
    half, a, b = (np.empty_like(u) for _ in range(3))
    for _ in range(num_steps):
        # Cox and Matthews' stages, with E = e^{z/2} and Q = `stage`: a = E u + Q N(u).
        n_u = n(u)
        np.multiply(c.half, u, out=half)
        np.multiply(c.stage, n_u, out=a)
        a += half
        # b = E u + Q N(a).
        n_a = n(a)
        np.multiply(c.stage, n_a, out=b)
        b += half
        # c = E a + Q (2 N(b) - N(u)), put together in b.
        n_b = n(b)
        n_a += n_b
        np.multiply(2, n_b, out=b)
        b -= n_u
        b *= c.stage
        a *= c.half
        b += a
        # u = e^z u + `first` N(u) + `middle` (N(a) + N(b)) + `last` N(c).
        n_c = n(b)
        u *= c.full
        for value, weight in ((n_u, c.first), (n_a, c.middle), (n_c, c.last)):
            value *= weight
            u += value


def kept_modes(num_points: int) -> int:
    """Return the number of modes 0..K with 3K < `num_points` (the 2/3 rule).

    A product of two fields with modes up to K has modes up to 2K; on the grid mode 2K aliases to
    num_points - 2K > K, outside what is kept.
    """
    return (num_points + 2) // 3


def squared(u: np.ndarray, num_points: int) -> np.ndarray:
    """Return the Fourier coefficients of v² for v with coefficients `u`, (..., modes) both.

    v_j = Σ_k u_k e^{2πijk/N} over |k| < modes with u_{-k} the conjugate of u_k, N = `num_points`;
    the result is multiplied by N, which saves a pass. Exact, free of aliasing, if u has at most
    `kept_modes(N)` modes: v² truncated to them. Cost: one inverse and one forward FFT.
    """
    values = np.asarray(scipy.fft.irfft(u, num_points, norm="forward"))
    values *= values
    return np.asarray(scipy.fft.rfft(values, overwrite_x=True))[..., : u.shape[-1]]
