"""Activations: functions of single numbers, or of a row of them."""
