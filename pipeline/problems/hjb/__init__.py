"""Hamilton–Jacobi–Bellman equations."""
