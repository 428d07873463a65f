"""Whether a store can fit where it is to lie: looked at before anything is computed."""

import math
from typing import Any

import numpy as np

from pipeline import disk
from pipeline.datagen.folder import Plan

# The least that a store has been seen to take of its arrays' bytes: smooth fields in float32 take
# 0.8 to 0.95, but two-valued coefficients 0.05 and a symmetric flow 0.4. What passes here may still
# fill the disk, which is told when it happens; what is refused cannot fit.
_LEAST = 0.4


def check(plan: Plan[Any], num_fields: int, num_shards: int) -> None:
    """Return if the file system has room for `num_fields` fields a sample or snapshot.

    Raises:
        DiskError: not even for the least that they can take, or not for the files.
    """
    dataset = plan.dataset
    count = getattr(dataset, "num_samples", 0) or dataset.num_snapshots + 1
    raw = count * num_fields * math.prod(dataset.grid) * np.dtype(dataset.dtype).itemsize
    # A file and, at first, a record for each shard.
    disk.check_room(plan.store, int(_LEAST * raw), 2 * num_shards)
