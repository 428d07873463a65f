"""What one training process says of where it stands, and what it leaves of it."""

import pytest
import torch
from training_fixtures import pinn_run

from pipeline.errors import TimeLimitError
from pipeline.parallel.world import Alone
from pipeline.runtime import kept
from pipeline.training.worker import TrainingJob, work


def start(job, stop=None):
    work(job, world=Alone(), device=torch.device("cpu"), publish=lambda now: None, stop=stop)
    return job.progress.read_text().splitlines()


def test_a_resumed_run_says_from_which_step_it_goes_on(tmp_path):
    job = TrainingJob(pinn_run(num_steps=40, checkpoint_every=1000), "ball", 3, None, tmp_path)
    with pytest.raises(TimeLimitError):
        start(job, stop=lambda: True)
    assert kept.reached(tmp_path) == "step 1 of 40"
    assert "ball: goes on from step 1 of 40" in start(job)
    assert kept.reached(tmp_path) == "step 40 of 40"


def test_a_run_that_begins_does_not_say_so(tmp_path):
    job = TrainingJob(pinn_run(num_steps=4), "ball", 3, None, tmp_path)
    assert not any("goes on" in line for line in start(job))
