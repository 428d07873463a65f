"""Random directions: Hutchinson."""
