import errno
import json
import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.certify import verify
from pipeline.errors import DiskError, PipelineError, SolverError
from pipeline.packing import stage
from pipeline.packing.config import Bound
from pipeline.packing.two_point import search as two_point
from pipeline.runtime import kept, provenance
from pipeline.runtime.digest import config_digest
from pipeline.runtime.job import Job


def bound(dim: int, degree: int, bits: int = 256) -> Bound:
    return Bound.model_validate(
        {
            "formulation": {"kind": "two_point", "dim": dim, "degree": degree},
            "solver": {"precision_bits": bits},
        }
    )


def run(part: Bound, root: Path, **changes: object) -> Path:
    """Run the stage below `root`; return its folder of results."""
    job = Job(
        "search", "x", changes.get("seed", 1), changes.get("source", "none"),
        root / "search/x/run.json", state=root / "state/search/x",
    )  # fmt: skip
    stage.run(job, part, num_workers=1)
    return root / "search/x"


@pytest.fixture
def without_ray(monkeypatch):
    """Solve in this process."""

    def solve(part, name, folder, num_workers, ray_address):
        return stage.solve(part.model_dump(mode="json"), folder)

    monkeypatch.setattr(stage, "_on_ray", solve)


def evaluations(folder: Path) -> list[dict]:
    return json.loads((folder / "trace.json").read_text())["evaluations"]


def check_outputs(folder: Path, dim: int, degrees: list[int]) -> None:
    trace = json.loads((folder / "trace.json").read_text())
    assert [step["parameters"]["degree"] for step in trace["evaluations"]] == degrees
    values = [Decimal(step["bound"]) for step in trace["evaluations"]]
    assert values == sorted(values, reverse=True)
    record = json.loads((folder / "run.json").read_text())
    assert record["stage"] == "search" and record["summary"]["label"] == "empirical"
    verdict = verify.verdict(folder / "candidate.json")
    assert verdict["status"] == "proved" and verdict["dim"] == dim
    assert Decimal(verdict["bound"]) == pytest.approx(Decimal(record["summary"]["bound"]))
    assert record["summary"]["degree"] == degrees[-1]
    assert not list(folder.glob(".*"))
    assert not (folder.parents[1] / "state/search/x").exists()


def test_the_best_degree_becomes_the_candidate(tmp_path, without_ray, capsys):
    check_outputs(run(bound(8, 31), tmp_path), 8, [7, 15, 23, 31])
    assert "empirical" in capsys.readouterr().out


def test_the_outputs_are_the_same_every_time(tmp_path, without_ray):
    folders = [run(bound(12, 15), tmp_path / root) for root in ("a", "b")]
    first, second = ((folder / "candidate.json").read_bytes() for folder in folders)
    assert first == second


def test_degrees_that_fail_are_recorded_and_the_rest_is_used(tmp_path, without_ray):
    # In dimension 1 the branch ends after a few degrees.
    folder = run(bound(1, 27), tmp_path)
    trace = json.loads((folder / "trace.json").read_text())
    assert trace["failed"] and all("dimension 1" in step["reason"] for step in trace["failed"])
    assert verify.verdict(folder / "candidate.json")["status"] == "proved"


def test_no_degree_at_all_is_one_line_and_no_output(tmp_path, without_ray):
    with pytest.raises(SolverError, match="bounds.x: .*raise precision_bits"):
        run(bound(8, 31, 88), tmp_path)
    assert not list(tmp_path.glob("search/x/*"))


PROGRAM = """
import sys
from pathlib import Path
from pipeline.packing import stage
from pipeline.packing.config import Bound
part = Bound.model_validate_json(sys.argv[1])
stage.solve(part.model_dump(mode="json"), Path(sys.argv[2]), save_every_s=0.0)
"""


def rungs(state: Path) -> int:
    """Return how many degrees the saved state has behind it."""
    found = json.loads(state.read_text()) if state.exists() else {"climbs": {"24": []}}
    return len(found["climbs"]["24"])


