"""MLPRegressor: scikit-learn's interface, layerkit's network."""

from __future__ import annotations

import copy
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from layerkit.arrays import Array
from layerkit.callbacks.base import Callback
from layerkit.errors import ConfigError, DataError, ShapeError
from layerkit.losses.base import Loss
from layerkit.sklearn.checks import _Parameters
from layerkit.sklearn.perceptrons import _Perceptron


class _RegressorParameters(_Parameters):
    loss: Literal["squared_error", "poisson"] | Loss


class MLPRegressor(RegressorMixin, _Perceptron):  # type: ignore[misc]
    """scikit-learn's MLPRegressor, trained by layerkit.

    Parameters, attributes and defaults are scikit-learn's, and from the same `random_state` it has
    the same first weights, batches and splits, and so the same losses. In addition, `network_` is
    an ordinary Network.

    Parameters
    ----------
    loss : {"squared_error", "poisson"} or Loss
        Half of the squared error, or half of the Poisson deviance, for targets from 0 on: the
        outputs are then the logarithms of the predictions. Or a loss of layerkit that takes a
        target for each output, such as ``Huber()``.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, \
    power_t, max_iter, shuffle, random_state, tol, verbose, warm_start, momentum, \
    nesterovs_momentum, validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun, \
    dropout, dtype, callbacks, metrics, threads
        As those of `MLPClassifier`.
    early_stopping : bool
        Whether to hold out examples, to stop when their R^2 does not improve, and to go back to
        the weights with the best one. Without, training stops when the loss does not improve.

    Attributes
    ----------
    network_ : Network
        The trained network: to save, export, trace or train on.
    coefs_, intercepts_, loss_, best_loss_, loss_curve_, validation_loss_curve_, stopped_, \
    n_iter_, t_, n_layers_, n_outputs_, n_features_in_, feature_names_in_
        As those of `MLPClassifier`.
    validation_scores_, best_validation_score_
        With early stopping, R^2 on the examples that are held out.
    history_ : list of Record
        The losses of each epoch, "train_loss" and "validation_loss", and the metrics of both sets,
        such as "train_mae" and "validation_mae".
    out_activation_ : str
        The function of the outputs: "identity", or "exp" for the Poisson deviance.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = MLPRegressor(hidden_layer_sizes=[8], solver="lbfgs", max_iter=2000, random_state=0)
    >>> round(reg.fit(X, y).score(X, y), 1)
    0.5
    """

    checks = _RegressorParameters

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: float = 0.0,
        dtype: str | None = None,
        callbacks: list[Callback] | None = None,
        metrics: Any = None,
        threads: int | None = None,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.dtype = dtype
        self.callbacks = callbacks
        self.metrics = metrics
        self.threads = threads

    def _check_data(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if isinstance(own := self._own_loss(), Loss):
            try:
                copy.copy(own).build(y.shape[1:] or (1,))
            except ShapeError as error:
                raise ConfigError(
                    f"loss = {own}: {error}. MLPRegressor has one output for each target; take "
                    "layerkit.sklearn.Regressor, which has as many as the loss needs"
                ) from None
            own.targets(y, y.shape[1:] or (1,))
        elif self.loss == "poisson" and (y < 0).any():
            raise DataError(f"loss='poisson': a target is {y.min()}; should be >= 0")
        return X, y

    def _targets(self, y: Any) -> Array:
        return check_array(y, ensure_2d=False, dtype=(np.float64, np.float32), input_name="y_val")

    def _output_activation(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def initialize(self, n_features: int, n_outputs: int = 1) -> Self:
        """Make the network with its first weights, without data.

        It can predict, be given other `coefs_` and `intercepts_`, and be trained by
        `partial_fit`, or by `fit` with a warm start.

        Parameters
        ----------
        n_features, n_outputs : int
            The number of columns of X, and of targets.
        """
        return self._initialize(n_features, n_outputs)

    def predict(self, X: Any) -> Array:
        """Return the predictions, (N,) of one output, (N, D) of several."""
        return self._labels(self._outputs(X))

    @available_if(lambda self: self._is_stochastic())  # type: ignore[untyped-decorator]
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, X_val: Any = None, y_val: Any = None
    ) -> Self:
        """Train for one epoch on these examples; the arguments are those of `fit`.

        With early stopping, X_val and y_val are needed; see `MLPClassifier.partial_fit`.
        """
        return self._fit(X, y, sample_weight, True, X_val, y_val)
