"""Which schemas there are, and their texts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline import config
from pipeline.checks.schemas import bounds, checkpoints, records, stores
from pipeline.checks.schemas.base import EXPERIMENT, REF
from pipeline.runtime.digest import ROOT

FOLDER = ROOT / "workflow/schemas"
COMMAND = "python -m pipeline.checks.schemas"
# By the names of their schemas.
MODELS: dict[str, type[BaseModel]] = {
    "experiment_record": records.ExperimentRecord,
    "run": records.RunRecord,
    "incomplete": records.IncompleteRecord,
    "failure": records.FailureRecord,
    "trace": bounds.Trace,
    "candidate": bounds.Candidate,
    "verdict": bounds.Verdict,
    "model": checkpoints.Model,
    "store": stores.Store,
}


def texts() -> Iterator[tuple[Path, str]]:
    """Yield the file and the text of every schema, that of experiment files first."""
    yield FOLDER / EXPERIMENT, config.schema_text()
    for name, model in MODELS.items():
        schema: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
        schema |= model.model_json_schema()
        # References to another file have stood under a name of their own: see `REF`.
        text = json.dumps(schema, indent=1, ensure_ascii=False).replace(REF, "$ref")
        yield FOLDER / f"{name}.schema.json", text + "\n"
