"""Data generation stops before its job's time limit, and goes on from there."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from mpi_runner import on_ranks

from cluster import time_limit
from cluster.time_limit import JobTimes, TimeLimit
from pipeline.datagen import stage
from pipeline.errors import PipelineError, TimeLimitError
from pipeline.runtime.job import Job
from pipeline.store.check import check_any_store
from pipeline.store.config import Dataset

DATASET = Dataset(
    problem={"kind": "burgers", "viscosity": 0.1},
    grid=[64],
    num_samples=160,
    num_test=8,
    samples_per_shard=8,
)
FLOW = {
    "problem": {
        "kind": "navier_stokes",
        "viscosity": 0.05,
        "initial": {"kind": "taylor_green"},
        "final_time": 0.4,
    },
    "grid": [16, 16, 16],
    "num_snapshots": 4,
    "ranks": 2,
}
# The rank that is asked has time for one snapshot more than it finds.
RANKS = """
import sys, time
from pathlib import Path
from cluster import mpi
from cluster.time_limit import JobTimes, TimeLimit
from pipeline.datagen import mpi_stage
from pipeline.datagen.mpi_shard import Plan
from pipeline.errors import TimeLimitError
from pipeline.runtime.job import Job
from pipeline.store.config import Trajectory

comm, root = mpi.world(2), Path(sys.argv[1])
plan = Plan(Trajectory.model_validate_json(sys.argv[2]), 4, "s", root / "f.zarr")
limit = TimeLimit("12", JobTimes(10, 60, True), time.time()) if comm.rank == 0 else None
try:
    job = Job("generate", "flow", 4, "s", root / "f.json")
    mpi_stage.run(comm, plan, job, patience_s=0, limit=limit)
except TimeLimitError as error:
    print(f"{comm.rank}: {error}", flush=True)
"""


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    """A folder with `squeue`, which always answers that the end is near, and `scontrol`."""
    programs = {
        "squeue": "echo '0:10|1:00|rule_generate'",
        "scontrol": f'echo "$*" >> {tmp_path}/told',
    }
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


@dataclass
class Until(TimeLimit):
    """A limit that is near once so many shards are recorded."""

    folder: Path
    num_shards: int

    def seconds(self) -> float:
        return 0.05

    def is_near(self, ahead_s: float = 0.0) -> bool:
        return len(list(self.folder.glob("shards/*.json"))) >= self.num_shards


def generate(root: Path, monkeypatch, num_shards: int | None) -> None:
    limit = None
    if num_shards is not None:
        times = JobTimes(60, 60, True)
        limit = Until("12", times, time.time(), root / "b.zarr.partial", num_shards)
    monkeypatch.setattr(time_limit, "of_this_job", lambda: limit)
    job = Job("generate", "waves", 3, "s", root / "run.json")
    stage.run(job, DATASET, store=root / "b.zarr", num_workers=1)


@pytest.mark.slow
def test_stopped_and_started_again_the_store_is_the_same(site, tmp_path, monkeypatch, capsys):
    generate(tmp_path / "straight", monkeypatch, None)
    root = tmp_path / "stopped"
    with pytest.raises(TimeLimitError, match=r"datasets.waves: stopped after shard \d+ of 20"):
        generate(root, monkeypatch, 3)
    assert (site / "told").read_text() == "requeue 12\n"
    assert "job 12 goes back into the queue" in capsys.readouterr().out
    assert not (root / "run.json").exists()
    generate(root, monkeypatch, 1000)
    assert "resuming with" in capsys.readouterr().out
    stores = [(x / "b.zarr/zarr.json").read_bytes() for x in (root, tmp_path / "straight")]
    assert stores[0] == stores[1]


def test_a_limit_too_short_for_a_shard_is_no_reason_to_queue_again(site, tmp_path, monkeypatch):
    with pytest.raises(PipelineError, match="expected a shard to be finished within") as raised:
        generate(tmp_path, monkeypatch, 0)
    assert not isinstance(raised.value, TimeLimitError)
    assert not (site / "told").exists()


@pytest.mark.slow
def test_ranks_stop_together_and_get_further_each_time(site, tmp_path):
    said = [on_ranks(2, RANKS, tmp_path, json.dumps(FLOW)) for _ in range(5)]
    for snapshot, text in enumerate(said[:4]):
        stopped = f"datasets.flow: stopped after snapshot {snapshot} of 4 before the job's time"
        assert f"0: {stopped}" in text and f"1: {stopped}" in text
        assert f"{stopped} limit; job 12 goes back into the queue" in text
    assert "stopped" not in said[4]
    assert (site / "told").read_text() == 4 * "requeue 12\n"
    check_any_store(tmp_path / "f.zarr")
