"""Learning rates in the course of training, relative to the first one."""

import math


def cosine(step: float, num_steps: int) -> float:
    """Return half a cosine: 1 at the start, 0 from `num_steps` on."""
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / num_steps)))


def late_cosine(step: int, first: int, num_steps: int) -> float:
    """Return 0 before the step `first`, and half a cosine over the steps from there."""
    if step < first:
        return 0.0
    # The steps from `first` on, stretched to the length of the whole run.
    return cosine(num_steps * (step - first) / max(1, num_steps - first), num_steps)


def linear(step: float, num_steps: int) -> float:
    """Return a linear fall from 1 to 0 at `num_steps`."""
    return max(0.0, 1.0 - step / num_steps)


def last_fifth(step: float, num_steps: int) -> float:
    """Return 1 for four fifths of the steps, and a linear fall to 0 over the last one."""
    return min(1.0, 5.0 * linear(step, num_steps))
