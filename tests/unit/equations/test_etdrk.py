import mpmath
import numpy as np
import pytest
import scipy.fft

from pipeline.equations.spectral import etdrk
from pipeline.errors import SolverError


@pytest.mark.parametrize("z", [0.0, 1e-12, -1e-6, -1e-2, -0.9, 1.1, -7.0, -40.0, -1e4, 1e-3j, 30j])
def test_coefficients_match_high_precision(z):
    step = 0.5
    with mpmath.workdps(120):
        w = mpmath.mpmathify(z)
        # The series' limits at z = 0 are 1/2, 1/6, 1/3, 1/6.
        w = w or mpmath.mpf(10) ** -25
        e = mpmath.exp(w)
        exact = {
            "half": mpmath.exp(w / 2),
            "full": e,
            "stage": step * (mpmath.exp(w / 2) - 1) / w,
            "first": step * (-4 - w + e * (4 - 3 * w + w**2)) / w**3,
            "middle": 2 * step * (2 + w + e * (w - 2)) / w**3,
            "last": step * (-4 - 3 * w - w**2 + e * (4 - w)) / w**3,
        }
        exact = {name: complex(value) for name, value in exact.items()}
    found = etdrk.coefficients(np.array([z / step]), step)
    for name, value in exact.items():
        assert abs(getattr(found, name)[0] - value) < 2e-14 * max(abs(value), step), name


def test_real_operator_gives_real_coefficients():
    found = etdrk.coefficients(-np.arange(5.0), 0.1)
    assert all(value.dtype == np.float64 for value in vars(found).values())


def test_linear_part_is_exact():
    linear = np.array([0.0, -3.0, 2.0j])
    u = etdrk.integrate(np.ones((2, 3), complex), linear, np.zeros_like, 1.7, 1.0)
    np.testing.assert_allclose(u, np.tile(np.exp(1.7 * linear), (2, 1)), rtol=1e-14)


def scalar_error(step):
    """Error at t=1 for u' = -u - u², u(0) = 1: u = 1/(2 e^t - 1)."""
    u = etdrk.integrate(np.array([[1.0]]), np.array([-1.0]), lambda u: -(u**2), 1.0, step)
    return abs(u[0, 0] - 1 / (2 * np.e - 1))


def kdv_error(step):
    """Error at t=0.01 of a KdV soliton, u_t + u u_x + u_xxx = 0, on (-π, π): complex L, stiff."""
    n, speed = 256, 60.0
    x = 2 * np.pi * np.arange(n) / n - np.pi
    k = np.arange(etdrk.kept_modes(n))

    def soliton(t):
        # Two periods either side: the soliton's tail is not zero at the boundary.
        shift = [x - speed * t + 2 * np.pi * m for m in range(-2, 3)]
        return sum(3 * speed / np.cosh(np.sqrt(speed) / 2 * s) ** 2 for s in shift)

    start = scipy.fft.rfft(soliton(0.0), norm="forward")[None, : len(k)]
    end = etdrk.integrate(
        start, 1j * k**3.0, lambda u: -0.5j / n * k * etdrk.squared(u, n), 0.01, step
    )
    return np.abs(scipy.fft.irfft(end[0], n, norm="forward") - soliton(0.01)).max()


@pytest.mark.parametrize(("error", "steps"), [(scalar_error, 0.05), (kdv_error, 8e-5)])
def test_observed_order_is_the_declared_one(error, steps):
    sizes = steps / 2 ** np.arange(4)
    errors = [error(step) for step in sizes]
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert abs(slope - etdrk.ORDER) < 0.25, errors


def test_last_step_ends_at_the_final_time():
    # 0.3 does not divide 1: four equal steps, not four of 0.3.
    uneven = etdrk.integrate(np.ones((1, 1)), np.zeros(1), lambda u: 1 * u, 1.0, 0.3)
    assert uneven[0, 0] == pytest.approx(np.e, rel=2e-4)
    exact_quarter = etdrk.integrate(np.ones((1, 1)), np.zeros(1), lambda u: 1 * u, 1.0, 0.25)
    assert uneven[0, 0] == exact_quarter[0, 0]


def test_divergence_is_an_error():
    with pytest.raises(SolverError, match="smaller time_step"):
        etdrk.integrate(np.ones((1, 1)), np.zeros(1), lambda u: u**2, 5.0, 0.1)


@pytest.mark.parametrize("n", [8, 9, 10, 63, 64, 65, 1024])
def test_kept_modes_is_the_largest_free_of_aliasing(n):
    highest = etdrk.kept_modes(n) - 1
    assert 3 * highest < n <= 3 * (highest + 1)


def product_error(n, count):
    """Error of `squared` with `count` modes, against the convolution of the coefficients."""
    rng = np.random.default_rng(1)
    c = rng.standard_normal(count) + 1j * rng.standard_normal(count)
    c[0] = c[0].real
    two_sided = np.concatenate([c[:0:-1].conj(), c])
    exact = np.convolve(two_sided, two_sided)[2 * count - 2 :][:count]
    return np.abs(etdrk.squared(c[None], n)[0] / n - exact).max() / np.abs(exact).max()


@pytest.mark.parametrize("n", [63, 64, 65])
def test_square_is_exact_for_kept_modes_and_aliases_beyond(n):
    kept = etdrk.kept_modes(n)
    assert product_error(n, kept) < 1e-13
    assert product_error(n, kept + 1) > 1e-3
    assert product_error(n, n // 2) > 1e-2


def test_inviscid_galerkin_conserves_energy_only_when_dealiased():
    """Truncated Burgers without viscosity conserves Σ|û|² exactly; aliasing breaks that."""
    n = 48

    def drift(kept, time):
        k = 2 * np.pi * np.arange(kept)
        rng = np.random.default_rng(0)
        u = (rng.standard_normal(kept) + 1j * rng.standard_normal(kept)) / (1 + k)
        u[0] = 0
        start = (np.abs(u) ** 2).sum()
        end = etdrk.integrate(
            u[None], np.zeros(kept), lambda u: -0.5j / n * k * etdrk.squared(u, n), time, 2e-4
        )
        return abs((np.abs(end) ** 2).sum() / start - 1)

    assert drift(etdrk.kept_modes(n), 0.05) < 1e-8
    assert drift(n // 2, 0.05) > 1e-3
