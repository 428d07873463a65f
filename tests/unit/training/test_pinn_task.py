import itertools

import numpy as np
import pytest
import torch
from pinn_tasks import ESTIMATORS, PROBLEMS, gradient, make, train

from pipeline.errors import ConfigError
from pipeline.estimators.sdgd import estimator as sdgd
from pipeline.parallel.generators import run_generator
from pipeline.parallel.streams import Stream
from pipeline.problems.two_body import problem as two_body
from pipeline.training.pinn import evaluation
from pipeline.training.pinn.ansatz import ansatz
from pipeline.training.pinn.config import PinnRun
from pipeline.training.pinn.task import Task

CPU = torch.device("cpu")


def test_same_seed_same_numbers_and_other_seeds_differ():
    (a, ga), (b, gb), (c, _) = gradient(make(), 3), gradient(make(), 3), gradient(make(seed=1), 3)
    assert torch.equal(a, b) and torch.equal(ga, gb)
    assert not torch.equal(a, c)


def test_building_a_task_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    make()
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_the_sum_over_ranks_is_the_single_process_step(world_size):
    task = make()
    whole = gradient(task, 7)
    shares = [gradient(task, 7, rank, world_size) for rank in range(world_size)]
    for mine, parts in zip(whole, zip(*shares, strict=True), strict=True):
        torch.testing.assert_close(torch.stack(parts).sum(0), mine, rtol=1e-5, atol=1e-6)
    # The shares are different points: no rank alone has the whole.
    losses = [float(loss) for loss, _ in shares]
    assert len(set(losses)) == world_size


def test_resumed_run_continues_bit_for_bit():
    through = train(make(), 0, 20)
    half = train(make(), 0, 9)
    resumed = train(make(), 9, 20, half)
    for name, tensor in through[0].items():
        assert torch.equal(tensor, resumed[0][name]), name


def test_learning_rate_falls_by_half_a_cosine_to_zero():
    task = make()
    descent = task.optimizer()
    optimizer, scheduler = descent.optimizer, descent.scheduler
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(rates, 5e-3 * np.cos(np.arange(20) * np.pi / 40) ** 2, rtol=1e-12)
    assert optimizer.param_groups[0]["lr"] == 0.0


def test_the_first_layer_learns_at_a_rate_of_its_own():
    task = make(optimizer={"kind": "adam", "first_layer_rate": 0.1})
    descent = task.optimizer()
    optimizer, scheduler = descent.optimizer, descent.scheduler
    first, others = optimizer.param_groups
    assert first["params"] == [task.model[0].weight]
    assert len(others["params"]) == len(list(task.model.parameters())) - 1
    for _ in range(10):
        optimizer.step()
        scheduler.step()
    assert (first["lr"], others["lr"]) == (pytest.approx(2.5e-4), pytest.approx(2.5e-3))


def test_a_first_layer_at_full_rate_is_plain_adam():
    plain = train(make(), 0, 6)
    same = train(make(optimizer={"kind": "adam", "first_layer_rate": 1.0}), 0, 6)
    slow = train(make(optimizer={"kind": "adam", "first_layer_rate": 0.1}), 0, 6)
    assert all(torch.equal(plain[0][name], same[0][name]) for name in plain[0])
    assert not torch.equal(plain[0]["0.weight"], slow[0]["0.weight"])


def in_time(problem, *, steps, batch, **optimizer):
    """Return the figures of a short run with exact operators."""
    run = PinnRun.model_validate(
        {
            "problem": problem,
            "model": {"kind": "mlp", "width": 32, "depth": 3},
            "estimator": {"kind": "exact_gram"},
            "train": {
                "num_steps": steps, "learning_rate": 3e-3, "batch_size": batch,
                "num_test_points": 100, "num_workers": 1,
                "optimizer": {"kind": "adam", **optimizer},
            },
        }
    )  # fmt: skip
    task = Task(run, 0, CPU)
    train(task, 0, steps)
    return task.final(task.model)


@pytest.mark.parametrize("equation", ["heat", "allen_cahn", "sine_gordon"])
def test_a_short_run_meets_the_published_value_to_one_percent(equation):
    problem = {"kind": "parabolic", "dim": 1000, "equation": equation}
    found = in_time(problem, steps=200, batch=32, first_layer_rate=0.02)
    assert found["relative_l2"] < 0.01 < found["trivial_relative_l2"]


