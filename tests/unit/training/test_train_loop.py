"""The training loop: exact resume, numbers that no number of workers changes, errors by name."""

import numpy as np
import pytest
import torch
from loops import Memory, as_double, each_rank, numbers, run
from training_fixtures import make_store, operator_run, pinn_run

from pipeline.errors import StoreError, TrainingError
from pipeline.optimizers.gradient import summed
from pipeline.parallel.world import Alone
from pipeline.training.operator import task as operator
from pipeline.training.operator.task import relative_l2
from pipeline.training.pinn import task as pinn
from pipeline.training.saved.snapshot import Snapshots

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("loop") / "waves.zarr")


@pytest.fixture(params=["operator", "pinn"])
def make_task(request, store):
    """Return a function that builds a fresh task of either kind."""

    def build(**settings):
        if request.param == "operator":
            return operator.Task(operator_run(**settings), 3, CPU, store)
        return pinn.Task(pinn_run(**settings), 3, CPU)

    return build


@pytest.mark.parametrize("stop_at", [7, 14, 28])
def test_resumed_run_equals_the_straight_one_to_the_last_bit(make_task, stop_at, tmp_path):
    straight, resumed = make_task(), make_task()
    expected = run(straight, Memory())
    stopped = Memory(stop_at=stop_at)
    with pytest.raises(KeyboardInterrupt):
        run(make_task(), stopped)
    snapshots = Snapshots(tmp_path, CPU)
    snapshots.save(stopped.state)
    found = run(resumed, snapshots)
    assert numbers(found) == numbers(expected)
    for a, b in zip(resumed.model.parameters(), straight.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_evaluations_and_snapshots_change_no_bit_of_the_weights(make_task):
    one, other = make_task(), make_task(evaluate_every=3, checkpoint_every=11)
    run(one, Memory())
    stopped = Memory(stop_at=22)
    with pytest.raises(KeyboardInterrupt):
        run(make_task(evaluate_every=4, checkpoint_every=2), stopped)
    run(other, stopped)
    for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert one.final(one.model) == other.final(other.model)


def test_history_has_losses_and_errors_where_they_belong(make_task):
    task = make_task()
    history = run(task, Memory())
    tests = [row for row in history.rows if row.metric == "relative_l2"]
    steps = [*range(10, task.num_steps, 10), task.num_steps]
    assert [row.step for row in tests] == sorted(set(steps))
    assert all(row.split == "test" for row in tests)
    assert tests[-1].value == task.evaluate(task.model)["relative_l2"]
    assert [row.step for row in history.rows if row.metric == "loss"] == list(
        range(1, task.num_steps + 1)
    )
    elapsed = [row.elapsed_s for row in history.rows]
    assert elapsed == sorted(elapsed)


@pytest.mark.parametrize("batch_size", [12, 7])
@pytest.mark.parametrize("size", [2, 3, 4])
def test_the_gradient_does_not_depend_on_the_number_of_workers(make_task, size, batch_size):
    def gradient(task, world):
        part = task.loss(task.model, 2, world.rank, world.size)
        part.backward()
        return summed(task.model, part, world), [p.grad for p in task.model.parameters()]

    def build():
        return as_double(make_task(batch_size=batch_size))

    alone, whole = gradient(build(), Alone())
    for loss, gradients in each_rank(build, size, gradient):
        assert loss == pytest.approx(alone, rel=1e-12)
        for a, b in zip(gradients, whole, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-14)


def test_the_loss_is_the_mean_over_the_batch(store):
    task = as_double(operator.Task(operator_run(), 3, CPU, store))
    inputs, targets = (x.double() for x in task._batch(2, 0, 1))
    expected = relative_l2(task.model(inputs), targets).mean().item()
    assert task.loss(task.model, 2, 0, 1).item() == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 2)])
