import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipeline.errors import PipelineError
from pipeline.runtime import ownership

CLAIM = """
import sys
from pathlib import Path
from pipeline.runtime import ownership
ownership.claim(Path(sys.argv[1]))
print("claimed", flush=True)
sys.stdin.read()
"""
FOLLOW = """
import sys
from pipeline.runtime import ownership
ownership.follow_owner()
print("following", flush=True)
sys.stdin.read()
"""


ALONE = """
import sys
from pathlib import Path
from pipeline.runtime import ownership
with ownership.alone(Path(sys.argv[1]), 60):
    print("alone", flush=True)
    sys.stdin.read()
"""
# Without a lock two of these lose counts.
COUNT = """
import sys, time
from pathlib import Path
from pipeline.runtime import ownership
print("counting", flush=True)
counter = Path(sys.argv[1]) / "counter"
for _ in range(50):
    with ownership.alone(Path(sys.argv[1]), 60):
        count = int(counter.read_text())
        time.sleep(0.0005)
        counter.write_text(str(count + 1))
"""


def start(code: str, *arguments: str, **environment: str) -> subprocess.Popen:
    """Start Python on `code` and wait for its first line."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | environment,
    )
    process.stdout.readline()
    return process


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks/0.input.lock").write_text("data/x")
    return tmp_path


def locks(folder: Path) -> list[Path]:
    return list((folder / "locks").iterdir())


def test_locks_of_a_killed_process_are_dropped_those_of_a_live_one_stay(folder):
    first = start(CLAIM, str(folder))
    assert not locks(folder)
    (folder / "locks/1.output.lock").write_text("data/x")
    second = start(CLAIM, str(folder))
    assert locks(folder)
    first.kill()
    first.wait()
    assert locks(folder)
    # The second is alive, so the locks could be its own.
    start(CLAIM, str(folder)).kill()
    assert locks(folder)
    second.kill()
    second.wait()
    third = start(CLAIM, str(folder))
    assert not locks(folder)
    third.kill()


def identity(process: subprocess.Popen) -> str:
    return ownership._identity(process.pid)


def test_a_job_ends_with_its_owner_and_says_so(tmp_path):
    owner = start(CLAIM, str(tmp_path))
    job = start(FOLLOW, **{ownership.OWNER: identity(owner)})
    assert job.poll() is None
    owner.kill()
    owner.wait()
    assert job.wait(timeout=30) == -9
    said = job.stderr.read().decode()
    assert said.startswith(f"error: process {job.pid}: ended, because the Snakemake")
    assert f"(process {owner.pid})" in said and said.count("\n") == 1


def test_a_job_whose_owner_is_gone_does_not_start(tmp_path):
    owner = start(CLAIM, str(tmp_path))
    gone = identity(owner)
    owner.kill()
    owner.wait()
    assert start(FOLLOW, **{ownership.OWNER: gone}).wait(timeout=30) == -9


def test_the_clock_is_no_part_of_who_a_process_is(monkeypatch):
    """psutil's time of the start moves when the clock is set: by the system's, read anew."""
    before = ownership._identity(os.getpid())
    monkeypatch.setattr(psutil.Process, "create_time", lambda *_: 0.0)
    monkeypatch.setattr("time.time", lambda: 0.0)
    monkeypatch.setattr(socket, "gethostname", lambda: "renamed")
    assert ownership._identity(os.getpid()) == before


def test_the_same_number_started_later_is_another_process():
    """As after a number is used again, and in a container with numbers of its own."""
    place, pid, started = ownership._identity(os.getpid()).rsplit(" ", 2)
    later = f"{place} {pid} {int(started) + 1}"
    assert start(FOLLOW, **{ownership.OWNER: later}).wait(timeout=30) == -9
    elsewhere = f"{place[:-2]}0] {pid} {int(started) + 1}"
    job = start(FOLLOW, **{ownership.OWNER: elsewhere})
    job.stdin.close()
    assert job.wait(timeout=30) == 0


@pytest.mark.parametrize("owner", ["", "elsewhere 1 0.0", "x", "a b c d e f"])
def test_a_job_without_an_owner_here_runs_on(owner):
    job = start(FOLLOW, **{ownership.OWNER: owner})
    job.stdin.close()
    assert job.wait(timeout=30) == 0


def test_one_writer_a_folder(tmp_path):
    folder = tmp_path / "state"
    first = start(ALONE, str(folder), SLURM_JOB_ID="7")
    holder = f"process {first.pid} on {socket.gethostname()}, job 7 still at work"
    with pytest.raises(PipelineError, match=f"the only writer, got {holder}"):
        wait_for(folder)
    first.kill()
    first.wait()
    # The kernel forgets the lock with its holder, whose file stays until the next one ends.
    assert (tmp_path / "state.lock").exists()
    wait_for(folder)
    assert list(tmp_path.iterdir()) == []


def wait_for(folder: Path) -> None:
    with ownership.alone(folder, 0):
        assert folder.with_name("state.lock").exists()


def test_the_next_writer_starts_when_the_first_ends(tmp_path):
    first = start(ALONE, str(tmp_path))
    first.stdin.close()
    second = start(ALONE, str(tmp_path))
    assert first.wait(timeout=30) == 0 and second.poll() is None
    second.kill()


def test_writers_that_come_and_go_never_meet(tmp_path):
    (tmp_path / "counter").write_text("0")
    writers = [start(COUNT, str(tmp_path)) for _ in range(3)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert (tmp_path / "counter").read_text() == "150"
