"""The files of a finished run: collected in its state folder, then moved to where they belong."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.runtime import disk
from pipeline.runtime.provenance import write_json
from pipeline.training.loop import Row
from pipeline.training.saved import checkpoint

METRICS, CHECKPOINT, PREDICTION = "metrics.parquet", "checkpoint", "prediction.npz"
FILES = (
    METRICS,
    f"{CHECKPOINT}/{checkpoint.WEIGHTS}",
    f"{CHECKPOINT}/{checkpoint.DESCRIPTION}",
    PREDICTION,
)
_SUMMARY = "summary.json"
_SCHEMA = pa.schema(
    {
        "step": pa.int64(),
        "epoch": pa.float64(),
        "split": pa.string(),
        "metric": pa.string(),
        "value": pa.float64(),
        "elapsed_s": pa.float64(),
    }
)


def write_metrics(path: Path, rows: Sequence[Row]) -> None:
    """Write the history of metrics, one row a number."""
    # By a fixed schema: a history without rows has the columns as well.
    table = pa.Table.from_pylist([row._asdict() for row in rows], schema=_SCHEMA)
    pq.write_table(table, path)


def collect(
    folder: Path, rows: Sequence[Row], prediction: dict[str, np.ndarray], summary: dict[str, Any]
) -> None:
    """Write all but the checkpoint to `folder`, the summary last."""
    folder.mkdir(parents=True, exist_ok=True)
    write_metrics(folder / METRICS, rows)
    # Without pickle: an array of objects fails here and not at its reader.
    np.savez_compressed(folder / PREDICTION, allow_pickle=False, **prediction)
    write_json(folder / _SUMMARY, summary)


def install(folder: Path, output: Path) -> dict[str, Any]:
    """Copy the files of `folder` to `output`, each replaced whole; return the summary.

    The description of a checkpoint comes after its weights and holds their checksum, so that a
    kill in between leaves no pair that is taken for one.
    """
    for name in FILES:
        # Temporary files of a start that was killed.
        disk.sweep((output / name).parent)
        with disk.replacing(output / name) as temporary:
            shutil.copyfile(folder / name, temporary)
    summary: dict[str, Any] = json.loads((folder / _SUMMARY).read_text(encoding="utf-8"))
    return summary
