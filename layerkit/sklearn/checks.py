"""The checks of the estimators' parameters, in layerkit's sentences."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np

from layerkit.callbacks.base import Callback
from layerkit.config.options import Amount, Configurable, Decay, Rate, Share, Size
from layerkit.errors import ConfigError, DivergenceError
from layerkit.layers.base import Layer
from layerkit.optimizers.base import Optimizer

Activation = Literal["identity", "logistic", "tanh", "relu"]


class _Parameters(Configurable):
    """The checks of the parameters; a base of both estimators' own."""

    hidden_layer_sizes: list[Size]
    activation: Activation | Layer | list[Activation | Layer]
    solver: Literal["lbfgs", "sgd", "adam"] | Optimizer
    alpha: Amount
    batch_size: Literal["auto"] | Size
    learning_rate: Literal["constant", "invscaling", "adaptive"]
    learning_rate_init: Rate
    power_t: Amount
    max_iter: Size
    shuffle: bool
    tol: Amount
    verbose: bool | int
    warm_start: bool
    momentum: Share
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: Decay
    beta_1: Decay
    beta_2: Decay
    epsilon: Rate
    n_iter_no_change: Size
    max_fun: Size
    dropout: Decay
    dtype: Literal["float32", "float64"] | None
    callbacks: list[Callback] | None
    metrics: list[Any] | None
    threads: Size | None


def check_values(model: Any, checks: type[Configurable], values: dict[str, Any]) -> None:
    """Raise a ConfigError in the name of a model for values that a class of options refuses."""
    try:
        checks(**values)
    except ConfigError as error:
        sentences = re.sub(r'; in a file: {type = ".*?"}', "", str(error))
        raise ConfigError(sentences.replace(checks.__name__, type(model).__name__)) from None


def check_parameters(model: Any) -> None:
    """Raise a ConfigError for parameters of a perceptron that are out of range."""
    sizes = model._sizes()
    given = model.get_params(deep=False) | {"hidden_layer_sizes": sizes}
    del given["random_state"]
    given.pop("class_weight", None)
    if given["n_iter_no_change"] == math.inf:  # never stops
        given["n_iter_no_change"] = model.max_iter
    check_values(model, model.checks, given)
    several = isinstance(model.activation, list | tuple)
    if several and len(model.activation) != len(sizes):
        raise ConfigError(
            f"activation = {model.activation}: {len(model.activation)} for {len(sizes)} hidden "
            "layers; should be one for each, or one for all"
        )
    for name, what in (("callbacks", "observe"), ("metrics", "measure after")):
        if model.solver == "lbfgs" and getattr(model, name):
            raise ConfigError(
                f"{name}: solver='lbfgs' has no epochs to {what}; take another solver"
            )
    if model.solver == "lbfgs" and model.dropout:
        raise ConfigError(
            f"dropout = {model.dropout}: solver='lbfgs' compares losses of the same network, "
            "and dropout changes it at each evaluation; take another solver"
        )


def is_plain(X: Any, model: Any) -> bool:
    """Return whether X needs none of scikit-learn's checks, an array of finite floats as in `fit`.

    For single rows they take longer than the network.
    """
    return (
        type(X) is np.ndarray
        and X.dtype.kind == "f"
        and X.shape[1:] == model.network_.shape
        and len(X) > 0
        and not hasattr(model, "feature_names_in_")
        and math.isfinite(X.sum())
    )


@contextmanager
def unchanged_if_refused(model: Any) -> Iterator[None]:
    """Leave an estimator as it was fitted before, where a new training is refused."""
    before = dict(vars(model))
    try:
        yield
    except (DivergenceError, Warning):  # which are no refusals
        raise
    except Exception:
        vars(model).clear()
        vars(model).update(before)
        raise
