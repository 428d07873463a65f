"""Reference solvers: spectral time stepping, preconditioned conjugate gradients."""
