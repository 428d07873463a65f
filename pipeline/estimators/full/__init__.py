"""All axes, the naive baseline."""
