import copy
import re
from pathlib import Path

import pytest
import yaml

from pipeline import config, experiment
from pipeline.errors import ConfigError
from pipeline.kinds import Frozen, shaping
from pipeline.training.pinn.config import PinnTraining

GOOD = {
    "schema_version": 1,
    "seed": 1,
    "datasets": {
        "b": {
            "problem": {"kind": "burgers", "viscosity": 0.1},
            "grid": [64],
            "num_samples": 40,
            "num_test": 20,
            "samples_per_shard": 20,
        },
        "flow": {
            "problem": {
                "kind": "navier_stokes",
                "viscosity": 0.01,
                "initial": {"kind": "taylor_green"},
                "final_time": 1.0,
            },
            "grid": [32, 32, 32],
            "num_snapshots": 4,
            "ranks": 2,
        },
    },
    "runs": {
        "op": {
            "dataset": "b",
            "model": {"kind": "fno", "modes": [8]},
            "train": {"num_epochs": 1, "batch_size": 20},
        },
        "pinn": {
            "problem": {"kind": "two_body", "dim": 100},
            "model": {"kind": "mlp"},
            "estimator": {"kind": "sdgd", "sampled_axes": 16},
            "train": {"num_steps": 10},
        },
    },
    "bounds": {"e8": {"formulation": {"kind": "two_point", "dim": 8, "degree": 11}}},
}


def write(folder: Path, content: dict, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(content))
    return path


def changed(keys: str, value: object) -> dict:
    content = copy.deepcopy(GOOD)
    *parents, last = keys.split(".")
    node = content
    for key in parents:
        node = node[key]
    node[last] = value
    return content


def test_a_good_file_round_trips(tmp_path):
    found = experiment.load(write(tmp_path, GOOD))
    again = experiment.validate(found.model_dump(mode="json"))
    assert again == found


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("runs.op.train.sampled_axis", 3, "runs.op.train.sampled_axis: expected one of the keys"),
        (
            "runs.pinn.models",
            {},
            "runs.pinn.models: expected one of the keys problem, model, estim",
        ),
        (
            "datasets.b.problem.viscosity",
            -0.1,
            "datasets.b.problem.viscosity: expected a number a",
        ),
        (
            "datasets.b.problem.viscosity",
            float("nan"),
            "datasets.b.problem.viscosity: expected a number above 0, got nan",
        ),
        ("runs.pinn.problem.dim", 0, "runs.pinn.problem.dim: expected a whole number of at lea"),
        ("bounds.e8.formulation.dim", 0, "bounds.e8.formulation.dim: expected a whole number of a"),
        (
            "bounds.e8.formulation.conic_bits",
            128,
            "bounds.e8.formulation.conic_bits: expected one of",
        ),
        (
            "bounds.e8.formulation",
            {"kind": "three_point", "dim": 8, "gap": 1.0e-12},
            "bounds.e8.formulation.gap: expected at least 1e-9 in doubles, got 1e-12; raise",
        ),
        (
            "bounds.e8.formulation",
            {"kind": "three_point", "dim": 8, "conic_bits": 60},
            "bounds.e8.formulation.conic_bits: expected 53 (doubles) or at least 64, got 60",
        ),
        (
            "runs.op.dataset",
            "c",
            "runs.op.dataset: expected one of the 2 datasets (b, flow), got 'c'",
        ),
        ("runs.op.dataset", "flow", "runs.op.dataset: expected a dataset of inputs and targets"),
        ("datasets.flow.ranks", 3, "datasets.flow.ranks: expected a divisor of the 32 points"),
        ("datasets.flow.grid", [32, 32], "datasets.flow.grid: expected three equal even numbers"),
        ("datasets.flow.grid", [32, 16, 32], "datasets.flow.grid: expected three equal even"),
        ("datasets.flow.num_samples", 3, "datasets.flow.num_samples: expected one of the keys"),
        (
            "datasets.flow.problem.viscosity",
            0,
            "datasets.flow.problem.viscosity: expected a number above",
        ),
        (
            "datasets.flow.problem.initial.peak",
            3,
            "datasets.flow.problem.initial.peak: expected one of the keys kind, got 'peak'",
        ),
        ("datasets.b.num_samples", 41, "datasets.b.num_samples: expected a multiple of"),
        ("datasets.b.num_test", 40, "datasets.b.num_test: expected less than num_samples=40"),
        ("datasets.b.grid", [64, 64], "datasets.b.grid: expected 1 numbers for burgers, got 2"),
        ("runs.op.train.batch_size", 1, "runs.op.train.batch_size: expected at least 2, one for"),
        ("runs.op.train.num_workers", [1, 21], "runs.op.train.batch_size: expected at least 21"),
        *[
            (
                "runs.pinn.train.num_workers",
                value,
                "runs.pinn.train.num_workers: expected a number of workers or [fewest, most], got",
            )
            for value in (0, "two", [3, 2], [0, 2], [1, 2, 3], {"min": 1})
        ],
        ("runs.op.model.modes", [8, 8], "runs.op.model.modes: expected 1 numbers for dataset"),
        ("runs.op.model.modes", [40], "runs.op.model.modes: expected at most 32 on axis 0, who"),
        (
            "runs.pinn.problem",
            {"kind": "three_body", "dim": 3},
            "runs.pinn.problem.dim: expected at least 4 with zero_sum=True, got 3",
        ),
        (
            "runs.pinn.problem",
            {"kind": "parabolic", "equation": "heat", "dim": 50},
            "runs.pinn.problem.dim: expected 10, 100, 1000 or 10000, got 50",
        ),
        ("runs.pinn.problem.dim", 4, "runs.pinn.estimator.sampled_axes: expected at most"),
        ("runs.pinn.estimator.kind", "sdgdd", "runs.pinn.estimator.kind: expected sdgd, full"),
        ("seed", -1, "seed: expected a whole number of at least 0, got -1"),
        ("schema_version", 2, "schema_version: expected 1, got 2"),
    ],
)
def test_a_mistake_is_one_line_with_file_key_and_expectation(tmp_path, key, value, expected):
    path = write(tmp_path, changed(key, value))
    with pytest.raises(ConfigError) as caught:
        experiment.load(path)
    message = str(caught.value)
    assert re.match(rf"{re.escape(str(path))}:\d+: {re.escape(expected)}", message), message
    assert "\n" not in message


