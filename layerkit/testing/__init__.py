"""Checks of your own layers, losses, optimizers, initializers and schedules.

Each check takes an object, leaves it alone and works on copies. It returns nothing if all is
right, and raises an AssertionError with one sentence about the first law that is broken.
The laws are checked in such an order that the sentence names the cause and not a consequence. With
``report=True`` it returns a table of all laws instead.
"""

from layerkit.testing.initializers import check_initializer
from layerkit.testing.layers import check_layer
from layerkit.testing.losses import check_loss
from layerkit.testing.optimizers import check_optimizer
from layerkit.testing.schedules import check_schedule

__all__ = ["check_initializer", "check_layer", "check_loss", "check_optimizer", "check_schedule"]
