"""Data generation: pure samples, one task per shard, resumable."""
