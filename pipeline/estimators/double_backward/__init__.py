"""Sampled axes by reverse over reverse mode."""