@pytest.mark.parametrize(("value", "fewest", "most"), [(3, 3, 3), ([1, 4], 1, 4), ([2, 2], 2, 2)])
def test_the_number_of_workers_is_fixed_or_a_range(tmp_path, value, fewest, most):
    train = (
        experiment.load(write(tmp_path, changed("runs.op.train.num_workers", value)))
        .runs["op"]
        .train
    )
    assert (train.min_workers, train.max_workers) == (fewest, most)
    assert train.model_dump(mode="json")["num_workers"] == value


def test_the_fields_that_shape_no_number_are_these_and_no_others():
    # A new field counts. One that is to be added here leaves all numbers as they are but for
    # rounding, and the test of the stage that reads it shows that.
    training = {"checkpoint_every", "evaluate_every", "num_workers"}
    neutral, pending = {}, [Frozen]
    while pending:
        model = pending.pop()
        pending += model.__subclasses__()
        assert model.neutral <= set(model.model_fields)
        if model.neutral:
            neutral[model.__name__] = set(model.neutral)
    assert neutral == {
        "TrainSettings": training,
        "OperatorTraining": training,
        "PinnTraining": training | {"compile"},
        "Dataset": {"tolerance"},
        "Trajectory": {"ranks", "tolerance"},
        "PinnRun": {"initial_checkpoint"},
        "OperatorRun": {"initial_checkpoint"},
    }


@pytest.mark.parametrize(
    ("key", "value", "counts"),
    [
        ("runs.op.train.num_workers", 4, False),
        ("runs.op.train.checkpoint_every", 7, False),
        ("runs.pinn.train.evaluate_every", 7, False),
        ("runs.pinn.train.compile", True, False),
        ("runs.pinn.train.learning_rate", 0.5, True),
        ("runs.pinn.train.num_steps", 7, True),
        ("datasets.b.samples_per_shard", 5, True),
        ("seed", 2, True),
    ],
)
def test_what_does_not_shape_the_numbers_does_not_count(tmp_path, key, value, counts):
    base, other = (
        experiment.load(write(tmp_path, content)) for content in (GOOD, changed(key, value))
    )
    assert other != base
    assert (shaping(other) != shaping(base)) == counts


def test_evaluations_count_where_they_decide_on_the_end():
    settings = {"num_steps": 100, "early_stopping": {"patience": 3}}
    often, seldom = (
        PinnTraining(evaluate_every=every, checkpoint_every=every, **settings) for every in (5, 50)
    )
    assert "evaluate_every" in shaping(often)
    assert "checkpoint_every" not in shaping(often)
    assert shaping(often) != shaping(seldom)


def test_a_missing_key_is_named(tmp_path):
    content = copy.deepcopy(GOOD)
    del content["runs"]["pinn"]["train"]
    with pytest.raises(
        ConfigError, match=r"mine.yaml:\d+: runs.pinn.train: expected keys below it"
    ):
        experiment.load(write(tmp_path, content))


def test_overlays_merge_and_the_guilty_file_is_named(tmp_path):
    base = write(tmp_path, GOOD, "base.yaml")
    good = write(tmp_path, {"runs": {"pinn": {"problem": {"dim": 200}}}}, "wider.yaml")
    assert experiment.load(base, good).runs["pinn"].problem.dim == 200
    assert experiment.load(base, good).runs["op"] == experiment.load(base).runs["op"]
    bad = write(tmp_path, {"runs": {"pinn": {"problem": {"dim": 0}}}}, "bad.yaml")
    with pytest.raises(ConfigError, match=r"bad.yaml:4: runs.pinn.problem.dim"):
        experiment.load(base, bad)
    with pytest.raises(ConfigError, match=r"bad.yaml:4: runs.pinn.problem.dim"):
        experiment.load(bad, base, bad, good.with_name("base.yaml"), bad)


def test_a_file_that_is_not_yaml_is_named(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("seed: 1\nruns: [1, 2\n")
    with pytest.raises(ConfigError, match=r"broken.yaml:2: "):
        experiment.load(path)
    with pytest.raises(
        ConfigError, match=r"absent.yaml: expected a file that can be read, got: No such file"
    ):
        experiment.load(tmp_path / "absent.yaml")


def test_the_stored_schema_is_the_models_schema():
    stored = Path(config.__file__).parent.parent / "workflow/schemas/experiment.schema.json"
    assert stored.read_text() == config.schema_text(), (
        "run: python -m pipeline.config > workflow/schemas/experiment.schema.json"
    )


def test_the_shipped_experiments_are_valid():
    folder = Path(config.__file__).parent.parent / "workflow/config"
    for overlay in (folder / "experiments").glob("*.yaml"):
        experiment.load(folder / "default.yaml", overlay)
