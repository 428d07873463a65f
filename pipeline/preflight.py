"""Checks of what an experiment finds on disk, made before any job starts."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.config import Dataset, Experiment, Trajectory, shaping
from pipeline.errors import CheckpointError, StoreError
from pipeline.store import layout
from pipeline.store.check import check_any_store
from pipeline.training.checkpoint import check_checkpoint


def check_inputs(experiment: Experiment, data: Path) -> None:
    """Return if every store and initial checkpoint on disk can be used.

    A store that is not there yet is made by the workflow; one that is there must be complete, and
    of the definition that the experiment gives it: another experiment may use it.

    Raises:
        StoreError: a store of this experiment is half-written, damaged, of another definition, or
            less accurate than the tolerance of this experiment asks for.
        CheckpointError: an initial checkpoint is missing, damaged or of another model.
    """
    for name, part in experiment.datasets.items():
        store = data / f"{name}.zarr"
        # Without zarr.json there is no store: Snakemake removes that file before it remakes one.
        if (store / "zarr.json").exists():
            check_any_store(store)
            check_definition(name, part, store)
            layout.check_tolerance(store, part)
    for name, run in experiment.runs.items():
        if run.initial_checkpoint is None:
            continue
        try:
            check_checkpoint(run.initial_checkpoint, run)
        except CheckpointError as error:
            raise CheckpointError(f"runs.{name}.initial_checkpoint: {error}") from None


def check_definition(name: str, part: Dataset | Trajectory, store: Path) -> None:
    """Return if the complete `store` is the data set `part` called `name`.

    Raises:
        StoreError: it holds another one; each differing key is named with both values.
    """
    attributes = layout.read_attributes(store)
    held = dict(attributes.get("dataset", {})) | {"seed": attributes.get("seed", 0)}
    expected = shaping(part)
    try:
        found = shaping(type(part).model_validate(held))
    except ValidationError:
        # Of another kind, or of a version with other keys: what it says is compared as it is.
        found = held
    differing = "; ".join(_differences(expected, found))
    if differing:
        raise StoreError(
            f"{store}: expected the data set datasets.{name} of this experiment, got another of the"
            f" same name ({differing}); rename datasets.{name}, or remove {store} if no other"
            " experiment needs it"
        )


def _differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(expected.keys() | found.keys()):
        mine, other = expected.get(key), found.get(key)
        if isinstance(mine, Mapping) and isinstance(other, Mapping):
            yield from (f"{key}.{text}" for text in _differences(mine, other))
        elif mine != other:
            yield f"{key}: {_short(mine)} here, {_short(other)} there"


def _short(value: Any) -> str:
    return "none" if value is None else str(value)[:60]
