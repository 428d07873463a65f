"""Fixtures shared by several folders; this folder is on the import path of all tests."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest
from harness import Checkout

# Ray's default of 15 starves its workers while another test computes, until a wait runs out.
os.environ.setdefault("RAY_worker_niceness", "0")


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A checkout in which the smoke experiment has run to its end, undisturbed.

    It runs once, whatever the number of pytest's workers: each gets a copy, which it may change.
    """
    own = tmp_path_factory.getbasetemp()
    # The workers of pytest-xdist have folders of their own in one of the session.
    session = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with (session / "smoke.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (session / "smoke/first_run.txt").exists():
            _run_smoke(session / "smoke")
    # With the times of the files, by which Snakemake tells what is to be done.
    return Checkout(Path(shutil.copytree(session / "smoke", own / "finished", symlinks=True)))


def _run_smoke(root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    checkout = Checkout.copy_to(root)
    done = checkout.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    (root / "first_run.txt").write_text(done.stdout)
