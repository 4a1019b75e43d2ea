"""Fitted multi-layer perceptrons of scikit-learn, as networks."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from layerkit.errors import ConfigError
from layerkit.exchange.carried import carrying
from layerkit.graph.sequential import Sequential
from layerkit.layers.activations.rectifiers import ReLU
from layerkit.layers.activations.sigmoids import Sigmoid, Tanh
from layerkit.layers.base import Layer
from layerkit.layers.dense import Dense
from layerkit.layers.standardize import Standardize
from layerkit.losses.base import Loss
from layerkit.losses.binary import BinaryCrossEntropy
from layerkit.losses.classes import SoftmaxCrossEntropy
from layerkit.losses.regression import MeanSquaredError, Poisson
from layerkit.network import Network

ACTIVATIONS: dict[str, type[Layer] | None] = {
    "identity": None,
    "logistic": Sigmoid,
    "tanh": Tanh,
    "relu": ReLU,
}
LOSSES: dict[str, type[Loss]] = {
    "softmax": SoftmaxCrossEntropy,
    "logistic": BinaryCrossEntropy,
    "identity": MeanSquaredError,
    "exp": Poisson,
}
"""The loss that applies scikit-learn's activation of the outputs itself."""


def from_sklearn(model: Any) -> Network:
    """Return a fitted MLPClassifier or MLPRegressor as a network that can be trained further.

    Also a Pipeline of StandardScaler and one of them: its means and scales are a Standardize. The
    network has the dtype of the model's weights, float64 unless it was fitted to float32, and
    predicts the same numbers.

    A classifier of two classes has one output, as scikit-learn's has. Classes that are not the
    numbers 0 to K - 1 are kept as names, numbers too: `Network.predict` then gives strings. The
    squared error is half as large in scikit-learn, and its ``alpha``, ``l2=`` of an optimizer here,
    is not part of the network.

    An estimator of ``layerkit.sklearn`` gives a copy of its `network_`, after the Standardize.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor or Pipeline
        Fitted; scikit-learn's, or an estimator of ``layerkit.sklearn``.

    Raises
    ------
    ConfigError
        For another model, or one that is not fitted.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> model = MLPRegressor(hidden_layer_sizes=[8], tol=1.0, random_state=0).fit(x, x[:, 0] ** 2)
    >>> net = from_sklearn(model)
    >>> net.body
    Sequential(layers=[Dense(units=8), ReLU(), Dense(units=1)])
    >>> round(float(abs(net.predict(x) - model.predict(x)).max()), 12)
    0.0
    """
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import Pipeline

    steps = list(model.steps) if isinstance(model, Pipeline) else [("", model)]
    *before, (name, last) = steps
    scalers = [(name, step) for name, step in before if step not in (None, "passthrough")]
    if isinstance(own := getattr(last, "network_", None), Network):
        return _after(scalers, own)
    if not isinstance(last, MLPClassifier | MLPRegressor):
        raise ConfigError(
            f"{_named(name, last)}: should be a fitted MLPClassifier or MLPRegressor, or a "
            "Pipeline of StandardScaler and one of them"
        )
    if not hasattr(last, "coefs_"):
        raise ConfigError(f"{_named(name, last)} is not fitted: model.fit(x, t) does that")
    dtype = last.coefs_[0].dtype
    network = Network(
        Sequential([*(_scaler(*step, dtype) for step in scalers), *_layers(last)]),
        LOSSES[last.out_activation_](),
        shape=(last.n_features_in_,),
        dtype=dtype.name,
    )
    first = scalers[0][1] if scalers else last
    if (features := getattr(first, "feature_names_in_", None)) is not None:
        network.seen.features = list(map(str, features))
    if isinstance(last, MLPClassifier):
        network.classes = class_names(last.classes_)
    return network


def _after(scalers: list[tuple[str, Any]], own: Network) -> Network:
    """Return a copy of a network, with the scalers of its Pipeline as its first layers."""
    network = copy.deepcopy(own)
    if not scalers:
        return network
    dtype, body, facts = np.dtype(own.dtype), network.body, asdict(own.seen)
    layers = copy.deepcopy(body.layers if isinstance(body, Sequential) else [body])
    scaled = Network(
        Sequential([*(_scaler(*step, dtype) for step in scalers), *layers]),
        copy.deepcopy(own.loss),
        shape=own.shape,
        dtype=own.dtype,
    )
    columns = getattr(scalers[0][1], "feature_names_in_", None)
    facts["features"] = None if columns is None else list(map(str, columns))
    scaled.targets.see(facts | {"pixels": "other"})  # bytes would be divided by 255
    return scaled


def _layers(model: Any) -> Iterator[Layer]:
    """Dense layers with the model's weights, and its activation between them."""
    activation = ACTIVATIONS[model.activation]
    for i, (W, b) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        if i and activation:
            yield activation()
        yield carrying(Dense(len(b)), W=W, b=b)


def _scaler(name: str, step: Any, dtype: np.dtype[Any]) -> Layer:
    """A Standardize with the numbers of a fitted StandardScaler."""
    from sklearn.preprocessing import StandardScaler

    if not isinstance(step, StandardScaler):
        raise ConfigError(
            f"{_named(name, step)}: before the network, a Pipeline may have StandardScaler alone"
        )
    if not hasattr(step, "n_features_in_"):
        raise ConfigError(f"{_named(name, step)} is not fitted: model.fit(x, t) does that")
    n = step.n_features_in_
    whole = step.mean_ if step.with_mean else np.zeros(n)
    scale = step.scale_ if step.with_std else np.ones(n)
    mean, one = whole.astype(dtype), dtype.type(1)
    rest = (whole - mean).astype(dtype)
    return carrying(Standardize(), mean=mean, rest=rest, scale=scale.astype(dtype), fitted=one)


def class_names(labels: Any) -> Any:
    """Return names of classes from labels, None where they are the numbers 0 to K - 1.

    Examples
    --------
    >>> class_names([0, 1]), class_names([-1, 1]), class_names(["no", "yes"])
    (None, ['-1', '1'], ['no', 'yes'])
    """
    classes = np.asarray(labels)
    if classes.dtype == bool:
        return classes.tolist()
    numbers = classes.dtype.kind in "iuf" and np.array_equal(classes, np.arange(len(classes)))
    return None if numbers else list(map(str, classes))


def _named(name: str, step: Any) -> str:
    """A step of a Pipeline, or a model, for an error."""
    kind = step.__name__ if isinstance(step, type) else type(step).__name__
    return f"step {name!r}, {kind}" if name else kind
