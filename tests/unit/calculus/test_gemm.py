"""Products by oneDNN: those of torch, and never by its kernel for slices."""

import pytest
import torch
from torch.nn import functional

from pipeline.calculus import gemm


@pytest.mark.parametrize("part", ["whole", "columns", "transposed", "transposed columns"])
def test_a_weight_reaches_onednn_packed_and_gives_the_same_numbers(monkeypatch, part):
    if not gemm._IS_FASTER:
        pytest.skip("torch without oneDNN or MKL")
    generator = torch.Generator().manual_seed(0)
    whole = torch.randn(64, 301, generator=generator)
    weight = whole[:, :300] if "columns" in part else whole
    weight = weight.T if "transposed" in part else weight
    x = torch.randn(100, weight.shape[1], generator=generator)
    seen = []
    product = torch.ops.mkldnn._linear_pointwise

    def spy(x, weight, *others):
        seen.append(weight)
        return product(x, weight, *others)

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", spy)
    found = gemm.product(x, weight)
    (given,) = seen
    assert given.is_contiguous() or given.T.is_contiguous()
    expected = functional.linear(x.double(), weight.double())
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)
