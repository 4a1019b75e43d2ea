"""Predictors: the predictions of a network for a few examples, in the least time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.fitting import check_layers
from layerkit.layers.base import Layer
from layerkit.network import Network
from layerkit.recording.compiled import Compiler
from layerkit.recording.recorder import record


class Predictor:
    """A function that predicts: the probabilities of a classifier, otherwise the predictions.

    The same numbers as from `layerkit.Network.predict_proba` or `layerkit.Network.predict`, to the
    last bit, but for single examples in less than half of the time: the prediction is recorded, and
    its arrays are made once for each shape of x. What the network learns later is seen.

    For one thread: give each its own. Only the first x of a shape is checked, and what an Embedding
    or a Table takes, whose checks cost more than the rest. Later ones that are not finite give nan;
    NumPy warns where numbers overflow.

    Parameters
    ----------
    network : Network
        The network that predicts.

    Raises
    ------
    RecordingError
        When called, for layers that can't be recorded.
    ShapeError, DataError
        When called, for examples that don't fit.

    Examples
    --------
    >>> from layerkit import Dense, Network, SoftmaxCrossEntropy
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
    >>> x = np.ones((1, 3), np.float32)
    >>> predict = net.predictor()
    >>> float(abs(predict(x) - net.predict_proba(x)).max())
    0.0
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.functions: dict[Any, Callable[[Array], Array]] = {}
        self.scale = network.seen.scale
        self.choosy = any(type(part).check is not Layer.check for _, part in network.layers())

    def __call__(self, x: Any) -> Array:
        """Return the predictions for examples (N, *shape)."""
        try:
            run = self.functions[type(x), x.shape, x.dtype]
        except (AttributeError, KeyError):
            x = np.asarray(self.network.inputs.check(x)[:])
            run = self.functions.get((np.ndarray, x.shape, x.dtype)) or self.prepare(x)
        if self.scale is not self.network.seen.scale:  # the targets have got other units
            run = self.prepare(x)
        if self.choosy:
            check_layers(self.network.body, self.network.inputs, x)
        return run(x).copy()

    def prepare(self, x: Array) -> Callable[[Array], Array]:
        """Return the function for as many examples as x has."""
        network, self.scale = self.network, self.network.seen.scale
        program = record(network, x)
        memory = {address: item.value for address, item in network.declared().items()}
        output = program.outputs["p" if network.loss.has_probabilities else "y"]
        run = Compiler(program, memory, {"x": x}, [output]).function()
        if x.dtype != np.uint8 or network.seen.pixels == "bytes":  # else bytes may be flags
            self.functions[np.ndarray, x.shape, x.dtype] = run
        return run
