"""Equations that data are generated of; a subfolder is a kind."""
