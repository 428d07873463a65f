import numpy as np
import pytest
import scipy.fft
from scipy import stats

from pipeline.datagen.sample import stream
from pipeline.equations.burgers.config import Burgers as BurgersConfig
from pipeline.equations.burgers.generator import Burgers, cole_hopf, exact_wave
from pipeline.errors import SolverError


def problem(viscosity=0.1, num_points=1024, **more):
    return Burgers(BurgersConfig(kind="burgers", viscosity=viscosity, **more), (num_points,))


def draw(burgers, count):
    return np.stack([burgers.sample(stream(11, index)) for index in range(count)])


def relative(found, exact):
    return (np.linalg.norm(found - exact, axis=-1) / np.linalg.norm(exact, axis=-1)).max()


@pytest.mark.parametrize(("viscosity", "amplitude", "mean"), [(0.05, 0.9, 0.0), (0.02, 0.5, 0.7)])
def test_solver_matches_the_exact_wave(viscosity, amplitude, mean):
    burgers = problem(viscosity, 256)
    x = np.arange(256) / 256
    start = exact_wave(x, 0.0, viscosity, amplitude, mean)
    end = exact_wave(x, 1.0, viscosity, amplitude, mean)
    assert np.abs(start - end).max() > 0.01
    assert np.abs(burgers.solve(start[None, None])[0, 0] - end).max() < 1e-10


def test_exact_wave_needs_a_positive_potential():
    with pytest.raises(SolverError, match="amplitude"):
        exact_wave(np.zeros(3), 0.0, 0.1, 1.0)


@pytest.mark.parametrize("viscosity", [0.1, 0.01])
def test_solver_matches_cole_hopf_on_random_inputs(viscosity):
    burgers = problem(viscosity)
    inputs = draw(burgers, 4)
    assert relative(burgers.solve(inputs), cole_hopf(inputs, viscosity, 1.0)) < 5e-7


@pytest.mark.parametrize("viscosity", [0.1, 0.01])
def test_default_time_step_is_accurate_to_a_millionth(viscosity):
    burgers = problem(viscosity)
    inputs = draw(burgers, 16)
    found, refined = burgers.solve(inputs), burgers.solve(inputs, 5e-4)
    assert relative(found, refined) < 1e-6


def test_1024_points_resolve_the_shocks_at_viscosity_one_hundredth():
    coarse, fine = problem(0.01, 1024), problem(0.01, 4096)
    inputs = draw(fine, 4)
    # The finer field has modes that the coarse grid cannot hold: give both the coarse one.
    modes = scipy.fft.rfft(draw(coarse, 4))
    np.testing.assert_allclose(scipy.fft.rfft(inputs)[..., :512] / 4, modes[..., :512], atol=1e-10)
    targets = coarse.solve(draw(coarse, 4))
    assert relative(targets, fine.solve(inputs)[..., ::4]) < 1e-7
    spectrum = np.abs(scipy.fft.rfft(targets)).max(axis=(0, 1))
    assert spectrum[320:].max() < 1e-12 * spectrum.max()
    # There is a shock: the steepest slope is far above that of the initial wave.
    assert -np.diff(targets, axis=-1).min() * 1024 > 5


@pytest.mark.parametrize("viscosity", [0.1, 0.01, 0.003])
def test_leaving_out_empty_modes_changes_nothing(viscosity):
    burgers = problem(viscosity)
    inputs = draw(burgers, 6)
    assert relative(burgers.solve(inputs), burgers.solve(inputs, adaptive=False)) < 1e-13


def test_modes_return_when_a_shock_forms():
    """A sine has one mode and starts on the coarsest grid; its shock needs hundreds."""
    burgers = problem(0.004, final_time=0.4)
    x = np.arange(1024) / 1024
    inputs = np.stack([np.sin(2 * np.pi * x), 0.1 * np.cos(4 * np.pi * x), 0 * x])[:, None]
    targets = burgers.solve(inputs)
    full = burgers.solve(inputs, adaptive=False)
    assert np.abs(targets - full).max() < 1e-13
    spectrum = np.abs(scipy.fft.rfft(targets[0, 0]))
    assert spectrum[100:].max() > 1e-6 * spectrum.max()
    assert (targets[2] == 0).all()


def test_time_stepping_has_order_four():
    burgers = problem(0.02, 256)
    inputs = draw(burgers, 4)
    reference = burgers.solve(inputs, 1 / 4096)
    steps = 1 / np.array([128, 256, 512])
    errors = [relative(burgers.solve(inputs, step), reference) for step in steps]
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert 3.7 < slope < 4.5, errors


def test_mean_is_conserved_and_energy_decays():
    burgers = problem(0.05, 256)
    inputs = draw(burgers, 8) + 0.3
    targets = burgers.solve(inputs)
    np.testing.assert_allclose(targets.mean(axis=-1), 0.3, atol=1e-13)
    assert ((targets**2).mean(axis=-1) < (inputs**2).mean(axis=-1)).all()


def test_galilean_invariance():
    burgers = problem(0.05, 256)
    inputs = draw(burgers, 4)
    shifted = np.roll(burgers.solve(inputs), 64, axis=-1)
    np.testing.assert_allclose(burgers.solve(inputs + 0.25), shifted + 0.25, atol=1e-6)


def test_residual_vanishes_on_solutions_only():
    step = 1e-3
    times = (0.5 - step, 0.5, 0.5 + step)
    runs = [problem(0.05, 512, final_time=time) for time in times]
    inputs = draw(runs[0], 2)
    before, now, after = (run.solve(inputs, 5e-4) for run in runs)
    residual = np.abs(runs[1].residual(before, now, after, step)).max()
    assert residual < 2e-4
    wrong = problem(0.06, 512)
    assert np.abs(wrong.residual(before, now, after, step)).max() > 20 * residual


def test_unresolvable_time_step_is_an_error():
    with pytest.raises(SolverError, match="time_step"):
        problem(1e-4, 1024, time_step=0.2, final_time=2.0).solve(100 * draw(problem(), 1))


def test_input_has_the_stated_covariance_and_zero_mean():
    burgers = problem(num_points=64)
    inputs = draw(burgers, 2000)
    modes = scipy.fft.rfft(inputs[:, 0]) / 64
    assert np.abs(modes[:, 0]).max() < 1e-14
    k = np.arange(1, 32)
    # a_k cos + b_k sin with variances 2·λ_k², λ_k² = 625((2πk)² + 25)^-2.
    variance = 2 * 625 / ((2 * np.pi * k) ** 2 + 25) ** 2
    cosines, sines = 2 * modes[:, 1:32].real, -2 * modes[:, 1:32].imag
    for part in (cosines, sines):
        total = (part**2).sum(axis=0) / variance
        # Bonferroni: 62 two-sided tests at level 1e-4 together, on fixed seeds.
        low, high = stats.chi2.ppf([1e-4 / 124, 1 - 1e-4 / 124], 2000)
        assert ((low < total) & (total < high)).all()
    assert np.abs((cosines * sines).mean(axis=0) / variance).max() < 5 / np.sqrt(2000)


def test_inputs_of_different_grids_are_one_function():
    coarse, fine = problem(num_points=64), problem(num_points=256)
    low, high = (scipy.fft.rfft(draw(p, 2)) / p.num_points for p in (coarse, fine))
    np.testing.assert_allclose(low[..., :32], high[..., :32], atol=1e-15)
