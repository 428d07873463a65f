"""The registry of random streams: no two purposes share numbers, and none changes its own."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

import pipeline
from pipeline.parallel import streams
from pipeline.parallel.generators import run_generator, tile_generator
from pipeline.parallel.streams import Stream

SOURCE = Path(pipeline.__file__).parent
# Larger seeds are two words of entropy, and may meet the streams of smaller ones.
SEEDS = (0, 1, 2, 7, 1000, 2**32 - 1)
INDICES = ((), (1,), (2,), (1, 1), (7, 3))


def drawn(seed: int) -> dict[str, int]:
    """Return the first number of every purpose that a job of this seed has, by its name."""
    found = {
        f"{stream.name} {index}": int(
            streams.of_run(seed, stream, *index).generate_state(1, np.uint64)[0]
        )
        for stream in Stream
        for index in INDICES
    }
    found |= {f"sample {i}": int(streams.of_sample(seed, i).integers(2**62)) for i in range(3)}
    modes = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (2, 3)]
    return found | {f"modes {k}": int(streams.of_modes(seed, *k).integers(2**62)) for k in modes}


@pytest.mark.parametrize("seed", SEEDS)
def test_no_two_purposes_share_a_stream(seed):
    found = drawn(seed)
    for one, other in combinations(found, 2):
        # Sample i and the modes of key (i) have a store each: no job has both.
        if {one.split()[0], other.split()[0]} != {"sample", "modes"}:
            assert found[one] != found[other], (one, other)


def test_streams_of_different_seeds_differ():
    numbers = [number for seed in SEEDS for number in drawn(seed).values()]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (run_generator(5, Stream.POINTS, 3).initial_seed(), 326124782927953987),
        (tile_generator(12, 4, torch.device("cpu")).initial_seed(), 1599653311955058879),
        (int(streams.of_sample(5, 3).integers(2**62)), 3321316386537186370),
        (int(streams.of_modes(5, -1, 2).integers(2**62)), 3447195048259697815),
        (int(streams.of_order(5, 3).integers(2**62)), 3282712781050596985),
        (int(streams.of_coefficients(5).integers(2**62)), 3712420728229738858),
    ],
)
def test_a_seed_means_the_same_numbers_for_ever(found, expected):
    assert found == expected


def test_random_numbers_come_from_the_registry_alone():
    makers = re.compile(r"SeedSequence\(|default_rng\(|PCG64\(|manual_seed\(")
    used = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if makers.search(path.read_text(encoding="utf-8"))
    }
    # An operator's network takes its initial weights from torch's own generator.
    assert used == {
        "parallel/streams.py",
        "parallel/generators.py",
        "training/operator/task.py",
    }
