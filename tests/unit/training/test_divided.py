"""Axes divided over workers: the numbers of one process, memory and traffic that scale."""

import copy

import numpy as np
import pytest
import torch
from thread_worlds import on_threads, results
from training_fixtures import pinn_run

from pipeline.optimizers.gradient import summed
from pipeline.parallel.world import Alone
from pipeline.training.loop import train
from pipeline.training.pinn import task as pinn
from pipeline.training.pinn.config import PinnRun
from pipeline.training.saved.divided import DividedSnapshots

CPU = torch.device("cpu")


def on_ranks(size, work):
    """Return what `work(world)` returns on every rank; raise what it raises on one."""
    return results(on_threads(size, work, ended_by=KeyboardInterrupt))


def make_run(dim=11, kind="two_body", estimator=None, **train):
    run = pinn_run(num_workers=1, **train).model_dump(mode="json")
    run["problem"] = {"kind": kind, "dim": dim, "equation": "sine_gordon"}
    run["estimator"] = estimator or {"kind": "sdgd", "sampled_axes": 4}
    run["train"]["shard"] = "axes"
    return PinnRun.model_validate(run)


def whole_task(run):
    points = run.train.model_copy(update={"shard": "points"})
    return pinn.Task(run.model_copy(update={"train": points}), 3, CPU)


def step_gradients(task, world, step=5):
    """Return loss and gradients of a step as `train_step` has them, by name."""
    task.model.zero_grad()
    part = task.loss(task.model, step, world.rank, world.size)
    part.backward()
    loss = summed(task.model, part, world)
    return loss, {name: p.grad for name, p in task.model.named_parameters()}


class Nothing:
    """Checkpoints that keep nothing."""

    def load(self):
        return None

    def save(self, state):
        pass


NOTHING = Nothing()
ESTIMATORS = [
    {"kind": "sdgd", "sampled_axes": 4},
    {"kind": "taylor", "num_directions": 5},
    {"kind": "exact_gram"},
]


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: e["kind"])
@pytest.mark.parametrize("dim", [11, 70])
@pytest.mark.parametrize("kind", ["two_body", "three_body"])
def test_gradients_are_those_of_one_process(size, estimator, dim, kind):
    run = make_run(dim, kind, estimator)
    loss, expected = step_gradients(whole_task(run), Alone())
    ranks = on_ranks(size, lambda world: step_gradients(pinn.Task(run, 3, CPU, world=world), world))
    columns = torch.cat([gradients["0.weight"] for _, gradients in ranks], 1)
    torch.testing.assert_close(columns, expected["0.weight"], rtol=2e-5, atol=2e-7)
    for found, gradients in ranks:
        assert found == pytest.approx(loss, rel=1e-5)
        for name in expected.keys() - {"0.weight"}:
            torch.testing.assert_close(gradients[name], expected[name], rtol=2e-5, atol=2e-7)


@pytest.mark.parametrize("settings", [{"loss": "unbiased", "index_sets": 2}, {"index_sets": 3}])
def test_gradients_of_other_losses_are_those_of_one_process(settings):
    run = make_run(**settings)
    _, expected = step_gradients(whole_task(run), Alone())
    ranks = on_ranks(2, lambda world: step_gradients(pinn.Task(run, 3, CPU, world=world), world))
    columns = torch.cat([gradients["0.weight"] for _, gradients in ranks], 1)
    torch.testing.assert_close(columns, expected["0.weight"], rtol=2e-5, atol=2e-7)


def run_on(run, folder, world, keep=None):
    """Train in `folder`; `keep` ends the run after the save at that step."""
    task = pinn.Task(run, 3, CPU, world=world)
    snapshots = DividedSnapshots(folder, CPU, task.model, world)

    class Stopping:
        load = staticmethod(snapshots.load)

        @staticmethod
        def save(state):
            snapshots.save(state)
            if state["step"] == keep:
                raise KeyboardInterrupt

    history = train(
        task,
        name="test",
        world=world,
        settings=run.train,
        checkpoint=Stopping,
        report=lambda progress: None,
    )
    final, shown = task.final(task.model), task.prediction(task.model)
    return history, final, shown, copy.deepcopy(task.model.state_dict()), snapshots


def numbers(history):
    return [row[:-1] for row in history.rows]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """An undisturbed run on two ranks, and one of a single process with whole axes."""
    run = make_run(dim=23)
    folder = tmp_path_factory.mktemp("straight")
    ranks = on_ranks(2, lambda world: run_on(run, folder, world))
    task = whole_task(run)
    history = train(
        task, name="test", world=Alone(), settings=run.train, checkpoint=NOTHING,
        report=lambda progress: None,
    )  # fmt: skip
    return run, ranks, task, history


