"""Sampled axes by nested forward mode."""
