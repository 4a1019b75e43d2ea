"""Experiments and their runs: what the command does."""
