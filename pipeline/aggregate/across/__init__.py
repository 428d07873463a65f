"""One report over several experiments: seeds, differing settings, bounds side by side."""
