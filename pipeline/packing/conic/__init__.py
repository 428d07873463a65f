"""Semidefinite programs: an interior-point method in doubles and in balls."""
