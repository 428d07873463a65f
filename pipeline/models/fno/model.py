"""Fourier neural operator in one or two space dimensions, any resolution (Li et al. 2020).

Shapes: B samples, C channels, N points per axis, M retained frequencies per axis. Fields enter and
leave as (B, C, *grid); inside, channels come last.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from pipeline.models.fno import config

_PROJECTION_WIDTH = 128


def build(config: config.FNO, in_channels: int, out_channels: int, num_axes: int) -> "FNO":
    """Return a network (B, in_channels, *grid) -> (B, out_channels, *grid)."""
    assert len(config.modes) == num_axes
    return FNO(config.modes, config.width, config.depth, in_channels, out_channels)


class FNO(nn.Module):
    """Lift, `depth` Fourier layers v <- GELU(K v + W v), project; no GELU on the last layer.

    The coordinates j/N are appended to the input, so that keeping every s-th point of a grid
    keeps the coordinates of what is left (exactly if s divides N). Projection: width -> 128 -> out.

    Parameters: with a + b one Linear a -> b of a·b + b numbers, (in_channels + num_axes) + width,
    depth times (2·2^(num_axes - 1)·width²·Π modes real numbers and width + width), width + 128 and
    128 + out_channels; 2,368,001 for the Darcy network of the paper (12 modes, width 32).

    Reference: Li et al., arXiv:2010.08895, section 4 and the code published with it.
    """

    def __init__(
        self,
        modes: tuple[int, ...],
        width: int,
        depth: int,
        in_channels: int,
        out_channels: int,
    ) -> None:
        super().__init__()
        self.lift = nn.Linear(in_channels + len(modes), width)
        self.spectral = nn.ModuleList(SpectralConv(modes, width) for _ in range(depth))
        self.pointwise = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.hidden = nn.Linear(width, _PROJECTION_WIDTH)
        self.project = nn.Linear(_PROJECTION_WIDTH, out_channels)

    def forward(self, fields: Tensor) -> Tensor:
        """Return the output fields at the points of the input fields."""
        v = torch.cat((fields.movedim(1, -1), _coordinates(fields)), dim=-1)
        v = self.lift(v)
        last = len(self.spectral) - 1
        for i, (spectral, pointwise) in enumerate(zip(self.spectral, self.pointwise, strict=True)):
            v = spectral(v) + pointwise(v)
            if i < last:
                # Not after the last layer: the projection has a nonlinearity of its own.
                v = gelu(v)
        output: Tensor = self.project(gelu(self.hidden(v)))
        return output.movedim(-1, 1)


def _coordinates(fields: Tensor) -> Tensor:
    """Return the coordinates j/N of every point, (B, *grid, num_axes)."""
    grid = fields.shape[2:]
    axes = [torch.arange(n, device=fields.device, dtype=fields.dtype) / n for n in grid]
    # Added by the network and not by the data: any resolution gets the same coordinates.
    mesh = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    return mesh.expand(len(fields), *mesh.shape)


class SpectralConv(nn.Module):
    """Multiply the lowest frequencies by learned matrices: v -> irfft(R · rfft(v)).

    Retained: 0 <= k < modes[-1] on the last axis; -modes[0] <= k < modes[0] on the first of two.
    Frequencies that a coarse grid does not resolve below N/2 are left out. As modes are few, the
    truncated transforms are products with real matrices of cosines and sines, which beats an FFT;
    the mixing is one batched product over frequencies. Computed in float32 under autocast: in
    bfloat16 the transforms would lose more than the error of a trained network.

    Init: real and imaginary parts uniform on [0, 1/width²), as published.
    """

    def __init__(self, modes: tuple[int, ...], width: int) -> None:
        super().__init__()
        if len(modes) not in (1, 2):
            raise ValueError(f"modes: expected 1 or 2 axes, got {len(modes)}")
        self.modes, self.width = modes, width
        shape = (2 * modes[0], modes[1]) if len(modes) == 2 else modes
        # (*frequencies, C_in, re|im, C_out)
        # Real and imaginary part beside each other: one real product with the matrix gives both.
        self.weight = nn.Parameter(torch.rand(*shape, width, 2, width) / width**2)

    def forward(self, v: Tensor) -> Tensor:
        """Return the convolved field, (B, *grid, C) -> (B, *grid, C)."""
        with torch.autocast(v.device.type, enabled=False):
            v = v.to(self.weight.dtype)
            return self._one_axis(v) if len(self.modes) == 1 else self._two_axes(v)

    def _one_axis(self, v: Tensor) -> Tensor:
        num_samples, points, width = v.shape
        modes = _resolved(self.modes[0], points)
        forward, inverse = _half_axis(points, modes, v.dtype, v.device)
        spectrum = (forward @ v).view(num_samples, 2, modes, width)
        mixed = _mix(spectrum, self.weight[:modes])
        return inverse @ mixed.reshape(num_samples, 2 * modes, width)

    def _two_axes(self, v: Tensor) -> Tensor:
        num_samples, rows, columns, width = v.shape
        modes = _resolved(self.modes[0], rows), _resolved(self.modes[1], columns)
        to_half, from_half = _half_axis(columns, modes[1], v.dtype, v.device)
        to_full, from_full = _full_axis(rows, modes[0], v.dtype, v.device)
        # Rows and re|im form one axis, so that a complex transform is one real product.
        half = (to_half @ v).view(num_samples, rows * 2, modes[1] * width)
        spectrum = (to_full @ half).view(num_samples, 2, 2 * modes[0] * modes[1], width)
        mixed = _mix(spectrum, self._corners(*modes).flatten(0, 1))
        mixed = mixed.reshape(num_samples, 4 * modes[0], modes[1] * width)
        half = (from_full @ mixed).view(num_samples, rows, 2 * modes[1], width)
        return from_half @ half

    def _corners(self, first: int, second: int) -> Tensor:
        """Return the weights of |k| small enough for the grid: 0..first-1, -first..-1."""
        if (first, second) == self.modes:
            return self.weight
        return torch.cat((self.weight[:first, :second], self.weight[-first:, :second]))


def _mix(spectrum: Tensor, weight: Tensor) -> Tensor:
    """Return the products over channels, one complex matrix a frequency.

    Args:
        spectrum: (B, re|im, M, C_in).
        weight: (M, C_in, re|im, C_out).

    Returns:
        (B, re|im, M, C_out), not contiguous.
    """
    num_samples, _, modes, width = spectrum.shape
    rows = spectrum.permute(2, 1, 0, 3).reshape(modes, 2 * num_samples, width)
    # All samples' real and imaginary parts are the rows of one matrix a frequency.
    products = torch.bmm(rows, weight.reshape(modes, width, -1))
    # (M, re|im of the spectrum, B, re|im of the weight, C_out)
    products = products.view(modes, 2, num_samples, 2, -1)
    # (a + ib)(c + id) = (ac - bd) + i(ad + bc).
    real = products[:, 0, :, 0] - products[:, 1, :, 1]
    imaginary = products[:, 0, :, 1] + products[:, 1, :, 0]
    return torch.stack((real, imaginary)).permute(2, 0, 1, 3)


def _resolved(modes: int, points: int) -> int:
    """Return how many of the frequencies 0, 1, .. stay below `points` / 2."""
    # At N/2 itself the sine vanishes on the grid, and half of the coefficient is lost.
    return min(modes, (points + 1) // 2)


# A run uses few grids, and the same matrices at every step.
@lru_cache(maxsize=32)
def _half_axis(
    points: int, modes: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the real matrices of a truncated rfft (1/N on the forward side) and its irfft.

    Shapes (2·modes, points) and (points, 2·modes), re|im major.
    """
    angle = _angles(torch.arange(modes), points)
    forward = torch.cat((angle.cos(), -angle.sin())) / points
    # Frequencies k > 0 stand for -k as well.
    doubled = torch.where(torch.arange(modes) > 0, 2.0, 1.0).double().unsqueeze(1)
    inverse = torch.cat((doubled * angle.cos(), -doubled * angle.sin())).T.contiguous()
    return forward.to(device, dtype), inverse.to(device, dtype)


