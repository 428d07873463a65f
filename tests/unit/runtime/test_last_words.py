"""Whatever ends a stage, one line says so."""

import os
import signal
import subprocess
import sys

import pytest

from pipeline.runtime import ours

STAGE = """
import os, sys
from pipeline.runtime import console
with console.stage(sys.argv[1], sys.argv[1]):
    print("at work", flush=True)
    exec(sys.argv[2])
"""


def run(tmp_path, body):
    """Return the exit status of a stage and the lines of its log after the first."""
    log = tmp_path / "log"
    command = [sys.executable, "-c", STAGE, str(log), body]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    first, *lines = log.read_text(encoding="utf-8").splitlines()
    assert first == ours.LOG_LINE
    # The screen says the same.
    assert lines[-1] in (done.stdout + done.stderr).decode()
    return done.returncode, lines


@pytest.mark.parametrize(
    "end", ["SIGKILL", "SIGTERM", "SIGSEGV"], ids=["out of memory", "scancel", "crash"]
)
def test_a_stage_that_is_killed_has_a_last_word(tmp_path, end):
    status, lines = run(tmp_path, f"import signal; os.kill(os.getpid(), signal.{end})")
    assert status == -getattr(signal, end)
    assert lines[0] == "at work" and lines[1].startswith("error: process ")
    assert "ended from outside: killed for want of memory, at a time limit" in lines[1]
    assert len(lines) == 2


def test_one_that_ends_in_order_has_none(tmp_path):
    assert run(tmp_path, "pass") == (0, ["at work"])


def test_one_that_ray_ends_for_a_signal_says_so(tmp_path):
    status, lines = run(tmp_path, "sys.exit(15)")
    assert (status, lines[1:]) == (
        1,
        ["error: ended by SIGTERM, as by scancel, a time limit or Snakemake's end"],
    )


def test_without_a_shell_less_is_said_and_nothing_is_lost(tmp_path, monkeypatch):
    from pipeline.runtime import last_words

    def refuse(*_, **__):
        raise OSError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with last_words.on_behalf("x"):
        done = True
    assert done


def test_nobody_waits_for_a_reader_of_the_last_word():
    """A full pipe that nobody reads, as of a stopped terminal."""
    code = (
        "import os\nfrom pipeline.runtime import last_words\n"
        "r, w = os.pipe(); os.set_blocking(w, False)\n"
        "try:\n    while os.write(w, b'x' * 4096): pass\nexcept BlockingIOError: pass\n"
        "os.set_blocking(w, True); os.dup2(w, 2)\nlast_words.speak('word')"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, timeout=30, check=False)
    assert done.returncode == 0
