"""Checks of what an experiment finds on disk, made before any job starts."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.config import Experiment
from pipeline.errors import CheckpointError, StoreError
from pipeline.kinds import shaping
from pipeline.store import layout
from pipeline.store.check import check_any_store
from pipeline.store.config import Dataset, Trajectory
from pipeline.training.saved.checkpoint import check_checkpoint


def check_inputs(experiment: Experiment, data: Path, results: Path) -> None:
    """Return if every store and initial checkpoint on disk can be used.

    A store that is not there yet is made by the workflow; one that is there must be complete, and
    of the definition that the experiment gives it: another experiment may use it. An initial
    checkpoint is there, or that of another run of this experiment (see `makers`).

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
    chain = makers(experiment, results)
    for name, run in experiment.runs.items():
        if name in chain:
            _check_chain(name, chain, experiment)
            continue
        if run.initial_checkpoint is None:
            continue
        try:
            check_checkpoint(run.initial_checkpoint, run)
        except CheckpointError as error:
            raise CheckpointError(f"runs.{name}.initial_checkpoint: {error}") from None


def makers(experiment: Experiment, results: Path) -> dict[str, str]:
    """Return, for each run that starts from a checkpoint of this experiment, the run that makes it.

    Args:
        experiment: paths in it count from the working directory.
        results: the experiment's folder.
    """
    by_path = {_path(results / "train" / name / "checkpoint"): name for name in experiment.runs}
    found = {
        name: by_path.get(_path(run.initial_checkpoint))
        for name, run in experiment.runs.items()
        if run.initial_checkpoint is not None
    }
    return {name: maker for name, maker in found.items() if maker is not None}


def _path(path: Path) -> str:
    return os.path.abspath(path)


def _check_chain(name: str, chain: Mapping[str, str], experiment: Experiment) -> None:
    """Raise `CheckpointError` if a run starts from itself in the end, or from another model."""
    key = f"runs.{name}.initial_checkpoint"
    seen = [name]
    while (maker := chain.get(seen[-1])) is not None:
        if maker in seen:
            told = " from ".join([*seen, maker])
            raise CheckpointError(f"{key}: expected a first run, got a circle: {told}")
        seen.append(maker)
    run, maker_run = experiment.runs[name], experiment.runs[chain[name]]
    # Its weights need not be there yet: what can be compared are the configurations.
    for part, mine, other in (
        ("kind", run.task, maker_run.task),
        ("model", run.model, maker_run.model),
        ("shapes", run.shapes(), maker_run.shapes()),
    ):
        if mine != other:
            raise CheckpointError(
                f"{key}: expected the {part} of runs.{name} ({mine}), got that of"
                f" runs.{chain[name]} ({other}); give a run with the same model"
            )


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
