"""The Fourier neural operator against an FFT, symmetry, resolution, and the published size."""

import pytest
import torch
from torch import Tensor

from pipeline.models.fno import model as fno
from pipeline.models.fno.config import FNO


def fft_layer(layer: fno.SpectralConv, v: Tensor) -> Tensor:
    """irfft(R · rfft(v)) as published, with torch.fft."""
    weight = torch.view_as_complex(layer.weight.movedim(-2, -1).contiguous())
    grid = v.shape[1:-1]
    axes = tuple(range(1, 1 + len(grid)))
    spectrum = torch.fft.rfftn(v, dim=axes)
    out = torch.zeros_like(spectrum)
    kept = [min(m, (n + 1) // 2) for m, n in zip(layer.modes, grid, strict=True)]
    if len(grid) == 1:
        (m,) = kept
        out[:, :m] = torch.einsum("bkc,kcd->bkd", spectrum[:, :m], weight[:m])
    else:
        m, k = kept
        for rows in (slice(0, m), slice(-m, None)):
            out[:, rows, :k] = torch.einsum(
                "bklc,klcd->bkld", spectrum[:, rows, :k], weight[rows, :k]
            )
    return torch.fft.irfftn(out, s=grid, dim=axes)


CASES = [
    ((5,), (33,)),
    ((5,), (64,)),
    ((5,), (8,)),
    ((4, 3), (16, 12)),
    ((4, 3), (9, 32)),
    ((4, 3), (6, 5)),
]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize(("modes", "grid"), CASES)
def test_equals_the_fft_with_its_gradients(modes, grid, dtype, tolerance):
    torch.manual_seed(0)
    layer = fno.SpectralConv(modes, 6).to(dtype)
    v = torch.randn(3, *grid, 6, dtype=dtype, requires_grad=True)
    ours, reference = layer(v), fft_layer(layer, v)
    weights = torch.randn_like(reference)
    torch.testing.assert_close(ours, reference, rtol=tolerance, atol=tolerance)
    for a, b in zip(
        torch.autograd.grad(ours, (v, layer.weight), weights),
        torch.autograd.grad(reference, (v, layer.weight), weights),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * b.abs().max().item())


@pytest.mark.parametrize(("modes", "grid"), [((5,), (40,)), ((4, 3), (16, 12))])
def test_commutes_with_translations(modes, grid):
    torch.manual_seed(0)
    layer = fno.SpectralConv(modes, 4).double()
    v = torch.randn(2, *grid, 4, dtype=torch.float64)
    shift, axes = (3,) * len(grid), tuple(range(1, 1 + len(grid)))
    moved = layer(v.roll(shift, axes))
    torch.testing.assert_close(moved, layer(v).roll(shift, axes), rtol=1e-12, atol=1e-13)


def smooth(num_axes: int, points: int) -> Tensor:
    """A band-limited field (frequencies below 4) sampled at j/points."""
    x = torch.arange(points, dtype=torch.float64) / points * 2 * torch.pi
    wave = 1 + x.cos() - 0.5 * (3 * x).sin()
    field = wave if num_axes == 1 else wave[:, None] * (2 * x).cos() + wave
    return field.expand(1, 1, *field.shape)


@pytest.mark.parametrize("modes", [(6,), (6, 6)])
def test_same_function_at_twice_the_resolution(modes):
    torch.manual_seed(0)
    num_axes = len(modes)
    # One layer without GELU before it keeps the field band-limited but for the coordinates,
    # whose sawtooth is not: they are cut from the lift.
    model = fno.build(FNO(kind="fno", modes=modes, width=8, depth=1), 1, 1, num_axes)
    model = model.double()
    with torch.no_grad():
        model.lift.weight[:, 1:] = 0
    coarse, fine = model(smooth(num_axes, 32)), model(smooth(num_axes, 64))
    every = (..., *[slice(None, None, 2)] * num_axes)
    torch.testing.assert_close(fine[every], coarse, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("modes", "width", "channels", "expected"),
    [
        # Darcy network of the published code: a, x, y -> 32; hidden 128.
        ((12, 12), 32, 1, 2_368_001),
        # Burgers: a, x -> 64; 16 modes.
        ((16,), 64, 1, 549_569),
    ],
)
def test_number_of_parameters_is_the_published_one(modes, width, channels, expected):
    num_axes = len(modes)
    model = fno.build(FNO(kind="fno", modes=modes, width=width), channels, 1, num_axes)
    blocks = 2 ** (num_axes - 1)
    frequencies = torch.tensor(modes).prod().item()
    layer = 2 * blocks * width**2 * frequencies + width * (width + 1)
    lift = (channels + num_axes + 1) * width
    formula = lift + 4 * layer + (width + 1) * 128 + 129
    assert sum(p.numel() for p in model.parameters()) == formula == expected


def test_initial_weights_are_uniform_up_to_the_published_scale():
    torch.manual_seed(0)
    weight = fno.SpectralConv((8, 8), 16).weight.detach() * 16**2
    assert 0 <= weight.min() < 1e-3 and 0.999 < weight.max() < 1
    assert weight.mean().item() == pytest.approx(0.5, abs=0.005)


def test_output_has_the_shape_of_the_grid_and_the_asked_channels():
    model = fno.build(FNO(kind="fno", modes=(3, 4), width=6), 2, 3, 2)
    for grid in ((8, 8), (17, 20), (4, 5)):
        assert model(torch.randn(5, 2, *grid)).shape == (5, 3, *grid)
