"""The points of the unit ball, drawn tile by tile of axes."""

import pytest
import torch

from pipeline.parallel import tiles
from pipeline.parallel.axes import AxisPartition
from pipeline.parallel.tiles import ONE_STREAM, TILE, normal_columns
from pipeline.problems.inseparable import ball

CPU = torch.device("cpu")


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_few_axes_are_drawn_from_the_generator_itself() -> None:
    generator = seeded()
    normal = torch.randn(4, ONE_STREAM, generator=generator)
    radius = torch.rand(4, 1, generator=generator)
    expected = normal * (radius / normal.norm(dim=1, keepdim=True))
    torch.testing.assert_close(
        ball(4, AxisPartition(ONE_STREAM), seeded(), torch.float32, CPU), expected
    )


@pytest.mark.parametrize("dim", [ONE_STREAM, ONE_STREAM + TILE + 10])
def test_any_axes_can_be_drawn_alone(dim) -> None:
    generator = seeded()
    whole = normal_columns(3, dim, generator, torch.float32)
    ends = [0, 5, TILE, TILE + 1, 3 * TILE - 7, dim - 1, dim]
    for first, last in zip(ends, ends[1:], strict=False):
        other = seeded()
        part = normal_columns(3, dim, other, torch.float32, first, last)
        assert torch.equal(part, whole[:, first:last])
        assert torch.equal(other.get_state(), generator.get_state())


def test_memory_for_some_of_many_columns_is_that_of_the_result_and_a_tile(monkeypatch) -> None:
    drawn = []
    randn = torch.randn

    def counted(*shape, **options):
        drawn.append(shape)
        return randn(*shape, **options)

    monkeypatch.setattr(tiles.torch, "randn", counted)
    normal_columns(2, 100 * TILE, seeded(), torch.float32, 10 * TILE + 3, 12 * TILE)
    assert drawn == [(2, TILE)] * 2


def test_points_over_several_tiles_have_uniform_radius_and_no_repeated_tile() -> None:
    x = ball(400, AxisPartition(ONE_STREAM + TILE), seeded(), torch.float32, CPU)
    radius = x.norm(dim=1)
    # Kolmogorov-Smirnov at the 0.1% level.
    ranks = torch.arange(1, 401) / 400
    assert float((radius.sort().values - ranks).abs().max()) < 1.95 / 20 + 1 / 400
    first, second = x[:, :TILE], x[:, TILE : 2 * TILE]
    correlation = (first * second).sum(1) / (first.norm(dim=1) * second.norm(dim=1))
    assert float(correlation.abs().max()) < 5 / TILE**0.5
