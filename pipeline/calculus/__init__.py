"""Derivatives in high dimension: directions, functions, jets, their precision and execution."""
