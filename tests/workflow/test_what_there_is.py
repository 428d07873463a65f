"""With --keep-going one failed part costs neither the report nor the proof of another."""

import json
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from harness import Checkout

pytestmark = pytest.mark.slow

# No grid of 64 points resolves this viscosity: the data set is refused, its run is not started.
UNRESOLVED = {
    "schema_version": 1,
    "seed": 7,
    "datasets": {
        "shock": {
            "problem": {"kind": "burgers", "viscosity": 1e-9},
            "grid": [64], "num_samples": 40, "num_test": 10, "samples_per_shard": 10,
        }
    },
    "runs": {
        "fno": {
            "dataset": "shock",
            "model": {"kind": "fno", "modes": [4], "width": 4, "depth": 1},
            "train": {"num_epochs": 1, "num_workers": 1, "batch_size": 10},
        }
    },
    "bounds": {"a": {"formulation": {"kind": "two_point", "dim": 8, "degree": 11}}},
}  # fmt: skip


def test_a_failed_data_set_leaves_the_proof_of_a_bound_in_the_report(tmp_path):
    checkout = Checkout.copy_to(tmp_path)
    file = tmp_path / "one_bad.yaml"
    file.write_text(yaml.safe_dump(UNRESOLVED), encoding="utf-8")
    done = checkout.snakemake("--keep-going", files=(str(file),))
    assert done.returncode == 1
    results = tmp_path / "results" / "one_bad"
    table = pd.read_parquet(results / "summary.parquet").set_index(["name", "quantity"])
    assert table.loc[("a", "upper_bound"), "label"] == "proved"
    reason = table.loc[("shock", "status"), "detail"]
    assert table.loc[("shock", "status"), "label"] == "failed" and reason.isprintable()
    assert table.loc[("fno", "status"), "detail"] == "needs data set shock, which failed"
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "0 of 1 dataset," in page and "1 bound (1 proved)" in page
    assert "--keep-going" in page and "one_bad.yaml" in page
    # What ends the run names what is missing, and where the report is.
    assert "MISSING: 2 of 3 parts" in done.stdout and "report: results/one_bad" in done.stdout
    # No output of the rule that aggregates: it runs again when all is there.
    assert not (results / "run.json").exists()
    told = json.loads((results / "incomplete.json").read_text(encoding="utf-8"))["summary"]
    assert [part["name"] for part in told["missing"]] == ["shock", "fno"]
    again = subprocess.run(
        [sys.executable, "-m", "pipeline.aggregate", "one_bad"],
        cwd=tmp_path, env=checkout.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert again.returncode == 1 and again.stderr.count("\n") == 1
    assert (results / "report.html").read_text(encoding="utf-8") == page
