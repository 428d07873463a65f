"""The generate stage killed for real, at many moments, always ends with the same bytes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.errors import PipelineError, SolverError
from pipeline.runtime.job import Job
from pipeline.store import layout
from pipeline.store.config import Dataset
from pipeline.store.reader import open_store

DATASET = {
    "problem": {"kind": "burgers", "viscosity": 0.05, "time_step": 2.5e-3},
    "grid": [256],
    "num_samples": 96,
    "num_test": 16,
    "samples_per_shard": 8,
}
NUM_SHARDS = 12

# No `__name__` guard, as in a workflow script: workers must not run it again. `die` names the
# moment at which the driver kills itself, where polling from outside would be too slow.
DRIVER = """
import os, shutil, signal, sys
from pathlib import Path
from cluster import memory
from pipeline.datagen import folder, shard, stage
from pipeline.runtime.job import Job
from pipeline.store.config import Dataset

root, seed, die = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def after(function, calls):
    left = [calls]
    def wrapped(*arguments, **more):
        result = function(*arguments, **more)
        left[0] -= 1
        if not left[0]:
            kill()
        return result
    return wrapped

if die == "before publish":
    stage.publish = kill
elif die == "before the mark":
    shard.shards.finalise = kill
elif die in ("between the renames", "before the last rename"):
    put_in_place, number = folder.put_in_place, 1 if die == "between the renames" else 2
    def halfway(plan):
        replace = staticmethod(after(os.replace, number))
        folder.os = type("Os", (), {**vars(os), "replace": replace})
        put_in_place(plan)
    folder.put_in_place = halfway
elif die == "after publish":
    stage.publish = after(stage.publish, 1)
elif die == "before cleaning up":
    folder.finish = kill
elif die == "never, in 1 GiB":
    memory.limit = lambda: 2**30
stage.run(
    Job("generate", "burgers", seed, "source", root / "run.json"),
    Dataset.model_validate_json(sys.argv[4]), store=root / "b.zarr", num_workers=2,
)
print("returned")
"""


# Loaded by each worker, as a site would have Dask load it. The first worker that has finished a
# shard fills its memory in the middle of the next one, in a thread beside it.
EATER = """
import contextlib, os, threading
from pipeline.datagen import shard

def eat():
    held = bytearray(b"x") * 2**29
    threading.Event().wait()

def write(path, record):
    write_json(path, record)
    with contextlib.suppress(FileExistsError), open("{marker}", "x"):
        threading.Thread(target=eat, daemon=True).start()

write_json = shard.write_json

def dask_setup(worker):
    shard.write_json = write
