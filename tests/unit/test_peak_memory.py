"""The peak memory of a stage is that of all its processes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import config, memory, provenance

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


def now(watch):
    return sum(map(memory.proportional, watch.members())) / 2**20


def release(child):
    child.stdin.close()
    assert child.wait() == 0


def test_a_child_is_counted_with_its_parent(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_SHARE", 1)
    part = config.Bound(formulation=config.TwoPoint(kind="two_point", dim=8))
    path = tmp_path / "run.json"
    with memory.watched() as watch:
        alone = now(watch)
        child = hold([sys.executable, "-c", CHILD])
        assert alone + SIZE <= now(watch) <= alone + SIZE + 100
        wait_for(lambda: watch.peak_mb() >= alone + SIZE)
        release(child)
    with provenance.record(
        path, stage="search", name="x", seed=0, config=part, source="0"
    ):  # fmt: skip
        child = hold([sys.executable, "-c", CHILD])
    # The last sample was taken while the child was there.
    release(child)
    found = json.loads(path.read_text())["peak_memory_mb"]
    assert alone + SIZE <= found <= alone + SIZE + 200


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_daemon_that_left_the_process_tree_is_counted(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    words = f'(setsid {sys.executable} -c "{CHILD}" < {fifo} > {tmp_path / "said"}) & echo held'
    with memory.watched() as watch:
        alone = now(watch)
        shell = hold(["sh", "-c", words])
        with fifo.open("w"):
            release(shell)
            said = tmp_path / "said"
            wait_for(lambda: said.exists() and said.read_text() == "held\n")
            assert now(watch) >= alone + SIZE
        wait_for(lambda: now(watch) < alone + SIZE / 2)


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


def test_the_thread_takes_less_than_half_a_percent_of_a_core(monkeypatch):
    monkeypatch.setattr(memory, "INTERVAL_S", 0.001)
    with memory.watched() as watch:
        wait_for(lambda: watch.peak > 0)
        # A sample takes a millisecond or more; the pause follows it.
        wait_for(lambda: watch.pause > 0.001)
        assert watch.pause >= 250 * 1e-4
