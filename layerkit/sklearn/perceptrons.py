"""The base of the perceptrons: scikit-learn's interface and random numbers, layerkit's network.

X, y, a    all examples, their targets (N, D), their sample weights (or None)
x, t       those of a batch
"""

from __future__ import annotations

import copy
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    is_classifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from layerkit.arrays import Array, Shape
from layerkit.callbacks.base import Callback
from layerkit.data.sparse import SparseRows
from layerkit.errors import ConfigError, DataError, DivergenceError, ShapeError
from layerkit.exchange.sklearn_models import ACTIVATIONS, LOSSES
from layerkit.graph.sequential import Sequential
from layerkit.layers.activations.sigmoids import Sigmoid
from layerkit.layers.base import Layer
from layerkit.layers.dense import Dense
from layerkit.layers.regularization import Dropout
from layerkit.losses.base import Loss, mean_loss
from layerkit.network import Network
from layerkit.parameters import Param
from layerkit.progress import Records
from layerkit.sklearn.callbacks import CallbackSupport
from layerkit.sklearn.checks import _Parameters, check_parameters, is_plain, unchanged_if_refused
from layerkit.sklearn.epochs import Epochs, Examples
from layerkit.sklearn.objectives import REPORTED, activated
from layerkit.sklearn.saving import Savable
from layerkit.sklearn.threads import blas_threads
from layerkit.streams import stream


