"""Ground state of an anisotropic harmonic oscillator."""
