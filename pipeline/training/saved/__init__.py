"""All that training keeps on disk: snapshots, checkpoints, results."""
