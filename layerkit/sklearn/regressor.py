"""Regressor: any network of layerkit as a regressor of scikit-learn."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin

from layerkit.arrays import Array
from layerkit.callbacks.base import Callback
from layerkit.errors import ConfigError
from layerkit.layers.base import Layer
from layerkit.losses.base import Loss
from layerkit.losses.regression import GaussianNLL, MeanSquaredError, Quantile
from layerkit.optimizers.base import Optimizer
from layerkit.sklearn.networks import _Estimator
from layerkit.training.averaging import Average


class Regressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """A network as a regressor of scikit-learn, for one target or several.

    `body` has the hidden layers. What is before and after them follows from the data: a
    Standardize, and a Dense with an output for each target. The network learns standardized targets
    if its loss can be given in their units. So raw numbers of any scale may be given.

    A DataFrame with words, dates or gaps has a `layerkit.Table` in front instead, and is taken by
    the names of its columns. `sample_weight` does not count in the means and scales of a Table.

    Parameters are addresses with ``__`` in place of the periods: ``body__layers__0__units``,
    ``optimizer__lr``, in `set_params` and in searches.

    Parameters
    ----------
    loss : Loss, optional
        By default `layerkit.MeanSquaredError`. Those with a scale of their own, such as the delta
        of `layerkit.Huber`, have it in standardized units. `predict` returns the means of
        `layerkit.GaussianNLL`, and all quantiles of `layerkit.Quantile` (N, quantiles).
    body, optimizer, epochs, batch_size, random_state, standardize, early_stopping, \
validation_fraction, patience, average, metrics, callbacks, dtype, engine, threads, warm_start, \
transform_layer
        As those of `Classifier`.

    Attributes
    ----------
    network_, history_, loss_curve_, validation_loss_curve_, n_iter_, stopped_, n_features_in_, \
feature_names_in_
        As those of `Classifier`.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True, scaled=False)
    >>> reg = Regressor(random_state=0).fit(X[::2], y[::2])
    >>> round(reg.score(X[1::2], y[1::2]), 1)
    0.4
    """

    def __init__(
        self,
        body: Layer | None = None,
        loss: Loss | None = None,
        optimizer: Optimizer | None = None,
        *,
        epochs: int = 50,
        batch_size: Any = "auto",
        random_state: Any = None,
        standardize: bool = True,
        early_stopping: Any = "auto",
        validation_fraction: float = 0.1,
        patience: int = 10,
        average: Average | None = None,
        metrics: Sequence[Any] = (),
        callbacks: list[Callback] | None = None,
        dtype: Any = None,
        engine: Any = "numpy",
        threads: int | None = 1,
        warm_start: bool = False,
        transform_layer: str | None = None,
    ) -> None:
        self.body = body
        self.loss = loss
        self.optimizer = optimizer
        self.epochs = epochs
        self.batch_size = batch_size
        self.random_state = random_state
        self.standardize = standardize
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.average = average
        self.metrics = metrics
        self.callbacks = callbacks
        self.dtype = dtype
        self.engine = engine
        self.threads = threads
        self.warm_start = warm_start
        self.transform_layer = transform_layer

    def _learn_targets(self, y: Array, reset: bool, incremental: bool) -> None:
        if reset:
            self._columns = y.shape[1:]

    def _targets(self, y: Array) -> Array:
        loss, outputs = self._head()
        loss.targets(y, (outputs,))  # errors name the rows as the user has them
        return y

    def _head(self) -> tuple[Loss, int]:
        loss = MeanSquaredError() if self.loss is None else copy.deepcopy(self.loss)
        if loss.judges_classes:
            raise ConfigError(f"loss = {loss}: is for classes; take one such as MeanSquaredError()")
        outputs = int(np.prod(self._columns))
        if isinstance(loss, GaussianNLL):
            outputs *= 2
        elif isinstance(loss, Quantile):
            outputs *= len(loss.quantiles)
        return loss, outputs

    def predict(self, X: Any) -> Array:
        """Return the predictions, (N,) of one target, (N, D) of several."""
        X = self._checked(X)  # before network_ is looked for
        return self.network_.predict(X)

    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
    ) -> Self:
        """Train for one epoch on these examples.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        X_val, y_val : arrays, optional
            Examples to validate on. The network has the weights of the call after which their loss
            was best, and `stopped_` says so when it has not improved for `patience` calls.
        """
        return self._fit(X, y, sample_weight, X_val, y_val, incremental=True)