@lru_cache(maxsize=32)
def _full_axis(
    points: int, modes: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the real matrices of a truncated complex DFT (1/N forward) and its inverse.

    Frequencies 0..modes-1, -modes..-1. Shapes (2·2·modes, points·2) and (points·2, 2·2·modes):
    rows (re|im, k), columns (j, re|im), and the reverse.
    """
    # In the order of an FFT's output, so that the weights of both ends keep their places.
    frequencies = torch.cat((torch.arange(modes), torch.arange(-modes, 0)))
    angle = _angles(frequencies, points)
    cos, sin = angle.cos(), angle.sin()
    # exp(-iθ)(a + ib) = (a cos θ + b sin θ) + i(b cos θ - a sin θ)
    real = torch.stack((cos, sin), dim=-1).flatten(1)
    imaginary = torch.stack((-sin, cos), dim=-1).flatten(1)
    forward = torch.cat((real, imaginary))
    # The matrix of the adjoint is the transpose: real pairs keep inner products.
    return (forward / points).to(device, dtype), forward.T.contiguous().to(device, dtype)


def _angles(frequencies: Tensor, points: int) -> Tensor:
    """Return 2π k j / N in float64, (len(frequencies), points); k·j is reduced mod N first."""
    # Large angles would lose digits in the product with 2π.
    products = torch.outer(frequencies, torch.arange(points)) % points
    return products.double() * (2 * math.pi / points)
