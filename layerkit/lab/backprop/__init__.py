"""The lab backprop: a network, part by part, from Dense to batch normalization."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from layerkit.lab.exercises import Exercise, Lab
from layerkit.layers.activations.rectifiers import ReLU
from layerkit.layers.base import Layer
from layerkit.layers.dense import Dense
from layerkit.layers.normalization import BatchNorm
from layerkit.losses.classes import SoftmaxCrossEntropy
from layerkit.optimizers.adam import Adam
from layerkit.optimizers.adaptive import RMSProp
from layerkit.optimizers.base import Optimizer
from layerkit.optimizers.classic import SGD, Momentum
from layerkit.streams import stream


def _drops(dropout: Layer) -> None:
    """Check that as many numbers are dropped as should be, and those that are kept."""
    name, rate = type(dropout).__name__, dropout.rate  # type: ignore[attr-defined]
    dropout.place((100,), address="dropout")
    dropout.rng = stream(0, "dropout of the lab")
    y = dropout.forward(np.ones((200, 100)))
    kept, share = y[y != 0], float((y == 0).mean())
    assert abs(share - rate) < 0.02, (
        f"{name}(rate={rate}) drops {share:.0%} of the numbers; should be {rate:.0%}"
    )
    right = 1 / (1 - rate)
    assert np.allclose(kept, right), (
        f"{name}(rate={rate}) makes {kept[0]:.3g} of a 1 that is kept; should be 1 / (1 - rate) = "
        f"{right:.3g}, so that the mean of y is x"
    )
    assert all(np.ptp((y == 0).mean(axis=axis)) > 0 for axis in (0, 1)), (
        f"{name} drops whole rows or columns; should be each number of each example by itself"
    )
    x = np.ones((2, 100))
    assert np.array_equal(dropout.forward(x, train=False), x), (
        f"{name} with train=False should return x"
    )


def _bends(layer: Layer) -> None:
    """Check that an activation is no straight line."""
    layer.place((1,), address="activation")
    y = layer.forward(np.linspace(-3, 3, 61)[:, None], train=False)
    assert abs(np.diff(y, 2, axis=0)).max() > 1e-6, (
        f"{type(layer).__name__} is a straight line from -3 to 3: a dense layer can do that by "
        "itself"
    )


def _exercise(name: str, part: str, **more: Any) -> Exercise:
    return Exercise.read(Path(__file__).with_name(f"{name}.md"), part, **more)


def _alike(name: str, part: str, like: type[Layer | Optimizer], **options: Any) -> Exercise:
    """Return an exercise that is compared with a class of layerkit, with the same options."""
    return _exercise(name, part, like=like(**options), options=options)


lab = Lab(
    "Backpropagation, part by part",
    [
        _alike("dense", "MyDense", Dense, units=4),
        _alike("relu", "MyReLU", ReLU),
        _exercise(
            "softmax", "MySoftmaxCrossEntropy", like=SoftmaxCrossEntropy(), targets=[0, 2, 1, 1]
        ),
        _alike("sgd", "MySGD", SGD, lr=0.02),
        _alike("momentum", "MyMomentum", Momentum, lr=0.02, beta=0.8),
        _alike("adam", "MyAdam", Adam, lr=0.02, beta1=0.8, beta2=0.98, eps=0.01),
        _alike("rmsprop", "MyRMSProp", RMSProp, lr=0.02, alpha=0.9, eps=0.01),
        _exercise("dropout", "MyDropout", options={"rate": 0.2}, checks={"same": _drops}),
        _alike("batch_norm", "MyBatchNorm", BatchNorm, momentum=0.3),
        _exercise("own", "MyActivation", checks={"bends": _bends}),
    ],
)
