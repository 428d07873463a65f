"""Inseparable two-body solution."""
