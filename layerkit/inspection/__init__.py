"""Inspection of networks: tables, drawings, values."""
