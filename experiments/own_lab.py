"""A lab of your own: layerkit lab new experiments/own_lab.py."""

from typing import Any

import numpy as np

from layerkit import LeakyReLU
from layerkit.lab import Exercise, Lab

LEAKY = '''"""y = x where x > 0, else slope x."""
import numpy as np
from layerkit import Layer, Rate

class MyLeakyReLU(Layer):
    slope: Rate = 0.1
    def forward(self, x, train=True):
        raise NotImplementedError  # TODO
    def backward(self, dy):
        raise NotImplementedError  # TODO
'''
ACCURACY = '''def accuracy(p, t):
    """Return the share of rows of p whose largest number is at the place t."""
    raise NotImplementedError  # TODO
'''


def counts(accuracy: Any) -> None:
    """Check that the mean is taken."""
    share = accuracy(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0]))
    assert share == 0.5, f"one of two rows is right, and accuracy returns {share}"


options, like = {"slope": 0.2}, LeakyReLU(0.2)
leaky = Exercise("leaky", "MyLeakyReLU", start=LEAKY, options=options, like=like)
right = Exercise("accuracy", "accuracy", start=ACCURACY, checks={"counts": counts})
lab = Lab("Two small things", [leaky, right])
