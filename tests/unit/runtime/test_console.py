"""The log of a stage, and its one line for a foreseen failure."""

import subprocess
import sys

import pytest

from pipeline.runtime import ours

STAGE = """
import sys
from pipeline.runtime import console
from pipeline.errors import SolverError
with console.stage(sys.argv[1], sys.argv[1]):
    print(sys.argv[2], flush=True)
    if sys.argv[2] == "full":
        raise OSError(28, "No space left on device")
    if sys.argv[2] == "failing":
        raise SolverError("it failed")
"""


@pytest.fixture
def run(tmp_path):
    log = tmp_path / "logs" / "a.log"

    def stage(text: str) -> tuple[int, str]:
        command = [sys.executable, "-c", STAGE, str(log), text]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        first, _, said = log.read_text().partition("\n")
        assert first == ours.LOG_LINE and ours.is_log(log) and first not in done.stdout
        return done.returncode, said

    return stage


def test_each_start_begins_a_log(run):
    assert run("one") == (0, "one\n")
    assert run("two") == (0, "two\n")


def test_a_foreseen_failure_is_one_line(run):
    assert run("failing") == (1, "failing\nerror: it failed\n")
    status, log = run("full")
    assert status == 1 and log.startswith("full\nerror: ") and log.count("\n") == 2
    assert "logs/a.log: expected room on the file system" in log
