"""Torch's generators of the registered streams (`streams`)."""

import numpy as np
import torch

from pipeline.parallel.streams import Stream, of_run, of_tile


def run_generator(seed: int, stream: Stream, *index: int) -> torch.Generator:
    """Return a CPU generator of one purpose of a run: the same numbers for every device."""
    return _seeded(of_run(seed, stream, *index), torch.device("cpu"))


def tile_generator(draw: int, tile: int, device: torch.device) -> torch.Generator:
    """Return the generator of one tile of a draw, on `device`."""
    return _seeded(of_tile(draw, tile), device)


def _seeded(sequence: np.random.SeedSequence, device: torch.device) -> torch.Generator:
    state = sequence.generate_state(1, np.uint64)[0]
    # Torch takes seeds of 63 bits on every device.
    return torch.Generator(device).manual_seed(int(state >> np.uint64(1)))
