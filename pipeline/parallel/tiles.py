"""Standard normal numbers by columns, so that a process can draw those of its own axes alone.

Up to `ONE_STREAM` columns all come from one generator, beyond it every tile of `TILE` columns comes
from its own. Both numbers are part of what a seed means.
"""

import torch
from torch import Tensor

from pipeline.parallel.generators import tile_generator

# Small draws keep one stream: tiles pay where drawing all columns on every process is expensive.
ONE_STREAM, TILE = 16_384, 4096


def normal_columns(
    num_rows: int,
    num_columns: int,
    generator: torch.Generator,
    dtype: torch.dtype,
    first: int = 0,
    last: int | None = None,
) -> Tensor:
    """Return columns `first` to `last` of normal numbers (num_rows, num_columns).

    Drawn on the generator's device; the generator ends in the same state whatever the columns.
    Memory: that of the result and one tile more, but of all columns up to `ONE_STREAM`.
    """
    last, where = num_columns if last is None else last, generator.device
    if num_columns <= ONE_STREAM:
        # All columns, also those of others: generators must stay alike on every process.
        every = torch.randn(num_rows, num_columns, generator=generator, device=where, dtype=dtype)
        return every[:, first:last]
    stream = draw_stream(generator)
    found = torch.empty(num_rows, last - first, device=where, dtype=dtype)
    for tile in range(first // TILE, -(-last // TILE)):
        start = tile * TILE
        begin, end = max(first, start), min(last, start + TILE)
        normal = normal_tile(stream, tile, num_rows, num_columns, where, dtype)
        found[:, begin - first : end - first] = normal[:, begin - start : end - start]
    return found


def draw_stream(generator: torch.Generator) -> int:
    """Return a number that names the tiles' streams of one draw, from `generator`."""
    # Within int64, torch's widest integer type.
    return int(torch.randint(2**62, (), generator=generator, device=generator.device))


def normal_tile(
    stream: int,
    tile: int,
    num_rows: int,
    num_columns: int,
    device: torch.device,
    dtype: torch.dtype,
) -> Tensor:
    """Return standard normal numbers for columns tile * TILE to (tile + 1) * TILE.

    Shape (num_rows, width), cut at `num_columns`; they depend on (`stream`, `tile`) and the shape
    alone.
    """
    width = min(TILE, num_columns - tile * TILE)
    generator = tile_generator(stream, tile, device)
    return torch.randn(num_rows, width, generator=generator, device=device, dtype=dtype)
