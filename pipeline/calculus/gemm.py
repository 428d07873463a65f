"""Matrix products in float32 by oneDNN, where torch would take MKL.

MKL keeps to 256-bit instructions on processors that are not Intel's; oneDNN, which every x86 build
of torch contains, uses what the processor has. Measured on an AMD EPYC with AVX-512, one thread:
1600 x 128 by 128 x 128, 219 against 107 GF/s (and the same bits); 100 x 100,000 by 100,000 x 128,
191 against 89; on one with 256-bit units 105 against 84 and 95 against 74. Small products, and
anything but float32 on an x86 CPU, go the usual way.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

# Only x86 builds of torch contain MKL: elsewhere torch's own choice stands.
_IS_FASTER: bool = torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
# Multiplications of a product below which oneDNN's 10 µs a call are not won back.
_LEAST = 2**20
# Columns up to which MKL forms xᵀ y faster: oneDNN copies x first.
_NARROW = 2**11


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x weightᵀ + bias for `x` (..., m) and `weight` (w, m), strided views allowed.

    Not differentiable: for use in forward and backward passes written by hand.
    """
    is_plain = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32
    if not (_IS_FASTER and is_plain and x.numel() * len(weight) >= _LEAST):
        return functional.linear(x, weight, bias)
    # For some columns of a matrix, or its transpose, oneDNN has a reference kernel only: the Gram
    # matrix of 64 x 1000 columns of 1001 takes 140 ms, and with a copy of them 0.4.
    if not (weight.is_contiguous() or weight.T.is_contiguous()):
        weight = weight.contiguous()
    if torch.compiler.is_compiling():
        compiled: Tensor = torch.ops.highdim.product(x, weight, bias)
        return compiled
    return _onednn(x, weight, bias)


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return result


# Inductor compiles oneDNN's operation for constant weights only, and takes one of ours as it is.
# `torch.library.custom_op` would say this in one line, and add 8 µs to each of the 5 calls a step.
_LIBRARY = torch.library.Library("highdim", "FRAGMENT")  # type: ignore[no-untyped-call]
_LIBRARY.define("product(Tensor x, Tensor weight, Tensor? bias) -> Tensor")  # type: ignore[no-untyped-call]
_LIBRARY.impl("product", _onednn, "CPU")  # type: ignore[no-untyped-call]
_LIBRARY.impl("product", functional.linear, "Meta")  # type: ignore[no-untyped-call]


def transposed_product(x: Tensor, y: Tensor) -> Tensor:
    """Return xᵀ y for matrices `x` (r, m) and `y` (r, w); not differentiable."""
    return x.T @ y if y.shape[1] <= _NARROW else product(x.T, y.T)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x weightᵀ + bias, differentiable once; `functional.linear` under autocast."""
    # A backward pass by hand is not autocast: it would meet tensors of both types.
    if torch.is_autocast_enabled(x.device.type):
        return functional.linear(x, weight, bias)
    result: Tensor = _Linear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return result


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        (grad,) = grads
        rows = grad.flatten(0, -2)
        return (
            product(grad, weight.T) if ctx.needs_input_grad[0] else None,
            transposed_product(rows, x.flatten(0, -2)) if ctx.needs_input_grad[1] else None,
            rows.sum(0) if ctx.needs_input_grad[2] else None,
        )
