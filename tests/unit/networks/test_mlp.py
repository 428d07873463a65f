import pytest
import torch

from pipeline.calculus import jets as collapsed
from pipeline.networks.mlp import network as mlp
from pipeline.networks.mlp.config import MLP


def test_network_has_the_configured_layers():
    network = mlp.build(MLP(kind="mlp", width=128, depth=4), 1000)
    shapes = [tuple(p.shape) for p in network.parameters() if p.dim() == 2]
    assert shapes == [(128, 1000), (128, 128), (128, 128), (1, 128)]
    assert network(torch.zeros(3, 1000)).shape == (3, 1)
    assert collapsed.supports(network)


@pytest.mark.parametrize("dim", [10, 1000, 20_000])
def test_initial_slope_does_not_depend_on_the_dimension(dim):
    """First activations are 0.03|x| at any `dim`; nn.Linear would give |x|/sqrt(3 dim)."""
    torch.manual_seed(0)
    network = mlp.build(MLP(kind="mlp", width=256, depth=3), dim)
    x = torch.randn(64, dim)
    x /= x.norm(dim=1, keepdim=True)
    assert network[0](x).std().item() == pytest.approx(0.03, rel=0.1)


def test_initial_slope_follows_the_size_of_the_points():
    torch.manual_seed(0)
    network = mlp.build(MLP(kind="mlp", width=256, depth=3), 400, radius=20.0)
    assert network[0](torch.randn(64, 400)).std().item() == pytest.approx(0.03, rel=0.1)


@pytest.mark.parametrize("final_time", [0.3, 1.0])
def test_time_counts_as_a_whole_and_not_as_one_axis_of_many(final_time):
    """Pre-activations at the last time are of order one; the other weights are as without it."""
    torch.manual_seed(0)
    network = mlp.build(MLP(kind="mlp", width=256, depth=3), 401, 20.0, final_time)
    torch.manual_seed(0)
    in_space = mlp.build(MLP(kind="mlp", width=256, depth=3), 401, 20.0)
    assert torch.equal(network[0].weight[:, :-1], in_space[0].weight[:, :-1])
    x = torch.zeros(1, 401)
    x[0, -1] = final_time
    assert network[0](x).std().item() == pytest.approx(1.0, rel=0.1)
