"""Incompressible Navier–Stokes flow in a periodic cube."""
