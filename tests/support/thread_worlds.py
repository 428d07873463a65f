"""Worlds of threads in one process that meet at their sums, for tests of several ranks."""

import threading

import torch


class Threads:
    """A `World` of one of several threads; implements `pipeline.parallel.world.World`."""

    def __init__(self, rank, size, barrier, sums):
        self.rank, self.size, self.num_bytes = rank, size, 0
        self._barrier, self._sums = barrier, sums

    def all_reduce(self, values):
        self.num_bytes += values.numel() * values.element_size()
        self._sums[self.rank] = values.clone()
        self._barrier.wait()
        total = torch.stack(self._sums).sum(dim=0)
        self._barrier.wait()
        values.copy_(total)


def on_threads(size, work, *, ended_by=()):
    """Return what `work(world)` returns or raises on each of `size` ranks, all at once.

    An error breaks the sums that other ranks wait in, unless all ranks are `ended_by` its kind.
    """
    barrier, sums, found = threading.Barrier(size, timeout=120), [None] * size, [None] * size

    def rank(index):
        try:
            found[index] = work(Threads(index, size, barrier, sums))
        except BaseException as error:
            found[index] = error
            if not isinstance(error, ended_by):
                barrier.abort()

    threads = [threading.Thread(target=rank, args=(index,)) for index in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def results(found):
    """Return what the ranks returned; raise the first error, one that others caused last."""
    errors = [one for one in found if isinstance(one, BaseException)]
    errors.sort(key=lambda error: isinstance(error, threading.BrokenBarrierError))
    if errors:
        raise errors[0]
    return found