class _Perceptron(
    Savable,
    CallbackSupport,
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
    ABC,
):
    """Base of both estimators: everything but their targets and their predictions."""

    checks: ClassVar[type[_Parameters]]
    kept = ("_label_binarizer", "_no_improvement_count")
    network_: Network
    loss_curve_: list[float]
    history_: Records
    stopped_: str | None
    validation_scores_: Any
    best_validation_score_: Any
    _latest: tuple[Array, Array] | None = None
    """The weights that `partial_fit` goes on from, where the network has the best ones."""

    @property
    def coefs_(self) -> list[Array]:
        """The weight matrices of the layers: views, so that changes are seen by the network."""
        return [dense.W.value for dense in self._dense_layers()]

    @coefs_.setter
    def coefs_(self, new: Sequence[Array]) -> None:
        self._set("coefs_", [dense.W for dense in self._dense_layers()], new)

    @property
    def intercepts_(self) -> list[Array]:
        """The biases of the layers: views, so that changes are seen by the network."""
        return [dense.b.value for dense in self._dense_layers()]

    @intercepts_.setter
    def intercepts_(self, new: Sequence[Array]) -> None:
        self._set("intercepts_", [dense.b for dense in self._dense_layers()], new)

    def _set(self, name: str, params: list[Param], new: Sequence[Array]) -> None:
        arrays = checked_arrays(name, new, [param.shape for param in params])
        for param, values in zip(params, arrays, strict=True):
            param.value = values

    def _dense_layers(self) -> list[Dense]:
        if "network_" not in vars(self):
            raise AttributeError(f"this {type(self).__name__} is not fitted yet")
        body: Any = self.network_.body
        return [layer for layer in body.layers if isinstance(layer, Dense)]

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        coef_init: Sequence[Array] | None = None,
        intercept_init: Sequence[Array] | None = None,
    ) -> Self:
        """Fit the network to data.

        Parameters
        ----------
        X : array or sparse matrix (N, features)
            The examples, a row for each.
        y : array (N,) or (N, D)
            Class labels, or numbers.
        sample_weight : array (N,), optional
            How much each example counts.
        X_val, y_val : arrays, optional
            Examples to validate on: `validation_scores_` and `validation_loss_curve_` have their
            score and loss after each epoch, and early stopping takes that score, instead of that
            of examples that are held out.
        coef_init, intercept_init : list of array, optional
            The weights to start from, as `coefs_` and `intercepts_` have them.

        Returns
        -------
        self

        Raises
        ------
        ConfigError
            For parameters that are out of range.
        ValueError
            For data that don't fit, as scikit-learn's.
        DivergenceError
            When the weights are not finite in the end.
        """
        start = {"coef_init": coef_init, "intercept_init": intercept_init}
        with unchanged_if_refused(self):
            return self._fit(X, y, sample_weight, False, X_val, y_val, start)

    def _initialize(self, n_features: int, n_outputs: int) -> Self:
        check_parameters(self)
        if hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self.n_features_in_, self.n_outputs_ = n_features, n_outputs
        self._random_state = check_random_state(self.random_state)
        self._begin(n_features, np.dtype("float64"))
        self.network_.check_adapted()
        return self

    def _is_stochastic(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError("partial_fit takes batches, and solver='lbfgs' needs all examples")
        return True

    def _sizes(self) -> list[int]:
        """The units of the hidden layers, as a list."""
        sizes = self.hidden_layer_sizes
        return list(sizes) if np.iterable(sizes) else [sizes]

    @abstractmethod
    def _check_data(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        """Return X and y as arrays, y as the network takes it."""

    @abstractmethod
    def _output_activation(self) -> str:
        """Return scikit-learn's name of the activation of the outputs."""

    @abstractmethod
    def _targets(self, y: Any) -> Array:
        """Return the y of examples to validate on as the network takes it."""

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        incremental: bool,
        X_val: Any,
        y_val: Any,
        start: Mapping[str, Sequence[Array] | None] = MappingProxyType({}),
    ) -> Self:
        check_parameters(self)
        if (X_val is None) != (y_val is None):
            raise DataError("X_val and y_val belong together: give both, or none of them")
        if X_val is not None and self.solver == "lbfgs":
            raise ConfigError("X_val: solver='lbfgs' has no epochs to validate after")
        if self.early_stopping and incremental and X_val is None:
            raise DataError(
                "early_stopping=True: partial_fit sees one part of the data, and what it would "
                "hold out may be trained on in the next call; give X_val and y_val"
            )
        epochs = 0 if self.solver == "lbfgs" else 1 if incremental else self.max_iter
        task = self._fit_task(X, y, sample_weight, epochs)
        first = not hasattr(self, "network_") or not (self.warm_start or incremental)
        X, y = self._check_data(X, y, incremental, reset=first)
        a = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        y = y.reshape(-1, 1) if y.ndim == 1 else y
        self.n_outputs_ = y.shape[1]
        self._random_state = check_random_state(self.random_state)
        validation = None if X_val is None else self._check_validation(X_val, y_val)
        units = [*self._sizes(), self.n_outputs_]
        if not first and (before := [dense.units for dense in self._dense_layers()]) != units:
            raise ConfigError(
                f"the network has layers of {before} units, and should go on with {units}: fit a "
                "new one, with warm_start=False"
            )
        shapes = {"coef_init": pairwise([X.shape[1], *units]), "intercept_init": zip(units)}
        given = {
            name.replace("_init", "s_"): checked_arrays(name, new, list(shapes[name]))
            for name, new in start.items()
            if new is not None
        }
        if first:
            self._begin(X.shape[1], X.dtype)
        for name, arrays in given.items():
            setattr(self, name, arrays)
        dtype = np.dtype(self.network_.dtype)
        X, y = X.astype(dtype, copy=False), y.astype(dtype)
        a = a if a is None else a.astype(dtype, copy=False)
        if not self.network_.adapted:
            self.network_.adapt(X)
        try:
            with task as observers, np.errstate(all="ignore"), blas_threads(self.threads):
                if self.solver == "lbfgs":
                    self._fit_lbfgs(X, y, self._class_weights(y, a, incremental))
                else:
                    self._fit_stochastic(X, y, a, incremental, validation, observers)
        except ValueError as error:
            if first and not isinstance(error, DivergenceError):  # what was refused is not fitted
                del self.network_
            raise
        if not np.isfinite(self.network_.arena.values).all():
            raise DivergenceError(
                "Solver produced non-finite parameter weights: the numbers in X or y may be too "
                "large, and should be scaled, or learning_rate_init is"
            )
        self.network_.inputs.check(X, learn=True)
        return self

    def _begin(self, features: int, dtype: np.dtype[Any]) -> None:
        """Make the network, and draw its weights as scikit-learn does."""
        several = isinstance(self.activation, list | tuple)
        hidden = self._sizes()
        names = list(self.activation) if several else [self.activation] * len(hidden)
        layers: list[Layer] = []
        for units, name in zip(hidden, names, strict=False):
            layers += [Dense(units), *activations(name)]
            if self.dropout:
                layers.append(Dropout(self.dropout))
        self.out_activation_ = self._output_activation()
        own = self._own_loss()
        own_dtype: Any = self.dtype or ("float64" if self.solver == "lbfgs" else dtype.name)
        self.network_ = Network(
            Sequential([*layers, Dense(self.n_outputs_)]),
            copy.deepcopy(own) if own else LOSSES[self.out_activation_](),
            shape=(features,),
            dtype=own_dtype,
        )
        last = names[-1] if several and names else self.activation
        for dense, name in zip(self._dense_layers(), [*names, last], strict=True):
            # Glorot and Bengio (2010); 2 instead of 6 since a sigmoid is 4 times as flat as tanh
            factor = 2 if name == "logistic" or isinstance(name, Sigmoid) else 6
            bound = math.sqrt(factor / sum(dense.W.shape))
            W = self._random_state.uniform(-bound, bound, dense.W.shape)
            b = self._random_state.uniform(-bound, bound, dense.b.shape)
            dense.W.value, dense.b.value = W.astype(dtype), b.astype(dtype)
        random = {address: layer for address, layer in self.network_.layers() if layer.random}
        if random:  # otherwise nothing more is drawn than scikit-learn draws
            seed = int(self._random_state.randint(2**31))
            for address, layer in random.items():
                layer.rng = stream(seed, f"layer {address}")
        columns = getattr(self, "feature_names_in_", None)
        self.network_.seen.features = None if columns is None else list(columns)
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(self._dense_layers()) + 1
        if self.solver != "lbfgs":
            self._begin_curves()

    def _begin_curves(self) -> None:
        self.loss_curve_ = []
        self.history_, self.stopped_ = Records(), None
        self._no_improvement_count = 0
        stopping = self.early_stopping
        self.best_loss_ = None if stopping else math.inf
        self.validation_scores_ = [] if stopping else None
        self.best_validation_score_ = -math.inf if stopping else None
        self._latest = None
        if stopping:
            self._best = self._arena_state

    def _restore(self) -> None:
        if getattr(self, "best_validation_score_", None) is not None:
            self._best = self._arena_state

    @property
    def _arena_state(self) -> tuple[Array, Array]:
        """A copy of all numbers of the network, to go back to."""
        return self.network_.arena.values.copy(), self.network_.arena.states.copy()

    @_arena_state.setter
    def _arena_state(self, state: tuple[Array, Array]) -> None:
        self.network_.arena.values, self.network_.arena.states = state

    def _own_loss(self) -> Loss | None:
        """The loss that was given as an object, if it was."""
        return self.loss if isinstance(self.loss, Loss) else None

    def _own_targets(self, t: Array) -> Array:
        """Return targets as a loss that was given takes them."""
        return t

    def _own_activations(self, z: Array) -> Array:
        """Return what a loss that was given makes of outputs."""
        return self.network_.loss.predict(z)

    def _before_activation(self, X: Any) -> Array:
        """Return the outputs for checked examples, before the output activation."""
        x = X.astype(self.network_.dtype, copy=False)
        return self.network_.body.forward(as_batch(x), train=False)

    def _activated(self, z: Array) -> Array:
        """Return outputs after scikit-learn's output activation."""
        own = self._own_loss() is not None
        return self._own_activations(z) if own else activated(self.network_.loss, z)

    def _outputs(self, X: Any) -> Array:
        """Return the outputs for examples of a user."""
        X = self._checked(X)
        with np.errstate(all="ignore"):
            return self._activated(self._before_activation(X))

    def _checked(self, X: Any) -> Any:
        """Return examples to predict from as a valid array."""
        if "network_" not in vars(self):
            check_is_fitted(self)
        if is_plain(X, self):
            return X
        return validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)

    @property
    def validation_loss_curve_(self) -> list[float] | None:
        """The loss of the examples to validate on after each epoch, without the penalty."""
        if self.validation_scores_ is None:
            return None
        return [record.validation_loss for record in self.history_]

    @property
    def _n_features_out(self) -> int:
        """The number of outputs of `transform`, for their names."""
        return self._dense_layers()[-1].W.shape[0]

    def transform(self, X: Any) -> Array:
        """Return the outputs of the last hidden layer (N, units).

        Parameters
        ----------
        X : array or sparse matrix (N, features)
            The examples, a row for each.
        """
        y = as_batch(self._checked(X).astype(self.network_.dtype, copy=False))
        body: Any = self.network_.body
        for layer in body.layers[:-1]:
            y = layer.forward(y, train=False)
        return np.asarray(y)

    def _gradient(self, x: Any, t: Array, a: Array | None, weights: list[Param]) -> float:
        """Leave the gradient of a batch in the arena, and return the loss that is reported.

        The gradient is that of the sum of the losses and alpha / 2 |W|^2, divided by the weight.
        """
        network, g = self.network_, self.network_.arena.grads
        if self._own_loss():
            t = self._own_targets(t)
            total, weight = network.backpropagate(as_batch(x), t, a, mean=False)
        else:
            p = activated(network.loss, network.body.forward(as_batch(x)))
            losses = REPORTED[self.out_activation_](t, p)
            dz, weight = p - t, float(len(t))
            if a is not None:
                losses, dz, weight = losses * a, dz * a[:, None], float(a.sum())
            network.body.backward(dz)
            total = float(losses.sum())
        if weight == 0:
            g[:] = 0
            return 0.0
        squares = 0.0
        for W in weights:
            W.grad += self.alpha * W.value
            squares += float(np.vdot(W.value, W.value))
        g /= weight
        return (total + 0.5 * self.alpha * squares) / weight

    def _loss(self, z: Array, p: Array, t: Array, a: Array | None) -> float:
        """Return the mean loss of outputs before and after the activation, without the penalty."""
        if self._own_loss():
            return self.network_.loss.mean(z, self._own_targets(t), a)
        losses = REPORTED[self.out_activation_](t, p)
        a = np.ones(len(t)) if a is None else a
        return mean_loss(float((losses * a).sum()), float(a.sum()))

    def _fit_lbfgs(self, X: Any, y: Array, a: Array | None) -> None:
        """Minimize with SciPy's L-BFGS-B, the parameters in scikit-learn's order: W's, then b's."""
        from scipy.optimize import minimize

        arena, weights = self.network_.arena, [dense.W for dense in self._dense_layers()]
        places = {name: np.arange(len(arena.values))[part] for name, part in arena.slices.items()}
        order = np.concatenate(
            [places[name] for name in sorted(places, key=lambda name: name.endswith(".b"))]
        )

        def evaluate(values: Array) -> tuple[float, Array]:
            arena.values[order] = values
            loss = self._gradient(X, y, a, weights)
            return loss, arena.grads[order]

        options = {"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": self.tol}
        found = minimize(
            evaluate, arena.values[order], jac=True, method="L-BFGS-B", options=options
        )
        arena.values[order] = found.x
        self.loss_, self.n_iter_ = found.fun, min(found.nit, self.max_iter)
        if found.status:
            longer = f"; give more than max_iter={self.max_iter}" * (self.n_iter_ == self.max_iter)
            warnings.warn(
                f"lbfgs failed to converge after {self.n_iter_} iteration(s) "
                f"(status={found.status}): {found.message}{longer}, or scale the data",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _fit_stochastic(
        self,
        X: Any,
        y: Array,
        a: Array | None,
        incremental: bool,
        validation: Examples | None,
        observers: list[Callback],
    ) -> None:
        """Train for `max_iter` epochs, or until nothing improves; for one if `incremental`."""
        stopping = getattr(self, "best_loss_", None) is None
        if not hasattr(self, "loss_curve_") or stopping != self.early_stopping:
            self._begin_curves()  # a warm start after lbfgs, or with another rule to stop
        held_out = validation
        if self.early_stopping and validation is None:
            X, y, a, held_out = self._split(X, y, a)
        if held_out is not None and self.validation_scores_ is None:
            self.validation_scores_ = []
        trained = Examples(X, y, a, self._class_weights(y, a, incremental))
        if held_out is not None:
            a = self._weighted(held_out.labels, held_out.sample_weight)
            held_out = held_out._replace(t=held_out.t.astype(y.dtype, copy=False), a=a)
        N = len(y)
        if self.batch_size != "auto" and self.batch_size > N:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                f"clipped: {self.batch_size} to {N}",
                stacklevel=4,
            )
        epochs = Epochs(self, trained, held_out, incremental, observers)
        if incremental and self._latest is not None:
            self._arena_state = self._latest
        try:
            epochs.run()
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        self._latest = self._arena_state if self.early_stopping and incremental else None
        if self.early_stopping:
            self._arena_state = self._best

    def _split(
        self, X: Any, y: Array, a: Array | None
    ) -> tuple[Any, Array, Array | None, Examples]:
        """Return the examples to train on, and those that are held out."""
        arrays = (X, y) if a is None else (X, y, a)
        parts = train_test_split(
            *arrays,
            random_state=self._random_state,
            test_size=self.validation_fraction,
            stratify=y if is_classifier(self) and self.n_outputs_ == 1 else None,
        )
        trained, held = parts[::2], parts[1::2]
        if held[0].shape[0] < 2:
            raise DataError(
                f"validation_fraction={self.validation_fraction} of {len(y)} examples leaves "
                f"{held[0].shape[0]} to validate on; should be at least 2"
            )
        held_out = Examples(*held)._replace(labels=self._labels(held[1]))
        return trained[0], trained[1], *(trained[2:] or (None,)), held_out

    def _check_validation(self, X: Any, y: Any) -> Examples:
        """Return examples to validate on as arrays."""
        check_consistent_length(X, y)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        t = self._targets(y)
        t = t.reshape(-1, 1) if t.ndim == 1 else t
        if t.shape[1] != self.n_outputs_:
            raise DataError(f"y_val has {t.shape[1]} targets; should be {self.n_outputs_}, as y")
        return Examples(X, t, labels=np.asarray(y))

    def _class_weights(self, y: Array, a: Array | None, incremental: bool) -> Array | None:
        """Return the weights of examples to train on, with those of their classes."""
        return a

    def _weighted(self, labels: Any, a: Array | None) -> Array | None:
        """Return the weights of other examples, with those of their classes."""
        return a

    def _labels(self, outputs: Array) -> Any:
        """Return outputs as the user knows them."""
        return outputs.ravel() if self.n_outputs_ == 1 else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def activations(given: str | Layer) -> list[Layer]:
    """Return a layer of its own for each place in a network, by scikit-learn's name or a copy.

    Examples
    --------
    >>> activations("logistic"), activations("identity")
    ([Sigmoid()], [])
    """
    if isinstance(given, Layer):
        return [copy.deepcopy(given)]
    activation = ACTIVATIONS[given]
    return [activation()] if activation else []


def checked_arrays(name: str, given: Sequence[Any], shapes: Sequence[Shape]) -> list[Array]:
    """Return what a user gave for the parameters of all layers as arrays of these shapes.

    Examples
    --------
    >>> checked_arrays("coef_init", [np.eye(2)], [(2, 3), (3, 1)])
    Traceback (most recent call last):
    ...
    layerkit.errors.ShapeError: coef_init has arrays of shapes [(2, 2)]; should be [(2, 3), (3, 1)]
    """
    try:
        arrays = [np.asarray(values) for values in given]
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: should be a list with an array for each layer: {error}") from None
    if (wrong := [values.shape for values in arrays]) != shapes:
        raise ShapeError(f"{name} has arrays of shapes {wrong}; should be {shapes}")
    for i, values in enumerate(arrays):
        if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
            raise DataError(f"{name}[{i}] = {values}; should be finite numbers")
    return arrays


def as_batch(x: Any) -> Any:
    """Return rows as a Dense takes them."""
    return x if isinstance(x, np.ndarray) else SparseRows(x)
