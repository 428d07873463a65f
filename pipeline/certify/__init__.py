"""The independent verifier: standard library and `flint` only; it trusts nothing of the solver."""
