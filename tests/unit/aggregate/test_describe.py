"""Titles: runs with equal ones are compared, so that different problems must differ."""

from training_fixtures import PROBLEMS, pinn_run

from pipeline.aggregate.describe import dimension, method_title, problem_title
from pipeline.config import Experiment
from pipeline.training.pinn.config import PinnRun

ESTIMATORS = [
    *[{"kind": k, "sampled_axes": 4} for k in ("sdgd", "jet", "double_backward", "auto")],
    {"kind": "taylor", "num_directions": 4},
    {"kind": "hutchinson"},
    {"kind": "hutchinson", "distribution": "gaussian"},
    {"kind": "exact_gram"},
    {"kind": "full"},
]


def test_every_problem_and_estimator_has_its_own_title():
    base = pinn_run().model_dump(mode="json")
    nothing = Experiment(schema_version=1, seed=0)
    runs = [PinnRun.model_validate(base | {"problem": problem}) for problem in PROBLEMS]
    titles = [problem_title(run, nothing) for run in runs]
    assert len(set(titles)) == len(PROBLEMS)
    for run, title in zip(runs, titles, strict=True):
        assert f"{dimension(run):,}" in title
    methods = [
        method_title(PinnRun.model_validate(base | {"estimator": e, "train": base["train"] | t}))
        for e in ESTIMATORS
        for t in ({}, {"loss": "unbiased"}, {"index_sets": 2})
    ]
    assert len(set(methods)) == 3 * len(ESTIMATORS)


def test_a_network_that_stays_zero_is_not_named():
    run = pinn_run().model_dump()
    run["model"] |= {"skip": "quadratic"}
    run["train"] |= {"num_workers": 1, "optimizer": {"kind": "kaczmarz", "network_after": 1.0}}
    assert method_title(PinnRun.model_validate(run)) == "quadratic polynomial by Kaczmarz steps"
    run["train"]["optimizer"]["network_after"] = 0.5
    title = method_title(PinnRun.model_validate(run))
    assert "MLP" in title and "+ quadratic polynomial by Kaczmarz steps" in title
