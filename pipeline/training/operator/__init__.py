"""Training of neural operators on stored samples."""
