"""The PINN task on a GPU against the same task on the CPU."""

import pytest
import torch
from thread_worlds import on_threads, results

from pipeline.optimizers.base import Batch
from pipeline.optimizers.gradient import summed
from pipeline.parallel.world import Alone
from pipeline.training.loop import train
from pipeline.training.pinn.config import PinnRun
from pipeline.training.pinn.task import Task
from pipeline.training.saved.snapshot import Snapshots
from pipeline.training.squares import root

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def make(device, estimator, precision="float32", world=None, **train):
    run = PinnRun.model_validate(
        {
            "problem": {"kind": "two_body", "dim": 200},
            "model": {"kind": "mlp", "width": 64, "depth": 4},
            "estimator": estimator,
            "train": {
                "num_steps": 300, "learning_rate": 3e-3, "batch_size": 100,
                "num_test_points": 2000, "precision": precision, **train,
            },
        }
    )  # fmt: skip
    return Task(run, 0, torch.device(device), world=world)


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


@pytest.mark.parametrize("estimator", [{"kind": "sdgd"}, {"kind": "exact_gram"}])
def test_a_compiled_step_has_the_loss_and_gradient_of_the_bare_one(estimator):
    for mine, theirs in zip(
        loss_and_gradient(make("cuda", estimator, compile=True)),
        loss_and_gradient(make("cuda", estimator)),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("estimator", [{"kind": "sdgd"}, {"kind": "exact_gram"}])
def test_divided_axes_on_the_gpu_agree_with_one_process_on_the_cpu(estimator):
    def gradients(world):
        task = make("cuda", estimator, world=world, partition="axes", num_workers=1)
        part = task.loss(task.model, 0, world.rank, world.size)
        part.backward()
        loss = summed(task.model, part, world)
        return loss, [p.grad.cpu() for p in task.model.parameters()]

    (loss, first), (_, second) = results(on_threads(2, gradients))
    expected, whole = loss_and_gradient(make("cpu", estimator))
    assert loss == pytest.approx(float(expected), rel=1e-3)
    found = [torch.cat([first[0], second[0]], 1), *first[1:]]
    torch.testing.assert_close(
        torch.cat([part.flatten() for part in found]), whole, rtol=1e-3, atol=1e-5
    )


def test_evaluation_agrees_with_the_cpu():
    estimator = {"kind": "sdgd"}
    here, there = make("cuda", estimator), make("cpu", estimator)
    assert here.final(here.model) == pytest.approx(there.final(there.model), rel=1e-3)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_on_the_gpu_learns(precision):
    task = make("cuda", {"kind": "sdgd"}, precision)
    descent = task.optimizer()
    for step in range(task.num_steps):
        descent.update(task, Batch(step, Alone()))
    assert task.evaluate(task.model)["skill"] > 3
    moments = [value for part in descent.optimizer.state.values() for value in part.values()]
    assert {value.dtype for value in [*moments, *task.model.parameters()]} == {torch.float32}


@pytest.mark.parametrize("estimator", [{"kind": "sdgd"}, {"kind": "exact_gram"}])
def test_the_held_out_residual_agrees_with_the_cpu(estimator):
    early = {"early_stopping": {"patience": 1}}
    here, there = (make(device, estimator, **early) for device in ("cuda", "cpu"))
    torch.testing.assert_close(
        here.held_out(0, 1).cpu(), there.held_out(0, 1), rtol=1e-3, atol=1e-6
    )


class KilledAfter(Snapshots):
    """Ends the run right after the save at `step`."""

    step = 0

    def save(self, state):
        super().save(state)
        if state["step"] == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_early_stopping_goes_on_from_a_snapshot_and_keeps_the_best_model(precision, tmp_path):
    settings = {"patience": 2, "min_steps": 60}

    def run(killed_after):
        task = make(
            "cuda", {"kind": "sdgd"}, precision, early_stopping=settings, learning_rate=0.03,
            evaluate_every=20, checkpoint_every=50,
        )  # fmt: skip
        snapshots = KilledAfter(tmp_path, torch.device("cuda"))
        snapshots.step = killed_after
        return task, train(
            task, name="gpu", world=Alone(), settings=task.run.train, checkpoint=snapshots,
            report=lambda progress: None,
        )  # fmt: skip

    with pytest.raises(KeyboardInterrupt):
        run(killed_after=50)
    task, history = run(killed_after=-1)
    residuals = [row.value for row in history.rows if row.metric == "residual"]
    assert len(residuals) == -(-history.outcome["stopped_at_step"] // 20)
    assert history.outcome["held_out_residual"] == min(residuals)
    value = root(task.held_out(0, 1)).value
    assert value == pytest.approx(min(residuals), rel=1e-5)


def test_steps_of_a_polynomial_agree_with_the_cpu():
    run = make("cpu", {"kind": "sdgd"}).run.model_dump()
    run["model"] |= {"skip": "quadratic"}
    run["train"] |= {"num_workers": 1, "optimizer": {"kind": "kaczmarz"}}
    errors = []
    for device in ("cuda", "cpu"):
        task = Task(PinnRun.model_validate(run), 0, torch.device(device))
        optimizer = task.optimizer()
        for step in range(100):
            optimizer.update(task, Batch(step, Alone()))
        errors.append(task.evaluate(task.model)["relative_l2"])
    assert errors[0] == pytest.approx(errors[1], rel=0.05)
