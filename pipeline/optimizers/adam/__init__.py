"""Adam."""
