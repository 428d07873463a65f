"""Training of physics-informed networks on the residual of a PDE."""