def test_a_divided_run_has_the_numbers_of_one_process(straight):
    _, ranks, task, history = straight
    (found, final, shown, _, snapshots), *_ = ranks
    for mine, theirs in zip(numbers(found), numbers(history), strict=True):
        assert mine[:4] == theirs[:4]
        assert mine[4] == pytest.approx(theirs[4], rel=1e-3)
    expected = task.final(task.model)
    assert final.keys() == expected.keys()
    assert final == {key: pytest.approx(value, rel=1e-3) for key, value in expected.items()}
    for key, value in task.prediction(task.model).items():
        np.testing.assert_allclose(shown[key], value, rtol=1e-3, atol=1e-4)
    whole = snapshots.whole_model()
    for name, value in task.model.state_dict().items():
        torch.testing.assert_close(whole[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("sizes", [(2, 2), (2, 1), (1, 4), (4, 2)])
def test_a_divided_run_goes_on_with_any_number_of_workers(straight, sizes, tmp_path):
    run, expected, *_ = straight
    before, after = sizes
    with pytest.raises(KeyboardInterrupt):
        on_ranks(before, lambda world: run_on(run, tmp_path, world, keep=14))
    assert len(list(tmp_path.glob("part-14-*.pt"))) == before == len(list(tmp_path.glob("part-*")))
    (history, final, _, model, _), *_ = on_ranks(after, lambda world: run_on(run, tmp_path, world))
    if sizes == (2, 2):
        # Bit for bit.
        assert numbers(history) == numbers(expected[0][0])
        assert final == expected[0][1]
        assert all(torch.equal(model[name], value) for name, value in expected[0][3].items())
    else:
        for mine, theirs in zip(numbers(history), numbers(expected[0][0]), strict=True):
            assert mine == (*theirs[:4], pytest.approx(theirs[4], rel=1e-3))


def test_replicated_parameters_stay_the_same_bits_on_all_ranks(straight):
    _, ((*_, first, _), (*_, second, _)), *_ = straight
    for name in first:
        if name != "0.weight":
            assert torch.equal(first[name], second[name]), name


def test_early_stopping_keeps_the_model_of_one_process(tmp_path):
    rule = {"patience": 1, "min_delta": 0.3, "num_points": 64}
    run = make_run(dim=23, early_stopping=rule, learning_rate=2e-2)
    ranks = on_ranks(2, lambda world: run_on(run, tmp_path, world))
    (found, final, *_, snapshots), (other, *_) = ranks
    task = whole_task(run)
    history = train(
        task, name="test", world=Alone(), settings=run.train, checkpoint=NOTHING,
        report=lambda progress: None,
    )  # fmt: skip
    expected = history.outcome
    assert expected["best_step"] < run.train.num_steps
    assert found.outcome == other.outcome == pytest.approx(expected, rel=1e-3)
    assert final == pytest.approx(task.final(task.model), rel=1e-3)
    for name, value in task.model.state_dict().items():
        torch.testing.assert_close(snapshots.whole_model()[name], value, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("size", [2, 4])
def test_memory_of_a_worker_falls_as_its_share_of_the_axes(size):
    """What grows with d: columns, their moments, points and coefficients."""
    run = make_run(dim=40_000)

    def held(world):
        task = pinn.Task(run, 3, CPU, world=world)
        optimizer = task.optimizer().optimizer
        x = task.problem.sample(8, torch.Generator().manual_seed(0))
        part = task.loss(task.model, 0, world.rank, world.size)
        part.backward()
        optimizer.step()
        first = task.model[0].weight
        moments = [v for v in optimizer.state[first].values() if v.dim() == 2]
        assert len(moments) == 2
        return sum(t.numel() for t in (first, first.grad, *moments, x, task.problem._c))

    (one,) = on_ranks(1, held)
    for part in on_ranks(size, held):
        assert part <= one / size * 1.001


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: e["kind"])
@pytest.mark.parametrize("dim", [70, 700])
def test_a_step_sends_what_the_design_says(estimator, dim):
    """In numbers: |x|², W x and columns there and back, source, x·v, the gradient of the rest."""
    run = make_run(dim, estimator=estimator)
    n, h = run.train.batch_size, run.model.width
    b = estimator.get("sampled_axes", estimator.get("num_directions"))
    sampling = 2 * b * h + n * b if b else 2 * h * h
    replicated = sum(p.numel() for p in whole_task(run).model[1:].parameters()) + h + 1
    # |x|² three times: to scale the points, in the ansatz and in the source.
    expected = 3 * n + 2 * n * h + 3 * n + sampling + replicated

    def measured(world):
        task = pinn.Task(run, 3, CPU, world=world)
        world.num_bytes = 0
        step_gradients(task, world)
        return world.num_bytes

    assert on_ranks(2, measured) == [4 * expected] * 2
    # Data parallelism sends the gradient of the first layer, too: h d numbers.
    assert dim < 700 or 4 * expected < 4 * h * dim


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"problem": {"kind": "hjb", "dim": 9}}, "train.shard"),
        ({"estimator": {"kind": "hutchinson"}}, "estimator.kind"),
        ({"model": {"kind": "mlp", "skip": "linear"}}, "model.skip"),
        ({"problem": {"kind": "two_body", "dim": 3}, "estimator": {"kind": "sdgd",
          "sampled_axes": 1}, "train": {"num_steps": 1, "shard": "axes", "num_workers": 4}},
         "problem.dim"),
    ],
)  # fmt: skip
def test_what_cannot_be_divided_is_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        PinnRun.model_validate(make_run().model_dump(mode="json") | change)
