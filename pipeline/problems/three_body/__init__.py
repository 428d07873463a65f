"""Inseparable three-body solution."""
