"""Whether a store can fit where it is to lie: looked at before anything is computed."""

import math
from typing import Any

import numpy as np

from pipeline.datagen.folder import Plan
from pipeline.runtime import disk

# The least part of its arrays' bytes that a store has been seen to take: random fields compress
# little, two-valued coefficients and the symmetric start of a Taylor-Green vortex to a few percent.
# What passes may still fill the disk, which is told when it happens; what is refused cannot fit.
_LEAST = {"burgers": 0.8, "darcy": 0.35, "decaying_turbulence": 0.8, "taylor_green": 0.04}


def check(plan: Plan[Any], num_fields: int, num_shards: int) -> None:
    """Return if the file system has room for `num_fields` fields a sample or snapshot.

    Raises:
        DiskError: not even for the least that they can take, or not for the files.
    """
    dataset = plan.dataset
    count = getattr(dataset, "num_samples", 0) or dataset.num_snapshots + 1
    raw = count * num_fields * math.prod(dataset.grid) * np.dtype(dataset.dtype).itemsize
    # A file and, at first, a record for each shard.
    least = _LEAST.get(getattr(dataset.problem, "initial", dataset.problem).kind, 0.04)
    disk.check_room(plan.store, int(least * raw), 2 * num_shards)
