"""The MPI stage on real ranks: killed, restarted, refused; its store read and damaged."""

import itertools
import json
import platform
import re
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from mpi_runner import environment

from cluster import mpi
from pipeline.datagen import mpi_shard
from pipeline.errors import PipelineError, StoreError
from pipeline.runtime import ownership
from pipeline.store import layout, slabs, trajectory
from pipeline.store.check import check_any_store
from pipeline.store.config import Trajectory

FLOW = {
    "problem": {
        "kind": "navier_stokes",
        "viscosity": 0.02,
        "initial": {"kind": "decaying_turbulence"},
        "final_time": 1.0,
        "time_step": 0.025,
    },
    "grid": [32, 32, 32],
    "num_snapshots": 5,
    "ranks": 2,
}


def words(folder, ranks, changes, patience):
    return [
        f"--ranks={ranks}",
        f"--dataset={json.dumps(FLOW | changes)}",
        "--name=flow",
        "--seed=4",
        f"--store={folder / 'f.zarr'}",
        f"--record={folder / 'f.run.json'}",
        "--source=s",
        f"--patience={patience}",
    ]


STAGE = "pipeline.datagen.mpi_stage"
HOST = platform.node()
# What the workflow's script does.
SCRIPT = f"import sys; from cluster import mpi; mpi.run('mpirun', 2, '{STAGE}', sys.argv[1:])"


