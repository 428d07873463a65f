"""How work is divided over processes: ranks, axes of space, tiles of random numbers."""
