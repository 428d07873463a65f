"""Every number of an experiment has limits, and what lies on them ends well or in one line."""

import copy
import json
import math
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import BaseModel, ValidationError

from pipeline import config, experiment, limits
from pipeline.equations.burgers.config import Burgers
from pipeline.equations.darcy.config import Darcy
from pipeline.equations.navier_stokes.config import DecayingTurbulence
from pipeline.errors import CheckpointError, ConfigError, PipelineError
from pipeline.kinds import implementation
from pipeline.optimizers.adam.config import Adam
from pipeline.optimizers.kaczmarz.config import Kaczmarz
from pipeline.parallel.world import Alone
from pipeline.problems.black_scholes_barenblatt.config import BlackScholesBarenblatt
from pipeline.problems.hjb.config import HJB
from pipeline.problems.two_body.config import TwoBody
from pipeline.reading.expected import Expected
from pipeline.training.loop import train
from pipeline.training.pinn import task as pinn
from pipeline.training.pinn.config import PinnTraining
from pipeline.training.saved.checkpoint import read_description
from pipeline.training.union import parse_run

MOST = {"maximum", "exclusiveMaximum"}
LEAST = {"minimum", "exclusiveMinimum"}


def numbers(node: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and the schema of each number that a JSON schema lets in."""
    if isinstance(node, dict):
        if node.get("type") in ("integer", "number") and not {"enum", "const"} & node.keys():
            yield where, node
        for key, child in node.items():
            yield from numbers(child, f"{where}.{key}".removeprefix("."))
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from numbers(child, f"{where}.{index}")


NUMBERS = dict(numbers(config.Experiment.model_json_schema()))


def test_the_schema_has_all_numbers():
    found = {where.split(".properties.")[-1] for where in NUMBERS}
    for key in ("seed", "viscosity", "num_steps", "learning_rate", "grid.items", "dim", "degree"):
        assert key in found


@pytest.mark.parametrize("where", NUMBERS)
def test_each_number_has_finite_limits_on_both_sides(where):
    schema = NUMBERS[where]
    for names in (LEAST, MOST):
        (limit,) = (schema[name] for name in names & schema.keys())
        assert math.isfinite(limit)
    # The generators of PyTorch take no larger one.
    if schema["type"] == "integer":
        assert schema["maximum"] < 2**64


RUN = {
    "problem": {"kind": "two_body", "dim": 6},
    "model": {"kind": "mlp", "width": 8, "depth": 2, "skip": "quadratic"},
    "estimator": {"kind": "sdgd", "sampled_axes": 3},
    "train": {"num_steps": 3, "batch_size": 4, "num_workers": 1, "num_test_points": 20},
}
BASES: dict[type[BaseModel], dict[str, Any]] = {
    Burgers: {"kind": "burgers", "viscosity": 0.1},
    Darcy: {"kind": "darcy"},
    DecayingTurbulence: {"kind": "decaying_turbulence"},
    TwoBody: {"kind": "two_body", "dim": 6},
    HJB: {"kind": "hjb", "dim": 6, "equation": "rosenbrock", "reference_samples": 64},
    BlackScholesBarenblatt: {"kind": "black_scholes_barenblatt", "dim": 6},
    Adam: {"kind": "adam"},
    Kaczmarz: {"kind": "kaczmarz"},
    PinnTraining: RUN["train"],
}


def on_the_limits(*models: type[BaseModel]) -> Iterator[Any]:
    """Yield the settings of `models` with one of their floats, or one of the seeds, on a limit."""
    for model in models:
        for key in model.model_fields:
            expected = Expected(model).child(key)
            assert expected
            if expected.type is not float and not key.endswith("seed"):
                continue
            for bound in expected.metadata:
                name = type(bound).__name__.lower()
                if name not in ("ge", "gt", "le", "lt"):
                    continue
                inside = {"gt": math.inf, "lt": -math.inf}.get(name)
                value = getattr(bound, name)
                value = value if inside is None else math.nextafter(value, inside)
                content = BASES[model] | {key: value}
                yield pytest.param(model, content, id=f"{model.__name__}-{key}-{value:g}")


@pytest.mark.parametrize(("model", "content"), [*on_the_limits(Burgers, Darcy)])
def test_a_field_whose_setting_is_on_a_limit_is_made_or_refused_in_one_line(model, content):
    try:
        problem = model(**content)
    except ValidationError as error:
        # Two settings that do not go together.
        assert re.search(r"(time_step|viscosity): expected", str(error))
        return
    module = implementation(problem)
    built = module.build(problem, (64,) if problem.kind == "burgers" else (16, 16))
    streams = [lambda: np.random.default_rng(0)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            inputs = np.stack([built.sample(stream()) for stream in streams])
            targets = built.solve(inputs)
            (error,) = built.errors(inputs, targets, [stream() for stream in streams])
            assert np.isfinite(targets).all() and np.isfinite(error)
            assert "\n" not in built.remedy(inputs, targets, float(error), 1e-16)
        except PipelineError as error:
            assert "\n" not in str(error)


class Nothing:
    """Keeps no state."""

    def load(self):
        return None

    def save(self, state):
        pass


PROBLEMS = (TwoBody, HJB, BlackScholesBarenblatt)


@pytest.mark.parametrize(
    ("model", "content"),
    [*on_the_limits(*PROBLEMS, Adam, Kaczmarz, PinnTraining)],
)
def test_training_with_a_setting_on_a_limit_ends_or_says_why_not(model, content):
    parts = copy.deepcopy(RUN)
    if model is PinnTraining:
        parts["train"] = content
    elif model in PROBLEMS:
        parts["problem"], parts["model"]["skip"] = content, "none"
    else:
        parts["train"]["optimizer"] = content
    run = parse_run(parts)
    try:
        task = pinn.Task(run, 2**64 - 1, torch.device("cpu"))
        train(
            task, name="t", world=Alone(), settings=run.train, checkpoint=Nothing(),
            report=lambda progress: None,
        )  # fmt: skip
    except PipelineError as error:
        assert re.fullmatch(r"runs\.t: .*expected .*, got .*; .*", str(error))


FILE = """\
schema_version: 1
seed: 1
datasets:
  b:
    problem: {kind: burgers, viscosity: 0.1}
    grid: [64]
    num_samples: 40
    num_test: 10
    samples_per_shard: 10
  f:
    problem: {kind: navier_stokes, viscosity: 0.1, initial: {kind: taylor_green}, final_time: 1}
    grid: [16, 16, 16]
    num_snapshots: 2
runs:
  p:
    problem: {kind: two_body, dim: 10}
    model: {kind: mlp, width: 16, depth: 2}
    estimator: {kind: sdgd, sampled_axes: 4}
    train: {num_steps: 20, num_workers: 1, learning_rate: 1.0e-3}
    initial_checkpoint: a
bounds:
  e: {formulation: {kind: two_point, dim: 24, degree: 3}}
"""
DIGITS = "1" + 400 * "0"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("seed: 1", f"seed: 0x{'f' * 6000}", "2: seed: expected a whole number of at least 0 and at"
         " most 18,446,744,073,709,551,615, got a whole number of about 7225 digits"),
        ("seed: 1", f"seed: {2**64}", "2: seed: expected a whole number of at least 0 and at most"),
        ("grid: [64]", f"grid: [{DIGITS}]", "6: datasets.b.grid.0: expected a whole number of at"
         " least 8 and at most 1,000,000,000, got a whole number of about 401 digits"),
        ("grid: [64]", f"grid: 0x{'f' * 6000}", "6: datasets.b.grid: expected a list [...], each"),
        ("num_samples: 40", f"num_samples: {DIGITS}", "7: datasets.b.num_samples: expected a whol"),
        ("0.1}", "0.1, final_time: 1.0e+300}", "5: datasets.b.problem.final_time: expected a number"
         " above 0 and at most 1e+12, got 1e+300"),
        ("0.1}", "0.1, time_step: 1.0e-300}", "5: datasets.b.problem.time_step: expected a number"
         " of at least 1e-12, got 1e-300"),
        ("0.1}", "0.1, time_step: 1.0e-8}", "5: datasets.b.problem.time_step: expected one that"
         " reaches final_time=1 in at most 10,000,000 steps, got 1e-08 (1.0e+08 steps); use a"),
        ("burgers, viscosity: 0.1}", "burgers, viscosity: 2}", "5: datasets.b.problem.viscosity:"
         " expected at most 1 with final_time=1 (the slowest wave decays by exp(-4π² viscosity"),
        ("final_time: 1}", "final_time: 1, time_step: 1.0e-9}", "11: datasets.f.problem.time_step:"
         " expected one that reaches final_time=1 in at most 10,000,000 steps, got 1e-09"),
        ("num_snapshots: 2", "num_snapshots: 10000000000", "13: datasets.f.num_snapshots: expected"
         " a whole number of at least 1 and at most 1,000,000, got 10000000000"),
        ("num_steps: 20", f"num_steps: {10**30}", "19: runs.p.train.num_steps: expected a whole"),
        ("num_steps: 20", "num_steps: 20, index_sets: 1000000000000", "19: runs.p.train.index_sets:"
         " expected a whole number of at least 1 and at most 10,000, got 1000000000000"),
        ("num_steps: 20", f"num_steps: 20, num_test_points: {5 * 10**30}", "19: runs.p.train.num_"),
        ("1.0e-3", "5.0e-324", "19: runs.p.train.learning_rate: expected a number of at least 1e-"),
        ("checkpoint: a", f"checkpoint: {'a' * 5000}", "20: runs.p.initial_checkpoint: expected a"
         " path of at most 4,000 characters that can be shown, got 'aaaa"),
        ("checkpoint: a", 'checkpoint: "a\\0b"', "20: runs.p.initial_checkpoint: expected a path of"
         r" at most 4,000 characters that can be shown, got 'a\x00b'"),
        ("degree: 3}", "degree: 3}, solver: {precision_bits: 64}", "22: bounds.e.solver.precision_b"
         "its: expected a whole number of at least 84 and at most 65,536, got 64"),
        ("version: 1", "version: 1.0", "1: schema_version: expected 1, got 1.0; write 1"),
        ("version: 1", "version: true", "1: schema_version: expected 1, got true"),
        ("kind: two_body, dim: 10", "kind: parabolic, equation: heat, dim: 10.0", "16: runs.p.probl"
         "em.dim: expected 10, 100, 1000 or 10000, got 10.0; write 10"),
    ],
    ids=lambda x: x if len(x) < 40 else "...",
)  # fmt: skip
def test_what_is_beyond_a_limit_is_refused_before_any_job(tmp_path, capsys, old, new, line):
    path = tmp_path / "mine.yaml"
    assert old in FILE
    path.write_text(FILE.replace(old, new, 1))
    assert experiment.main([str(path)]) == 1
    (found,) = capsys.readouterr().err.splitlines()
    assert found.startswith(f"{path}:{line}")
    assert len(found) < len(str(path)) + 400


def test_sizes_beyond_the_memory_are_cut_as_well(tmp_path):
    path = tmp_path / "mine.yaml"
    grid = [10**9] * 3
    path.write_text(FILE.replace("[16, 16, 16]", f"[{', '.join(map(str, grid))}]"))
    found = experiment.load(path)
    room = experiment.Room(64, 2**30, "this machine")
    with pytest.raises(ConfigError, match=r"datasets\.f\.grid: expected what fits into the 1\.0 G"):
        experiment.check_room(found, [], room)


def test_as_many_steps_as_are_let_in_are_let_in():
    assert not limits.too_many_steps(1.0, 1e-7)
    assert limits.too_many_steps(1.0, 0.99e-7).startswith("time_step: expected ")


@pytest.mark.parametrize("value", [0, 2**64 - 1])
def test_the_seeds_at_the_limits_are_taken(value):
    found = experiment.validate({"schema_version": 1, "seed": value})
    assert json.loads(found.model_dump_json())["seed"] == value


def test_a_long_path_is_cut_and_shown_without_control_characters():
    with pytest.raises(CheckpointError) as caught:
        read_description(Path("a" * 3000))
    assert len(str(caught.value)) < 400
    with pytest.raises(CheckpointError, match=r"^\\x1b\[31m: expected a checkpoint folder"):
        read_description(Path("\x1b[31m"))
