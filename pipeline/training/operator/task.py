"""The operator task: relative L2 loss of a neural operator on stored samples, on one device.

Relative L2 error of a sample: ‖prediction - truth‖₂ / ‖truth‖₂ over all channels and grid points;
of a set of samples: the mean over the samples. The loss is the same quantity on a batch.
The batch of a step is a function of (seed, step), whatever the number of workers that share it, so
a resumed run continues: with as many workers bit for bit, with more or fewer up to rounding.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from pipeline.kinds import implementation
from pipeline.models.normalised import Normalised
from pipeline.optimizers.gradient import GradientDescent
from pipeline.parallel.shares import share
from pipeline.parallel.world import World
from pipeline.store.config import Dataset
from pipeline.store.loader import ShardLoader
from pipeline.store.reader import Store, open_store
from pipeline.training.operator.baselines import baselines
from pipeline.training.operator.config import OperatorRun

_WARMUP = 0.2


def build(
    run: OperatorRun, seed: int, device: torch.device, store: Path | Store, world: World
) -> "Task":
    """Return the task of `run`; every process of the `world` holds the whole model."""
    return Task(run, seed, device, store)


def settled(run: OperatorRun, **_: Any) -> tuple[OperatorRun, dict[str, Any]]:
    """Return `run` and no choices: nothing of it is measured."""
    return run, {}


class Task:
    """One operator run: the model, its loss at a step, and its errors on the test split.

    Raises:
        StoreError: the store is unfinished, damaged, or smaller than one batch.
    """

    is_divided = is_compiled = False

    def __init__(
        self, run: OperatorRun, seed: int, device: torch.device, store: Path | Store
    ) -> None:
        self.run, self.seed, self.device = run, seed, torch.device(device)
        self.store = store if isinstance(store, Store) else open_store(store)
        self.samples_per_step = run.train.batch_size
        # An incomplete batch at the end of an epoch is left out: all steps have one size.
        self.steps_per_epoch = self.store.num_samples("train") // run.train.batch_size
        self.num_steps = run.train.num_epochs * self.steps_per_epoch
        self.model: nn.Module = self._build().to(self.device)
        self._loader: ShardLoader | None = None
        self._batches: Iterator[tuple[Tensor, Tensor]] = iter(())
        self._next_step = -1

    def _build(self) -> Normalised:
        (channels, *grid), (outputs, *_) = self.store.input_shape, self.store.target_shape
        module = implementation(self.run.model)
        # The model draws from the global generator, which is left as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            # On the CPU, so that the weights do not depend on the device.
            model = module.build(self.run.model, channels, outputs, len(grid))
        return Normalised(
            model, _statistics(self.store, "inputs"), _statistics(self.store, "targets")
        )

    def optimizer(self) -> GradientDescent:
        """Return AdamW and one cycle of the learning rate: 20% linear rise, cosine fall to ~0."""
        settings = self.run.train
        optimizer = AdamW(
            self.model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        # A rise of one step has no length, by which torch would divide; a cycle of one step ends
        # before it begins.
        num_steps = max(2, self.num_steps)
        rise = _WARMUP if _WARMUP * num_steps > 1 else 0.0
        schedule = OneCycleLR(optimizer, settings.learning_rate, num_steps, pct_start=rise)
        return GradientDescent(optimizer, schedule)

    def loss(self, model: nn.Module, step: int, rank: int, world_size: int) -> Tensor:
        """Return this rank's part of the mean relative L2 error over the step's batch."""
        inputs, targets = (x.to(self.device) for x in self._batch(step, rank, world_size))
        errors = relative_l2(self._predict(model, inputs), targets)
        # By the size of the whole batch, so that the ranks' parts add up to the mean.
        return errors.sum() / self.samples_per_step

    def _predict(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """Return the prediction in the parameters' dtype, the network in the run's precision."""
        dtype = next(model.parameters()).dtype
        # Autocast keeps the parameters in float32; the loss is taken outside it.
        low = self.run.train.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            output: Tensor = model(inputs.to(dtype))
        return output.to(dtype)

    def _batch(self, step: int, rank: int, world_size: int) -> tuple[Tensor, Tensor]:
        """Return this rank's share of the batch of `step`; fastest if steps come in order."""
        # The same batch for any number of workers, each of which reads its positions in it.
        positions = share(self.samples_per_step, rank, world_size)
        # The first step, or another share than before.
        if self._loader is None or self._loader.positions != positions:
            self._next_step = -1
            self._loader = ShardLoader(
                self.store,
                "train",
                self.samples_per_step,
                self.seed,
                positions=positions,
                grid_stride=self.run.train.grid_stride,
            )
        epoch, index = divmod(step, self.steps_per_epoch)
        # Steps in order read on in the epoch; a resumed run begins within one.
        if index == 0 or step != self._next_step:
            self._batches = self._loader.epoch(epoch, index)
        self._next_step = step + 1
        return next(self._batches)

    def held_out(self, rank: int, world_size: int) -> Tensor:
        """Return no groups: an operator's run has no held-out points beside its test split."""
        return torch.empty(0, dtype=torch.float64)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return `relative_l2` over the whole test split at full resolution.

        Beside it, its standard error: what another draw of as many test samples would change.
        """
        return _mean(self._errors(model))

    def final(self, model: nn.Module) -> dict[str, float]:
        """Return `relative_l2`, and `relative_l2@<points>` at the training resolution too.

        Beside them, the errors of what needs no network, and the skill (`baselines`).
        """
        stride, points = self.run.train.grid_stride, self.store.input_shape[1]
        errors = self._errors(model)
        found = _mean(errors)
        frequencies = self.run.model.frequencies(self.store.input_shape[1:])
        without = baselines(self.store, frequencies, periodic=self._periodic)
        found |= without.figures(errors.numpy())
        if stride > 1:
            full = found["relative_l2"]
            coarse = float(self._errors(model, stride).mean())
            found |= {f"relative_l2@{points}": full, f"relative_l2@{-(-points // stride)}": coarse}
        return found

    @torch.no_grad()
    def prediction(self, model: nn.Module) -> dict[str, np.ndarray]:
        """Return the test sample of median error and the worst one, in this order.

        Keys: `input`, `truth`, `prediction` (2, C, *grid); `coordinates` (num_axes, *grid);
        `relative_l2` (2,); `sample` (2,): their indices in the test split.
        """
        errors = self._errors(model)
        order = errors.argsort(stable=True).tolist()
        # A sample of median error, not a mean of two: it is drawn.
        chosen = [order[(len(order) - 1) // 2], order[-1]]
        inputs, truth = (torch.stack(x) for x in zip(*map(self._test_sample, chosen), strict=True))
        return {
            "input": inputs.numpy(),
            "truth": truth.numpy(),
            "prediction": self._predict(model, inputs.to(self.device)).cpu().numpy(),
            "coordinates": self._coordinates(),
            "relative_l2": errors[chosen].numpy(),
            "sample": np.array(chosen),
        }

    def epoch(self, step: int) -> float:
        """Return the number of epochs done at `step`."""
        return step / self.steps_per_epoch

    def description(self) -> dict[str, Any]:
        """Return shapes and normalisation of the model: what its reader needs to know."""
        stride = self.run.train.grid_stride
        statistics = {key: x.tolist() for key, x in self.model.named_buffers()}
        return {
            "input_shape": list(self.store.input_shape),
            "output_shape": list(self.store.target_shape),
            "training_grid": [-(-n // stride) for n in self.store.input_shape[1:]],
            "normalisation": statistics,
        }

    @torch.no_grad()
    def _errors(self, model: nn.Module, stride: int = 1) -> Tensor:
        """Return the relative L2 error of every test sample, in order, on the CPU."""
        errors = []
        for shard in range(self.store.num_shards("test")):
            for inputs, targets in self._test_batches(shard, stride):
                found = relative_l2(self._predict(model, inputs), targets)
                errors.append(found.double().cpu())
        return torch.cat(errors)

    def _test_batches(self, shard: int, stride: int) -> Iterator[tuple[Tensor, Tensor]]:
        blocks = self.store.read_shard("test", shard)
        every = (
            slice(None),
            slice(None),
            *[slice(None, None, stride)] * (blocks["inputs"].ndim - 2),
        )
        inputs, targets = (
            torch.from_numpy(np.ascontiguousarray(blocks[name][every])).to(self.device)
            for name in ("inputs", "targets")
        )
        size = self.samples_per_step
        yield from zip(torch.split(inputs, size), torch.split(targets, size), strict=True)

    def _test_sample(self, index: int) -> tuple[Tensor, Tensor]:
        shard, row = divmod(index, self.store.samples_per_shard)
        blocks = self.store.read_shard("test", shard)
        return torch.from_numpy(blocks["inputs"][row]), torch.from_numpy(blocks["targets"][row])

    def _coordinates(self) -> np.ndarray:
        """Return the coordinates of the stored points, (num_axes, *grid)."""
        # Periodic grids leave out the point 1 = 0; the others hold both ends.
        ends = not self._periodic
        axes = [np.linspace(0, 1, n, endpoint=ends) for n in self.store.input_shape[1:]]
        return np.stack(np.meshgrid(*axes, indexing="ij"))

    @property
    def _periodic(self) -> bool:
        return Dataset.model_validate(self.store.dataset).problem.periodic


def relative_l2(prediction: Tensor, truth: Tensor) -> Tensor:
    """Return ‖prediction - truth‖₂ / ‖truth‖₂ of each sample: (B, C, *grid) -> (B,)."""
    truth = truth.to(prediction.dtype).flatten(1)
    difference = torch.linalg.vector_norm(prediction.flatten(1) - truth, dim=1)
    errors: Tensor = difference / torch.linalg.vector_norm(truth, dim=1)
    return errors


def _mean(errors: Tensor) -> dict[str, float]:
    """Return the mean of the errors of independent samples and its standard error."""
    found = {"relative_l2": float(errors.mean())}
    if len(errors) > 1:
        found["relative_l2_standard_error"] = float(errors.std()) / math.sqrt(len(errors))
    return found


def _statistics(store: Store, name: str) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation per channel of `name` over the training split.

    One pass over the shards in float64; the sums are shifted by the first shard's means, so that
    nothing cancels.
    """
    count, shift, total, squares = 0, np.zeros(0), np.zeros(0), np.zeros(0)
    for index in range(store.num_shards("train")):
        block = np.moveaxis(store.read_shard("train", index)[name], 1, 0)
        values = block.reshape(len(block), -1).astype(np.float64)
        if index == 0:
            shift = values.mean(axis=1)
            total, squares = np.zeros_like(shift), np.zeros_like(shift)
        values -= shift[:, None]
        count += values.shape[1]
        total += values.sum(axis=1)
        squares += np.square(values).sum(axis=1)
    mean = total / count
    # Rounding may take a variance that is zero below it.
    std = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    return torch.tensor(mean + shift).float(), torch.tensor(std).float()
