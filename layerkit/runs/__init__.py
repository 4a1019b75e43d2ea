"""Experiments and their runs: what `layerkit train` and `layerkit sweep` do."""
