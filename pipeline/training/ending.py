"""When to stop before the end: decided on rank 0, agreed between all ranks at the same step."""

import time
from collections.abc import Callable

import torch
from torch import nn

from pipeline.parallel.world import World

_INTERVAL_S = 1.0
# A bound, because steps may become slower: an evaluation, a busy machine.
_MAX_STEPS = 100


class Ending:
    """Asks `stop` on rank 0 about once a second, and tells every rank the answer.

    One all-reduce of one number says to stop (0) or after how many steps to ask again.
    """

    def __init__(self, stop: Callable[[], bool] | None, world: World, model: nn.Module) -> None:
        self._stop, self._world = stop, world
        self._device = next(model.parameters()).device
        self._asked_at = time.perf_counter()
        self._asked, self._next = 0, 1

    def is_here(self, num_steps: int) -> bool:
        """Return whether all ranks stop now, after `num_steps` steps; False without a `stop`."""
        if self._stop is None or num_steps < self._next:
            return False
        # Rank 0 alone fills it in, so that the sum over ranks is its answer.
        answer = torch.zeros(1, dtype=torch.int64, device=self._device)
        if self._world.rank == 0 and not self._stop():
            answer += self._pause(num_steps)
        self._world.all_reduce(answer)
        pause = int(answer.item())
        # All ranks know when to ask next: between the questions a step needs no message.
        self._next = num_steps + pause
        return pause == 0

    def _pause(self, num_steps: int) -> int:
        """Return how many steps take about a second."""
        now = time.perf_counter()
        pace = (now - self._asked_at) / (num_steps - self._asked)
        self._asked_at, self._asked = now, num_steps
        return min(max(int(_INTERVAL_S / pace), 1), _MAX_STEPS)
