"""Darcy flow on the unit square."""
