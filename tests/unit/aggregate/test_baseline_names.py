"""Each problem's trivial predictor is what its name says, and stands in report and summary."""

import math

import finished_experiment as finished
import pytest
import torch
from training_fixtures import PROBLEMS, pinn_run

from pipeline.aggregate.console import closing_table
from pipeline.aggregate.read.collect import collect
from pipeline.aggregate.read.measured import unit
from pipeline.aggregate.report import render
from pipeline.aggregate.table import summary_table
from pipeline.kinds import implementation
from pipeline.training.pinn.config import PinnRun


def space(x):
    return x[:, :-1].square().sum(1)


def log_normal(x, problem):
    mean, variance = problem.coefficients.values()
    scaled = (x[:, :-1] - mean).square() / variance + torch.log(2 * math.pi * variance)
    return -0.5 * scaled.sum(1)


def rosenbrock(x, problem):
    a, b = problem.description()["differences"], problem.description()["squares"]
    left, right = x[:, :-2], x[:, 1:-1]
    return torch.log(1 + (a * (left - right) ** 2 + b * right**2).sum(1))


def oscillator(x, problem):
    square = x.square().sum(1)
    return -square / (2 * problem.dim) * (problem.frequencies * x.square()).sum(1)


# What the names say, in code of its own: the known part a, and what the constant C multiplies.
FORMULAS = {
    "C (1 − |x|²)": (lambda x, p: 0 * x[:, 0], lambda x, p: 1 - x.square().sum(1)),
    "log((1 + |x|² + 2d(1 − t))/2) + C (1 − t)": (
        lambda x, p: torch.log((1 + space(x) + 2 * p.dim * (1 - x[:, -1])) / 2),
        lambda x, p: 1 - x[:, -1],
    ),
    "g(x) + C (1 − t)": (rosenbrock, lambda x, p: 1 - x[:, -1]),
    "Σ x_i + C (1 − t), the solution": (lambda x, p: x[:, :-1].sum(1), lambda x, p: 1 - x[:, -1]),
    "|x|² + C (1 − t)": (lambda x, p: space(x), lambda x, p: 1 - x[:, -1]),
    "log p₀(x) + C t": (log_normal, lambda x, p: x[:, -1]),
    "−(|x|²/2d) Σ ω_i x_i² + C (1 − |x|²/d)": (
        oscillator, lambda x, p: 1 - x.square().sum(1) / p.dim
    ),
}  # fmt: skip


@pytest.mark.parametrize("raw", PROBLEMS, ids=str)
def test_the_trivial_predictor_is_what_its_name_says(raw):
    part = pinn_run().model_dump(mode="json") | {"problem": raw}
    run = PinnRun.model_validate(part)
    problem = implementation(run.problem).Problem(run.problem, torch.device("cpu"), torch.float64)
    x = problem.sample(50, torch.Generator().manual_seed(1))
    a, b = problem.trivial(x)
    name = run.problem.baseline()
    if run.problem.kind == "parabolic":
        # A number: the mean of u(0, ·) over paths that start at 0, here by Monte Carlo.
        assert name == "E u(0, √2 W_T), no reaction"
        ends = math.sqrt(0.6) * torch.randn(100_000, 10, generator=torch.Generator().manual_seed(1))
        start = problem.offset(torch.nn.functional.pad(ends.double(), (0, 1)))
        assert (a == a[0]).all() and (b == 0).all()
        assert float(a[0]) == pytest.approx(float(start.mean()), rel=5e-3)
        return
    known, multiplied = (part(x, problem) for part in FORMULAS[name])
    torch.testing.assert_close(a, known, rtol=1e-9, atol=1e-9)
    ratio = b / multiplied
    torch.testing.assert_close(ratio, ratio[:1].expand(50), rtol=1e-9, atol=0)


def test_baselines_stand_in_report_and_summary(tmp_path):
    parts = finished.experiment(bounds={})
    data, results = finished.write_all(tmp_path, parts)
    collected = collect(parts, data=data, results=results)
    html, table = render(collected), summary_table(collected).set_index(["name", "quantity"])
    printed = closing_table(collected, tmp_path / "report.html")
    for text in ("58.0%, linear map", "100%, C (1 − |x|²)"):
        assert text in printed
    for text in ("linear map", "mean target", "C (1 − |x|²)", "than linear map, without learning"):
        assert text in html
    told = table["detail"]["burgers_fno"]
    assert told["skill"].endswith("; skill against: linear map")
    assert "lowest 16 modes" in told["baseline_linear_l2"]
    assert "mean target" in told["baseline_mean_l2"]
    assert table["detail"]["sine_sdgd", "skill"].endswith("; skill against: C (1 − |x|²)")
    assert "trivial predictor: C (1 − |x|²)" in table["detail"]["sine_sdgd", "trivial_relative_l2"]
    numbers = table[table["value"].notna() & (table["label"] == "empirical")]
    assert numbers["unit"].notna().all()


def test_units_follow_the_names_of_numbers():
    units = {
        "wall_time_s": "s", "training_s": "s", "seconds_per_sample": "s", "peak_memory_mb": "MB",
        "samples_per_second": "1/s", "bytes": "B", "all_reduce_bytes_per_step": "B", "skill": "1",
        "seconds_per_step": "s", "relative_l2": "1", "max_error": "1", "num_samples": "1",
    }  # fmt: skip
    assert {key: unit(key) for key in units} == units
