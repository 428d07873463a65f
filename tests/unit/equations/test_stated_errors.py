"""The error that data state, against the true one: of a much finer grid, or an exact solution."""

import numpy as np
import pytest
from mpi4py import MPI

from pipeline.datagen.sample import check_tolerance, generate_block, stream
from pipeline.equations.base import build
from pipeline.equations.burgers.config import Burgers as BurgersConfig
from pipeline.equations.burgers.generator import Burgers, cole_hopf
from pipeline.equations.darcy import solver as darcy_solver
from pipeline.equations.darcy.config import Darcy as DarcyConfig
from pipeline.equations.darcy.generator import Darcy
from pipeline.equations.navier_stokes import companion as mpi_companion
from pipeline.equations.navier_stokes import initial as mpi_initial
from pipeline.equations.navier_stokes.companion import Companion
from pipeline.equations.navier_stokes.solver import NavierStokes
from pipeline.equations.refinement import refine_linearly, relative, resample
from pipeline.errors import SolverError
from pipeline.kinds import shaping
from pipeline.store.config import Dataset

sweep = pytest.mark.sweep


def streams(count):
    return [stream(3, index) for index in range(count)]


def draw(problem, count):
    return np.stack([problem.sample(rng) for rng in streams(count)])


def check(stated, true, most):
    """Of every sample, and of the largest: at least half, and not absurdly much."""
    assert (stated >= true / 2).all(), (stated, true)
    assert stated.max() <= most * true.max(), (stated, true)


# (viscosity, points, step, points of the reference); those marked * do not resolve their shocks.
BURGERS = [
    (0.1, 64, 1e-2, 128),
    (0.01, 64, 4e-3, 256),
    (0.002, 64, 4e-3, 512),  # *
    (0.05, 8, 2e-3, 128),
    (0.1, 9, 2e-3, 144),
    (1e-3, 9, 2e-3, 1152),  # *
    (0.02, 33, 2e-2, 264),
    (0.1, 64, 0.4, 128),
    (0.1, 64, 0.11, 128),
    (0.02, 64, 0.06, 256),
    pytest.param(0.02, 100, 2e-2, 800, marks=sweep),
    pytest.param(0.1, 64, 2e-3, 512, marks=sweep),
    pytest.param(0.01, 64, 2e-3, 512, marks=sweep),
    pytest.param(0.001, 64, 2e-3, 4096, marks=sweep),  # *
    pytest.param(0.1, 1024, 2e-3, 2048, marks=sweep),
    pytest.param(0.01, 1024, 2e-3, 2048, marks=sweep),
    pytest.param(0.05, 65, 2e-3, 520, marks=sweep),
    pytest.param(0.05, 256, 2.5e-3, 1024, marks=sweep),
    pytest.param(0.003, 256, 2e-3, 2048, marks=sweep),
    pytest.param(0.001, 256, 1e-3, 4096, marks=sweep),  # *
    pytest.param(0.0005, 1024, 2e-4, 4096, marks=sweep),  # *
    pytest.param(0.003, 64, 1e-2, 2048, marks=sweep),  # *
    pytest.param(0.005, 128, 5e-3, 1024, marks=sweep),
]


def burgers(viscosity, num_points, time_step, **more):
    problem = BurgersConfig(kind="burgers", viscosity=viscosity, time_step=time_step, **more)
    return Burgers(problem, (num_points,))


