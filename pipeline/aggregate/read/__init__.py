"""What is read of finished experiments, and what is told of what is missing."""
