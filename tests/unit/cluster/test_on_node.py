"""A command on another node ends with whoever asked for it, and takes its descendants along."""

import subprocess
import sys

import psutil
import pytest

# A grandchild in a session of its own, whose parent is gone: only its adopter knows it.
DAEMON = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                         start_new_session=True)
print(child.pid, flush=True)
"""
STAY = DAEMON + "child.wait()"
ORPHAN = """
import os, time
from cluster.processes import die_with_parent
tie, parent = die_with_parent(), os.getpid()
if os.fork() == 0:
    while os.getppid() == parent:
        time.sleep(0.01)
    tie()
    print("it lives on", flush=True)
"""


def start(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "cluster.on_node", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_it_ends_with_its_input_and_all_descendants_with_it(tmp_path):
    process = start(f"--scratch={tmp_path / 'scratch'}", sys.executable, "-c", STAY)
    grandchild = psutil.Process(int(process.stdout.readline()))
    assert (tmp_path / "scratch").is_dir()
    process.stdin.close()
    process.wait(timeout=30)
    assert not grandchild.is_running()
    assert not (tmp_path / "scratch").exists()


def test_what_its_command_left_behind_ends_too():
    process = start(sys.executable, "-c", DAEMON)
    grandchild = psutil.Process(int(process.stdout.readline()))
    assert process.wait(timeout=30) == 0
    assert not grandchild.is_running()


def test_a_request_to_end_is_obeyed():
    process = start(sys.executable, "-c", STAY)
    grandchild = psutil.Process(int(process.stdout.readline()))
    process.terminate()
    assert process.wait(timeout=30) == 143
    assert not grandchild.is_running()


@pytest.mark.parametrize("status", [0, 3])
def test_the_status_is_that_of_the_command(status):
    assert start(sys.executable, "-c", f"raise SystemExit({status})").wait(timeout=30) == status


def test_a_process_whose_parent_ended_before_the_tie_ends_too():
    done = subprocess.run([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stdout) == (0, b"")
