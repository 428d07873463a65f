"""What the C library does with memory that a step frees."""

import ctypes

# Parameters of mallopt, from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Let the C library keep the memory that a step frees for the next step.

    glibc returns large blocks to the system and gets them again as pages that are to be cleared: a
    quarter of the time of a step at d = 100, and at d = 100,000, where its own adaptation ends.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        # No block gets a mapping of its own, and the heap is not trimmed below 2 GiB.
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