def test_a_run_continued_by_more_or_fewer_workers_has_the_same_numbers(make_task, before, after):
    def build():
        return as_double(make_task(batch_size=7))

    stopped = Memory(stop_at=14)
    ended = each_rank(build, before, lambda task, world: run(task, stopped, world))
    assert isinstance(ended[0], KeyboardInterrupt) and stopped.state["step"] == 14
    continued = each_rank(build, after, lambda task, world: run(task, Memory(stopped.state), world))
    ours, straight = numbers(continued[0]), numbers(run(build(), Memory()))
    assert [row[:-1] for row in ours] == [row[:-1] for row in straight]
    np.testing.assert_allclose([row[-1] for row in ours], [row[-1] for row in straight], rtol=1e-9)


def test_divergence_names_the_run_and_the_step(make_task):
    task = make_task(learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"^runs\.test: step \d+: expected a finite loss"):
        run(task, Memory())


@pytest.mark.parametrize("epochs", range(1, 8))
def test_a_run_of_any_length_has_a_schedule(store, epochs):
    task = operator.Task(operator_run(num_epochs=epochs, batch_size=40), 3, CPU, store)
    assert task.num_steps == epochs
    descent = task.optimizer()
    optimizer, schedule = descent.optimizer, descent.scheduler
    rates = []
    for _ in range(epochs):
        rates += [optimizer.param_groups[0]["lr"]]
        optimizer.step()
        schedule.step()
    peak = task.run.train.learning_rate
    assert all(0 < rate <= peak for rate in rates) and max(rates) > 0.5 * peak


def test_operator_errors_are_means_over_the_whole_test_split(store):
    task = operator.Task(operator_run(grid_stride=2), 3, CPU, store)
    blocks = [task.store.read_shard("test", i) for i in range(task.store.num_shards("test"))]
    inputs, targets = (np.concatenate([b[k] for b in blocks]) for k in ("inputs", "targets"))
    with torch.no_grad():
        predicted = task.model(torch.from_numpy(inputs)).numpy()
    norms = (
        np.linalg.norm((predicted - targets)[:, 0], axis=1),
        np.linalg.norm(targets[:, 0], axis=1),
    )
    errors = norms[0] / norms[1]
    final = task.final(task.model)
    assert final["relative_l2"] == final["relative_l2@32"] == pytest.approx(errors.mean(), rel=1e-5)
    assert final["relative_l2@16"] != final["relative_l2@32"]
    sample = task.prediction(task.model)
    np.testing.assert_allclose(sample["relative_l2"][1], errors.max(), rtol=1e-5)
    np.testing.assert_allclose(sample["relative_l2"][0], np.sort(errors)[9], rtol=1e-5)
    np.testing.assert_array_equal(sample["truth"][1], targets[np.argmax(errors)])
    assert sample["coordinates"].shape == (1, 32) and sample["coordinates"][0, 1] == 1 / 32


def test_normalisation_is_that_of_the_training_split(store):
    task = operator.Task(operator_run(), 3, CPU, store)
    values = np.concatenate([task.store.read_shard("train", i)["targets"] for i in range(2)])
    assert task.model.target_mean.item() == pytest.approx(values.mean(dtype=float), rel=1e-6)
    assert task.model.target_std.item() == pytest.approx(values.std(dtype=float), rel=1e-6)


def test_training_learns_the_map(store):
    task = operator.Task(operator_run(num_epochs=60, learning_rate=1e-2), 3, CPU, store)
    before = task.evaluate(task.model)["relative_l2"]
    run(task, Memory())
    assert task.evaluate(task.model)["relative_l2"] < min(0.05, before / 5)


def test_a_batch_larger_than_the_data_is_refused(store):
    task = operator.Task(operator_run(batch_size=64), 3, CPU, store)
    with pytest.raises(StoreError, match="expected at least 64 samples"):
        task.loss(task.model, 0, 0, 1)


def test_a_save_that_is_cut_short_leaves_the_last_state(tmp_path, monkeypatch):
    snapshots = Snapshots(tmp_path, CPU)
    snapshots.save({"step": 1})
    real = torch.save

    def cut(state, file):
        real(state, file)
        file.truncate(10)
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", cut)
    with pytest.raises(KeyboardInterrupt):
        snapshots.save({"step": 2})
    assert snapshots.load() == {"step": 1}
