"""Experiment files as plain mappings whose every key knows its file and line."""