"""


def start(folder, *, seed=1, die="never", environment=None, **changes):
    # A group of its own, so that the test can tell whether anything of it is left.
    arguments = [str(folder), str(seed), die, json.dumps(DATASET | changes)]
    (folder / "driver.py").write_text(DRIVER)
    return subprocess.Popen(
        [sys.executable, folder / "driver.py", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | (environment or {}),
    )


def finish(process):
    """Return the output of a run that has to succeed."""
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert output.count("returned") == 1, output
    return output


def poll(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "condition never held"
        time.sleep(0.002)
    return value


def kill(process):
    """Kill the driver alone; its workers must end by themselves."""
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    poll(lambda: not any(child.is_running() and alive(child) for child in children))


def alive(child):
    try:
        return child.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def num_records(folder):
    return len(list((folder / "b.zarr.partial" / "shards").glob("[0-9]*.json")))


def content(folder):
    root = folder / "b.zarr"
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    output = finish(start(folder))
    assert f"{NUM_SHARDS}/{NUM_SHARDS} shards" in output and "samples/s" in output
    return folder


def older_store(store):
    """Make what is left of a store with other arrays once Snakemake has removed its mark."""
    for name in ("inputs", "an_older_array"):
        (store / name / "c").mkdir(parents=True)
        (store / name / "zarr.json").write_text("{}")
        (store / name / "c" / "stale").write_text("stale")


def check_finished(folder, undisturbed):
    assert content(folder) == content(undisturbed)
    left = {path.name for path in folder.iterdir()}
    assert left == {"b.zarr", "run.json", "driver.py"}
    layout.check_store(folder / "b.zarr", Dataset.model_validate(DATASET), 1)
    found, expected = (json.loads((f / "run.json").read_text()) for f in (folder, undisturbed))
    for key in ("num_samples", "bytes", "max_error"):
        assert found["summary"][key] == expected["summary"][key]


def test_undisturbed_run_is_complete_and_recorded(undisturbed):
    check_finished(undisturbed, undisturbed)
    record = json.loads((undisturbed / "run.json").read_text())
    assert (record["stage"], record["name"], record["seed"]) == ("generate", "burgers", 1)
    assert record["summary"]["num_samples"] == 96
    assert 0 < record["summary"]["max_error"] < 1e-6
    assert record["summary"]["max_error_is"].startswith("empirical estimate")
    assert record["summary"]["tolerance"] == 1e-4
    store = open_store(undisturbed / "b.zarr")
    assert (store.num_shards("train"), store.num_shards("test")) == (10, 2)
    assert store.config_digest == record["config_digest"]


@pytest.mark.parametrize(
    "records", [pytest.param(0, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.slow), 6]
)
def test_kill_between_shards(tmp_path, undisturbed, records):
    process = start(tmp_path)
    poll((tmp_path / "b.zarr.partial" / "key.json").exists)
    poll(lambda: num_records(tmp_path) >= records)
    kill(process)
    assert not (tmp_path / "b.zarr").exists() and not (tmp_path / "run.json").exists()
    done = num_records(tmp_path)
    output = finish(start(tmp_path))
    if done:
        assert f"resuming with {done} of {NUM_SHARDS} shards" in output
    check_finished(tmp_path, undisturbed)


MOMENTS = [
    "before publish",
    "before the mark",
    "between the renames",
    "before the last rename",
    "after publish",
    "before cleaning up",
]


@pytest.mark.parametrize(
    ("moment", "mark_removed"),
    [
        # One of the twelve in every test run, the others on request: each starts Dask twice.
        pytest.param(m, r, marks=[] if (m, r) == ("after publish", True) else pytest.mark.slow)
        for m in MOMENTS
        for r in (False, True)
    ],
)
def test_kill_while_publishing(tmp_path, undisturbed, moment, mark_removed):
    older_store(tmp_path / "b.zarr")
    process = start(tmp_path, die=moment)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    if mark_removed:
        # What Snakemake does to the tracked output of an interrupted job.
        (tmp_path / "b.zarr" / "zarr.json").unlink(missing_ok=True)
    output = finish(start(tmp_path))
    assert f"resuming with {NUM_SHARDS} of {NUM_SHARDS} shards" in output
    check_finished(tmp_path, undisturbed)


@pytest.mark.slow
def test_damaged_shard_of_an_interrupted_run_is_made_again(tmp_path, undisturbed):
    process = start(tmp_path, die="before publish")
    process.communicate(timeout=120)
    file = layout.shard_file(tmp_path / "b.zarr.partial" / "store", "targets", 5, 3)
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 255
    file.write_bytes(damaged)
    (tmp_path / "b.zarr.partial" / "shards" / "7.json").write_text("{")
    (file.parent / "0.abc.partial").write_text("left by a killed writer")
    assert f"resuming with 10 of {NUM_SHARDS} shards" in finish(start(tmp_path))
    check_finished(tmp_path, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"seed": 2}, {"num_test": 8}])
def test_interrupted_run_of_another_configuration_is_kept_aside(tmp_path, undisturbed, changes):
    process = start(tmp_path, die="before publish", **changes)
    process.communicate(timeout=120)
    assert num_records(tmp_path) == NUM_SHARDS
    output = finish(start(tmp_path))
    assert "resuming" not in output
    (kept,) = tmp_path.glob("b.zarr.partial.*")
    assert (
        f"generate b: state of another configuration kept in {kept}"
        f" ({NUM_SHARDS} of {NUM_SHARDS} shards)"
    ) in output
    assert content(tmp_path) == content(undisturbed)
    # Back to the first configuration: its shards are used.
    assert f"resuming with {NUM_SHARDS} of {NUM_SHARDS} shards" in finish(
        start(tmp_path, **changes)
    )
    assert not list(tmp_path.glob("b.zarr.partial*"))


def test_killed_worker_is_replaced(tmp_path, undisturbed):
    process = start(tmp_path)
    poll(lambda: num_records(tmp_path) >= 1)
    workers = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "spawn_main" in " ".join(child.cmdline())
    ]
    assert len(workers) == 2
    workers[0].kill()
    finish(process)
    check_finished(tmp_path, undisturbed)


def test_a_worker_out_of_memory_is_replaced(tmp_path, undisturbed):
    (tmp_path / "preload").mkdir()
    eater = tmp_path / "preload/eater.py"
    eater.write_text(EATER.format(marker=eater.with_name("eaten")))
    preload = {"DASK_DISTRIBUTED__WORKER__PRELOAD": str([str(eater)])}
    output = finish(start(tmp_path, die="never, in 1 GiB", environment=preload))
    (told,) = (line for line in output.splitlines() if line.startswith("Dask: "))
    reached = re.fullmatch(
        r"Dask: a worker on 127\.0\.0\.1 reached (\d+) MB of its 256 MB: it is replaced and"
        r" its task run again",
        told,
    )
    assert reached and int(reached[1]) > 0.95 * 256
    shutil.rmtree(eater.parent)
    check_finished(tmp_path, undisturbed)


@pytest.mark.slow
def test_finished_store_is_replaced_by_another(tmp_path, undisturbed):
    finish(start(tmp_path, seed=2))
    assert content(tmp_path) != content(undisturbed)
    finish(start(tmp_path))
    check_finished(tmp_path, undisturbed)


def test_solver_failure_is_one_line_naming_the_shard(tmp_path):
    from pipeline.datagen import stage

    problem = {"kind": "darcy", "tolerance": 1e-20}
    dataset = Dataset.model_validate(DATASET | {"problem": problem, "grid": [16, 16]})
    with pytest.raises(SolverError, match=r"datasets.d: shard \d+: darcy: exp") as failure:
        job = Job("generate", "d", 0, "s", tmp_path / "run.json")
        stage.run(job, dataset, store=tmp_path / "d.zarr", num_workers=1)
    assert "\n" not in str(failure.value) and isinstance(failure.value, PipelineError)
    assert not (tmp_path / "run.json").exists() and not Path(tmp_path / "d.zarr").exists()


def test_data_that_miss_the_tolerance_are_refused_in_one_line(tmp_path, capfd):
    from pipeline.datagen import stage

    problem = {"kind": "burgers", "viscosity": 1e-9}
    dataset = Dataset.model_validate(DATASET | {"problem": problem, "grid": [64]})
    with pytest.raises(SolverError, match=r"^datasets.d: sample \d+: expected an error of at most"):
        job = Job("generate", "d", 0, "s", tmp_path / "run.json")
        stage.run(job, dataset, store=tmp_path / "d.zarr", num_workers=2)
    assert "Traceback" not in "".join(capfd.readouterr())
    assert not (tmp_path / "run.json").exists() and not (tmp_path / "d.zarr").exists()


def test_other_failures_of_a_task_are_one_line_too():
    from distributed import KilledWorker
    from distributed.scheduler import WorkerState

    from pipeline.datagen.stage import _failure

    worker = WorkerState(
        address="tcp://127.0.0.1:1", status="closed", pid=1, name="0", nthreads=1,
        memory_limit=300 * 2**20, local_directory="/", nanny="", server_id="0",
    )  # fmt: skip
    remedy = (
        "; use fewer workers (threads), more memory (mem_mb on SLURM) or a lower samples_per_shard"
    )
    for over_memory, told in (
        (4, "to need less than a worker's 300 MB, got 4 workers that reached it"),
        (3, "to need less than a worker's 300 MB, got 4 workers that reached it"),
        (1, "a worker to finish it, got 4 that died"),
    ):
        killed = _failure("b", 3, KilledWorker("task", worker, 3), over_memory)
        assert str(killed) == f"datasets.b: shard 3: expected {told}{remedy}"
    other = _failure("b", 3, OSError(5, "Input/output error"), over_memory=0)
    assert str(other) == "datasets.b: shard 3: OSError: [Errno 5] Input/output error"
