"""Partial differential equations with exact or reference solutions, one final class per file."""
