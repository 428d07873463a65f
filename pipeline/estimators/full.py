"""The naive baseline: the exact Laplacian, every axis by nested forward-mode derivatives."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pipeline import config
from pipeline.estimators.base import Field, LaplacianEstimator
from pipeline.estimators.sdgd import nested_sum


def build(config: config.Full) -> LaplacianEstimator:
    """Return the estimator that takes `chunk` axes at a time."""
    return Full(config.chunk)


@dataclass(frozen=True)
class Full:
    """Sums ∂²u/∂x_i² over all d axes, `chunk` at a time: exact, with no structure used."""

    chunk: int

    def __call__(self, u: Field, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        raise NotImplementedError
