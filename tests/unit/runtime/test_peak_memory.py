"""The peak memory of a stage is that of all its processes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cluster import mpi
from pipeline.packing.config import Bound
from pipeline.packing.two_point.config import TwoPoint
from pipeline.runtime import memory, provenance

SIZE = 300
# Holds SIZE MB until its standard input is closed; says so when it has them.
CHILD = f"import sys; held = b'x' * ({SIZE} << 20); print('held', flush=True); sys.stdin.read()"


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def hold(words, **options):
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
    assert child.stdout.readline() == b"held\n"
    return child


def own():
    """Return the memory (MB) that this process shares with none: no other moves it, as PSS."""
    return psutil.Process().memory_full_info().uss / 2**20


def others(watch):
    """Return the memory (MB) of all processes of the stage but this one."""
    members = [each for each in watch.members() if each.pid != os.getpid()]
    return sum(map(memory.proportional, members)) / 2**20


def release(child):
    child.stdin.close()
    assert child.wait() == 0


def test_a_child_is_counted_with_its_parent(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_SHARE", 1)
    part = Bound(formulation=TwoPoint(kind="two_point", dim=8))
    path = tmp_path / "run.json"
    before = own()
    with memory.watched() as watch:
        assert others(watch) < SIZE / 2
        child = hold([sys.executable, "-c", CHILD])
        assert SIZE <= others(watch) <= SIZE + 100
        least = min(before, own()) + SIZE
        wait_for(lambda: watch.peak_mb() >= least)
        release(child)
    record = provenance.record(path, stage="search", name="x", seed=0, config=part, source="0")
    with record:
        child = hold([sys.executable, "-c", CHILD])
    # The last sample was taken while the child was there.
    release(child)
    assert json.loads(path.read_text())["peak_memory_mb"] >= min(before, own()) + SIZE


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_daemon_that_left_the_process_tree_is_counted(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    words = f'(setsid {sys.executable} -c "{CHILD}" < {fifo} > {tmp_path / "said"}) & echo held'
    with memory.watched() as watch:
        shell = hold(["sh", "-c", words])
        with fifo.open("w"):
            release(shell)
            said = tmp_path / "said"
            wait_for(lambda: said.exists() and said.read_text() == "held\n")
            assert others(watch) >= SIZE
        wait_for(lambda: others(watch) < SIZE / 2)


def test_processes_without_the_mark_are_not_counted():
    with memory.watched() as watch:
        others = {
            mark: hold(["sh", "-c", "echo held; cat"], env=os.environ | environment)
            for mark, environment in (("ours", {}), ("other", memory.new_mark()))
        }
        listed = {each.pid: each for each in memory._processes()}
        found = {mark: watch._is_marked(listed[child.pid]) for mark, child in others.items()}
        for child in others.values():
            release(child)
    assert found == {"ours": True, "other": False}


def test_the_mark_is_gone_afterwards_and_ranks_share_theirs(monkeypatch):
    with memory.watched():
        assert len(os.environ[memory.MARK]) == 32
    assert memory.MARK not in os.environ
    monkeypatch.setenv(memory.MARK, "ranks")
    with memory.watched() as watch:
        assert os.environ[memory.MARK] == "ranks" and watch._entry.endswith(b"=ranks")
    assert os.environ[memory.MARK] == "ranks"


def test_the_ranks_of_one_launch_share_a_mark_of_their_own():
    marks = [mpi.rank_environment("folder")[memory.MARK] for _ in range(2)]
    assert len(set(marks)) == 2 and os.environ.get(memory.MARK) not in marks


def test_the_thread_takes_less_than_half_a_percent_of_a_core(monkeypatch):
    monkeypatch.setattr(memory, "INTERVAL_S", 0.001)
    with memory.watched() as watch:
        wait_for(lambda: watch.peak > 0)
        # A sample takes a millisecond or more; the pause follows it.
        wait_for(lambda: watch.pause > 0.001)
        assert watch.pause >= 250 * 1e-4
