"""The axis of |x| shows the distances that the points of a ray have, for every problem."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from training_fixtures import PROBLEMS, pinn_run

from pipeline.aggregate.figures.figure import style
from pipeline.aggregate.sections.predictions import _points
from pipeline.parallel.generators import run_generator
from pipeline.parallel.streams import Stream
from pipeline.problems.settings import InTime
from pipeline.training.pinn import task as pinn
from pipeline.training.pinn.config import PinnRun


def sample_of(problem: dict) -> tuple[pinn.Task, dict[str, np.ndarray]]:
    """Return an untrained task of `problem` and its sample prediction."""
    raw = pinn_run().model_dump(mode="json") | {"problem": problem}
    raw["train"] |= {"num_test_points": 4}
    if problem.get("equation") in ("lqg", "rosenbrock"):
        raw["problem"] = problem | {"reference_samples": 64}
    task = pinn.Task(PinnRun.model_validate(raw), seed=1, device=torch.device("cpu"))
    return task, task.prediction(task.model)


def drawn(sample: dict[str, np.ndarray]) -> Figure:
    with style():
        return _points(sample, "exact")


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_the_axis_shows_the_distances_and_the_time_of_the_ray(problem):
    task, sample = sample_of(problem)
    dim = task.problem.operator.dim
    radius = torch.linspace(0, 1, 201)
    ray = task.problem.ray(radius, run_generator(1, Stream.RAY))
    distance = ray[:, :dim].norm(dim=1).numpy()
    np.testing.assert_allclose(sample["ray_distance"], distance, rtol=1e-5)
    assert sample["ray_distance"][-1] == pytest.approx(task.problem.radius)
    right = drawn(sample).axes[1]
    for line in right.lines:
        np.testing.assert_array_equal(line.get_xdata(), sample["ray_distance"])
    label = right.get_xlabel()
    if isinstance(task.run.problem, InTime):
        assert (ray[:, dim] == ray[0, dim]).all()
        assert label == f"distance |x| from the origin, t = {float(ray[0, dim]):.3g}"
    else:
        assert label == "distance |x| from the origin" and np.isnan(sample["ray_time"])


def test_a_solution_known_at_one_point_of_the_ray_is_a_dot():
    _, sample = sample_of({"kind": "parabolic", "dim": 10, "equation": "heat"})
    assert np.isfinite(sample["ray_exact"]).sum() == 1
    known, predicted = drawn(sample).axes[1].lines
    assert known.get_markevery() == [0] and predicted.get_marker() == "None"
    _, sample = sample_of({"kind": "two_body", "dim": 10})
    assert drawn(sample).axes[1].lines[0].get_markevery() == []