def start(folder, *, launched=2, said=2, script=False, patience=60, **changes):
    launch = [*mpi.command("mpirun", launched), sys.executable, "-m", STAGE]
    return subprocess.Popen(
        [
            *([sys.executable, "-c", SCRIPT] if script else launch),
            *words(folder, said, changes, patience),
        ],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    return output


def refuse(process):
    output, _ = process.communicate(timeout=240)
    assert process.returncode != 0, output
    return output


def content(folder):
    root = folder / "f.zarr"
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    output = finish(start(folder))
    assert "snapshot 5/5" in output
    assert {path.name for path in folder.iterdir()} == {"f.zarr", "f.run.json"}
    return folder


def test_the_store_holds_the_flow(undisturbed):
    store = undisturbed / "f.zarr"
    check_any_store(store)
    trajectory.check_trajectory(store, Trajectory.model_validate(FLOW), 4)
    table = dict(zip(trajectory.DIAGNOSTICS, slabs.read_table(store, "diagnostics").T, strict=True))
    np.testing.assert_allclose(table["time"], np.arange(41) * 0.025, atol=1e-15)
    assert table["divergence"].max() < 1e-14
    for snapshot in range(6):
        velocity = slabs.read_snapshot(store, snapshot).astype(float)
        energy = (velocity**2).sum() / 2 / 32**3
        assert energy == pytest.approx(table["energy"][8 * snapshot], rel=1e-6)
    spectrum = slabs.read_table(store, "spectrum")
    np.testing.assert_allclose(spectrum.sum(axis=1), table["energy"][::8], rtol=1e-12)


def test_the_record_tells_the_energy_budget(undisturbed):
    record = json.loads((undisturbed / "f.run.json").read_text())
    assert (record["stage"], record["name"], record["seed"]) == ("generate", "flow", 4)
    summary = record["summary"]
    assert (summary["num_snapshots"], summary["num_steps"]) == (6, 40)
    assert summary["energy_imbalance"] < 1e-6 and summary["max_divergence"] < 1e-14
    assert 0.06 < summary["max_error"] < summary["tolerance"] == 0.2
    assert summary["worst_snapshot"] == 5
    assert layout.read_attributes(undisturbed / "f.zarr")["max_error"] == summary["max_error"]
    assert summary["initial_energy"] == pytest.approx(0.5, rel=1e-12)
    assert summary["final_energy"] < 0.5


def test_other_numbers_of_ranks_make_the_same_flow(undisturbed, tmp_path):
    expected = slabs.read_table(undisturbed / "f.zarr", "diagnostics")
    for ranks in (1, 4):
        folder = tmp_path / str(ranks)
        folder.mkdir()
        finish(start(folder, launched=ranks, said=ranks, ranks=ranks))
        found = slabs.read_table(folder / "f.zarr", "diagnostics")
        np.testing.assert_allclose(found[:, :4], expected[:, :4], rtol=1e-12)
        stated = [layout.read_attributes(f / "f.zarr")["max_error"] for f in (folder, undisturbed)]
        assert stated[0] == pytest.approx(stated[1], rel=1e-9)
        last = [slabs.read_snapshot(path / "f.zarr", 5) for path in (folder, undisturbed)]
        np.testing.assert_allclose(last[0], last[1], rtol=0, atol=1e-6)
        files = sorted((folder / "f.zarr" / "velocity" / "c" / "5" / "0").iterdir())
        assert len(files) == ranks


def poll(condition, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.parametrize("victim", ["launcher", "rank", "script"])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(undisturbed, tmp_path, victim):
    process = start(tmp_path, script=victim == "script")
    family = []

    def two_snapshots():
        family[:] = psutil.Process(process.pid).children(recursive=True)
        return (tmp_path / "f.zarr.partial" / "snapshots" / "1.json").exists()

    poll(two_snapshots, process)
    ranks = [
        child for child in family if STAGE in " ".join(child.cmdline()) and "python" in child.name()
    ]
    assert len(ranks) == 2
    # However fast they are: the rest is not computed before the news of the kill reaches them.
    for rank in ranks:
        rank.suspend()
    assert not (tmp_path / "f.zarr").exists()
    if victim == "rank":
        ranks[1].kill()
    else:
        process.send_signal(signal.SIGKILL)
    if victim == "launcher":
        # Nobody else wakes them; they find their connection to it closed.
        process.wait(timeout=60)
        for rank in ranks:
            rank.resume()
    process.communicate(timeout=60)
    # Nothing of it may go on: another run would be refused, not corrupted.
    psutil.wait_procs(ranks, timeout=60)
    assert not any(rank.is_running() for rank in ranks)
    assert not (tmp_path / "f.zarr").exists() and not (tmp_path / "f.run.json").exists()
    assert "resuming with" in finish(start(tmp_path))
    assert content(tmp_path) == content(undisturbed)


def test_what_a_killed_launcher_left_stops_no_other(tmp_path):
    """Not even one with the process number of the killed one, which names the files."""
    left = 'mkdir "$TMPDIR/ompi.$$" && touch "$TMPDIR/ompi.$$/pmix.$(hostname).tool" && exec "$@"'
    done = subprocess.run(
        ["bash", "-c", left, "bash", *mpi.command("mpirun", 1), "true"],
        env=environment() | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


ALLOCATION = {
    "JOB_ID": "4711", "NNODES": "1", "NTASKS": "1", "NPROCS": "1", "TASKS_PER_NODE": "1",
    "CPUS_PER_TASK": "2", "JOB_CPUS_PER_NODE": "2", "NODELIST": HOST, "JOB_NODELIST": HOST,
}  # fmt: skip


@pytest.mark.parametrize("place", ["salloc -n 1 -c 2", "no home folder", "long TMPDIR"])
def test_ranks_start_in(monkeypatch, tmp_path, capfd, place):
    """More of them than an allocation has tasks, say."""
    if place == "no home folder":
        monkeypatch.delenv("HOME")
    elif place == "long TMPDIR":
        monkeypatch.setenv("TMPDIR", str(tmp_path / ("x" * 80)))
        (tmp_path / ("x" * 80)).mkdir()
    else:
        for key, value in ALLOCATION.items():
            monkeypatch.setenv(f"SLURM_{key}", value)
        monkeypatch.setenv("SLURMD_NODENAME", HOST)
    mpi.run("mpirun", 3, "platform", ["--terse"])
    assert capfd.readouterr().out.count("Linux") == 3


def test_a_damaged_state_or_slab_starts_the_run_anew(undisturbed, tmp_path):
    process = start(tmp_path)
    poll((tmp_path / "f.zarr.partial" / "snapshots" / "2.json").exists, process)
    process.terminate()
    process.communicate(timeout=60)
    for path in (tmp_path / "f.zarr.partial" / "state").glob("*.1.npz"):
        damaged = bytearray(path.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        path.write_bytes(damaged)
    assert "resuming" not in finish(start(tmp_path))
    assert content(tmp_path) == content(undisturbed)


@pytest.mark.parametrize(
    ("launched", "said", "configured", "expected"),
    [
        (2, 4, 4, "expected 4 ranks, got 2"),
        (1, 2, 2, "expected 2 ranks, got 1"),
        (2, 2, 4, "datasets.flow.ranks: expected 2 as started, got 4"),
    ],
)
def test_a_wrong_world_size_is_refused(tmp_path, launched, said, configured, expected):
    output = refuse(start(tmp_path, launched=launched, said=said, ranks=configured))
    assert f"error: {expected}" in output or f"error: cluster.mpi: {expected}" in output
    assert "Traceback" not in output
    assert list(tmp_path.iterdir()) == []


def test_a_second_writer_is_refused(tmp_path):
    plan = mpi_shard.Plan(Trajectory.model_validate(FLOW), 4, "s", tmp_path / "f.zarr")
    with ownership.alone(plan.partial, 0):
        output = refuse(start(tmp_path, patience=0))
    assert output.count("expected to be the only writer") == 1 and "Traceback" not in output
    assert list(tmp_path.iterdir()) == []


def test_a_run_waits_for_the_ranks_of_the_one_before(tmp_path):
    plan = mpi_shard.Plan(Trajectory.model_validate(FLOW), 4, "s", tmp_path / "f.zarr")
    with ownership.alone(plan.partial, 0):
        waiting = start(tmp_path)
        lock = str(plan.partial.with_name("f.zarr.partial.lock"))

        def held():
            ranks = psutil.Process(waiting.pid).children(recursive=True)
            return any(lock == file.path for rank in ranks for file in open_files(rank))

        poll(held, waiting)
        assert not plan.partial.exists()
    finish(waiting)


def open_files(process):
    try:
        return process.open_files()
    except psutil.Error:
        return []


def test_a_diverging_flow_is_one_line_on_all_ranks(tmp_path):
    problem = FLOW["problem"] | {"viscosity": 1e-5, "time_step": 5.0, "final_time": 500.0}
    output = refuse(start(tmp_path, problem=problem))
    assert output.count("expected a finite solution") == 1 and "Traceback" not in output
    assert not (tmp_path / "f.run.json").exists()


def test_a_flow_that_misses_the_tolerance_is_refused_at_its_first_such_snapshot(tmp_path):
    """By the script: what the ranks know is what the launching process raises, and prints last."""
    problem = FLOW["problem"] | {"viscosity": 0.001}
    output = refuse(start(tmp_path, script=True, problem=problem, grid=[16, 16, 16]))
    told = output.splitlines()[-1]
    assert re.search(
        r"datasets.flow: snapshot \d \(t = [\d.]+\): expected an error of at most 0.2"
        r" \(tolerance\), estimated 0\.\d+ in space and time; use a finer grid \(\[24, 24, 24\]\)",
        told,
    )
    assert output.count("expected an error") == 1
    assert not (tmp_path / "f.zarr").exists() and not (tmp_path / "f.run.json").exists()


def test_damage_is_found(undisturbed, tmp_path):
    for name, at in (("velocity", (3, 0, 1, 0, 0)), ("diagnostics", (0, 0))):
        folder = tmp_path / name
        finish_copy(undisturbed, folder)
        file = layout.block_file(folder / "f.zarr", name, at)
        damaged = bytearray(file.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        file.write_bytes(damaged)
        with pytest.raises(StoreError, match="expected CRC-32"):
            check_any_store(folder / "f.zarr")
        file.unlink()
        with pytest.raises(StoreError, match="found none"):
            check_any_store(folder / "f.zarr")


def finish_copy(source, target):
    for name, data in content(source).items():
        path = target / "f.zarr" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def test_a_trajectory_is_no_store_of_samples(undisturbed):
    with pytest.raises(StoreError, match="expected a store of samples, got layout 'trajectory'"):
        layout.check_store(undisturbed / "f.zarr")
    with pytest.raises(StoreError, match="another problem"):
        changed = FLOW | {"problem": FLOW["problem"] | {"viscosity": 0.5}}
        trajectory.check_trajectory(undisturbed / "f.zarr", Trajectory.model_validate(changed), 4)


def test_slabs_that_are_not_whole_shards_are_refused(tmp_path):
    dataset = Trajectory.model_validate(FLOW)
    slabs.create(tmp_path / "s", dataset)
    whole = np.ones((3, 16, 32, 32), "float32")
    for wrong in (whole[:, :8], whole.astype("float64"), np.ones((3, 32, 32, 32), "float32")):
        with pytest.raises(StoreError, match="pass one whole shard"):
            slabs.write_slab(tmp_path / "s", 0, 0, wrong)
    for snapshot, rank in ((6, 0), (0, 2), (-1, 0)):
        with pytest.raises(StoreError, match="expected a shard within"):
            slabs.write_slab(tmp_path / "s", snapshot, rank, whole)
    with pytest.raises(StoreError, match="expected finite"):
        slabs.write_slab(tmp_path / "s", 0, 0, whole * np.nan)


def test_a_store_with_a_missing_record_is_not_completed(tmp_path):
    dataset = Trajectory.model_validate(FLOW)
    slabs.create(tmp_path / "s", dataset)
    block = np.ones((3, 16, 32, 32), "float32")
    positions = itertools.product(range(6), range(2))
    records = [slabs.write_slab(tmp_path / "s", t, r, block) for t, r in positions]
    digests = {"seed": 1, "config_digest": "c", "source_digest": "s"}
    with pytest.raises(StoreError, match="expected the records of 12 shards, got 11"):
        slabs.finalise(tmp_path / "s", dataset, **digests, velocity=records[:-1], tables={})
    with pytest.raises(StoreError, match="expected complete: true"):
        check_any_store(tmp_path / "s")


def test_the_launch_command():
    assert mpi.command("srun --mpi=pmix", 8) == ["srun", "--mpi=pmix", "-n", "8"]
    found = mpi.command("mpirun", 1000)
    assert found[-2:] == ["-n", "1000"] and ":OVERSUBSCRIBE" in found
    with pytest.raises(PipelineError, match="expected the launcher 'no-such-launcher' on PATH"):
        mpi.run("no-such-launcher", 2, "pipeline.datagen.mpi_stage", [])


def test_mpirun_is_refused_where_it_cannot_see_the_nodes_of_its_job(monkeypatch):
    monkeypatch.delenv("SLURM_NODELIST", raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    with pytest.raises(PipelineError, match="expected the launcher 'srun --mpi=pmix' inside"):
        mpi.run("mpirun", 2, STAGE, [])
