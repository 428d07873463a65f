"""A run that stops before its job's time limit: on all ranks at once, and nothing is lost."""

import copy

import pytest
import torch
from thread_worlds import on_threads
from training_fixtures import pinn_run

from pipeline.errors import TimeLimitError
from pipeline.parallel.world import Alone
from pipeline.training.ending import Ending
from pipeline.training.loop import train
from pipeline.training.pinn import task as pinn

RUN = pinn_run()


class Memory:
    """The last state, shared by ranks."""

    def __init__(self):
        self.state = None

    def load(self):
        return copy.deepcopy(self.state)

    def save(self, state):
        self.state = copy.deepcopy(state)


def run(memory, stop=None, world=None):
    """Train on one rank; return the numbers of the history and the parameters."""
    task = pinn.Task(RUN, 3, torch.device("cpu"))
    history = train(
        task,
        name="ball",
        world=world or Alone(),
        settings=RUN.train,
        checkpoint=memory,
        report=lambda progress: None,
        stop=stop,
    )
    return [row[:-1] for row in history.rows], list(task.model.parameters())


def test_stopped_wherever_it_is_asked_it_ends_with_the_same_numbers():
    expected, parameters = run(Memory())
    memory, steps = Memory(), []
    for _ in range(RUN.train.num_steps):
        try:
            found, ours = run(memory, stop=lambda: True)
            break
        except TimeLimitError as error:
            steps.append(memory.state["step"])
            assert f"runs.ball: stopped after step {steps[-1]} of 40" in str(error)
    # At least one step each time: a job that is stopped again and again still ends.
    assert steps == list(range(1, 40))
    assert found == expected
    assert all(torch.equal(a, b) for a, b in zip(ours, parameters, strict=True))


def test_ranks_stop_together_when_rank_0_says_so():
    memory, asked = Memory(), []

    def stop(rank):
        asked.append(rank)
        return True

    def work(world):
        run(memory, stop=lambda: stop(world.rank), world=world)

    errors = on_threads(2, work, ended_by=TimeLimitError)
    assert all(isinstance(error, TimeLimitError) for error in errors)
    said = [str(error) for error in errors]
    assert said[0] == said[1] and "step 1 of 40" in said[0]
    assert memory.state["step"] == 1
    assert asked == [0]


def test_the_clock_is_read_about_once_a_second(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    asked = []
    ending = Ending(lambda: bool(asked.append(now[0])), Alone(), torch.nn.Linear(1, 1))
    for step in range(1, 400):
        # From 100 steps a second to one in two seconds.
        now[0] += 0.01 if step < 200 else 2.0
        assert not ending.is_here(step)
    fast = [time for time in asked if time < 1.99]
    assert len(fast) == 2
    # Once the pace is known again, after every step.
    assert asked[-1] - asked[-2] == 2.0


@pytest.mark.parametrize("steps", [0, 1, 1000])
def test_without_a_limit_nothing_is_asked(steps):
    assert not Ending(None, None, torch.nn.Linear(1, 1)).is_here(steps)
