"""The `World` of a torch.distributed process group (gloo or nccl) set up by its launcher."""

import torch.distributed as dist
from torch import Tensor


class Group:
    """All processes of the default group."""

    def __init__(self) -> None:
        self.rank, self.size, self.num_bytes = dist.get_rank(), dist.get_world_size(), 0

    def all_reduce(self, values: Tensor) -> None:
        """Replace `values` by its sum over all ranks, in place, the same bits on every rank."""
        self.num_bytes += values.numel() * values.element_size()
        dist.all_reduce(values)
