"""The Fourier neural operator on a GPU against the same network on the CPU."""

import pytest
import torch
from training_fixtures import make_store, operator_run

from pipeline.models.fno import model as fno
from pipeline.models.fno.config import FNO
from pipeline.parallel.world import Alone
from pipeline.training.loop import train
from pipeline.training.operator import task as operator

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


class Nothing:
    def load(self):
        return None

    def save(self, state):
        pass


@pytest.mark.parametrize(("modes", "grid"), [((16,), (256,)), ((12, 12), (64, 64))])
def test_output_and_gradients_agree_with_the_cpu(modes, grid):
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = False
    model = fno.build(FNO(kind="fno", modes=modes, width=32), 1, 1, len(modes))
    x, found = torch.randn(4, 1, *grid), {}
    for device in ("cpu", "cuda"):
        model = model.to(device)
        y = model(x.to(device))
        gradients = torch.autograd.grad(y.square().mean(), list(model.parameters()))
        found[device] = [y, *gradients]
    for a, b in zip(found["cuda"], found["cpu"], strict=True):
        scale = b.abs().max().item()
        torch.testing.assert_close(a.cpu(), b, rtol=1e-4, atol=1e-4 * scale)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_on_the_gpu_learns_the_map(tmp_path, precision):
    store = make_store(tmp_path / "waves.zarr")
    run = operator_run(num_epochs=60, learning_rate=1e-2, precision=precision)
    task = operator.Task(run, 3, torch.device("cuda"), store)
    train(
        task,
        name="test",
        world=Alone(),
        settings=run.train,
        checkpoint=Nothing(),
        report=lambda progress: None,
    )
    assert task.evaluate(task.model)["relative_l2"] < 0.05
    assert task.prediction(task.model)["prediction"].shape == (2, 1, 32)
