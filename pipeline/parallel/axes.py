"""Axes of space divided over processes: one's own part, sums over all, a linear layer of them.

Every process holds the same points, but only the coordinates of its own axes, and with them the
columns of the first layer and whatever else belongs to an axis. Sums over the axes (|x|², W x, a
source term) are summed over the processes. Each process keeps the rows of such a sum for its share
of the points, and from there on works alone: its part of the loss is that of these points. The
derivative of the loss in a sum is therefore added over the processes, too, so that each process
gets the whole gradient of its own columns without any of them being sent.

Shapes: n points, k of them this process's share, w units.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.parallel.shares import ends


class AxisPartition:
    """Axes `first` to `last` of `dim` for process `rank` of `size`; `add` sums over them in place.

    Sizes differ by one at most; one process holds all axes, and its sums are the parts themselves.
    """

    def __init__(
        self,
        dim: int,
        rank: int = 0,
        size: int = 1,
        add: Callable[[Tensor], object] = lambda values: None,
    ) -> None:
        self.dim, self.rank, self.size, self.add = dim, rank, size, add
        self.first, self.last = self.range_of(rank)
        self._divides_points = True

    def __deepcopy__(self, memo: object) -> "AxisPartition":
        # `add` stands for a process group, which a copy of a model goes on to share.
        return self

    def range_of(self, rank: int) -> tuple[int, int]:
        """Return the first axis of a process and the one after its last."""
        return ends(self.dim, rank, self.size)

    @property
    def num_axes(self) -> int:
        """Return the number of axes of this process."""
        return self.last - self.first

    @contextmanager
    def every_point(self) -> Iterator[None]:
        """Let `rows` return all points on every process, without gradients, within the block."""
        # With gradients every process would have the loss of all points, and the sum over
        # processes would count it `size` times.
        before, self._divides_points = self._divides_points, False
        try:
            yield
        finally:
            self._divides_points = before

    def rows(self, part: Tensor) -> Tensor:
        """Return the sum of `part` (n, ...) over the processes, for this one's points (k, ...)."""
        if self.size == 1:
            return part
        if not self._divides_points:
            return self.total(part)
        rows = slice(*ends(len(part), self.rank, self.size))
        found: Tensor = _Sum.apply(part, self.add, rows)  # type: ignore[no-untyped-call]
        return found

    def total(self, part: Tensor) -> Tensor:
        """Return the sum of `part` over the processes, whole: for what all points share."""
        if self.size == 1:
            return part
        found: Tensor = _Sum.apply(part, self.add, slice(None))  # type: ignore[no-untyped-call]
        return found

    def own(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return which of the axes `index` (b,) this process holds, (b,), and their places here."""
        mine = (index >= self.first) & (index < self.last)
        return mine, index[mine] - self.first


class _Sum(torch.autograd.Function):
    """A sum over processes in float32 or better; its derivative is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, add: Callable[[Tensor], object], rows: slice) -> Tensor:
        ctx.add, ctx.rows, ctx.shape, ctx.dtype = add, rows, part.shape, part.dtype
        # A copy, because `add` works in place; in bfloat16 a sum of many parts would lose bits.
        low = part.dtype in (torch.bfloat16, torch.float16)
        total = part.to(torch.float32 if low else part.dtype, copy=True).contiguous()
        add(total)
        # A slice would keep the sum over all points alive for the backward pass.
        return total[rows].clone() if rows != slice(None) else total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grad,) = grads
        # A process knows the derivative in its own rows only; with zeros elsewhere the sum over
        # processes is the whole.
        total = torch.zeros(ctx.shape, device=grad.device, dtype=grad.dtype)
        total[ctx.rows] = grad
        ctx.add(total)
        return total.to(ctx.dtype), None, None


class AxesLinear(nn.Linear):
    """W x + c with the columns of W for the own axes of `partition`; W x is summed over processes.

    `weight` is (w, number of own axes) and differs between processes; `bias` is the same in all.
    """

    def __init__(
        self, partition: AxisPartition, num_units: int, device: torch.device | None = None
    ) -> None:
        super().__init__(partition.num_axes, num_units, device=device)
        self.partition = partition

    def forward(self, x: Tensor) -> Tensor:
        """Return W x + c for this process's share of the points, from own coordinates `x`."""
        total = self.partition.rows(torch.nn.functional.linear(self.own(x), self.weight))
        # After the sum: the bias counts once, not once a process.
        return total + self.bias

    def own(self, x: Tensor) -> Tensor:
        """Return the coordinates of the own axes alone: neighbours may follow them in `x`."""
        return x[:, : self.in_features]


def divided_layers(model: nn.Module) -> dict[str, AxesLinear]:
    """Return the layers of `model` with divided columns by the names of their weights."""
    return {
        f"{name}.weight": layer
        for name, layer in model.named_modules()
        if isinstance(layer, AxesLinear)
    }
