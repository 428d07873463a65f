"""Killed with `kill -9` and started again, the workflow ends with the same numbers."""

import json
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import yaml
from harness import ROOT, SMOKE, Checkout

pytestmark = pytest.mark.slow


def kill_when(checkout: Checkout, happened, *arguments: str, files=(SMOKE,)) -> None:
    """Start Snakemake, kill it as soon as `happened()` is true, and see its jobs end by it."""
    process = subprocess.Popen(
        checkout.command(*arguments, files=files),
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
    store = tmp_path / "data/waves.zarr/zarr.json"
    # A PINN needs no data: it may have a checkpoint before the store is complete.
    trained = any_match(tmp_path, "results/smoke/state/train/*/**/*.pt")
    kill_when(checkout, lambda: store.exists() and trained())
    written = store.stat().st_mtime_ns
    done = checkout.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    assert store.stat().st_mtime_ns == written, "the complete store was not reused"
    assert checkout.numbers() == finished.numbers()
    assert not list((tmp_path / "results/smoke/state").rglob("*.pt"))


def test_a_search_goes_on_from_its_last_iterate_to_the_stored_certificate(tmp_path):
    checkout = Checkout.copy_to(tmp_path)
    formulation = {"kind": "two_point", "dim": 24, "degree": 243}
    bounds = {"leech": {"formulation": formulation, "solver": {"precision_bits": 768}}}
    file = tmp_path / "leech.yaml"
    file.write_text(yaml.safe_dump({"schema_version": 1, "seed": 1, "bounds": bounds}))
    target, files = "results/leech/search/leech/candidate.json", (str(file),)
    saved = any_match(tmp_path, "results/leech/state/search/leech/*/state.json")
    kill_when(checkout, saved, target, files=files)
    assert not (tmp_path / target).exists()
    done = checkout.snakemake(target, files=files)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "leech: goes on from degree " in (tmp_path / "logs/leech/search/leech.log").read_text()
    golden = ROOT / "tests/golden/certificates/n24_two_point.json"
    assert json.loads((tmp_path / target).read_text()) == json.loads(golden.read_text())
    assert not (tmp_path / "results/leech/state/search/leech").exists()
