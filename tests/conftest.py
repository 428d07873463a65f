"""Fixtures shared by several folders; `tests/support` is on the import path of all tests."""

import os
import shutil

import pytest
from filelock import FileLock
from harness import Checkout

# Ray's default of 15 starves its workers while another test computes, until a wait runs out.
os.environ.setdefault("RAY_worker_niceness", "0")
_FIRST_RUN = "first_run.txt"


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A checkout in which the smoke experiment has run to its end, undisturbed.

    It runs once for all workers of pytest; each has a copy, which is as finished as the original.
    """
    own = tmp_path_factory.mktemp("finished")
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return _run_smoke(Checkout.copy_to(own))
    # The folder above is that of all workers.
    original = tmp_path_factory.getbasetemp().parent / "smoke"
    with FileLock(f"{original}.lock"):
        if not (original / _FIRST_RUN).exists():
            shutil.rmtree(original, ignore_errors=True)
            original.mkdir()
            _run_smoke(Checkout.copy_to(original))
    # With the times of the files, by which Snakemake tells what is newer.
    shutil.copytree(original, own, symlinks=True, dirs_exist_ok=True)
    return Checkout(own)


def _run_smoke(checkout: Checkout) -> Checkout:
    done = checkout.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    (checkout.root / _FIRST_RUN).write_text(done.stdout)
    return checkout
