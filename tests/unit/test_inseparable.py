"""The points of the unit ball, drawn tile by tile of axes."""

import torch

from pipeline.problems.inseparable import TILE, ball, draw_stream, normal_tile


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_one_tile_is_drawn_from_the_generator_itself() -> None:
    generator = seeded()
    normal = torch.randn(4, TILE, generator=generator)
    radius = torch.rand(4, 1, generator=generator)
    expected = normal * (radius / normal.norm(dim=1, keepdim=True))
    torch.testing.assert_close(ball(4, TILE, seeded(), torch.float32), expected)


def test_a_tile_of_the_axes_can_be_drawn_alone() -> None:
    dim = 2 * TILE + 10
    x = ball(3, dim, seeded(), torch.float32)
    stream = draw_stream(seeded())
    for tile, columns in enumerate(x.split(TILE, dim=1)):
        normal = normal_tile(stream, tile, 3, dim, torch.device("cpu"), torch.float32)
        ratio = columns / normal
        torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))


def test_points_over_several_tiles_have_uniform_radius_and_no_repeated_tile() -> None:
    x = ball(400, 2 * TILE, seeded(), torch.float32)
    radius = x.norm(dim=1)
    # Kolmogorov-Smirnov at the 0.1% level.
    ranks = torch.arange(1, 401) / 400
    assert float((radius.sort().values - ranks).abs().max()) < 1.95 / 20 + 1 / 400
    first, second = x[:, :TILE], x[:, TILE:]
    correlation = (first * second).sum(1) / (first.norm(dim=1) * second.norm(dim=1))
    assert float(correlation.abs().max()) < 5 / TILE**0.5
