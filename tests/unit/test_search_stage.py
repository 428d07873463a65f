import json
from decimal import Decimal

import pytest

from pipeline import config
from pipeline.certify import verify
from pipeline.errors import SolverError
from pipeline.packing import known, stage, two_point


def bound(dim: int, degree: int, bits: int = 256) -> config.Bound:
    return config.Bound.model_validate(
        {
            "formulation": {"kind": "two_point", "dim": dim, "degree": degree},
            "solver": {"precision_bits": bits},
        }
    )


@pytest.fixture
def without_ray(monkeypatch):
    """Solve the degrees in this process, in the order in which a cluster may return them."""

    def attempts(part, num_workers, ray_address):
        for degree in reversed(two_point.ladder(part.formulation)):
            yield stage._attempt(part.model_dump(mode="json"), degree)

    monkeypatch.setattr(stage, "_attempts", attempts)


def check_outputs(folder, dim: int, degrees: list[int]) -> None:
    trace = json.loads((folder / "trace.json").read_text())
    assert [step["degree"] for step in trace["ladder"]] == degrees
    values = [Decimal(step["bound"]) for step in trace["ladder"]]
    assert values == sorted(values, reverse=True)
    assert all("certificate" not in step for step in trace["ladder"])
    digits = [step["digits"] for step in trace["ladder"]]
    assert digits == sorted(digits)
    record = json.loads((folder / "run.json").read_text())
    assert record["stage"] == "search" and record["summary"]["label"] == "empirical"
    verdict = verify.verdict(folder / "candidate.json")
    assert verdict["status"] == "proved" and verdict["dim"] == dim
    assert Decimal(verdict["bound"]) == pytest.approx(Decimal(record["summary"]["bound"]))
    assert record["summary"]["degree"] == degrees[-1]
    assert not list(folder.glob(".*"))


def test_the_best_degree_becomes_the_candidate(tmp_path, without_ray, capsys):
    stage.run(bound(8, 31), name="e8", seed=1, output=tmp_path / "e8", num_workers=2, source="none")
    check_outputs(tmp_path / "e8", 8, [7, 15, 23, 31])
    assert "empirical" in capsys.readouterr().out


def test_the_outputs_are_the_same_every_time(tmp_path, without_ray):
    for folder in ("a", "b"):
        stage.run(
            bound(12, 15), name="x", seed=1, output=tmp_path / folder, num_workers=2, source="none"
        )
    first, second = ((tmp_path / f / "candidate.json").read_bytes() for f in ("a", "b"))
    assert first == second


def test_degrees_that_fail_are_recorded_and_the_rest_is_used(tmp_path, without_ray):
    # In dimension 1 the branch ends after a few degrees.
    stage.run(bound(1, 27), name="line", seed=1, output=tmp_path, num_workers=2, source="none")
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert trace["failed"] and all("dimension 1" in step["reason"] for step in trace["failed"])
    assert verify.verdict(tmp_path / "candidate.json")["status"] == "proved"


def test_no_degree_at_all_is_one_line_and_no_output(tmp_path, without_ray):
    with pytest.raises(SolverError, match="bounds.e8: .*raise precision_bits"):
        stage.run(
            bound(8, 31, 64), name="e8", seed=1, output=tmp_path, num_workers=2, source="none"
        )
    assert not list(tmp_path.iterdir())


def test_gaps_are_not_lost_to_cancellation():
    published = known.Known("0.2536695079010480", "exact", "test")
    assert stage.relative_gap("0.2536695079010481", published) == pytest.approx(3.942e-16, rel=1e-3)
    assert stage.agreeing_digits("0.2536695079010480", published) == 16
    assert stage.agreeing_digits("0.2536697", published) == pytest.approx(6.12, abs=0.01)


@pytest.mark.slow
def test_the_ladder_runs_as_ray_tasks(tmp_path, capfd):
    stage.run(bound(8, 15), name="e8", seed=1, output=tmp_path, num_workers=2, source="none")
    check_outputs(tmp_path, 8, [3, 7, 11, 15])
    assert "Ray dashboard: http://" in capfd.readouterr().out
