"""Modules of PyTorch that were exported, with inputs, outputs and gradients of their sum."""

from pathlib import Path

import numpy as np

# made by tests/reference/exchange.py with PyTorch
FOLDER = Path(__file__).parents[1] / "reference" / "exchange"
with np.load(FOLDER.with_suffix(".npz")) as file:
    REFERENCE = dict(file)
