"""The layout of a store that holds one flow in time, and the check that it is whole (stdlib only).

    <store>/zarr.json               group; its attributes are the schema below
    <store>/velocity/c/<t>/0/<r>/0/0   (num_snapshots + 1, 3, N, N, N): snapshot t, slab of rank r
    <store>/diagnostics/c/0/0       (num_steps + 1, 5) float64, columns `DIAGNOSTICS`
    <store>/spectrum/c/0/0          (num_snapshots + 1, shells) float64: E(k) of each snapshot
    <store>/{time,x,y,z}/c/0        time of each snapshot, nodes along each axis

Attributes: as in `layout` but `worst_snapshot` for `worst_sample`, with `layout: "trajectory"`, and
in `shards` a list for each array whose entries also say `at`, the shard's position. A shard is one
rank's slab of one snapshot, so that ranks write in parallel without ever touching the same file.
"""

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import StoreError
from pipeline.store import layout

if TYPE_CHECKING:
    from pipeline.store.config import Trajectory

LAYOUT = "trajectory"
ARRAYS = ("velocity", "diagnostics", "spectrum")
# Snapshots are equally spaced, so that time is a coordinate; so are x, y and z.
DIMENSIONS = {
    "velocity": ("time", "component", "x", "y", "z"),
    "diagnostics": ("step", "quantity"),
    "spectrum": ("time", "shell"),
}
DIAGNOSTICS = ("time", "energy", "enstrophy", "dissipation", "divergence")
_REMEDY = "delete the folder and rerun generate"


def check_trajectory(
    path: Path,
    dataset: "Trajectory | None" = None,
    seed: int | None = None,
    *,
    full_check_bytes: int = layout.FULL_CHECK_BYTES,
) -> None:
    """Return if the trajectory at `path` is complete and undamaged, else raise.

    Same comparisons and guarantee as `layout.check_store`.

    Raises:
        StoreError: one line naming store, shard, expected, got, remedy.
    """
    attributes = layout.read_attributes(path)
    if attributes.get("layout") != LAYOUT:
        raise StoreError(
            f"{path}: expected layout {LAYOUT!r}, got {attributes.get('layout')!r}; {_REMEDY}"
        )
    if dataset is not None:
        layout.check_origin(path, attributes, dataset, seed)
    try:
        records = {name: list(attributes["shards"][name]) for name in ARRAYS}
        total = sum(record["size"] for name in ARRAYS for record in records[name])
        found = {name: [tuple(record["at"]) for record in records[name]] for name in ARRAYS}
        fields = attributes["dataset"]["num_snapshots"] + 1, 3, *attributes["dataset"]["grid"]
    except (KeyError, TypeError) as error:
        raise StoreError(
            f"{path}: expected the record of its shards, got {error!r}; {_REMEDY}"
        ) from None
    for name in ARRAYS:
        shape, expected = _grid_of_shards(path, name)
        if name == "velocity" and shape != fields:
            raise StoreError(f"{path}/{name}: expected shape {fields}, got {shape}; {_REMEDY}")
        # Each position once: a missing slab would otherwise read as NaN.
        if sorted(found[name]) != expected:
            raise StoreError(
                f"{path}/{name}: expected the record of {len(expected)} shards,"
                f" got {len(found[name])}; {_REMEDY}"
            )
        for at, record in zip(found[name], records[name], strict=True):
            file = layout.block_file(path, name, at)
            layout.check_file(path / name, at, file, record, full=total <= full_check_bytes)
    layout.check_coordinates(path, attributes, full=total <= full_check_bytes)


def _grid_of_shards(path: Path, name: str) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Return the shape of an array and the positions of all of its shards, sorted."""
    try:
        content: dict[str, Any] = json.loads(
            (path / name / "zarr.json").read_text(encoding="utf-8")
        )
        shape = tuple(content["shape"])
        # In Zarr v3 the chunk grid of a sharded array is that of its shards, which are the files.
        shard = content["chunk_grid"]["configuration"]["chunk_shape"]
        counts = [-(-n // size) for n, size in zip(shape, shard, strict=True)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}/{name}: expected an array, got {error!r}; {_REMEDY}") from None
    return shape, list(itertools.product(*map(range, counts)))