@pytest.mark.slow
def test_paths_tell_lqg_more_than_normal_points():
    """In the shell of normal points training converges to another function."""
    problem = {"kind": "hjb", "dim": 100, "reference_samples": 20_000}
    normal, paths = (
        in_time({**problem, "points": points}, steps=250, batch=32, first_layer_rate=0.1)
        for points in ("normal", "paths")
    )
    assert paths["relative_l2"] < 0.7e-3 < 0.9e-3 < normal["relative_l2"]
    assert normal["skill"] < 1.0 < paths["skill"]


def test_loss_with_every_axis_is_that_of_the_full_baseline():
    sampled = make(estimator={"kind": "sdgd", "sampled_axes": 8})
    full = make(estimator={"kind": "full", "chunk": 3})
    for mine, theirs in zip(gradient(sampled, 2), gradient(full, 2), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("equation", ["poisson", "allen_cahn", "sine_gordon"])
def test_training_learns_more_than_the_best_constant(equation):
    task = make(dim=10, num_steps=400, batch_size=50, width=32, equation=equation)
    before = task.evaluate(task.model)
    train(task, 0, 400)
    after = task.evaluate(task.model)
    assert before["skill"] < 1.5 < 3.0 < after["skill"]
    assert after["relative_l2"] < before["relative_l2"] / 3


def test_evaluation_is_the_error_on_fixed_points_however_they_are_kept(monkeypatch):
    task = make(num_test_points=2300)
    kept = task.evaluate(task.model)
    monkeypatch.setattr(evaluation, "_CACHE_BYTES", 0)
    redrawn = make(num_test_points=2300)
    assert redrawn.evaluation._kept is None
    assert redrawn.evaluate(redrawn.model) == kept == task.evaluate(task.model)
    x = torch.cat(list(task.evaluation._points()))
    exact = task.problem.exact(x)
    assert len(x) == 2300 and len(x.unique(dim=0)) == 2300
    u = task.problem.trial(task.model)(x).detach()
    assert kept["relative_l2"] == pytest.approx(float((u - exact).norm() / exact.norm()), rel=1e-5)


def test_final_and_prediction_have_the_documented_content():
    task = make()
    final = task.final(task.model)
    names = {"relative_l2", "skill", "trivial_relative_l2", "reference_error", "error_bound"}
    names |= {"relative_l2_standard_error", "skill_standard_error"}
    assert names <= set(final) <= names | {"relative_error_bound"}
    assert final["reference_error"] == 0.0
    ratio = final["trivial_relative_l2"] / final["relative_l2"]
    assert final["skill"] == pytest.approx(ratio)
    sample = task.prediction(task.model)
    assert sample["exact"].shape == sample["prediction"].shape == (500,)
    assert sample["ray_radius"][[0, -1]].tolist() == [0.0, 1.0]
    # u and the trial function vanish where the ray meets the sphere.
    assert abs(sample["ray_exact"][-1]) < 1e-5 and abs(sample["ray_prediction"][-1]) < 1e-5
    np.testing.assert_array_equal(sample["coefficients"], task.problem.coefficients)


def test_epoch_is_the_fraction_of_the_run():
    assert [make().epoch(step) for step in (0, 5, 20)] == [0.0, 0.25, 1.0]


def test_bfloat16_is_honoured_and_close():
    low, single = make(precision="bfloat16", dim=50), make(dim=50)
    (a, ga), (b, gb) = gradient(low, 0), gradient(single, 0)
    assert a.dtype == ga.dtype == torch.float32
    assert not torch.equal(a, b)
    # bfloat16 keeps eight bits: 0.4% a rounding.
    torch.testing.assert_close(a, b, rtol=0.02, atol=0)
    assert float(torch.nn.functional.cosine_similarity(ga, gb, dim=0)) > 0.99


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: "-".join(p.values()))
def test_every_problem_is_trained_and_compared(problem):
    run = make().run.model_dump(mode="json")
    task = Task(PinnRun.model_validate(run | {"problem": problem | {"dim": 10}}), 0, CPU)
    loss, slope = gradient(task, 0)
    assert 1e-6 < float(loss) < 1e3 and bool(slope.isfinite().all())
    train(task, 0, 3)
    final = task.final(task.model)
    assert all(np.isfinite(value) for value in final.values())
    assert final["reference_error"] < 0.02
    sample = task.prediction(task.model)
    assert np.isfinite(sample["prediction"]).all() and np.isfinite(sample["exact"]).all()
    assert np.isfinite(sample["ray_prediction"]).all()


