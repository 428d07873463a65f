"""What cannot fit is refused; the estimates are lower bounds, of the networks that are trained."""

import pytest
import torch

from pipeline import config
from pipeline.checks import sizes
from pipeline.checks.sizes import Room
from pipeline.models.fno import model as fno
from pipeline.networks.mlp import network as mlp
from pipeline.store.config import Dataset, Trajectory
from pipeline.training.union import parse_run

MACHINE = Room(cores=4, memory=16 * 2**30, owner="this machine")


def pinn(**changes):
    parts = {
        "problem": {"kind": "two_body", "dim": 100},
        "model": {"kind": "mlp", "width": 32, "depth": 4},
        "estimator": {"kind": "sdgd"},
        "train": {"num_steps": 10, "num_workers": 1},
    }
    for section, values in changes.items():
        parts[section] = parts[section] | values
    return parse_run(parts)


def operator(**train):
    return parse_run(
        {
            "dataset": "b",
            "model": {"kind": "fno", "modes": [12, 8], "width": 16, "depth": 3},
            "train": {"num_epochs": 1, "num_workers": 1} | train,
        }
    )


@pytest.mark.parametrize("skip", ["none", "linear", "quadratic"])
def test_parameters_are_those_of_the_network_less_what_is_small(skip):
    run = pinn(model={"skip": skip})
    built = sum(x.numel() for x in mlp.build(run.model, run.problem.num_inputs).parameters())
    assert 0.9 * built <= run.model.num_weights(run.problem.num_inputs)[0] <= built


def test_parameters_of_an_operator():
    run = operator()
    built = sum(x.numel() for x in fno.build(run.model, 1, 1, 2).parameters())
    assert 0.9 * built <= run.model.num_weights()[0] <= built
    assert torch.get_default_dtype() == torch.float32  # 4 bytes a number


@pytest.mark.parametrize(
    ("run", "key"),
    [
        (pinn(), None),
        (pinn(problem={"dim": 10**6}, model={"width": 128}), None),
        (pinn(problem={"dim": 10**12}), "problem.dim"),
        (pinn(model={"width": 10**6}), "model.width"),
        (pinn(model={"width": 9_999, "depth": 10_000}), "model.depth"),
        (pinn(problem={"dim": 10**5}, model={"skip": "quadratic"}), "problem.dim"),
        (pinn(train={"batch_size": 10**10}), "train.batch_size"),
        (pinn(train={"num_workers": 4}), None),
        (pinn(train={"num_workers": 5}), "train.num_workers"),
        (pinn(train={"num_workers": [1, 100]}), None),
        (pinn(train={"num_workers": [5, 100]}), "train.num_workers"),
        (operator(), None),
        (operator(num_workers=5), "train.num_workers"),
    ],
)
def test_runs_that_do_not_fit(run, key):
    found = list(sizes.run_misfits("r", run, MACHINE))
    assert [".".join(misfit.path) for misfit in found] == ([f"runs.r.{key}"] if key else [])
    assert all(len(misfit.text) < 250 for misfit in found)
    assert not list(sizes.run_misfits("r", run, Room(None, None, "anything")))


FLOW = {
    "problem": {
        "kind": "navier_stokes",
        "viscosity": 0.01,
        "initial": {"kind": "taylor_green"},
        "final_time": 1.0,
    },
    "grid": [64, 64, 64],
    "num_snapshots": 2,
}
SAMPLES = {
    "problem": {"kind": "darcy"},
    "grid": [64, 64],
    "num_samples": 1000,
    "num_test": 100,
}


@pytest.mark.parametrize(
    ("dataset", "key"),
    [
        (Dataset(**SAMPLES), None),
        (Dataset(**SAMPLES | {"grid": [10**5, 10**5]}), "grid"),
        (Dataset(**SAMPLES | {"grid": [8000, 8000]}), "samples_per_shard"),
        (Dataset(**SAMPLES | {"num_samples": 10**12}), "num_samples"),
        (Trajectory(**FLOW), None),
        (Trajectory(**FLOW | {"grid": [4096] * 3}), "grid"),
        (Trajectory(**FLOW | {"ranks": 16}), None),
        (Trajectory(**FLOW | {"ranks": 32}), "ranks"),
    ],
)
def test_data_sets_that_do_not_fit(dataset, key):
    found = list(sizes.dataset_misfits("d", dataset, MACHINE))
    assert [".".join(misfit.path) for misfit in found] == ([f"datasets.d.{key}"] if key else [])


def test_a_job_is_measured_against_its_own_request():
    run = pinn(train={"num_workers": 3})
    experiment = config.Experiment(schema_version=1, seed=1, runs={"r": run})
    small = Room(cores=2, memory=2**30, owner="the request of train")
    (misfit,) = sizes.job_misfits(experiment, {"run": "r"}, small)
    assert misfit.text == "expected at most 2, the cores of the request of train, got 3"
    assert not list(sizes.job_misfits(experiment, {"bound": "b"}, small))
