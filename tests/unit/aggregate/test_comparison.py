"""Published numbers beside ours: only for the same problem, with all that differs said."""

import re

import finished_experiment as finished
import numpy as np
import pytest

from pipeline.aggregate import published
from pipeline.aggregate.read.collect import collect
from pipeline.aggregate.report import render
from pipeline.aggregate.sections.comparison import differences
from pipeline.aggregate.table import summary_table
from pipeline.networks.mlp.config import MLP
from pipeline.problems.two_body.config import TwoBody
from pipeline.training.pinn.config import PinnRun, PinnTraining

PROBLEM = TwoBody(kind="two_body", dim=1000)
ALWAYS = ["another draw of c", "the final error; theirs is the best over the run"]


def changed(**changes: dict) -> PinnRun:
    """Return the run of the published protocol with `changes` to its parts."""
    raw = published.protocol(PROBLEM).model_dump()
    for key, change in changes.items():
        # A part of another kind replaces the old one.
        raw[key] = change if "kind" in change else raw[key] | change
    return PinnRun.model_validate(raw)


def kaczmarz(network_after: float) -> PinnRun:
    optimizer = {"kind": "kaczmarz", "network_after": network_after}
    return changed(model={"skip": "quadratic"}, train={"num_workers": 1, "optimizer": optimizer})


def test_the_published_protocol_differs_in_what_no_run_can_have():
    found = differences(published.protocol(PROBLEM))
    assert len(found) == len(ALWAYS)
    assert all(text.startswith(start) for text, start in zip(found, ALWAYS, strict=True))


CHANGES = {
    "problem.radius_exponent": (0.2, "training points at radius U^0.2; theirs at U"),
    "model.width": (64, "network 64 × 4; theirs 128 × 4"),
    "model.depth": (3, "network 128 × 3; theirs 128 × 4"),
    "model.skip": ("linear", "a linear polynomial beside the network; theirs a network alone"),
    "train.num_steps": (2500, "2,500 steps; theirs 10,000"),
    "train.batch_size": (200, "200 points a step; theirs 100"),
    "train.learning_rate": (5e-4, "learning rate 0.0005; theirs 0.001"),
    "train.num_test_points": (4000, "4,000 test points; theirs 20,000"),
    "train.optimizer": (
        {"kind": "adam", "decay": "cosine"},
        "the learning rate falls by half a cosine; theirs falls linearly",
    ),
    "train.loss": ("unbiased", "unbiased loss, from independent sets of axes; theirs from one set"),
    "train.index_sets": (4, "4 independent sets of axes a step; theirs one"),
    "train.early_stopping": (
        {"patience": 3},
        "ends when the residual at held-out points stops falling; theirs after all steps",
    ),
    "train.precision": ("bfloat16", "bfloat16; theirs float32"),
}


def test_a_rate_of_the_first_layer_is_one_statement():
    slow = {"kind": "adam", "decay": "linear", "first_layer_rate": 0.1}
    found = differences(changed(train={"optimizer": slow}))
    assert "the first layer at 0.1 of the rate; theirs at all of it" in found
    assert not any("falls" in text for text in found)


@pytest.mark.parametrize("key", CHANGES)
def test_each_setting_that_differs_is_one_statement(key):
    section, field = key.split(".")
    value, statement = CHANGES[key]
    found = differences(changed(**{section: {field: value}}))
    assert [text for text in found if not text.startswith(tuple(ALWAYS))] == [statement]


def test_no_setting_is_overlooked():
    """A new setting of a run is either told or known not to shape the error."""
    neutral = {"num_workers", "shard", "compile", "checkpoint_every", "evaluate_every"}
    # What identifies the published problem, and c, which always differs.
    same = {"kind", "dim", "equation", "coefficient_seed", "zero_sum"}
    told = {tuple(key.split(".")) for key in CHANGES}
    for section, model in (
        ("problem", TwoBody), ("model", MLP), ("train", PinnTraining)
    ):  # fmt: skip
        fields = set(model.model_fields) - same - neutral
        assert fields == {field for part, field in told if part == section}
    assert set(PinnRun.model_fields) == {
        "problem", "model", "estimator", "train", "initial_checkpoint"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("estimator", "statement"),
    [
        ({"kind": "taylor", "num_directions": 16}, None),
        ({"kind": "double_backward", "sampled_axes": 16}, None),
        ({"kind": "taylor", "num_directions": 8}, "STDE (sparse), 8 of 1,000 axes; theirs 16 axes"),
        ({"kind": "exact_gram"}, "exact operator (Gram matrix); theirs 16 axes"),
        ({"kind": "hutchinson"}, "Hutchinson, 16 rademacher; theirs 16 axes"),
    ],
)
def test_the_estimator_counts_only_if_it_samples_otherwise(estimator, statement):
    found = differences(changed(estimator=estimator))[2:]
    assert found == ([statement] if statement else [])


def test_centred_coefficients_are_called_harder():
    (first, *_) = differences(changed(problem={"zero_sum": True}))
    assert first.startswith("Σc = 0, which is harder: theirs is not centred")
    assert not any("Σc" in text for text in differences(published.protocol(PROBLEM)))


