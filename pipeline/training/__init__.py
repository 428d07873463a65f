"""Training: pure single-device tasks, the loop that drives them, and the stage at the edge."""
