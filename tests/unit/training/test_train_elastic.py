"""Elastic training on a Ray of two nodes: one is lost, training goes on, a new one is taken in."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from ray_nodes import ENVIRONMENT, ray_nodes
from training_fixtures import make_store, operator_run, wait_for

from pipeline.parallel.world import Alone
from pipeline.training.loop import train
from pipeline.training.operator import task as operator
from pipeline.training.stage import _resources

# Longer than anyone waits: the test ends it while the rate still rises from 1e-4. A high rate
# amplifies rounding without bound.
RUN = operator_run(
    num_epochs=250_000,
    batch_size=20,
    learning_rate=2.5e-3,
    evaluate_every=100,
    checkpoint_every=50,
    num_workers=[1, 2],
)
CODE = """
import sys
from pathlib import Path
from pipeline.runtime.job import Job
from pipeline.training import stage
from pipeline.training.operator.config import OperatorRun

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    stage.RESIZE_CHECK_S = 2.0
    job = Job("train", "waves", 5, "test", folder / "output/run.json", state=folder / "state")
    run = OperatorRun.model_validate_json(sys.argv[2])
    stage.run(job, run, store=folder / "waves.zarr")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    found = tmp_path_factory.mktemp("elastic")
    make_store(found / "waves.zarr", grid=(512,))
    (found / "job.py").write_text(CODE)
    return found


class StopAt:
    """Ends a run, which starts from nothing, at a step."""

    def __init__(self, step):
        self.step, self.state = step, None

    def load(self):
        return None

    def save(self, state):
        if state["step"] == self.step:
            self.state = state
            raise KeyboardInterrupt


def undisturbed(folder: Path, step: int) -> dict:
    """Return the state of the run at a step, on a single worker."""
    task = operator.Task(RUN, 5, torch.device("cpu"), folder / "waves.zarr")
    stop = StopAt(step)
    with pytest.raises(KeyboardInterrupt):
        train(
            task,
            name="waves",
            world=Alone(),
            settings=RUN.train,
            checkpoint=stop,
            report=lambda progress: None,
        )
    return stop.state


def saved(folder: Path) -> dict | None:
    """Return the last snapshot."""
    files = list((folder / "state").glob("*/snapshot.pt"))
    return torch.load(files[0], weights_only=True) if files else None


@pytest.mark.slow
def test_training_goes_on_with_fewer_workers_and_grows_again(folder):
    log = folder / "job.log"

    def groups() -> list[str]:
        return re.findall(r"^waves: (\d of \d workers)$", log.read_text(), re.MULTILINE)

    with ray_nodes() as nodes:
        nodes.add()
        job = subprocess.Popen(
            [sys.executable, str(folder / "job.py"), str(folder), RUN.model_dump_json()],
            stdout=log.open("w"),
            stderr=subprocess.STDOUT,
            env=os.environ | ENVIRONMENT | {"RAY_ADDRESS": nodes.address},
        )
        try:
            wait_for(lambda: saved(folder), job, seconds=300)
            assert groups() == ["2 of 2 workers"]
            nodes.kill()
            wait_for(lambda: len(groups()) == 2, job, seconds=300)
            nodes.add()
            wait_for(lambda: len(groups()) == 3, job, seconds=300)
            grown = saved(folder)["step"]
            wait_for(lambda: saved(folder)["step"] >= grown + 200, job, seconds=300)
        finally:
            job.kill()
            job.wait()
    assert groups() == ["2 of 2 workers", "1 of 2 workers", "2 of 2 workers"]

    ours = saved(folder)
    alone = undisturbed(folder, ours["step"])
    rows, expected = (pd.DataFrame(state["history"]["rows"]) for state in (ours, alone))
    pd.testing.assert_frame_equal(rows[[0, 1, 2, 3]], expected[[0, 1, 2, 3]])
    # Rounding grows to 2e-5 in 2,500 steps; other batches would differ by per cents at once.
    np.testing.assert_allclose(rows[4], expected[4], rtol=1e-3)
    for name, tensor in ours["model"].items():
        torch.testing.assert_close(tensor, alone["model"][name], rtol=1e-3, atol=1e-5)
    # How far it fell depends on the number of steps, and so on the speed of the machine.
    losses = expected[4][expected[3] == "loss"]
    assert losses.iloc[-1] < losses.iloc[0]


@pytest.mark.parametrize(
    ("min_workers", "num_gpus", "gpu", "backend"),
    [(1, 0, None, "gloo"), (2, 2, 1, "nccl"), (1, 8, 1, "nccl"), (2, 1, 0.5, "gloo")],
)
def test_a_worker_has_a_gpu_for_itself_if_there_are_enough(min_workers, num_gpus, gpu, backend):
    resources, found = _resources(min_workers, num_gpus)
    assert resources.get("GPU") == (pytest.approx(gpu, abs=1e-3) if gpu else None)
    assert found == backend


@pytest.mark.parametrize("num_gpus", [1, 2, 3])
@pytest.mark.parametrize("min_workers", range(1, 13))
def test_the_fewest_workers_find_room_on_the_gpus(min_workers, num_gpus):
    share = _resources(min_workers, num_gpus)[0]["GPU"]
    # A share lies on one GPU. Ray rounds to 1e-4 and counts by floor division.
    assert num_gpus * (1.0 // share) >= min_workers
    assert num_gpus // share >= min_workers
    assert round(share * 1e4) == pytest.approx(share * 1e4, abs=1e-9)
