"""Standard errors: against the spread that they predict, and where they are shown."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loops import Memory, numbers, run
from matplotlib.figure import Figure
from pinn_tasks import make
from training_fixtures import make_store, operator_run, pinn_run

from pipeline.aggregate.read.results import Asked, Results, RunResult
from pipeline.aggregate.sections import curves
from pipeline.config import Experiment
from pipeline.runtime.progress import Progress, line
from pipeline.training.operator import task as operator
from pipeline.training.pinn import task as pinn
from pipeline.training.pinn.config import PinnRun
from pipeline.training.pinn.skill import relative_errors
from pipeline.training.running_mean import RunningMean

CPU = torch.device("cpu")
losses = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=6)


def mean_of(values):
    found = RunningMean()
    for value in values:
        found.add(value)
    return found


@given(losses)
def test_the_variance_of_a_mean_is_unbiased_for_values_in_random_order(values):
    """Over all orders, the variance from successive differences is the usual one of a mean."""
    squares = [mean_of(order).standard_error ** 2 for order in itertools.permutations(values)]
    usual = np.var(values, ddof=1) / len(values)
    assert np.mean(squares) == pytest.approx(usual, rel=1e-6, abs=1e-9)
    assert mean_of(values).mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-9)


@given(st.integers(2, 500), st.floats(1e-3, 1e3))
def test_a_trend_is_hardly_taken_for_noise(count, slope):
    """A line adds slope/√(2 n), where the spread about its mean would add slope √(n/12)."""
    found = mean_of(slope * np.arange(count)).standard_error
    assert found == pytest.approx(slope / math.sqrt(2 * count), rel=1e-9)


def test_one_value_has_no_standard_error():
    assert mean_of([3.0]).standard_error is None


def fields(num_points, generator):
    """Return exact u, prediction, a, b at points of heavy-tailed weight: the ratios are noisy."""
    x = torch.randn(num_points, generator=generator, dtype=torch.float64)
    u = torch.exp(0.7 * x)
    predicted = u + 0.1 * torch.sin(3.0 * x) * (1.0 + x.square())
    return u, predicted, 0.2 * x, torch.cos(x)


def test_the_standard_errors_are_the_spread_over_test_sets():
    generator = torch.Generator().manual_seed(0)
    found = [relative_errors([fields(500, generator)]) for _ in range(600)]
    for figure in ("model", "skill"):
        spread = np.std([getattr(errors, figure) for errors in found], ddof=1)
        predicted = np.mean([getattr(errors, f"{figure}_standard_error") for errors in found])
        # Known to 3% from 600 draws; the delta method leaves terms of order 1/500.
        assert predicted == pytest.approx(spread, rel=0.12)


def test_the_errors_of_a_perfect_and_of_a_trivial_model_are_zero():
    u, _, a, b = fields(50, torch.Generator().manual_seed(1))
    perfect = relative_errors([(u, u, a, b)])
    assert perfect.model == perfect.model_standard_error == 0.0
    assert math.isinf(perfect.skill) and perfect.skill_standard_error is None
    fit = a + b * ((u - a) @ b / (b @ b))
    trivial = relative_errors([(u, fit, a, b)])
    assert trivial.skill == pytest.approx(1.0)
    assert trivial.skill_standard_error == pytest.approx(0.0, abs=1e-9)


def test_a_single_test_point_has_no_standard_error():
    part = make().run.model_dump(mode="json")
    part["problem"] = {"kind": "parabolic", "equation": "heat", "dim": 10}
    task = pinn.Task(PinnRun.model_validate(part), 0, CPU)
    assert set(task.evaluate(task.model)) == {"relative_l2", "skill"}


def test_an_operator_has_the_standard_error_of_a_mean_over_samples(tmp_path):
    task = operator.Task(operator_run(), 3, CPU, make_store(tmp_path / "waves.zarr"))
    errors = task._errors(task.model).numpy()
    found = task.evaluate(task.model)
    expected = np.std(errors, ddof=1) / math.sqrt(len(errors))
    assert found["relative_l2_standard_error"] == pytest.approx(expected, rel=1e-12)
    assert (
        task.final(task.model)["relative_l2_standard_error"] == found["relative_l2_standard_error"]
    )


def test_history_holds_each_error_beside_its_figure_and_survives_a_kill_between_rows():
    settings = {"evaluate_every": 30, "checkpoint_every": 7, "num_steps": 31}
    expected = run(pinn.Task(pinn_run(**settings), 3, CPU), Memory())
    rows = pd.DataFrame(expected.rows)
    assert {"train", "test"} == set(rows.split)
    losses = rows[rows.metric == "loss"]
    errors = rows[rows.metric == "loss_standard_error"]
    # The last row is a single step: it has no error of its own, and shows none of another row.
    assert [*losses.step] == [3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 31]
    assert [*errors.step] == [*losses.step][:-1]
    assert (errors.value > 0).all()
    assert set(expected.last("train")) == {"loss"}
    assert {"relative_l2", "relative_l2_standard_error"} <= set(expected.last("test"))
    stopped = Memory(stop_at=7)
    with pytest.raises(KeyboardInterrupt):
        run(pinn.Task(pinn_run(**settings), 3, CPU), stopped)
    resumed = run(pinn.Task(pinn_run(**settings), 3, CPU), Memory(stopped.state))
    assert numbers(resumed) == numbers(expected)


def test_the_line_shows_each_figure_with_its_error():
    figures = {
        "loss": 3.104e-3, "loss_standard_error": 2.1e-4,
        "relative_l2": 3.524e-2, "relative_l2_standard_error": 3.6e-4,
        "skill": 27.6, "residual": 1.23456789, "residual_standard_error": 2e-5,
    }  # fmt: skip
    progress = Progress(
        step=40, num_steps=5000, epoch=0.1, figures=figures, samples_per_second=8123.0,
        remaining_s=75.0,
    )  # fmt: skip
    assert line("pinn", progress) == (
        "pinn: step   40/5000  loss 3.10e-03 ± 2e-04  relative_l2 3.52e-02 ± 4e-04"
        "  skill 2.760e+01  residual 1.23457e+00 ± 2e-05  8,123 samples/s  1:15 left"
    )


def test_the_report_draws_the_held_out_residual_of_the_runs_that_have_one():
    results = []
    for early in (None, {"patience": 9}):
        task = pinn.Task(pinn_run(evaluate_every=10, early_stopping=early), 3, CPU)
        metrics = pd.DataFrame(run(task, Memory()).rows)
        results.append(RunResult(f"early {early}", task.run, {}, metrics, {}))
    experiment = Experiment(schema_version=1, seed=0)
    assert curves.residual_curves(Results(experiment, Asked("x"), [], results[:1], [], [])) is None
    figure = curves.residual_curves(Results(experiment, Asked("x"), [], results, [], []))
    (panel,) = figure.axes
    (curve,) = panel.lines
    rows = results[1].metrics
    np.testing.assert_array_equal(curve.get_ydata(), rows[rows.metric == "residual"].value)
    assert len(panel.collections) == 1


def test_the_report_draws_a_band_where_there_is_an_error():
    task = pinn.Task(pinn_run(evaluate_every=10, num_steps=40), 3, CPU)
    metrics = pd.DataFrame(run(task, Memory()).rows)
    panel = Figure().subplots()
    results = [RunResult("run", task.run, {}, metrics, {})]
    values = curves._curves(panel, results, "relative_l2", "test", "step")
    rows = metrics[metrics.split == "test"].pivot(index="step", columns="metric", values="value")
    assert values == pytest.approx(rows["relative_l2"].tolist())
    (band,) = panel.collections
    (path,) = band.get_paths()
    for (step, row), value in zip(rows.iterrows(), values, strict=True):
        ends = sorted({y for x, y in path.vertices if x == step})
        error = row["relative_l2_standard_error"]
        assert ends[0] < value < ends[-1]
        assert ends[-1] == pytest.approx(value + error)
        # The lower end keeps its ratio on a logarithmic axis.
        assert ends[0] == pytest.approx(value**2 / (value + error))
