"""Sparse random directions: STDE."""
