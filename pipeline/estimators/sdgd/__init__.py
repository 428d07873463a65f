"""Sampled axes: SDGD."""
