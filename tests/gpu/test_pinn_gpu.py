"""The PINN task on a GPU against the same task on the CPU."""

import pytest
import torch

from pipeline.config import PinnRun
from pipeline.training.pinn import Task
from pipeline.training.step import Alone, train_step

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def make(device, estimator, precision="float32"):
    run = PinnRun.model_validate(
        {
            "problem": {"kind": "two_body", "dim": 200},
            "model": {"kind": "mlp", "width": 64, "depth": 4},
            "estimator": estimator,
            "train": {
                "num_steps": 300, "learning_rate": 3e-3, "batch_size": 100,
                "num_test_points": 2000, "precision": precision,
            },
        }
    )  # fmt: skip
    return Task(run, 0, torch.device(device))


def loss_and_gradient(task):
    loss = task.loss(task.model, 0, 0, 1)
    parts = torch.autograd.grad(loss, list(task.model.parameters()))
    return loss.detach().cpu(), torch.cat([part.flatten() for part in parts]).cpu()


@pytest.mark.parametrize("estimator", [{"kind": "sdgd"}, {"kind": "full"}], ids=["sdgd", "full"])
def test_loss_and_gradient_agree_with_the_cpu(estimator):
    for mine, theirs in zip(
        loss_and_gradient(make("cuda", estimator)),
        loss_and_gradient(make("cpu", estimator)),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)


def test_evaluation_agrees_with_the_cpu():
    estimator = {"kind": "sdgd"}
    here, there = make("cuda", estimator), make("cpu", estimator)
    assert here.final(here.model) == pytest.approx(there.final(there.model), rel=1e-3)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_on_the_gpu_learns(precision):
    task = make("cuda", {"kind": "sdgd"}, precision)
    optimizer, scheduler = task.configure_optimizer(task.model)
    for step in range(task.num_steps):
        optimizer.zero_grad()
        task.loss(task.model, step, 0, 1).backward()
        optimizer.step()
        scheduler.step()
    assert task.evaluate(task.model)["skill"] > 3


def test_steps_of_a_polynomial_agree_with_the_cpu():
    run = make("cpu", {"kind": "sdgd"}).run.model_dump()
    run["model"] |= {"skip": "quadratic"}
    run["train"] |= {"num_workers": 1, "optimizer": {"kind": "kaczmarz"}}
    errors = []
    for device in ("cuda", "cpu"):
        task = Task(PinnRun.model_validate(run), 0, torch.device(device))
        optimizer, scheduler = task.configure_optimizer(task.model)
        for step in range(100):
            train_step(task, task.model, optimizer, scheduler, step, Alone())
        errors.append(task.evaluate(task.model)["relative_l2"])
    assert errors[0] == pytest.approx(errors[1], rel=0.05)
