"""Semilinear heat equations with published values."""
