"""The naive baseline: the exact Laplacian, every axis by nested forward-mode derivatives."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pipeline import config
from pipeline.estimators.base import Field, LaplacianEstimator
from pipeline.estimators.nested import nested_sum


def build(config: config.Full) -> LaplacianEstimator:
    """Return the estimator that takes `chunk` axes at a time."""
    return Full(config.chunk)


@dataclass(frozen=True)
class Full:
    """Sums ∂²u/∂x_i² over all d axes, `chunk` at a time: exact, no structure of u used.

    The backward pass recomputes each chunk, so that memory grows with `chunk` and not with d. At
    d = 1000 on a CPU this was the fastest of the plain ways (one step on 50 points, 128 × 4
    network, one core: 2.9 s; without recomputation 3.3 s, double backward 3.6 s).
    """

    chunk: int

    def __call__(self, u: Field, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return u and Δu at the rows of `x`, both (n,); draws nothing from `generator`."""
        total = torch.zeros_like(x[:, 0])
        for axes in torch.split(torch.arange(x.shape[1], device=x.device), self.chunk):
            total = total + checkpoint(
                nested_sum, u, x, axes, use_reentrant=False, preserve_rng_state=False
            )
        return u(x), total
