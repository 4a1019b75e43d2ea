"""Warnings about inputs and targets far from unit size, and about the momentum of Keras."""

from __future__ import annotations

import numpy as np

from layerkit.errors import LayerkitWarning, warn
from layerkit.files.mapped import CHUNK, reader
from layerkit.inspection.scale import LARGE, first_inputs, is_far, size
from layerkit.layers.normalization import BatchNorm
from layerkit.network import Network
from layerkit.training.batches import Arrays


class MomentumWarning(LayerkitWarning):
    """The momentum of a BatchNorm is such as Keras has it."""


def warn_about_momentum(network: Network) -> None:
    """Give a MomentumWarning for a BatchNorm whose averages are little but the last batch.

    With 1 they are that batch, which somebody may want; numbers from 0.5 to 1 nobody does.
    """
    for address, layer in network.layers():
        if isinstance(layer, BatchNorm) and 0.5 < layer.momentum < 1:
            warn(
                f"{address}: BatchNorm.momentum = {layer.momentum}: is the weight of the new "
                "batch, as in PyTorch, so predictions would depend on the last few batches; "
                f"Keras's {layer.momentum} is {1 - layer.momentum:.6g} here",
                MomentumWarning,
            )


class ScaleWarning(LayerkitWarning):
    """The inputs or targets of a training run are far from unit size."""


def warn_about_scale(network: Network, source: Arrays) -> None:
    """Give a ScaleWarning for targets far from unit size, and for inputs of the first weights.

    Far is a root mean square above 30, of one feature or target, or no number above 0.01.
    """
    remedies = []
    t = network.targets.convert(source.t)
    if source.a is not None and source.a.shape == t.shape:
        t = np.where(source.a > 0, t, 0)  # what is missing
    far = f"the targets have a root mean square of {size(t):.3g}, far from 1"
    if network.seen.scale is not None:
        if size(t) > LARGE:
            remedies.append(f"{far}, by the scale of an earlier training, which initialize forgets")
    elif network.targets.standardizable and is_far(t):
        remedies.append(
            f"{far}: with standardize_targets the network learns (t - mean) / std, and predicts in "
            "their units"
        )
    count = min(len(source.t), CHUNK)
    rows = np.arange(count) * len(source.t) // count
    x = network.inputs.convert(reader(source.x, count)(rows))
    first = first_inputs(network, x)
    if first and is_far(first[1]):
        address, given = first
        remedy = "put Standardize() before it"
        if source.x.dtype == np.uint8:
            remedy += "; bytes are divided by 255: for numbers give x.astype(float)"
        elif given.min() >= 0 and LARGE < given.max() <= 255:
            remedy += "; or, if they are pixels, give them as bytes, x.astype(np.uint8)"
        remedies.append(
            f"the inputs of {address} have a root mean square of {size(given):.3g}, far from 1: "
            f"{remedy}"
        )
    for remedy in remedies:
        warn(remedy, ScaleWarning)
