"""Killed with `kill -9` and started again, the workflow ends with the same numbers."""

import subprocess
import time
from pathlib import Path

import psutil
import pytest
from harness import Checkout

pytestmark = pytest.mark.slow


def kill_when(checkout: Checkout, happened) -> None:
    """Start Snakemake, kill it as soon as `happened()` is true, and see its jobs end by it."""
    process = subprocess.Popen(
        checkout.command(),
        cwd=checkout.root,
        env=checkout.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while not happened():
        assert process.poll() is None, "it ended before the moment to kill it"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    jobs = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(jobs, timeout=60)
    assert not alive


def any_match(root: Path, pattern: str):
    return lambda: next(root.glob(pattern), None) is not None


def test_killed_twice_the_workflow_ends_with_the_same_numbers(finished, tmp_path):
    checkout = Checkout.copy_to(tmp_path)
    kill_when(checkout, any_match(tmp_path, "data/waves.zarr.partial/**/c/*"))
    assert not (tmp_path / "data/waves.zarr/zarr.json").exists()
    kill_when(checkout, any_match(tmp_path, "results/state/train/*/**/*.pt"))
    store = tmp_path / "data/waves.zarr/zarr.json"
    written = store.stat().st_mtime_ns
    done = checkout.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    assert store.stat().st_mtime_ns == written, "the complete store was not reused"
    assert checkout.numbers() == finished.numbers()
    assert not list((tmp_path / "results/state").rglob("*.pt"))
