"""The exact operator of a tanh network in as many directions as its first layer has units.

N(x) = M(W x + c) has Σ_i ∂_i²N = tr(∇²M W Wᵀ) = Σ_j ∂²M along the columns of L, for any L with
L Lᵀ = W Wᵀ: h directions replace d, and nothing is random. For the same reason |∇N|² is the sum
of the squared slopes along them. Products with the known parts of u = A + B N need ∇N along ∇A(x)
and ∇B(x), one direction a point each; along x, where B is radial, it comes with W x for nothing.
Below d = 2h the axes themselves are used.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pipeline.calculus import jets as collapsed
from pipeline.calculus.directions import Axes, Dense
from pipeline.calculus.functions import Jet, Radial
from pipeline.calculus.gemm import linear, product
from pipeline.errors import ConfigError
from pipeline.estimators.base import Estimator, require_squares, terms_along
from pipeline.estimators.exact_gram import config
from pipeline.parallel.axes import AxesLinear, AxisPartition
from pipeline.problems.base import Operator, Problem, Terms, Trial

# Rows of a block of the Gram matrix: 128 rows in blocks of 32 take 0.7 of the time of all at once.
_ROWS = 32


def build(config: config.ExactGram, problem: Problem, network: nn.Module) -> Estimator:
    """Return the estimator for this network.

    Raises:
        ConfigError: the network is no tanh network, the second-order term has weights, or the
            gradient term is no sum of squares.
    """
    if not collapsed.supports(network):
        raise ConfigError(
            "estimator.kind: expected a network of linear layers and tanh for exact_gram,"
            f" got {type(network).__name__}; choose jet"
        )
    if problem.operator.root_weights is not None or problem.operator.mixed_roots is not None:
        raise ConfigError(
            "estimator.kind: expected sdgd, taylor, jet, hutchinson, double_backward or full for a"
            " second-order term other than the Laplacian, got 'exact_gram'; sdgd with all"
            " directions sampled is exact, too"
        )
    require_squares(config.kind, problem.operator)
    return ExactGram()


@dataclass(frozen=True)
class ExactGram:
    """The exact terms. Cost: h + 2 forward passes and two products of h² d for W Wᵀ."""

    def draw(self, operator: Operator, generator: torch.Generator) -> None:
        """Draw nothing."""

    def __call__(self, u: Trial, x: Tensor, operator: Operator, drawn: Tensor | None) -> Terms:
        """Return the terms at the rows of `x`."""
        network, dim = u.network, operator.dim
        assert isinstance(network, nn.Sequential) and isinstance(network[0], nn.Linear)
        weight = network[0].weight
        # The factor of W Wᵀ and its gradient take products of h² d, which pay if d is well above h.
        if dim <= 2 * len(weight):
            return terms_along(u, x, operator, operator.every_direction(x), 1.0)
        bare = operator.drift is None and operator.gradient_power is None and u.offset is None
        # Then x·∇N is all that the product rule needs: this serves divided axes, too.
        if bare and isinstance(u.factor, Radial) and u.factor.dim == weight.shape[1]:
            return _radial_terms(network, u.factor, x)
        axes = Axes(torch.arange(dim, device=x.device))
        a = None if u.offset is None else u.offset.jet(x, axes)
        b = _one(x, dim) if u.factor is None else u.factor.jet(x, axes)
        # Extra directions: ∇B, ∇A where the gradient term needs it, and the drift.
        known = [b.slopes] if a is None or operator.gradient_power is None else [b.slopes, a.slopes]
        # Known slopes are those in space; the network's coordinates may have time behind them.
        more = [torch.nn.functional.pad(v, (0, x.shape[1] - dim)).unsqueeze(1) for v in known]
        drift = None if operator.drift is None else operator.drift(x)
        if drift is not None:
            more.append(drift.vectors(x).expand(len(x), -1, -1))
        value = linear(x, weight, network[0].bias)
        # The columns of L stand for the images W v of h directions, the same at all points.
        start = gram_factor(weight[:, :dim]).T.unsqueeze(0)
        extra = Dense(torch.cat(more, 1)).through(weight)
        jet = collapsed.network_jet(network, value, start, extra)
        assert jet.more is not None
        # Columns of `along` are slopes along ∇B, along ∇A if it was needed, and last along the
        # drift.
        n, first, second = (part.to(x.dtype) for part in jet[:3])
        along = jet.more.to(x.dtype)

        # Δ(B N) = B ΔN + 2 ∇B·∇N + N ΔB.
        total = b.value * second + 2.0 * along[:, 0] + n * b.curvature
        value = b.value * n
        if a is not None:
            total, value = total + a.curvature, value + a.value
        return Terms(
            value,
            total,
            None if drift is None else _drift(u, x, drift, n, b.value, along[:, -1]),
            None if operator.gradient_power is None else _square(n, first, along, a, b),
        )


def _radial_terms(network: nn.Sequential, factor: Radial, x: Tensor) -> Terms:
    """Return value and Laplacian of φ(|x|²) N, whether or not the axes are divided.

    Δ(φN) = φ ΔN + 2 φ_x x·∇N + N Δφ, where ∇φ = φ_x x.
    """
    layer = network[0]
    assert isinstance(layer, nn.Linear)
    if isinstance(layer, AxesLinear):
        value, partition = layer(x), layer.partition
    else:
        value, partition = linear(x, layer.weight, layer.bias), None
    start = gram_factor(layer.weight, partition).T.unsqueeze(0)
    # W x is the image of the direction x itself: its slope is x·∇N.
    image = value if layer.bias is None else value - layer.bias
    jet = collapsed.network_jet(network, value, start, image.unsqueeze(1))
    assert jet.more is not None
    n, second, along = (part.to(x.dtype) for part in (jet.value, jet.second, jet.more[:, 0]))
    phi, slope, laplacian = factor.every_axis(x)
    return Terms(phi * n, phi * second + 2.0 * slope * along + n * laplacian)


def _one(x: Tensor, dim: int) -> Jet:
    one = torch.ones_like(x[:, 0])
    return Jet(one, torch.zeros_like(x[:, :dim]), torch.zeros_like(one))


def _drift(
    u: Trial, x: Tensor, drift: Axes | Dense, n: Tensor, factor: Tensor, along: Tensor
) -> Tensor:
    """Return w·∇u by the product rule, (n,)."""
    # w·∇(A + B N) = B w·∇N + N w·∇B + w·∇A.
    total = factor * along
    for known, times in ((u.factor, n), (u.offset, None)):
        if known is not None:
            slope = known.slopes(x, drift).squeeze(1)
            total = total + (slope if times is None else times * slope)
    return total


def _square(n: Tensor, first: Tensor, along: Tensor, a: Jet | None, b: Jet) -> Tensor:
    """Return |∇u|² = |G|² + 2 B G·∇N + B² |∇N|² with G = ∇A + N ∇B, (n,)."""
    known, cross = n.unsqueeze(1) * b.slopes, n * along[:, 0]
    if a is not None:
        known, cross = known + a.slopes, cross + along[:, 1]
    squares = known.square().sum(1) + b.value.square() * first.square().sum(1)
    return squares + 2.0 * b.value * cross


def gram_factor(weight: Tensor, partition: AxisPartition | None = None) -> Tensor:
    """Return L (h, h) with L Lᵀ = W Wᵀ for W = `weight` (h, d), whatever its rank.

    Where the axes are divided `weight` has the columns of the own ones of `partition`, and W Wᵀ is
    summed over the processes.
    Differentiable once in W for functions of L Lᵀ: L = W Q with Q (d, h) orthonormal and spanning
    the rows of W; a change of Q at fixed W Wᵀ is a rotation of L, so that Q may be held fixed.
    """
    with torch.autocast(weight.device.type, enabled=False):
        factor: Tensor = _GramFactor.apply(weight, partition)  # type: ignore[no-untyped-call]
    return factor


def _gram(weight: Tensor) -> Tensor:
    """Return the lower triangle of W Wᵀ for W = `weight`: of what is above it a part only."""
    gram = weight.new_zeros(len(weight), len(weight))
    for first in range(0, len(weight), _ROWS):
        rows = slice(first, first + _ROWS)
        # The Gram matrix is symmetric; the rest of it would double the products.
        gram[rows, : rows.stop] = product(weight[: rows.stop], weight[rows]).T
    return gram


@torch.library.custom_op("highdim::gram_roots", mutates_args=())
def _roots(gram: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return L (h, h) with L Lᵀ = G and its (pseudo)inverse, from the lower triangle of G = `gram`.

    By Cholesky; by eigenvectors, if G is not positive definite to `eps`. An operation of its own:
    which of them it is depends on the numbers, and a compiled function must not.
    """
    # Both factorisations read the lower triangle alone.
    factor, failed = torch.linalg.cholesky_ex(gram)
    if int(failed):
        values, vectors = torch.linalg.eigh(gram)
        # G was formed in the type of the weights: smaller eigenvalues are its rounding.
        kept = values > eps * len(gram) * values[-1]
        roots = torch.where(kept, values.clamp_min(0.0).sqrt(), 0.0)
        factor = vectors * roots
        inverse = torch.where(kept, 1.0 / roots, 0.0)[:, None] * vectors.T
    else:
        one = torch.eye(len(gram), device=gram.device, dtype=gram.dtype)
        inverse = torch.linalg.solve_triangular(factor, one, upper=False)
    return factor.contiguous(), inverse.contiguous()


@_roots.register_fake
def _like_roots(gram: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    # All that a compiler sees of the operation: shapes and types.
    return torch.empty_like(gram), torch.empty_like(gram)


class _GramFactor(torch.autograd.Function):
    """L and its gradient at fixed Q, both in float64; see `gram_factor`."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, partition: AxisPartition | None) -> Tensor:
        gram = _gram(weight)
        if partition is not None:
            # W Wᵀ is a sum over axes, so over the processes that hold them.
            partition.add(gram)
        factor, inverse = _roots(gram.double(), torch.finfo(weight.dtype).eps)
        ctx.save_for_backward(weight, inverse)
        ctx.partition = partition
        result: Tensor = factor.to(weight.dtype)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        weight, inverse = ctx.saved_tensors
        (grad,) = grads
        if ctx.partition is not None:
            # Each process has the part of the loss at its own points.
            grad = grad.contiguous()
            ctx.partition.add(grad)
        # dL = dW Q, so the gradient in W is that in L times Qᵀ = L⁻¹ W.
        change = (grad.double() @ inverse).to(weight.dtype)
        return product(change, weight.T), None
