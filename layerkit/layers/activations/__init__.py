"""Activations: functions of single numbers or of rows, one family per file."""
