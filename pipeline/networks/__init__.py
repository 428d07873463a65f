"""Coordinate networks of PINNs; a subfolder is a kind."""
