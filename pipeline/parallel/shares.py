"""How much of a number of equal things each process takes: one formula for all that is divided."""


def ends(number: int, rank: int, size: int) -> tuple[int, int]:
    """Return the first of the `number` things that `rank` of `size` takes, and one after its last.

    Sizes differ by at most one, and the shares of all ranks make up the whole, in order.
    """
    return rank * number // size, (rank + 1) * number // size


def share(number: int, rank: int, size: int) -> slice:
    """Return the positions that `rank` takes, as a slice: see `ends`."""
    return slice(*ends(number, rank, size))
