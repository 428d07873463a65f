"""`train.compile`: the same numbers, in one program."""

import pinn_tasks
import pytest
import torch
from pinn_tasks import train
from torch._dynamo.utils import counters

from pipeline.calculus.compiled import compiled
from pipeline.calculus.functions import Expression
from pipeline.errors import ConfigError
from pipeline.kinds import implementation
from pipeline.problems.base import Trial
from pipeline.problems.inseparable import Inseparable
from pipeline.problems.three_body.config import ThreeBody
from pipeline.problems.two_body.config import TwoBody
from pipeline.runtime import private
from pipeline.training.pinn.config import PinnRun
from pipeline.training.pinn.task import Task

CPU = torch.device("cpu")
RUNS = {
    "two-body, sdgd": ({"kind": "two_body"}, {"kind": "sdgd"}, {}),
    "two-body, hutchinson, accumulated": (
        {"kind": "two_body"}, {"kind": "hutchinson"}, {"index_sets": 2},
    ),
    "two-body, exact_gram beyond twice the width": (
        {"kind": "two_body", "dim": 90}, {"kind": "exact_gram"}, {},
    ),
    "three-body, taylor, unbiased": (
        {"kind": "three_body"}, {"kind": "taylor", "num_directions": 5}, {"loss": "unbiased"},
    ),
    "Rosenbrock": ({"kind": "hjb", "equation": "rosenbrock"}, {"kind": "sdgd"}, {}),
    "Allen-Cahn in time, polynomial": (
        {"kind": "parabolic", "equation": "allen_cahn", "dim": 10}, {"kind": "sdgd"},
        {"optimizer": {"kind": "kaczmarz", "network_after": 0.0}, "num_workers": 1},
    ),
    "mixed derivatives": (
        {"kind": "black_scholes_barenblatt", "correlation": 0.5}, {"kind": "sdgd"}, {},
    ),
}  # fmt: skip


def make(problem, estimator, train, compile=True):
    if estimator["kind"] == "sdgd":
        estimator = {"sampled_axes": 5, **estimator}
    skip = "linear" if "optimizer" in train else "none"
    run = PinnRun.model_validate(
        {
            "problem": {"dim": 20, **problem},
            "model": {"kind": "mlp", "width": 16, "depth": 3, "skip": skip},
            "estimator": estimator,
            "train": {
                "num_steps": 8, "batch_size": 6, "num_test_points": 10, "compile": compile, **train,
            },
        }
    )  # fmt: skip
    task = Task(run, 0, CPU)
    # With a polynomial the last layer starts at zero.
    torch.manual_seed(0)
    torch.nn.init.normal_(list(task.model.parameters())[-2], 0.0, 0.3)
    return task


def gradient(task, step, rank=0, world_size=1):
    loss, slope = pinn_tasks.gradient(task, step, rank, world_size)
    return torch.cat([loss.reshape(1), slope])


def distance(found, expected):
    return float((found - expected).norm() / expected.norm())


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    counters.clear()


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_loss_and_gradient_are_those_of_the_bare_function(name):
    task, bare = make(*RUNS[name]), make(*RUNS[name], compile=False)
    for step in (0, 1):
        assert distance(gradient(task, step), gradient(bare, step)) < 1e-5
    # The second step has compiled nothing more: one program, and one without gradients for R_J.
    expected = 2 if task.run.train.loss == "unbiased" else 1
    assert counters["stats"]["unique_graphs"] == expected


@pytest.mark.parametrize("kind", ["two_body", "three_body"])
def test_the_source_keeps_its_digits(kind):
    """The sums cancel to a small part of their terms: fused operations may not lose that."""
    settings = {"two_body": TwoBody, "three_body": ThreeBody}[kind](kind=kind, dim=1000)
    module = implementation(settings)
    single, double = (module.Problem(settings, CPU, t) for t in (torch.float32, torch.float64))
    x = single.sample(50, torch.Generator().manual_seed(0))
    found = compiled(single.source, CPU)(x)
    assert distance(found.double(), double.source(x.double())) < 1e-6


@pytest.mark.slow
def test_low_precision_rounds_no_more_than_the_bare_function_does():
    kinds = RUNS["two-body, sdgd"][:2]
    exact = gradient(make(*kinds, {}, compile=False), 0)
    low, bare = (gradient(make(*kinds, {"precision": "bfloat16"}, c), 0) for c in (True, False))
    assert 1e-4 < distance(low, exact) < 2.0 * distance(bare, exact)


@pytest.mark.slow
def test_the_shares_of_ranks_add_up():
    task = make(*RUNS["two-body, sdgd"])
    parts = [gradient(task, 3, rank, 4) for rank in range(4)]
    assert distance(torch.stack(parts).sum(0), gradient(task, 3)) < 1e-5


def test_a_resumed_run_continues_bit_for_bit():
    settings = RUNS["two-body, sdgd"]
    whole = train(make(*settings), 0, 8)
    half = train(make(*settings), 0, 4)
    torch._dynamo.reset()
    resumed = train(make(*settings), 4, 8, half)
    assert all(torch.equal(whole[0][key], resumed[0][key]) for key in whole[0])


@pytest.mark.parametrize(
    ("estimator", "train", "key"),
    [
        ({"kind": "jet"}, {}, "estimator.kind"),
        ({"kind": "full"}, {}, "estimator.kind"),
        ({"kind": "double_backward"}, {}, "estimator.kind"),
        ({"kind": "sdgd"}, {"shard": "axes"}, "train.compile"),
    ],
)
def test_what_cannot_be_compiled_is_refused(estimator, train, key):
    with pytest.raises(ValueError, match=rf"{key}: expected .*train\.(compile|shard)"):
        make({"kind": "two_body"}, estimator, train)


def test_known_parts_by_nested_derivatives_are_refused(monkeypatch):
    def trial(self, network):
        return Trial(network, Expression(lambda x: x.sum(-1)), self.factor)

    monkeypatch.setattr(Inseparable, "trial", trial)
    with pytest.raises(ConfigError, match=r"train\.compile: expected false for two_body"):
        make({"kind": "two_body"}, {"kind": "sdgd"}, {})


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    with pytest.raises(ConfigError, match=r"train\.compile: expected a C\+\+ compiler.*no-such"):
        make({"kind": "two_body"}, {"kind": "sdgd"}, {})


def test_a_file_system_without_programs_is_named_before_anything_is_compiled(monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/none/compiled")
    monkeypatch.setattr(private, "allows_programs", lambda folder: folder.root != "/")
    with pytest.raises(ConfigError) as failure:
        compiled(torch.sin, CPU)
    assert str(failure.value) == (
        "train.compile: expected a compiled step in /none/compiled, got: a file system mounted"
        " noexec; set TORCHINDUCTOR_CACHE_DIR and TMPDIR to folders whose file systems have room"
        " and allow programs, or compile: false"
    )


def test_a_compiler_that_fails_is_one_line_with_its_last_words(monkeypatch, tmp_path):
    def fails(*_, **__):
        raise ImportError(f"{tmp_path}/x.so: failed to map segment\nfrom shared object")

    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", fails)
    with pytest.raises(ConfigError, match="got: from shared object; set TORCHINDUCTOR_CACHE_DIR"):
        compiled(torch.sin, CPU)(torch.ones(3))


def test_an_error_of_the_function_itself_passes(monkeypatch):
    def wrong(x):
        raise ZeroDivisionError

    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    with pytest.raises(ZeroDivisionError):
        compiled(wrong, CPU)(torch.ones(3))
