"""Activations: layers without a matrix. One family per file."""
