"""The `layerkit` command: `command.py` runs it, and each other file has commands of one kind."""

from layerkit.cli.command import main

__all__ = ["main"]
