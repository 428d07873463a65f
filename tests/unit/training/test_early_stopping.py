"""Early stopping: an unbiased residual at points of no step, one end for all ranks, one model."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loops import Memory, as_double, each_rank, numbers, run
from pinn_tasks import ESTIMATORS
from training_fixtures import operator_run, pinn_run

from pipeline.errors import TimeLimitError, TrainingError
from pipeline.estimators.sdgd import estimator as sdgd
from pipeline.parallel.generators import run_generator
from pipeline.parallel.streams import Stream
from pipeline.parallel.world import Alone
from pipeline.problems.two_body import problem as two_body
from pipeline.training.early_stopping import EarlyStopping, has_fallen
from pipeline.training.loop import train
from pipeline.training.pinn import held_out
from pipeline.training.pinn.held_out import unbiased_square
from pipeline.training.pinn.task import Task
from pipeline.training.saved.snapshot import Snapshots
from pipeline.training.squares import mean_and_error, root
from pipeline.training.union import parse_run
from pipeline.training.worker import TrainingJob, work

CPU = torch.device("cpu")
EACH = {"ids": lambda part: "-".join(map(str, part.values()))}


def stopping_run(patience=3, estimator=None, early=None, **train_settings):
    settings = {"early_stopping": {"patience": patience, "num_points": 64} | (early or {})}
    part = pinn_run(**settings, **train_settings).model_dump(mode="json")
    return parse_run(part | ({"estimator": estimator} if estimator else {}))


def make(seed=3, **settings):
    return Task(stopping_run(**settings), seed, CPU)


# --- the residual -------------------------------------------------------------------------------


@given(st.lists(st.lists(st.floats(-10, 10), min_size=3, max_size=3), min_size=1, max_size=5))
def test_the_square_is_the_mean_of_products_of_different_estimates(rows):
    found = unbiased_square(torch.tensor(rows, dtype=torch.float64))
    pairs = list(itertools.permutations(rows, 2)) or [(rows[0], rows[0])]
    expected = np.mean([np.multiply(*pair) for pair in pairs], axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_the_square_is_unbiased_over_index_sets():
    """Over all pairs of 2 of 4 axes its mean is the square of the exact residual."""
    described = stopping_run().problem.model_copy(update={"dim": 4})
    problem = two_body.Problem(described, CPU, torch.float64)
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 1)
    ).double()
    x = problem.sample(5, torch.Generator().manual_seed(0))

    def residual(axes):
        terms = sdgd.sampled_terms(problem.trial(network), x, problem.operator, axes)
        return problem.residual(x, terms, problem.source(x)).detach()

    sets = [residual(torch.tensor(s)) for s in itertools.combinations(range(4), 2)]
    pairs = [unbiased_square(torch.stack(pair)) for pair in itertools.product(sets, sets)]
    exact = residual(torch.arange(4)).square()
    torch.testing.assert_close(torch.stack(pairs).mean(0), exact, rtol=1e-10, atol=1e-12)
    # What a single set would be off by.
    biased = torch.stack([r.square() for r in sets]).mean(0)
    assert (biased > exact).all() and biased.mean() > 1.002 * exact.mean()


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [ESTIMATORS[0], {"kind": "exact_gram"}], **EACH)
def test_the_standard_error_is_the_spread_over_draws_of_points_and_index_sets(estimator):
    """And the mean over draws is the residual, which an exact estimator knows at many points."""
    task, draws = make(estimator=estimator), list[torch.Tensor]()
    for task.seed in range(200):
        task._held_out = task._build_held_out()
        draws.append(task.held_out(0, 1))
    means, errors = zip(*map(mean_and_error, draws), strict=True)
    spread = np.std(means, ddof=1)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(spread, rel=0.15)
    precise = make(estimator={"kind": "exact_gram"}, early={"num_points": 40_000})
    assert all(map(torch.equal, precise.model.parameters(), task.model.parameters()))
    exact, error = mean_and_error(precise.held_out(0, 1))
    assert abs(np.mean(means) - exact) < 3.0 * math.hypot(spread / math.sqrt(200), error)


def test_the_root_has_the_error_of_the_delta_method_and_one_at_zero():
    squares = torch.linspace(0.9, 1.1, 16, dtype=torch.float64)
    mean, error = mean_and_error(squares)
    value, found = root(squares)
    assert value == pytest.approx(math.sqrt(mean))
    assert found == pytest.approx(error / (2.0 * value), rel=0.02)
    negative = root(squares - 1.2)
    assert negative.value == 0.0 and negative.standard_error == pytest.approx(math.sqrt(error))


@pytest.mark.parametrize("estimator", ESTIMATORS, **EACH)
def test_it_is_a_function_of_the_parameters_alone_and_shared_by_any_number_of_ranks(
    estimator, monkeypatch
):
    task = make(estimator=estimator)
    whole = task.held_out(0, 1)
    assert not whole.requires_grad and torch.equal(task.held_out(0, 1), whole)
    for size in (2, 3, 5):
        assert torch.equal(sum(task.held_out(rank, size) for rank in range(size)), whole)
    monkeypatch.setattr(held_out, "_CACHE_BYTES", 0)
    assert torch.equal(make(estimator=estimator).held_out(0, 1), whole)
    monkeypatch.undo()
    # Training in bfloat16 does not round it.
    assert torch.equal(make(estimator=estimator, precision="bfloat16").held_out(0, 1), whole)
    with torch.no_grad():
        next(task.model.parameters()).mul_(1.5)
    assert not torch.equal(task.held_out(0, 1), whole)


def test_held_out_points_are_those_of_the_training_law_and_of_no_step():
    task = make(early={"num_points": 2000})
    task.held_out(0, 1)
    held = torch.cat(list(task._held_out._drawn.values()))
    assert len(held) == 2000 == len(held.unique(dim=0))
    draws = (run_generator(3, Stream.POINTS, step) for step in range(250))
    used = torch.cat([task.problem.sample(8, generator) for generator in draws])
    assert len(torch.cat([used, held]).unique(dim=0)) == 4000
    radii = [points.norm(dim=1) for points in (used, held)]
    quantiles = torch.linspace(0.1, 0.9, 5)
    torch.testing.assert_close(*(torch.quantile(r, quantiles) for r in radii), atol=0.04, rtol=0)


# --- the decision -------------------------------------------------------------------------------


class Scripted:
    """A task whose residuals are given, with a parameter that says which step it is."""

    def __init__(self, squares):
        self.model = torch.nn.Linear(1, 1)
        self.squares = iter(squares)

    def held_out(self, rank, world_size):
        value = next(self.squares)
        return torch.full((16,), value, dtype=torch.float64) if np.isscalar(value) else value


def follow(squares, **early):
    """Return the figures looked at until the end, and what is left."""
    task = Scripted(squares)
    settings = stopping_run(early=early).train
    stopping = EarlyStopping(task, settings, Alone(), "test")
    steps = []
    for index in range(len(squares)):
        step = 10 * (index + 1)
        with torch.no_grad():
            task.model.weight.fill_(step)
        stopping.look(step)
        steps.append(step)
        if stopping.is_over:
            break
    stopping.restore()
    return steps, stopping.outcome(), task.model.weight.item()


@given(
    st.lists(st.floats(1e-3, 1.0), min_size=1, max_size=12),
    st.integers(1, 4),
    st.sampled_from([0, 25, 60]),
)
def test_it_ends_after_patience_and_keeps_the_least(squares, patience, min_steps):
    """Against the rule written down again, for residuals without noise."""
    steps, outcome, kept = follow(squares, patience=patience, min_steps=min_steps, min_delta=0.1)
    mark, waited, end = math.inf, 0, len(squares)
    for index, square in enumerate(squares):
        if math.sqrt(square) < 0.9 * mark:
            mark, waited = math.sqrt(square), 0
        elif 10 * (index + 1) > min_steps:
            waited += 1
        if waited == patience:
            end = index + 1
            break
    assert steps == [10 * (index + 1) for index in range(end)]
    best = 10 * (1 + int(np.argmin(squares[:end])))
    assert outcome["stopped_at_step"] == steps[-1]
    assert outcome["best_step"] == kept == best
    assert outcome["held_out_residual"] == pytest.approx(math.sqrt(min(squares[:end])))


def test_small_steps_down_add_up():
    squares = [0.99**k for k in range(40)]
    assert len(follow(squares, patience=10, min_delta=0.02)[0]) == 40
    # A slower fall than min_delta in all of patience ends the run; the least is kept all the same.
    steps, outcome, _ = follow([0.9999**k for k in range(40)], patience=10, min_delta=0.02)
    assert len(steps) == 11 and outcome["best_step"] == 110


def test_a_fall_within_the_noise_of_the_difference_is_none():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(16, generator=generator, dtype=torch.float64)
    noise = (noise - noise.mean()) / noise.std()
    before = 1.0 + 0.5 * torch.randn(16, generator=generator, dtype=torch.float64).square()
    # The standard error of the difference is 0.1; noise that both share does not count.
    assert not has_fallen(before, before - 0.09 + 0.4 * noise, 0.0)
    assert has_fallen(before, before - 0.11 + 0.4 * noise, 0.0)
    assert has_fallen(before, before - 0.001, 0.0)
    assert not has_fallen(before, before - 0.001, 0.01)


def test_a_residual_that_is_not_finite_ends_the_run_by_name():
    task = Scripted([1.0, math.nan])
    stopping = EarlyStopping(task, stopping_run().train, Alone(), "sine")
    stopping.look(10)
    with pytest.raises(TrainingError, match=r"runs\.sine: step 20: expected a finite held-out"):
        stopping.look(20)


# --- the run ------------------------------------------------------------------------------------

# Large steps near the end of what eight points a step can teach: the residual rises and falls.
RESTLESS = {"num_steps": 200, "learning_rate": 3e-2, "evaluate_every": 10, "patience": 4}


def test_a_run_that_learns_nothing_ends_early_with_all_its_rows():
    task = make(patience=3, learning_rate=1e-12, num_steps=100)
    memory = Memory()
    history = run(task, memory)
    # One evaluation to compare with, then three.
    assert history.outcome["stopped_at_step"] == 40 == memory.state["step"]
    assert history.rows[-1].step == 40
    rows = [row for row in history.rows if row.split == "held_out"]
    assert [(row.step, row.metric) for row in rows] == [
        (step, metric)
        for step in (10, 20, 30, 40)
        for metric in ("residual", "residual_standard_error")
    ]
    assert {"relative_l2", "residual", "loss"} <= set(history.latest())


def test_the_model_is_that_of_the_best_step():
    task, memory = make(**RESTLESS), Memory()
    outcome = run(task, memory).outcome
    best, end = outcome["best_step"], outcome["stopped_at_step"]
    assert 0 < best < end < 200
    stopped = Memory(stop_at=best)
    plain = pinn_run(
        **{k: v for k, v in RESTLESS.items() if k != "patience"}, checkpoint_every=best
    )
    with pytest.raises(KeyboardInterrupt):
        run(Task(plain, 3, CPU), stopped)
    for key, value in task.model.state_dict().items():
        assert torch.equal(value, stopped.state["model"][key])
        assert not torch.equal(value, memory.state["model"][key])
    assert root(task.held_out(0, 1)).value == outcome["held_out_residual"]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("save", [1, 3, -1])
def test_a_resumed_run_ends_as_the_straight_one_to_the_last_bit(save, precision, tmp_path):
    """Also one killed after its last save, which is past the best model."""
    settings = RESTLESS | {"checkpoint_every": 23, "precision": precision}
    straight = make(**settings)
    expected = run(straight, Memory())
    end = expected.outcome["stopped_at_step"]
    stopped = Memory(stop_at=end if save < 0 else 23 * save)
    with pytest.raises(KeyboardInterrupt):
        run(make(**settings), stopped)
    snapshots = Snapshots(tmp_path, CPU)
    snapshots.save(stopped.state)
    resumed = make(**settings)
    found = run(resumed, snapshots)
    assert found.outcome == expected.outcome
    assert numbers(found) == numbers(expected)
    for a, b in zip(resumed.model.parameters(), straight.model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("size", [2, 3])
def test_all_ranks_end_at_the_same_step_with_the_same_model(size):
    def build():
        task = as_double(make(**RESTLESS))
        task._held_out = task._build_held_out()
        return task

    alone = build()
    expected = run(alone, Memory()).outcome
    assert expected["stopped_at_step"] < 200

    def work(task, world):
        return run(task, Memory(), world).outcome, task.model.state_dict()

    for outcome, model in each_rank(build, size, work):
        assert outcome == pytest.approx(expected, rel=1e-9)
        for key, value in alone.model.state_dict().items():
            torch.testing.assert_close(model[key], value, rtol=1e-8, atol=1e-10)


def test_without_it_nothing_is_drawn_evaluated_or_restored():
    task = Task(pinn_run(), 3, CPU)
    history = run(task, Memory())
    assert history.outcome == {} and not history.last("held_out")
    assert task._held_out is None


def test_a_stop_before_the_time_limit_is_no_early_end():
    task, memory = make(**RESTLESS), Memory()
    with pytest.raises(TimeLimitError):
        train(
            task, name="test", world=Alone(), settings=task.run.train, checkpoint=memory,
            report=lambda progress: None, stop=lambda: True,
        )  # fmt: skip
    expected = run(make(**RESTLESS), Memory())
    resumed = run(make(**RESTLESS), memory)
    assert resumed.outcome == expected.outcome


def test_the_summary_and_the_screen_tell_where_it_ended(tmp_path):
    job = TrainingJob(stopping_run(learning_rate=1e-12, num_steps=1000), "sine", 3, None, tmp_path)
    shown = []
    work(job, world=Alone(), device=CPU, publish=shown.append)
    summary = json.loads((job.results / "summary.json").read_text())
    assert summary["stopped_at_step"] == 40 and summary["best_step"] in (10, 20, 30, 40)
    samples = summary["samples_per_second"] * summary["training_s"]
    assert samples == pytest.approx(8 * 40)
    assert shown[-1].figures["residual"] > 0.0
    *_, before, last = job.progress.read_text().splitlines()
    assert "residual" in before and "±" in before
    assert last == (
        "sine: stopped after step 40 of 1000: the held-out residual does not fall any more;"
        f" the model is that of step {summary['best_step']}"
    )


@pytest.mark.parametrize(
    ("early", "where"),
    [
        ({}, "patience"),
        ({"patience": 0}, "patience"),
        ({"patience": 1, "min_delta": 1.0}, "min_delta"),
        ({"patience": 1, "index_sets": 1}, "index_sets"),
        ({"patience": 1, "num_points": 15}, "num_points"),
        ({"patience": 1, "metric": "relative_l2"}, "metric"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(early, where):
    part = pinn_run().model_dump(mode="json")
    part["train"]["early_stopping"] = early
    with pytest.raises(ValueError, match=where):
        parse_run(part)


def test_operators_have_no_residual_to_hold_out():
    part = operator_run().model_dump(mode="json")
    part["train"]["early_stopping"] = {"patience": 3}
    with pytest.raises(ValueError, match="early_stopping"):
        parse_run(part)
