"""Optimisers; a subfolder is a kind."""
