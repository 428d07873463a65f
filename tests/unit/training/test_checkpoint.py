"""Portable checkpoints: round trip, and a refusal in one line of whatever does not fit."""

import json
import subprocess
import sys

import pytest
import torch
from training_fixtures import make_store, operator_run, pinn_run

from pipeline.errors import CheckpointError
from pipeline.training.operator import task as operator
from pipeline.training.pinn import task as pinn
from pipeline.training.saved.checkpoint import check_checkpoint
from pipeline.training.saved.weights import load_initial, save_model

CPU = torch.device("cpu")


@pytest.fixture
def saved(tmp_path):
    """A checkpoint of an operator with random parameters, its run and its task."""
    store = make_store(tmp_path / "waves.zarr")
    task = operator.Task(operator_run(), 3, CPU, store)
    folder = tmp_path / "checkpoint"
    save_model(folder, task.model.state_dict(), task.run, seed=3, description=task.description())
    return folder, task


def test_round_trip_restores_the_function_and_its_normalisation(saved, tmp_path):
    folder, task = saved
    check_checkpoint(folder, task.run)
    other = make_store(tmp_path / "other.zarr", seed=9)
    again = operator.Task(task.run, 4, CPU, other)
    x = torch.randn(2, 1, 32)
    assert not torch.equal(again.model(x), task.model(x))
    load_initial(folder, task.run, again.model)
    assert torch.equal(again.model(x), task.model(x))
    assert again.description()["normalisation"] == task.description()["normalisation"]


def test_pinn_round_trip(tmp_path):
    task, again = (pinn.Task(pinn_run(), seed, CPU) for seed in (1, 2))
    save_model(tmp_path, task.model.state_dict(), task.run, seed=1, description=task.description())
    load_initial(tmp_path, again.run, again.model)
    x = torch.randn(3, 10)
    assert torch.equal(again.model(x), task.model(x))


def refused(folder, run) -> str:
    with pytest.raises(CheckpointError) as caught:
        check_checkpoint(folder, run)
    text = str(caught.value)
    assert "\n" not in text and str(folder) in text
    return text


def test_missing_and_damaged_files_are_named(saved):
    folder, task = saved
    weights = folder / "model.pt"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    assert "CRC-32" in refused(folder, task.run)
    weights.write_bytes(content[:-1])
    assert f"expected {len(content)} bytes" in refused(folder, task.run)
    weights.unlink()
    assert "model.pt: No such file" in refused(folder, task.run)
    (folder / "model.json").write_text("{")
    assert "damaged" in refused(folder, task.run)
    assert "expected a checkpoint folder" in refused(folder / "nowhere", task.run)


def test_another_model_is_refused_by_key(saved):
    folder, task = saved
    wider = task.run.model_copy(update={"model": task.run.model.model_copy(update={"width": 9})})
    assert 'model: expected {"kind": "fno", "modes": [4], "width": 9' in refused(folder, wider)
    assert 'kind: expected "pinn", got "operator"' in refused(folder, pinn_run())
    description = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(description | {"schema_version": 2}))
    assert "schema_version 1, got 2" in refused(folder, task.run)


def test_parameters_of_other_shapes_are_refused(saved):
    folder, task = saved
    other = torch.nn.Linear(3, 3)
    with pytest.raises(CheckpointError, match=r"model\.pt: expected the parameters of the run"):
        load_initial(folder, task.run, other)


def test_the_check_needs_no_torch():
    code = (
        "import sys, pipeline.training.saved.checkpoint;"
        "sys.exit(bool({'torch', 'ray', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
