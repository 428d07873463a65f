"""The training stage on a real Ray: kill -9 of the job and of a worker, metrics, clean-up."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from training_fixtures import make_store, operator_run, pinn_run, wait_for

from pipeline.parallel.world import Alone
from pipeline.training.loop import train
from pipeline.training.operator.config import OperatorRun
from pipeline.training.pinn import task as pinn
from pipeline.training.pinn.config import PinnRun

pytestmark = pytest.mark.slow

RUN = operator_run(num_epochs=100, evaluate_every=100, checkpoint_every=100)  # 1,000 steps
CODE = """
import sys
from pathlib import Path
import json
from pipeline.runtime.job import Job
from pipeline.training import stage
from pipeline.training.union import parse_run

if __name__ == "__main__":
    folder, output = map(Path, sys.argv[1:3])
    run = parse_run(json.loads(sys.argv[3]))
    store = folder / "waves.zarr" if hasattr(run, "dataset") else None
    job = Job("train", "waves", 5, "test", output / "run.json", state=folder / "state")
    stage.run(job, run, store=store)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    found = tmp_path_factory.mktemp("kill")
    make_store(found / "waves.zarr")
    (found / "job.py").write_text(CODE)
    return found


def start(folder: Path, output: str, run: OperatorRun | PinnRun = RUN) -> subprocess.Popen:
    arguments = [str(folder / "job.py"), str(folder), str(folder / output), run.model_dump_json()]
    log = (folder / f"{output}.log").open("a")
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=log,
        stderr=subprocess.STDOUT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def saved_step(folder: Path) -> int:
    """Return the step of the last snapshot, 0 without one."""
    files = list((folder / "state").glob("*/snapshot.pt"))
    return torch.load(files[0], weights_only=True)["step"] if files else 0


def kill_job(job: subprocess.Popen) -> None:
    """Kill the driver alone and check that all processes it started go away."""
    descendants = psutil.Process(job.pid).children(recursive=True)
    job.send_signal(signal.SIGKILL)
    job.wait()
    _, alive = psutil.wait_procs(descendants, timeout=30)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


def metrics(folder: Path, output: str) -> pd.DataFrame:
    return pd.read_parquet(folder / output / "metrics.parquet").drop(columns="elapsed_s")


def scrape(url: str) -> dict[str, float]:
    text = urllib.request.urlopen(url, timeout=10).read().decode()
    pattern = r'^(\w*pipeline_train_\w+)\{[^}]*run="waves"[^}]*\} (\S+)$'
    return {name: float(value) for name, value in re.findall(pattern, text, re.MULTILINE)}


def get(url: str, token: str) -> dict:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    return json.load(urllib.request.urlopen(request, timeout=10))


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> dict:
    """Run to the end; on the way read the dashboard and the metrics endpoint."""
    job = start(folder, "straight")
    log = folder / "straight.log"
    address = r"Ray metrics:\s+(\S+)"
    url = wait_for(lambda: re.search(address, log.read_text()), job).group(1)
    said = re.search(r"Ray dashboard: (\S+)(?:.*`cat (.+)`)?", log.read_text())
    token = Path(said.group(2)).read_text() if said.group(2) else ""
    version = get(f"{said.group(1)}/api/version", token)
    gauges = wait_for(lambda: scrape(url), job)
    assert job.wait(timeout=600) == 0, log.read_text()
    return {"version": version, "gauges": gauges, "log": log.read_text()}


def test_the_dashboard_answers(undisturbed):
    assert undisturbed["version"]["ray_version"]


def test_the_metrics_endpoint_shows_the_run(undisturbed, folder):
    gauges = {
        name.split("pipeline_train_")[1]: value for name, value in undisturbed["gauges"].items()
    }
    rows = metrics(folder, "straight")
    step = gauges["step"]
    at_step = rows[rows.step <= step].groupby("metric").value.last()
    assert gauges["loss"] == at_step["loss"]
    assert gauges["relative_l2"] == at_step["relative_l2"]
    assert gauges["samples_per_second"] > 0


def test_the_screen_shows_progress_and_nothing_else(undisturbed):
    for line in undisturbed["log"].splitlines():
        assert line.startswith(("Ray dashboard:", "Ray metrics:", "waves: ")), line
    assert "step 1000/1000" in undisturbed["log"]


