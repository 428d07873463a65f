"""The state of a run whose axes are divided over processes: parts on disk, joined in any division.

Every process writes its columns (of the weights and of the optimiser's moments) to a file of its
own. Once all are there, rank 0 writes the rest of the state with the list of the parts. A state
counts when that last file is replaced, and any number of processes can start from it: each reads
the columns of its own axes from the files that hold them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.parallel.axes import AxesLinear, divided_layers
from pipeline.parallel.world import World
from pipeline.training.saved.snapshot import Snapshots, write

_PARTS = "parts"
# Keys that lead to a tensor of a state.
Keys = tuple[str | int, ...]


class DividedSnapshots:
    """The last saved state of a divided run in `folder`; implements `loop.Checkpoints`.

    `load` and `save` are called on every rank, with the state of its own part.
    """

    def __init__(self, folder: Path, device: torch.device, model: nn.Module, world: World) -> None:
        self._rest = Snapshots(folder, device)
        self._folder, self._device, self._model, self._world = folder, device, model, world

    def load(self) -> dict[str, Any] | None:
        """Return the last state with the columns of this process's axes, or None."""
        state = self._rest.load()
        if state is None:
            return None
        layer = next(iter(divided_layers(self._model).values()))
        parts = state.pop(_PARTS)
        for path, columns in _joined(
            self._folder, parts, layer.partition.first, layer.partition.last
        ):
            _put(state, path, columns.to(self._device))
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Replace the state; it counts once the parts of all ranks are on disk."""
        layers = divided_layers(self._model)
        partition = next(iter(layers.values())).partition
        rest, own = _cut(state, self._model, layers)
        # Named by the step: the last state counts until rank 0 replaces it, and needs its parts.
        names = [f"part-{state['step']}-{rank}.pt" for rank in range(partition.size)]
        write(self._folder / names[partition.rank], {"tensors": own})
        # A barrier: rank 0 goes on when the parts of all ranks are on disk.
        self._world.all_reduce(torch.zeros(1, device=self._device))
        if partition.rank:
            return
        parts = [[name, *partition.range_of(rank)] for rank, name in enumerate(names)]
        self._rest.save({**rest, _PARTS: parts})
        for old in self._folder.glob("part-*.pt"):
            if old.name not in names:
                old.unlink(missing_ok=True)

    def whole_model(self) -> dict[str, Tensor]:
        """Return the parameters that the saved run ends with, of all axes, on the CPU."""
        state = Snapshots(self._folder, torch.device("cpu")).load()
        assert state is not None
        parts, best = state.pop(_PARTS), ("early_stopping", "best_model")
        # With early stopping a run ends with the model of the least residual.
        kept = best if state[best[0]][best[1]] is not None else ("model",)
        for path, columns in _joined(self._folder, parts, 0, parts[-1][2], below=kept):
            _put(state, path, columns)
        for key in kept:
            state = state[key]
        return state


def own_columns(whole: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Return the parameters of `model`, a process's part, from those of the whole model."""
    found = dict(whole)
    for name, layer in divided_layers(model).items():
        # Only a divided layer has columns of its own; all other parameters are whole everywhere.
        found[name] = whole[name][:, layer.partition.first : layer.partition.last]
    return found


def _cut(
    state: dict[str, Any], model: nn.Module, layers: dict[str, AxesLinear]
) -> tuple[dict[str, Any], list[list[Any]]]:
    """Return the state without the tensors of own columns, and those with their paths."""
    indices = [i for i, (name, _) in enumerate(model.named_parameters()) if name in layers]
    own: list[list[Any]] = []

    def rest(value: Any, path: Keys) -> Any:
        if not isinstance(value, dict):
            return value
        kept = {}
        for key, child in value.items():
            here = (*path, key)
            # Torch keys the optimiser's state by the place of a parameter, not by its name.
            moment = path[:2] == ("optimizer", "state") and path[-1] in indices
            # Moments are matrices like the weight; Adam's count of steps is a scalar, not divided.
            if isinstance(child, Tensor) and (key in layers or (moment and child.dim() == 2)):
                own.append([list(here), child])
            else:
                kept[key] = rest(child, here)
        return kept

    return rest(state, ()), own


def _joined(
    folder: Path, parts: list[list[Any]], first: int, last: int, below: Keys = ()
) -> Iterator[tuple[Keys, Tensor]]:
    """Yield the divided tensors whose path begins with `below`, columns `first` to `last`."""
    overlaps = [part for part in parts if part[1] < last and first < part[2]]
    # Mapped files: of a part only the columns that are wanted are read.
    files = [
        torch.load(folder / name, map_location="cpu", weights_only=True, mmap=True)["tensors"]
        for name, _, _ in overlaps
    ]
    # Every part lists the same tensors in the same order.
    for entries in zip(*files, strict=True):
        path = tuple(entries[0][0])
        if path[: len(below)] != below:
            continue
        pieces = [
            tensor[:, max(first, begin) - begin : min(last, end) - begin]
            for (_, tensor), (_, begin, end) in zip(entries, overlaps, strict=True)
        ]
        yield path, torch.cat(pieces, 1)


def _put(state: dict[Any, Any], path: Keys, value: Tensor) -> None:
    for key in path[:-1]:
        state = state[key]
    state[path[-1]] = value
