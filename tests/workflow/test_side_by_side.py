"""Experiments in one folder never touch each other's results, and share equal data sets."""

import json
import shutil

import pytest
import yaml

pytestmark = pytest.mark.slow

OWN = {"train:waves_fno", "train:ball_sdgd", "search:packing_d8", "certify:packing_d8", "aggregate"}


def overlay(folder, content):
    path = folder / "overlay.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return "tests/workflow/smoke.yaml", str(path)


def refusal(checkout, *arguments, **files):
    """Return the one line that a dry run ends with."""
    done = checkout.snakemake("-n", *arguments, **files)
    assert done.returncode == 1
    lines = [x for x in done.stderr.splitlines() if x and not x.startswith("Using ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def content(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_an_overlay_has_its_own_results_and_shares_the_data(finished, tmp_path):
    files = overlay(tmp_path, {"runs": {"ball_sdgd": {"train": {"num_steps": 70}}}})
    assert finished.scheduled(files=files) == OWN


def test_another_seed_has_its_own_results_and_shares_the_data(finished):
    assert finished.scheduled("--config", "seed=8") == OWN
    before = content(finished.root / "results/smoke") | content(finished.root / "data")
    target = "results/smoke-seed8/certify/packing_d8/verdict.json"
    done = finished.snakemake(target, "--config", "seed=8")
    try:
        assert done.returncode == 0, done.stderr
        record = json.loads((finished.root / "results/smoke-seed8/experiment.json").read_text())
        assert record["seed"] == 8 and record["overrides"] == {"seed": 8}
        assert "--config seed=8" in record["command"]
        assert content(finished.root / "results/smoke") | content(finished.root / "data") == before
        assert finished.scheduled() == set()
    finally:
        shutil.rmtree(finished.root / "results/smoke-seed8")


def test_a_seed_changed_in_the_file_is_refused_the_results_of_the_other(finished):
    with finished.changed({"seed": 8}):
        line = refusal(finished)
        assert line.startswith("results/smoke: expected results of") and "with seed 8" in line
        assert "got those of tests/workflow/smoke.yaml with seed 7" in line
        # The remedy works as it says.
        assert finished.scheduled("--config", "name=eight") == OWN


def test_two_files_of_one_name(finished, tmp_path):
    shutil.copy(finished.root / "tests/workflow/smoke.yaml", tmp_path / "smoke.yaml")
    line = refusal(finished, files=(str(tmp_path / "smoke.yaml"),))
    assert line.startswith("results/smoke: expected results of") and str(tmp_path) in line
    file = tmp_path / "smoke.yaml"
    file.write_text("name: mine\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
    assert finished.scheduled(files=(str(file),)) == OWN


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"waves": {"problem": {"viscosity": 0.2}}},
            "data/waves.zarr: expected the data set datasets.waves of this experiment, got another"
            " of the same name (problem.viscosity: 0.2 here, 0.1 there)",
        ),
        ({"waves": {"seed": 8}}, "(seed: 8 here, 7 there)"),
        ({"vortex": {"num_snapshots": 2}}, "(num_snapshots: 2 here, 4 there)"),
    ],
)
def test_a_data_set_of_another_definition_is_never_replaced(finished, tmp_path, change, told):
    line = refusal(finished, files=overlay(tmp_path, {"datasets": change}))
    assert told in line and "rename datasets." in line


def test_results_of_the_old_layout_are_explained(finished, tmp_path):
    old = finished.root / "results/train"
    old.mkdir()
    try:
        done = finished.snakemake("-n")
        assert done.returncode == 0
        (line,) = [x for x in done.stderr.splitlines() if x.startswith("note: results/{train}")]
        assert "kept, not used" in line and "mv results/train results/smoke" in line
    finally:
        old.rmdir()


def test_an_empty_name_on_the_command_line_is_none(finished):
    assert finished.scheduled("--config", "name=") == set()


def test_a_damaged_record_ends_a_dry_run_and_its_remedy_works(finished):
    record = finished.root / "results/smoke/experiment.json"
    whole = record.read_text(encoding="utf-8")
    try:
        record.write_text(whole[:-9], encoding="utf-8")
        assert refusal(finished).startswith("results/smoke/experiment.json: expected the record")
        record.unlink()
        assert finished.scheduled() == set()
        assert refusal(finished, "--config", "name=smoke", "seed=8").startswith(
            "results/smoke: expected results of this very experiment"
        )
    finally:
        record.write_text(whole, encoding="utf-8")


def test_a_folder_in_the_place_of_an_unfinished_store_ends_a_dry_run(finished):
    partial = finished.root / "data/waves.zarr.partial"
    partial.mkdir()
    try:
        assert refusal(finished).startswith("data/waves.zarr.partial: expected an unfinished store")
    finally:
        partial.rmdir()
