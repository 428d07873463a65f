"""Fixtures shared by several folders; this folder is on the import path of all tests."""

import os

import pytest
from harness import Checkout

# Ray's default of 15 starves its workers while another test computes, until a wait runs out.
os.environ.setdefault("RAY_worker_niceness", "0")


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A checkout in which the smoke experiment has run to its end, undisturbed."""
    checkout = Checkout.copy_to(tmp_path_factory.mktemp("finished"))
    done = checkout.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    (checkout.root / "first_run.txt").write_text(done.stdout)
    return checkout
