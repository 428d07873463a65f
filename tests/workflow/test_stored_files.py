"""Every JSON file that a finished experiment leaves has a schema and fits it."""

import json

import pytest

from pipeline.checks.schemas.files import MODELS

pytestmark = pytest.mark.slow


def schema_of(path) -> str:
    if path.name == "experiment.json":
        return "experiment_record"
    return "run" if path.name.endswith("run.json") else path.stem


def test_files_between_the_stages(finished):
    results, data = finished.root / "results/smoke", finished.root / "data"
    # The state of an unfinished stage is its own affair.
    files = [path for path in results.rglob("*.json") if "state" not in path.parts]
    files += data.glob("*.json")
    assert len(files) == 13
    for path in files:
        MODELS[schema_of(path)].model_validate_json(path.read_text(encoding="utf-8"))
    for path in data.glob("*.zarr/zarr.json"):
        attributes = json.loads(path.read_text(encoding="utf-8"))["attributes"]
        MODELS["store"].model_validate_json(json.dumps(attributes))
