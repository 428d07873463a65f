"""How much of a number of equal things each process takes."""


def share(batch_size: int, rank: int, world_size: int) -> slice:
    """Return the positions of a batch that `rank` takes; sizes differ by at most one."""
    return slice(rank * batch_size // world_size, (rank + 1) * batch_size // world_size)