def test_a_dataset_is_refused():
    run = make().run
    with pytest.raises(ConfigError, match="expected no dataset"):
        Task(run, 0, CPU, store="burgers.zarr")


def test_the_unbiased_loss_has_the_gradient_of_the_exact_square(monkeypatch):
    """The mean over all pairs of index sets (J, K), taken without sampling."""
    task = make(dim=4, width=5, estimator={"kind": "sdgd", "sampled_axes": 2}, loss="unbiased")
    task.model.double()
    problem = two_body.Problem(task.run.problem, CPU, torch.float64)
    x = problem.sample(3, torch.Generator().manual_seed(0))
    source = problem.source(x)
    subsets = [torch.tensor(s) for s in itertools.combinations(range(4), 2)]
    torch.manual_seed(0)
    for parameter in task.model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.8)
    fixed = type("Fixed", (), {
        "sample": staticmethod(lambda *_: x),
        "source": staticmethod(lambda _: source),
        "operator": problem.operator, "trial": staticmethod(problem.trial),
        "residual": staticmethod(problem.residual), "residual_scale": 1.0,
    })()  # fmt: skip
    task.problem = task.residual.problem = fixed
    task.residual._num_points = 3

    def mean_gradient(draws):
        total = 0.0
        for pair in draws:
            queue = iter(pair)
            monkeypatch.setattr(sdgd.SDGD, "draw", lambda *_, queue=queue: next(queue))
            total = total + gradient(task, 0)[1]
        return total / len(draws)

    found = mean_gradient(list(itertools.product(subsets, subsets)))
    everything = torch.arange(4)
    expected = mean_gradient([(everything, everything)])
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    # The square of one estimate is biased.
    task.residual._settings = make(dim=4, width=5).run.train
    biased = mean_gradient([(axes,) for axes in subsets])
    assert (biased - expected).norm() > 0.01 * expected.norm()
    torch.testing.assert_close(mean_gradient([(everything,)]), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("loss", ["squared", "unbiased"])
def test_losses_are_means_over_independent_index_sets(loss):
    task = make(dim=40, loss=loss, index_sets=3)
    x = task.problem.sample(12, run_generator(0, Stream.POINTS, 5))
    source = task.problem.source(x)
    u, sets = ansatz(task.problem, task.model), [task.residual.drawn(5, k) for k in range(4)]
    r = torch.stack([task.residual._residual(u, x, drawn, source)[0] for drawn in sets])
    assert len({row[0].item() for row in r}) == 4
    whole, slope = gradient(task, 5)
    # The gradient goes through the first set of the unbiased loss.
    known = r[1:].mean(0).detach()
    expected = r[:3].square().mean() if loss == "squared" else (known * r[0]).mean()
    torch.testing.assert_close(whole, expected.detach())
    task.model.zero_grad()
    free = expected if loss == "squared" else 2 * (known * r[0]).mean()
    parts = torch.autograd.grad(free, list(task.model.parameters()))
    torch.testing.assert_close(slope, torch.cat([p.flatten() for p in parts]), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", ["squared", "unbiased"])
@pytest.mark.parametrize("world_size", [2, 3])
def test_index_sets_are_shared_by_the_ranks(loss, world_size):
    task = make(loss=loss, index_sets=2)
    whole = gradient(task, 7)
    shares = [gradient(task, 7, rank, world_size) for rank in range(world_size)]
    for mine, parts in zip(whole, zip(*shares, strict=True), strict=True):
        torch.testing.assert_close(torch.stack(parts).sum(0), mine, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: "-".join(map(str, e.values())))
def test_every_estimator_trains_in_bfloat16(estimator):
    low = make(precision="bfloat16", dim=50, estimator=estimator)
    single = make(dim=50, estimator=estimator)
    (a, ga), (b, gb) = gradient(low, 0), gradient(single, 0)
    assert a.dtype == ga.dtype == torch.float32
    torch.testing.assert_close(a, b, rtol=0.05, atol=0)
    assert float(torch.nn.functional.cosine_similarity(ga, gb, dim=0)) > 0.98
