"""Directions along which functions are differentiated: scaled basis vectors, or any vectors.

Shapes: n points, b directions, m coordinates, w units. A leading dimension "1|n" is 1 where the
directions are the same at all points; results computed from them then have 1, too.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pipeline.calculus.precision import full_precision
from pipeline.parallel.axes import AxisPartition


@dataclass(frozen=True)
class Axes:
    """The basis vectors e_i of `index`, each times its `factor` at a point."""

    index: Tensor  # (b,) int64
    factor: Tensor | None = None  # (1|n, b); None for one

    def along(self, vectors: Tensor) -> Tensor:
        """Return the inner products with the rows of `vectors` (1|n, m): (1|n, b)."""
        picked = vectors[:, self.index]
        return picked if self.factor is None else self.factor * picked

    def through(self, weight: Tensor) -> Tensor:
        """Return the images under `weight` (w, m): (1|n, b, w), gathered columns."""
        columns = weight[:, self.index].T.unsqueeze(0)
        return columns if self.factor is None else self.factor.unsqueeze(-1) * columns

    def squares(self, like: Tensor) -> Tensor:
        """Return the squared lengths, (1|n, b), in the type of `like`."""
        if self.factor is None:
            return torch.ones(1, len(self.index), device=like.device, dtype=like.dtype)
        return self.factor.square()

    def vectors(self, x: Tensor) -> Tensor:
        """Return the directions themselves, (1|n, b, m), in the type of the points `x` (n, m)."""
        rows = torch.zeros(len(self.index), x.shape[1], device=x.device, dtype=x.dtype)
        # One-hot rows of length m: what nested derivatives need, and `along` and `through` avoid.
        rows[torch.arange(len(self.index), device=x.device), self.index] = 1.0
        return rows.unsqueeze(0) if self.factor is None else self.factor.unsqueeze(-1) * rows


@dataclass(frozen=True)
class OwnAxes(Axes):
    """The basis vectors of `index` where each process holds its axes of `partition` alone.

    Vectors and columns that are passed in hold the own axes; results are complete.
    """

    partition: AxisPartition = field(kw_only=True)

    def along(self, vectors: Tensor) -> Tensor:
        """Return the inner products for this process's share of the points, (k, b).

        `vectors` (n, own) has the own coordinates of the vectors at all points.
        """
        mine, place = self.partition.own(self.index)
        # e_i·v is one coordinate of v, which one process holds: the others add zeros.
        picked = vectors.new_zeros(len(vectors), len(self.index))
        picked[:, mine] = vectors[:, place]
        return self.partition.rows(picked)

    def through(self, weight: Tensor) -> Tensor:
        """Return the images under `weight` (w, own): (1, b, w), gathered columns."""
        # All points share the directions, so that each process needs the complete columns.
        _, place = self.partition.own(self.index)
        return self.spread(weight[:, place].T).unsqueeze(0)

    def spread(self, columns: Tensor) -> Tensor:
        """Return the columns (b, w) of all axes, from those of the own ones among them."""
        mine, _ = self.partition.own(self.index)
        every = columns.new_zeros(len(self.index), columns.shape[1])
        every[mine] = columns
        return self.partition.total(every)

    def vectors(self, x: Tensor) -> Tensor:
        """Refuse: no process has the other axes."""
        raise NotImplementedError("directions over all axes, where these are divided")


@dataclass(frozen=True)
class Dense:
    """The rows of `rows`, (1|n, b, m)."""

    rows: Tensor

    def along(self, vectors: Tensor) -> Tensor:
        """Return the inner products with the rows of `vectors` (1|n, m): (1|n, b)."""
        with full_precision(vectors):
            # Directions that all points share take one matrix product, and not one for each point.
            if self.rows.shape[0] == 1:
                return vectors @ self.rows[0].T
            return torch.einsum("nbm,nm->nb", self.rows, vectors.expand(len(self.rows), -1))

    def through(self, weight: Tensor) -> Tensor:
        """Return the images under `weight` (w, m): (1|n, b, w)."""
        # A layer of the network: autocast may lower this product, unlike the one in `along`.
        return self.rows @ weight.T

    def squares(self, like: Tensor) -> Tensor:
        """Return the squared lengths, (1|n, b)."""
        return self.rows.square().sum(-1)

    def vectors(self, x: Tensor) -> Tensor:
        """Return the directions themselves, (1|n, b, m)."""
        return self.rows


Directions = Axes | Dense
