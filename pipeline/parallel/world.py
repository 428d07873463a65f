"""The processes that work together, and what they sum."""

from typing import Protocol

from torch import Tensor


class World(Protocol):
    """The processes that train together."""

    rank: int
    size: int
    num_bytes: int
    """Of all tensors that this process has given to `all_reduce` so far."""

    def all_reduce(self, values: Tensor) -> None:
        """Replace `values` by its sum over all ranks, in place, the same bits on every rank."""
        ...


class Alone:
    """A world of one process."""

    rank, size, num_bytes = 0, 1, 0

    def all_reduce(self, values: Tensor) -> None:
        """Return at once: the sum over one rank."""