def test_killed_in_the_middle_it_goes_on_to_the_same_certificate(
    tmp_path, without_ray, monkeypatch
):
    part = bound(24, 163, 512)
    undisturbed = run(part, tmp_path / "undisturbed")
    root = tmp_path / "killed"
    folder = root / "state/search/x" / config_digest(part, 1, "none")[:16]
    folder.mkdir(parents=True)
    killed = subprocess.Popen([sys.executable, "-c", PROGRAM, part.model_dump_json(), folder])
    deadline = time.monotonic() + 120
    while rungs(folder / "state.json") < 15:
        assert killed.poll() is None, "it ended before the moment to kill it"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    killed.kill()
    killed.wait()
    before = rungs(folder / "state.json")
    assert 15 <= before < 40

    degrees = []
    climb = two_point.solver._next

    def counted(dim, below, at_end):
        degrees.append(len(below))
        return climb(dim, below, at_end)

    monkeypatch.setattr(two_point.solver, "_next", counted)
    resumed = run(part, root)
    # Nothing of the climb is done twice; the ladder solves its lower degrees once more at the end.
    assert degrees == [*range(before, 41), 30, 20, 10]
    candidates = [(f / "candidate.json").read_bytes() for f in (undisturbed, resumed)]
    assert candidates[0] == candidates[1]
    ladders = [
        json.loads((f / "trace.json").read_text())["evaluations"] for f in (undisturbed, resumed)
    ]
    for ladder in ladders:
        assert all(step.pop("seconds") >= 0 for step in ladder)
    assert ladders[0] == ladders[1]


@pytest.mark.parametrize(
    ("degree", "change"), [(31, {"seed": 2}), (31, {"source": "edited"}), (35, {})]
)
def test_a_state_of_another_search_is_not_used(tmp_path, without_ray, degree, change):
    # A state of a climb that leads elsewhere: used, it would show in the certificate.
    state = tmp_path / "state/search/x"
    folder = kept.claim(state, config_digest(bound(12, 31), 1, "none"), "x")
    wrong = [{"nodes": [1.0 + i for i in range(m + 1)], "newton_steps": 1000} for m in range(5)]
    provenance.write_json(folder / "state.json", {"climbs": {"12": wrong}})
    found = run(bound(12, degree), tmp_path, **change)
    clean = run(bound(12, degree), tmp_path / "clean", **change)
    ladders = [evaluations(folder) for folder in (found, clean)]
    first, second = ([step["newton_steps"] for step in ladder] for ladder in ladders)
    assert first == second
    # But it is kept for when its search is asked for again.
    assert json.loads((folder / "state.json").read_text()) == {"climbs": {"12": wrong}}
    assert (found / "candidate.json").read_bytes() == (clean / "candidate.json").read_bytes()


def test_a_state_that_a_power_failure_cut_is_not_used(tmp_path, without_ray):
    folder = kept.claim(tmp_path / "state/search/x", config_digest(bound(8, 31), 1, "none"), "x")
    (folder / "state.json").write_text('{"climbs": {"8": [{"no')
    check_outputs(run(bound(8, 31), tmp_path), 8, [7, 15, 23, 31])


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(stage, "write_json", full)
    with pytest.raises(DiskError, match="make room there"):
        stage.solve(bound(8, 31).model_dump(mode="json"), tmp_path, save_every_s=0.0)


@pytest.mark.slow
def test_the_search_runs_as_a_ray_task(tmp_path, capfd):
    check_outputs(run(bound(8, 15), tmp_path), 8, [3, 7, 11, 15])
    assert "Ray dashboard: http://" in capfd.readouterr().out


@pytest.mark.slow
def test_a_foreseen_error_of_a_ray_task_is_one_line(tmp_path, monkeypatch):
    def solve(bound, folder):
        raise DiskError(f"{folder.name}: expected room")

    monkeypatch.setattr(stage, "solve", solve)
    with pytest.raises(DiskError) as caught:
        run(bound(8, 15), tmp_path)
    assert str(caught.value).endswith(": expected room") and "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_defect_in_a_ray_task_is_one_line_without_a_traceback(tmp_path, monkeypatch):
    def solve(bound, folder):
        raise ValueError("first\nlast")

    monkeypatch.setattr(stage, "solve", solve)
    with pytest.raises(PipelineError) as caught:
        run(bound(8, 15), tmp_path)
    assert str(caught.value) == "bounds.x: ValueError: first … last"
