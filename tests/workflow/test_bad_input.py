"""Bad input ends Snakemake with one line and before any job."""

import re
import shutil

import pytest
import yaml

pytestmark = pytest.mark.slow


def refusal(checkout, *files: str) -> str:
    """Return the one line that Snakemake ends with, having started nothing."""
    before = sorted(path for path in (checkout.root / "results").rglob("*"))
    done = checkout.snakemake(files=("tests/workflow/smoke.yaml", *files))
    assert done.returncode == 1
    assert sorted(path for path in (checkout.root / "results").rglob("*")) == before
    lines = [x for x in done.stderr.splitlines() if x and not x.startswith("Using ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("overlay", "key"),
    [
        ({"runs": {"ball_sdgd": {"train": {"num_step": 3}}}}, "runs.ball_sdgd.train.num_step: "),
        ({"runs": {"waves_fno": {"dataset": "wave"}}}, "runs.waves_fno.dataset: expected one of"),
        (
            {"datasets": {"waves": {"problem": {"viscosity": -1}}}},
            "datasets.waves.problem.viscosity: expected a number above 0, got -1",
        ),
        (
            {"runs": {"ball_sdgd": {"problem": {"dim": 0}}}},
            "runs.ball_sdgd.problem.dim: expected a whole number",
        ),
        (
            {"bounds": {"packing_d8": {"formulation": {"dim": 0}}}},
            "bounds.packing_d8.formulation.dim: expected a whole number of at least 1",
        ),
    ],
)
def test_a_mistake_in_an_overlay(finished, tmp_path, overlay, key):
    path = tmp_path / "overlay.yaml"
    path.write_text(yaml.safe_dump(overlay))
    assert re.match(rf"{re.escape(str(path))}:\d+: {re.escape(key)}", refusal(finished, str(path)))


def test_a_mistake_of_the_command_line(finished):
    done = finished.snakemake("--config", "runs={ball_sdgd: {train: {batch_size: 0}}}")
    (line,) = [x for x in done.stderr.splitlines() if not x.startswith("Using ")]
    assert done.returncode == 1
    assert line.startswith("--config: runs.ball_sdgd.train.batch_size: expected a whole number")


def test_what_snakemake_would_take_without_a_word(finished, tmp_path):
    path = tmp_path / "overlay.yaml"
    path.write_text("runs:\n  ball_sdgd:\n    train: {batch_size: 30, batch_size: 20}\n")
    line = refusal(finished, str(path))
    assert line.startswith(f"{path}:3: runs.ball_sdgd.train.batch_size: expected a key once")


def test_more_workers_than_the_machine_has(finished, tmp_path):
    path = tmp_path / "overlay.yaml"
    train = {"num_workers": 10_000, "batch_size": 10_000}
    path.write_text(yaml.safe_dump({"runs": {"ball_sdgd": {"train": train}}}))
    line = refusal(finished, str(path))
    assert line.startswith(f"{path}:5: runs.ball_sdgd.train.num_workers: expected at most")
    # They may be where a Ray runs.
    elsewhere = ("-n", "--set-resources", "train:ray_address=auto")
    done = finished.snakemake(*elsewhere, files=("tests/workflow/smoke.yaml", str(path)))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("results/smoke/train/ball_sgdd/run.json", "runs.ball_sgdd: expected one of the 2 runs"),
        ("data/wave.zarr/zarr.json", "datasets.wave: expected one of the 2 datasets"),
        (
            "results/smoke/certify/packing_d9/verdict.json",
            "bounds.packing_d9: expected one of the 1",
        ),
    ],
)
def test_a_name_that_the_experiment_does_not_have(finished, target, line):
    done = finished.snakemake(target)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(line)


@pytest.fixture
def store(finished, tmp_path):
    """The finished store, put back as it was after the test."""
    path = finished.root / "data/waves.zarr"
    shutil.copytree(path, tmp_path / "kept")
    yield path
    shutil.rmtree(path)
    shutil.copytree(tmp_path / "kept", path)


def shard_file(store, array):
    return next(path for path in sorted((store / array / "c").rglob("*")) if path.is_file())


def test_a_flipped_bit_in_a_store(finished, store):
    shard = shard_file(store, "inputs")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    line = refusal(finished)
    assert line.startswith("data/waves.zarr") and "shard" in line


def test_a_missing_shard(finished, store):
    shard_file(store, "targets").unlink()
    assert "shard" in refusal(finished)


def test_a_half_written_store(finished, store):
    path = store / "zarr.json"
    path.write_text(path.read_text().replace('"complete": true', '"complete": false'))
    line = refusal(finished)
    assert line.startswith("data/waves.zarr") and "complete" in line


def test_a_checkpoint_of_another_model(finished, tmp_path):
    path = tmp_path / "overlay.yaml"
    start = {"initial_checkpoint": "results/smoke/train/ball_sdgd/checkpoint"}
    path.write_text(yaml.safe_dump({"runs": {"waves_fno": start}}))
    line = refusal(finished, str(path))
    assert "runs.waves_fno.initial_checkpoint" in line
    assert "results/smoke/train/ball_sdgd/checkpoint" in line and "expected" in line
