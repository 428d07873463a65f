"""PINN tasks of a second, and their steps without a loop."""

import copy

import torch

from pipeline.optimizers.base import Batch
from pipeline.parallel.world import Alone
from pipeline.training.pinn.config import PinnRun
from pipeline.training.pinn.task import Task

CPU = torch.device("cpu")
ESTIMATORS = [
    {"kind": "sdgd", "sampled_axes": 4},
    {"kind": "jet", "sampled_axes": 4},
    {"kind": "double_backward", "sampled_axes": 4},
    {"kind": "taylor", "num_directions": 4},
    {"kind": "hutchinson"},
    {"kind": "hutchinson", "distribution": "gaussian"},
    {"kind": "exact_gram"},
    {"kind": "full"},
]
PROBLEMS = [
    *[{"kind": "three_body", "equation": e} for e in ("poisson", "allen_cahn", "sine_gordon")],
    *[{"kind": "parabolic", "equation": e} for e in ("heat", "allen_cahn", "sine_gordon")],
    *[{"kind": "hjb", "equation": e} for e in ("lqg", "rosenbrock", "lin")],
    *[{"kind": k} for k in ("black_scholes_barenblatt", "fokker_planck", "schroedinger")],
]


def make(dim=8, estimator=None, seed=0, equation="sine_gordon", width=16, **train):
    run = PinnRun.model_validate(
        {
            "problem": {"kind": "two_body", "dim": dim, "equation": equation},
            "model": {"kind": "mlp", "width": width, "depth": 3},
            "estimator": estimator or {"kind": "sdgd", "sampled_axes": 4},
            "train": {
                "num_steps": 20, "learning_rate": 5e-3, "batch_size": 12, "num_test_points": 300,
                **train,
            },
        }
    )  # fmt: skip
    return Task(run, seed, CPU)


def gradient(task, step, rank=0, world_size=1):
    task.model.zero_grad()
    loss = task.loss(task.model, step, rank, world_size)
    loss.backward()
    return loss.detach(), torch.cat([p.grad.flatten() for p in task.model.parameters()])


def train(task, first, last, state=None):
    """Run steps [first, last) as a loop would, from `state` if given."""
    optimizer = task.optimizer()
    if state is not None:
        for part, content in zip((task.model, optimizer), state, strict=True):
            part.load_state_dict(content)
    for step in range(first, last):
        optimizer.update(task, Batch(step, Alone()))
    return [copy.deepcopy(part.state_dict()) for part in (task.model, optimizer)]