@pytest.mark.parametrize(("viscosity", "num_points", "time_step", "finest"), BURGERS)
def test_burgers(viscosity, num_points, time_step, finest):
    problem = burgers(viscosity, num_points, time_step)
    inputs = draw(problem, 16)
    targets = problem.solve(inputs)
    reference = burgers(viscosity, finest, time_step / 4)
    exact = reference.solve(resample(inputs, finest))[..., :: finest // num_points]
    true = relative(targets - exact, exact)
    check(problem.errors(inputs, targets, streams(16)), true, most=10)


@pytest.mark.parametrize(
    ("time_step", "final_time"), [(2e-2, 1.0), (0.04, 0.1), (0.06, 0.1), (0.1, 0.1), (1.0, 0.1)]
)
def test_burgers_against_cole_hopf(time_step, final_time):
    """A step longer than the interval is one step: doubling it would change nothing."""
    problem = burgers(0.1, 64, time_step, final_time=final_time)
    inputs = draw(problem, 40)
    targets = problem.solve(inputs)
    exact = cole_hopf(inputs, 0.1, final_time, refinement=16)
    true = relative(targets - exact, exact)
    assert true.max() > 1e-5
    check(problem.errors(inputs, targets, streams(40)), true, most=10)


def test_one_sharp_sample_among_smooth_ones_is_found():
    problem = burgers(0.01, 64, 4e-3)
    inputs = 0.02 * draw(problem, 40)
    inputs[23] *= 250
    errors = problem.errors(inputs, problem.solve(inputs), streams(40))
    assert errors.argmax() == 23 and errors[23] > 5e-4
    assert np.delete(errors, 23).max() < 1e-5


@pytest.mark.parametrize(
    ("num_points", "time_step"), [(32, 2e-3), (64, 2e-3), pytest.param(512, 2e-4, marks=sweep)]
)
def test_data_that_are_garbage_never_look_right(num_points, time_step):
    """Almost no viscosity: the finer grid is as wrong as the grid itself."""
    problem = burgers(1e-9, num_points, time_step)
    inputs = draw(problem, 16)
    assert problem.errors(inputs, problem.solve(inputs), streams(16)).max() > 0.1


DARCY = [
    ((16, 16), {}),
    ((9, 20), {}),
    ((12, 12), {"low": 1.0, "high": 100.0}),
    ((16, 16), {"low": 1.0, "high": 1e4}),
    ((16, 16), {"low": 3e4, "high": 3.0}),
    ((16, 16), {"smoothness": 4.0}),
    ((16, 16), {"inverse_length": 20.0}),
    ((16, 16), {"tolerance": 0.3}),
    pytest.param((33, 33), {}, marks=sweep),
    pytest.param((10, 10), {}, marks=sweep),
    pytest.param((48, 48), {"smoothness": 1.2}, marks=sweep),
    pytest.param((48, 48), {"low": 1.0, "high": 100.0}, marks=sweep),
    pytest.param((32, 32), {"low": 1e-5, "high": 1.0}, marks=sweep),
    pytest.param((64, 64), {"low": 1.0, "high": 1e4}, marks=sweep),
    pytest.param((64, 64), {}, marks=sweep),
    pytest.param((100, 100), {}, marks=sweep),
]


@pytest.mark.parametrize(("grid", "settings"), DARCY)
def test_darcy(grid, settings):
    """The reference has the permeability of the same field at nodes 12 times as dense."""
    problem = Darcy(DarcyConfig(kind="darcy", **settings), grid)
    inputs = draw(problem, 4)
    targets = problem.solve(inputs)
    field = np.stack([problem._field(rng, 12) for rng in streams(4)])
    nodes = (slice(None), slice(None, None, 12), slice(None, None, 12))
    permeability = np.where(field >= 0, problem.high, problem.low)
    np.testing.assert_array_equal(permeability[nodes], inputs[:, 0])
    exact = darcy_solver.solve(permeability, tolerance=1e-6, max_iterations=10_000)[0][nodes]
    true = relative(targets[:, 0] - exact, exact)
    assert true.max() > 1e-3
    check(problem.errors(inputs, targets, streams(4)), true, most=4)


def test_linear_refinement_keeps_nodes_and_linear_functions():
    x, y = np.meshgrid(np.linspace(0, 1, 4), np.linspace(0, 1, 6), indexing="ij")
    fine_x, fine_y = np.meshgrid(np.linspace(0, 1, 10), np.linspace(0, 1, 16), indexing="ij")
    fine = refine_linearly((1 + 2 * x - y)[None], 3)[0]
    np.testing.assert_allclose(fine, 1 + 2 * fine_x - fine_y, atol=1e-14)


@pytest.mark.parametrize(("before", "after"), [(8, 32), (9, 27), (8, 9), (32, 8), (9, 5)])
def test_resampling_keeps_the_function(before, after):
    def wave(n):
        x = 2 * np.pi * np.arange(n) / n
        return 1 + np.sin(x) + 0.5 * np.cos(2 * x)

    np.testing.assert_allclose(resample(wave(before), after), wave(after), atol=1e-14)
    rough = np.random.default_rng(0).standard_normal((3, before))
    if after % before == 0:
        shared = resample(rough, after)[:, :: after // before]
        np.testing.assert_allclose(shared, rough, atol=1e-14)


# (points, viscosity, final time, steps, points of the reference, initial field)
FLOWS = [
    (16, 0.05, 0.4, 20, 24, "vortex"),
    (12, 0.005, 2.0, 20, 24, "vortex"),  # not resolved
    (16, 0.05, 1.0, 3, 24, "vortex"),  # in time
    pytest.param(12, 0.005, 2.0, 40, 32, "vortex", marks=sweep),  # not resolved
    pytest.param(16, 0.02, 1.0, 40, 32, "random", marks=sweep),  # not resolved
    pytest.param(16, 0.05, 0.5, 1, 24, "vortex", marks=sweep),
    pytest.param(24, 0.01, 4.0, 80, 48, "vortex", marks=sweep),
    pytest.param(32, 0.02, 1.0, 40, 48, "random", marks=sweep),
    pytest.param(32, 0.02, 1.0, 6, 48, "random", marks=sweep),
    pytest.param(32, 0.01, 6.0, 60, 64, "vortex", marks=sweep),
    pytest.param(20, 0.05, 2.0, 41, 32, "vortex", marks=sweep),
    pytest.param(16, 0.001, 3.0, 60, 48, "vortex", marks=sweep),
    pytest.param(32, 0.1, 1.0, 20, 48, "random", marks=sweep),
]


def flow(num_points, viscosity, final_time, num_steps, initial):
    solver = NavierStokes(MPI.COMM_SELF, num_points, viscosity)
    if initial == "vortex":
        state = mpi_initial.taylor_green(solver)
    else:
        state = mpi_initial.random_field(solver, 3, 0.5, 3.0)
    companion = Companion(solver)
    coarser = companion.restrict(state)
    solver.advance(state, solver.step_coefficients(final_time / num_steps), num_steps)
    return solver, companion, state, coarser


@pytest.mark.parametrize(
    ("num_points", "viscosity", "final_time", "num_steps", "finest", "initial"), FLOWS
)
def test_flows(num_points, viscosity, final_time, num_steps, finest, initial):
    _, companion, state, coarser = flow(num_points, viscosity, final_time, num_steps, initial)
    assert companion.advance(coarser, final_time, mpi_companion.coarser_steps(num_steps))
    distance = companion.distance(state, coarser)
    stated = mpi_companion.error(distance, num_points, num_steps)
    finer, _, reference, _ = flow(finest, viscosity, final_time, 2 * num_steps, initial)
    true = apart(finer, reference, state, num_points)
    assert true / 2 <= stated <= max(1000 * true, 1e-3), (stated, true)


def apart(finer, reference, state, num_points):
    kept = state.shape[-1]
    wavenumbers = np.arange(1 - kept, kept)
    everywhere = np.zeros_like(reference)
    at, here = (
        np.ix_(range(3), wavenumbers % n, wavenumbers % n, range(kept))
        for n in (finer.num_points, num_points)
    )
    everywhere[at] = state[here]
    gap, whole = (
        (finer.multiplicity * abs(values) ** 2).sum()
        for values in (reference - everywhere, reference)
    )
    return np.sqrt(gap / whole)


def dataset(**changes):
    content = {
        "problem": {"kind": "burgers", "viscosity": 0.01},
        "grid": [64],
        "num_samples": 40,
        "num_test": 10,
        "samples_per_shard": 10,
    }
    return Dataset.model_validate(content | changes)


REFUSED = [
    (
        {"problem": {"kind": "burgers", "viscosity": 1e-9}},
        r"sample \d: expected an error of at most 0.0001 \(tolerance\), estimated [\d.]+ in space;"
        r" use a larger viscosity \(0.016\), or raise tolerance",
    ),
    (
        {"problem": {"kind": "burgers", "viscosity": 0.003}},
        r"in space; use a finer grid \(512\) or a larger viscosity \(0.016\), or raise tolerance",
    ),
    (
        {"problem": {"kind": "burgers", "viscosity": 0.1, "time_step": 0.2}},
        r"in time; use a smaller time_step \(0.0\d+\), or raise tolerance",
    ),
    (
        {"problem": {"kind": "darcy", "high": 1000.0}, "grid": [16, 16]},
        r"at most 0.1 \(tolerance\), .* in space; use a finer grid \(\[\d+, \d+\]\) or a smaller",
    ),
    (
        {"problem": {"kind": "darcy", "tolerance": 0.9}, "grid": [16, 16], "tolerance": 1e-3},
        r"in the linear system; use a smaller problem.tolerance \(0.0001\)",
    ),
]


@pytest.mark.parametrize(("changes", "told"), REFUSED)
def test_a_sample_that_misses_the_tolerance_is_refused_with_a_remedy(changes, told):
    with pytest.raises(SolverError, match=told) as refusal:
        generate_block(dataset(**changes), 1, 0, 4)
    assert "\n" not in str(refusal.value)


def test_the_named_remedy_helps():
    generate_block(dataset(problem={"kind": "burgers", "viscosity": 0.003}, grid=[512]), 1, 0, 4)
    generate_block(dataset(problem={"kind": "burgers", "viscosity": 0.016}), 1, 0, 4)


def test_the_tolerance_changes_what_is_refused_and_nothing_else():
    strict, loose = dataset(tolerance=1e-12), dataset(tolerance=0.5)
    with pytest.raises(SolverError, match="at most 1e-12"):
        generate_block(strict, 1, 0, 4)
    block = generate_block(loose, 1, 0, 4)
    other = generate_block(dataset(tolerance=0.1), 1, 0, 4)
    np.testing.assert_array_equal(block.targets, other.targets)
    assert shaping(strict) == shaping(loose) and strict != loose
    assert block.errors.shape == (4,) and (block.errors > 0).all()
    with pytest.raises(SolverError, match="sample 2: .*estimated 0.6"):
        check_tolerance(loose, 1, 2, 0.6)
    # That of a linear solver is a setting of the problem, and shapes the numbers.
    darcy = dataset(problem={"kind": "darcy"}, grid=[16, 16])
    assert "tolerance" in shaping(darcy)["problem"]
    assert darcy.largest_error == 0.1 and build(darcy.problem, darcy.grid).num_inputs == 1
