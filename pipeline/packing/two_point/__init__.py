"""Two-point bounds: Cohn and Elkies."""
