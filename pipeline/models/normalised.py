"""A model between fields of mean 0 and standard deviation 1, whatever the units of the data."""

import torch
from torch import Tensor, nn


class Normalised(nn.Module):
    """Return σ_out · model((a - μ_in) / σ_in) + μ_out, each channel with its own μ and σ.

    The statistics are buffers: they are saved with the parameters and need no data afterwards.
    """

    input_mean: Tensor
    input_std: Tensor
    target_mean: Tensor
    target_std: Tensor

    def __init__(
        self,
        model: nn.Module,
        input_statistics: tuple[Tensor, Tensor],
        target_statistics: tuple[Tensor, Tensor],
    ) -> None:
        super().__init__()
        self.model = model
        for name, (mean, std) in (("input", input_statistics), ("target", target_statistics)):
            self.register_buffer(f"{name}_mean", mean)
            # A constant channel carries no scale.
            self.register_buffer(f"{name}_std", torch.where(std > 0, std, torch.ones_like(std)))

    def forward(self, fields: Tensor) -> Tensor:
        """Return the output fields in the units of the targets, (B, C, *grid)."""
        shape = (-1, *[1] * (fields.ndim - 2))
        scaled = (fields - self.input_mean.view(shape)) / self.input_std.view(shape)
        output: Tensor = self.model(scaled)
        return output * self.target_std.view(shape) + self.target_mean.view(shape)
