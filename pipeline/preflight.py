"""Checks of what an experiment finds on disk, made before any job starts."""

from pathlib import Path

from pipeline.config import Experiment
from pipeline.errors import CheckpointError
from pipeline.store.check import check_any_store
from pipeline.training.checkpoint import check_checkpoint


def check_inputs(experiment: Experiment, data: Path) -> None:
    """Return if every store and initial checkpoint on disk can be used.

    A store that is not there yet is made by the workflow; one that is there must be complete.

    Raises:
        StoreError: a store of this experiment is half-written or damaged.
        CheckpointError: an initial checkpoint is missing, damaged or of another model.
    """
    for name in experiment.datasets:
        store = data / f"{name}.zarr"
        # Without zarr.json there is no store: Snakemake removes that file before it remakes one.
        if (store / "zarr.json").exists():
            check_any_store(store)
    for name, run in experiment.runs.items():
        if run.initial_checkpoint is None:
            continue
        try:
            check_checkpoint(run.initial_checkpoint, run)
        except CheckpointError as error:
            raise CheckpointError(f"runs.{name}.initial_checkpoint: {error}") from None