def test_a_polynomial_alone_is_said_to_be_one():
    alone = differences(kaczmarz(1.0))[2:]
    assert alone == [
        "a quadratic polynomial, its derivatives in closed form; theirs a network, 16 sampled axes",
        "natural-gradient steps (block Kaczmarz); theirs Adam",
    ]
    both = differences(kaczmarz(0.5))[2:]
    assert both == [
        "a quadratic polynomial beside the network; theirs a network alone",
        "natural-gradient steps (block Kaczmarz), then Adam for the network; theirs Adam",
    ]


def test_a_run_from_a_checkpoint_says_so():
    run = changed().model_copy(update={"initial_checkpoint": "a.pt"})
    assert differences(run)[-1] == "starts from a checkpoint; theirs from random weights"


@pytest.mark.parametrize(
    ("problem", "numbers"),
    [
        ({"kind": "two_body", "dim": 1000, "equation": "allen_cahn"}, ["5.62e-4", "7.07e-4"]),
        ({"kind": "two_body", "dim": 1_000_000, "equation": "allen_cahn"}, ["3.99e-3"]),
        ({"kind": "two_body", "dim": 100_000, "equation": "sine_gordon"}, ["9.56e-4"]),
        ({"kind": "two_body", "dim": 1000, "equation": "poisson"}, []),
        ({"kind": "two_body", "dim": 999, "equation": "sine_gordon"}, []),
        ({"kind": "three_body", "dim": 1000, "equation": "sine_gordon"}, []),
        ({"kind": "hjb", "dim": 1000}, []),
    ],
)
def test_only_the_same_problem_has_published_errors(problem, numbers):
    run = PinnRun.model_validate(finished.PINN | {"problem": problem})
    found = published.relative_errors(run.problem)
    assert [number.value for number in found] == numbers
    assert all("arXiv:" in number.source and number.method for number in found)


def test_the_trivial_error_of_a_typical_draw():
    """The median over 400 draws of c, whose own standard error is 6%, from the definition."""
    rng, dim = np.random.default_rng(0), 1000
    radius, x = rng.random((300, 1)), rng.standard_normal((300, dim))
    x *= radius / np.linalg.norm(x, axis=1, keepdims=True)
    inner = x[:, :-1] + np.cos(x[:, 1:]) + x[:, 1:] * np.cos(x[:, :-1])
    q = 1 - radius**2
    u = q * (np.sin(inner) @ rng.standard_normal((dim - 1, 400)))
    rest = u - q * ((q * u).sum(0) / (q * q).sum())
    errors = np.linalg.norm(rest, axis=0) / np.linalg.norm(u, axis=0)
    typical = published.trivial_error(dim)
    assert np.median(errors) == pytest.approx(typical, rel=0.15)
    assert np.mean(errors > 5 * typical) == pytest.approx(0.1, abs=0.05)


def report(folder, problem) -> tuple[str, dict]:
    """Return the report of one run of `problem`, and the published rows of its table."""
    runs = {"one": finished.PINN | {"problem": problem}}
    parts = finished.experiment(datasets={}, bounds={}, runs=runs)
    data, results = finished.write_all(folder, parts)
    collected = collect(parts, data=data, results=results)
    table = summary_table(collected)
    rows = table[table["label"] == "published"].set_index("quantity")
    return render(collected), rows.to_dict("index")


def test_a_matching_run_stands_beside_published_errors(tmp_path):
    problem = {"kind": "two_body", "dim": 1000, "equation": "allen_cahn"}
    html, rows = report(tmp_path, problem)
    section = html[html.index('id="published"') : html.index("<h3>Loss</h3>")]
    text = " ".join(re.sub("<[^>]*>", " ", section).split())
    assert "0.0562% SDGD in PyTorch 0.0707% STDE, V = 16" in text
    # Skill, and the trivial predictor of this run and of a typical draw of the published law.
    assert "50.0 100% ≈ 1.6%" in text and "2.00% relative L²" in text
    assert "Σc = 0, which is harder" in text and "4,000 steps; theirs 10,000" in text
    assert "arXiv:2412.00088" in text
    assert "the published coefficients c are unknown" in text
    assert set(rows) == {"published_relative_l2@sdgd", "published_relative_l2@stde"}
    row = rows["published_relative_l2@stde"]
    assert (row["value"], row["text"], row["dim"]) == (7.07e-4, "7.07e-4", 1000)
    assert "what differs: Σc = 0" in row["detail"] and "arXiv:" in row["detail"]


def test_a_run_without_published_numbers_has_no_such_table(tmp_path):
    html, rows = report(tmp_path, {"kind": "two_body", "dim": 999})
    assert 'id="published"' not in html and "theirs" not in html and rows == {}


def test_a_parabolic_run_stands_beside_the_published_value(tmp_path):
    problem = {"kind": "parabolic", "dim": 100, "equation": "heat"}
    html, rows = report(tmp_path, problem)
    section = html[html.index('id="published"') : html.index("<h3>Loss</h3>")]
    assert "0.31674" in section and "multilevel Picard" in section and "u(0.3, 0)" in section
    assert "coefficients c" not in section and "Σc" not in section
    assert {key: row["value"] for key, row in rows.items()} == {"published_value@picard": 0.31674}
