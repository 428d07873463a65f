"""The choice of `auto`: what applies, what is measured, and that it is made once."""

import json

import pytest
import torch
from training_fixtures import pinn_run

from pipeline.errors import ConfigError
from pipeline.estimators.auto import estimator as auto
from pipeline.estimators.auto.config import Auto
from pipeline.training.pinn import choice
from pipeline.training.pinn.config import PinnRun
from pipeline.training.pinn.task import Task

AUTO = Auto(kind="auto", sampled_axes=4)


def run(**problem):
    given = {"problem": {"kind": "two_body", "dim": 40} | problem, "estimator": {"kind": "auto"}}
    return PinnRun.model_validate(pinn_run().model_dump(mode="json") | given)


def candidates(**problem):
    named = run(**problem).model_dump(mode="json")
    named["estimator"] = {"kind": "sdgd", "sampled_axes": 4}
    task = Task(PinnRun.model_validate(named), 0, torch.device("cpu"))
    return set(auto.candidates(AUTO, task.problem, task.model))


def test_the_exact_operator_is_a_candidate_where_it_applies():
    assert candidates() == {"sdgd", "exact_gram"}
    assert candidates(kind="hjb", equation="lqg") == {"sdgd", "exact_gram"}
    assert candidates(kind="hjb", equation="lin") == {"sdgd"}
    assert candidates(kind="black_scholes_barenblatt") == {"sdgd"}
    assert candidates(dim=4) == {"sdgd"}


@pytest.mark.parametrize(
    ("milliseconds", "kind"),
    [
        ({"sdgd": 10.0, "exact_gram": 79.0}, "exact_gram"),
        ({"sdgd": 10.0, "exact_gram": 81.0}, "sdgd"),
        ({"sdgd": 10.0}, "sdgd"),
    ],
)
def test_the_exact_operator_is_taken_up_to_the_slowdown(milliseconds, kind):
    assert auto.choose(AUTO, milliseconds) == kind


def test_the_choice_is_made_once_and_kept(tmp_path, monkeypatch, capsys):
    def settle(digest):
        file = tmp_path / "state" / "ball.estimator.json"
        return choice.settled(run(), Task, name="ball", seed=0, digest=digest, file=file)

    chosen, record = settle("a")
    assert set(record["milliseconds"]) == {"sdgd", "exact_gram"}
    assert all(value > 0 for value in record["milliseconds"].values())
    assert chosen.estimator.kind == record["kind"]
    assert chosen.model_copy(update={"estimator": run().estimator}) == run()
    assert f"ball: estimator {record['kind']} (a step measured with sdgd" in capsys.readouterr().out

    # The other choice would be made now, but is not.
    other = {"exact_gram": "sdgd", "sdgd": "exact_gram"}[record["kind"]]
    monkeypatch.setattr(auto, "choose", lambda *_: other)
    assert settle("a") == (chosen, record)
    # A run of other configuration, seed or source chooses anew.
    assert settle("b")[0].estimator.kind == other
    json.loads((tmp_path / "state" / "ball.estimator.json").read_text())
    # Back to the first configuration, whose unfinished state may be kept: its choice is, too.
    assert settle("a") == (chosen, record)


@pytest.mark.parametrize("content", ["", "[1]", '{"choices": {"a": {}}}', '{"choices": 3}'])
def test_a_choice_that_cannot_be_read_is_made_anew(tmp_path, content):
    file = tmp_path / "ball.estimator.json"
    file.write_text(content)
    found, record = choice.settled(run(), Task, name="ball", seed=0, digest="a", file=file)
    assert found.estimator.kind == record["kind"]


def test_a_named_estimator_is_left_alone(tmp_path):
    file = tmp_path / "none.json"
    assert choice.settled(pinn_run(), Task, name="x", seed=0, digest="a", file=file) == (
        pinn_run(),
        {},
    )
    assert not file.exists()


def test_no_training_starts_without_a_choice():
    with pytest.raises(ConfigError, match="expected the estimator that was chosen, got 'auto'"):
        Task(run(), 0, torch.device("cpu"))