def test_the_outputs_are_complete(undisturbed, folder):
    output = folder / "straight"
    record = json.loads((output / "run.json").read_text())
    rows = metrics(folder, "straight").groupby("metric").value.last()
    for key in ("relative_l2", "relative_l2_standard_error"):
        assert record["summary"][key] == rows[key]
    assert record["summary"]["relative_l2"] < 0.1
    assert (output / "checkpoint" / "model.pt").exists()
    assert not (folder / "state").exists()


def test_killed_at_any_moment_it_ends_with_the_same_numbers(undisturbed, folder):
    log = folder / "killed.log"
    moments = [
        lambda: log.exists() and "Ray dashboard" in log.read_text(),
        lambda: saved_step(folder) >= 100,
        lambda: saved_step(folder) >= 400,
        lambda: next((folder / "state").glob("*/results"), None),
    ]
    for moment in moments:
        job = start(folder, "killed")
        wait_for(moment, job)
        kill_job(job)
        assert not (folder / "killed" / "run.json").exists()
    job = start(folder, "killed")
    assert job.wait(timeout=600) == 0, log.read_text()
    assert_same(folder, "killed")


def test_a_killed_worker_is_replaced_and_the_numbers_stay(undisturbed, folder):
    job = start(folder, "worker")
    wait_for(lambda: saved_step(folder) >= 300, job)
    kill_a_worker(job)
    assert job.wait(timeout=600) == 0, (folder / "worker.log").read_text()
    assert_same(folder, "worker")


def kill_a_worker(job: subprocess.Popen) -> None:
    workers = [
        p
        for p in psutil.Process(job.pid).children(recursive=True)
        if "RayTrainWorker" in " ".join(p.cmdline())
    ]
    assert len(workers) == 2
    workers[-1].kill()


def test_divided_axes_survive_a_killed_worker_with_the_numbers_of_one_process(folder):
    run = pinn_run(
        num_steps=1500, evaluate_every=500, checkpoint_every=50, num_workers=2, shard="axes"
    )
    job = start(folder, "axes", run)
    wait_for(lambda: saved_step(folder) >= 100, job, seconds=300)
    kill_a_worker(job)
    assert job.wait(timeout=300) == 0, (folder / "axes.log").read_text()

    task = pinn.Task(run, 5, torch.device("cpu"))
    nothing = type("Nothing", (), {"load": lambda self: None, "save": lambda self, state: None})
    history = train(
        task, name="alone", world=Alone(), settings=run.train, checkpoint=nothing(),
        report=lambda progress: None,
    )  # fmt: skip
    rows = metrics(folder, "axes")
    assert list(rows.step) == [row.step for row in history.rows]
    np.testing.assert_allclose(rows.value, [row.value for row in history.rows], rtol=2e-3)
    model = torch.load(folder / "axes" / "checkpoint" / "model.pt", weights_only=True)
    for name, value in task.model.state_dict().items():
        torch.testing.assert_close(model[name], value, rtol=5e-3, atol=1e-4)
    summary = json.loads((folder / "axes" / "run.json").read_text())["summary"]
    assert summary["num_parameters"] == sum(value.numel() for value in model.values())
    assert summary["all_reduce_bytes_per_step"] > 0


def assert_same(folder: Path, output: str) -> None:
    pd.testing.assert_frame_equal(
        metrics(folder, output), metrics(folder, "straight"), check_exact=True
    )
    for name in ("model.pt", "model.json"):
        ours, theirs = (folder / x / "checkpoint" / name for x in (output, "straight"))
        assert ours.read_bytes() == theirs.read_bytes()
    a, b = (np.load(folder / x / "prediction.npz") for x in (output, "straight"))
    with a, b:
        for key in b:
            np.testing.assert_array_equal(a[key], b[key])


def test_a_diverging_run_names_run_and_step_once(folder):
    run = operator_run(learning_rate=1e30, weight_decay=0.0)
    job = start(folder, "diverged", run)
    assert job.wait(timeout=600) == 1
    last = (folder / "diverged.log").read_text().strip().splitlines()[-1]
    assert re.search(r"TrainingError: runs.waves: step \d+: expected a finite loss, got nan", last)
