"""Spectral methods that equations share."""
