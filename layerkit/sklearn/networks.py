"""The base of `Classifier` and `Regressor`: scikit-learn's interface, layerkit's training.

X, y, a    all examples, their targets as users have them, their sample weights (or None)
t          targets as the network takes them
"""

from __future__ import annotations

import copy
import dataclasses
import warnings
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    is_regressor,
)
from sklearn.model_selection import train_test_split
from sklearn.utils import check_consistent_length, check_random_state, check_X_y, column_or_1d
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from layerkit.arrays import Array
from layerkit.callbacks.base import Callback
from layerkit.callbacks.monitors import EarlyStopping
from layerkit.config.options import Configurable, Fraction, Size
from layerkit.data.tables import table_of
from layerkit.errors import ConfigError, DataError, suggestion
from layerkit.graph.sequential import Sequential
from layerkit.layers.base import Layer
from layerkit.layers.dense import Dense
from layerkit.layers.standardize import Moments, Standardize
from layerkit.layers.table import Table
from layerkit.losses.base import Loss
from layerkit.losses.classes import SoftmaxClassifier
from layerkit.network import Network
from layerkit.optimizers.adam import AdamW
from layerkit.optimizers.base import Optimizer
from layerkit.optimizers.schedules.base import Schedule
from layerkit.optimizers.schedules.ending import CosineSchedule
from layerkit.progress import Progress, Records
from layerkit.sklearn.bodies import make_layers
from layerkit.sklearn.callbacks import CallbackSupport
from layerkit.sklearn.checks import check_values, is_plain, unchanged_if_refused
from layerkit.sklearn.frames import encoded, filled, needed_table
from layerkit.sklearn.saving import Savable
from layerkit.sklearn.threads import blas_threads
from layerkit.training.averaging import Average
from layerkit.training.loop import train

MANY = 10_000
"""With more examples than these, "auto" holds some out; as in scikit-learn's gradient boosting."""


EXAMPLES = {"body": "make_layers((64, 32))", "optimizer": "AdamW()"}


class _Options(Configurable):
    """The checks of the parameters."""

    body: Layer | None
    loss: Loss | None
    optimizer: Optimizer | None
    epochs: Size
    batch_size: Literal["auto"] | Size
    standardize: bool
    early_stopping: Literal["auto"] | bool
    validation_fraction: Fraction
    patience: Size
    average: Average | None
    metrics: list[Any]
    callbacks: list[Callback] | None
    dtype: Literal["float32", "float64"] | None
    engine: Literal["numpy", "compiled", "jax"]
    threads: Size | None
    warm_start: bool
    transform_layer: str | None


class _Lasting(EarlyStopping):
    """Early stopping over several training runs of one epoch each, the calls of `partial_fit`."""

    def judge(self, progress: Progress) -> None:
        super().judge(progress)
        if progress.stopped:
            progress.stop(
                f"{self.monitor} has not improved for {self.waited} calls (best: {self.best:.4g})"
            )

    def train_begin(self, progress: Progress) -> None:
        if self.latest is not None:
            progress.network.arena.values, progress.network.arena.states = self.latest
            self.latest = None


class _Estimator(
    Savable,
    CallbackSupport,
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
    ABC,
):
    """Base of both estimators: everything but their targets and their predictions."""

    network_: Network
    history_: Records
    stopped_: str | None
    body: Layer | None
    _optimizer: Optimizer
    kept = ("_front", "_labels", "_columns")
    elsewhere: ClassVar[tuple[str, ...]] = ("random_state", "class_weight")
    """The parameters that scikit-learn's functions check."""

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name or address, such as ``body__layers__0__units``.

        Raises
        ------
        ConfigError
            For a name that is unknown, and for values that a part of the network does not take.
        """
        known = self.get_params(deep=False)
        for address in params:
            name, _, inner = address.partition("__")
            if name not in known:
                hint = suggestion(name, list(known))
                raise ConfigError(f"{type(self).__name__} has no parameter {name!r}{hint}")
            if inner and params.get(name, known[name]) is None:
                raise ConfigError(
                    f"{type(self).__name__}.{name} is None, and has no {inner!r}: give one, such "
                    f"as {EXAMPLES.get(name, '…')}"
                )
        super().set_params(**params)
        return self

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, X_val: Any = None, y_val: Any = None
    ) -> Self:
        """Fit a network to data.

        Parameters
        ----------
        X : array, DataFrame or sparse matrix (N, features)
            The examples, a row for each.
        y : array (N,) or (N, D)
            The classes or labels of a classifier, the numbers of a regressor.
        sample_weight : array (N,), optional
            How much each example counts.
        X_val, y_val : arrays, optional
            Examples to validate on, instead of some that are held out.

        Returns
        -------
        self

        Raises
        ------
        ConfigError, DataError, ShapeError
            For parameters and data that don't fit, before the first step.
        DivergenceError
            When the training is not finite.
        """
        return self._fit(X, y, sample_weight, X_val, y_val)

    def _fit(
        self, X: Any, y: Any, a: Any, X_val: Any, y_val: Any, incremental: bool = False
    ) -> Self:
        if (X_val is None) != (y_val is None):
            raise DataError("X_val and y_val belong together: give both, or none of them")
        with unchanged_if_refused(self):
            self._check_parameters(incremental)
            first = "network_" not in vars(self) or not (self.warm_start or incremental)
            task = self._fit_task(X, y, a, 1 if incremental else self.epochs)
            table = self._table(X, first, incremental)
            X, y = self._check_data(X, y, first, table)
            self._learn_targets(y, first, incremental)
            a = None if a is None else _check_sample_weight(a, X)
            if not incremental or "_random" not in vars(self):
                self._random = check_random_state(self.random_state)
            t = self._targets(y)
            held_out: Any = ()
            if X_val is not None:
                check_consistent_length(X_val, y_val)
                held_out = self._new_data(X_val, table), self._targets(np.asarray(y_val)), None
            elif not incremental and self._holds_out(len(t)):
                X, t, a, held_out = self._split(X, t, a)
            if first:
                self._begin(X, a, table)
            with task as observers:
                self._train(X, t, a, held_out, incremental, observers)
        return self

    def _check_parameters(self, incremental: bool) -> None:
        """Raise a ConfigError for parameters that are out of range, or don't fit together."""
        given = self.get_params(deep=False)
        checked = {name: given[name] for name in given if name not in self.elsewhere}
        check_values(self, _Options, checked)
        schedules = self.optimizer is not None and self.optimizer.schedules
        if incremental and (schedules or self.average):
            what = f"average = {self.average}" if self.average else f"optimizer = {self.optimizer}"
            raise ConfigError(
                f"{what}: partial_fit doesn't know how long the training will be; take an "
                "optimizer without schedules, and no average"
            )

    def _table(self, X: Any, first: bool, incremental: bool) -> Table | None:
        """Return the Table at the beginning of the network, if there is or will be one."""
        if not first:
            return self.network_.inputs.table
        given = table_of(self.body)
        if given and (given.columns or not incremental):
            return filled(given, X)
        table = given or needed_table(X)
        if table and incremental:
            raise DataError(
                "X is a table with words, dates or gaps, and partial_fit does not see all of it: "
                "give a body that begins with Table.of(…) of the whole"
            )
        return table

    def _check_data(self, X: Any, y: Any, reset: bool, table: Table | None) -> tuple[Any, Array]:
        """Return X and y as arrays."""
        numeric = is_regressor(self)
        if table is None:
            X, y = validate_data(
                self,
                X,
                y,
                accept_sparse="csr",
                multi_output=True,
                y_numeric=numeric,
                dtype=(np.float64, np.float32),
                reset=reset,
            )
        else:
            X, y = check_X_y(
                encoded(X, table),
                y,
                ensure_all_finite="allow-nan",
                multi_output=True,
                y_numeric=numeric,
            )
            names = [column.name for column in table.ready()]
            self.feature_names_in_, self.n_features_in_ = np.array(names, object), len(names)
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    @abstractmethod
    def _learn_targets(self, y: Array, reset: bool, incremental: bool) -> None:
        """Learn what the head of the network depends on."""

    @abstractmethod
    def _targets(self, y: Array) -> Array:
        """Return targets as the network takes them, class numbers for classes."""

    @abstractmethod
    def _head(self) -> tuple[Loss, int]:
        """Return the loss and the number of outputs."""

    def _holds_out(self, N: int) -> bool:
        return N > MANY if self.early_stopping == "auto" else bool(self.early_stopping)

    def _strata(self, t: Array) -> Array | None:
        """Return the classes whose shares a split keeps, if there are any."""
        return None

    def _split(self, X: Any, t: Array, a: Array | None) -> tuple[Any, ...]:
        """Return the examples to train on, and X, t and a of those that are held out."""
        arrays = (X, t) if a is None else (X, t, a)
        parts = train_test_split(
            *arrays,
            random_state=self._random,
            test_size=self.validation_fraction,
            stratify=self._strata(t),
        )
        trained, held = [*parts[::2], None][:3], [*parts[1::2], None][:3]
        return *trained, tuple(held)

    def _begin(self, X: Any, a: Array | None, table: Table | None) -> None:
        """Make the network, and draw its weights, but for those that the body brings."""
        loss, outputs = self._head()
        body = make_layers() if self.body is None else copy.deepcopy(self.body)
        layers = body.layers if type(body) is Sequential else [body]
        if type(layers[-1]).__name__ in SoftmaxClassifier.includes:
            raise ConfigError(
                f"body ends with {layers[-1]}: leave it out; the last Dense and the loss follow"
            )
        if isinstance(layers[-1], Dense) and layers[-1].units == outputs:
            raise ConfigError(
                f"body ends with {layers[-1]}, and another Dense({outputs}) follows by itself: "
                "leave it out, or end with an activation"
            )
        first = next(layer for _, layer in body.walk("body") if not any(layer.parts()))
        front: list[Layer] = []
        if table and (own := table_of(body)):
            own.columns = table.columns
        elif table:
            front = [table]
        elif self.standardize and isinstance(X, np.ndarray) and not first.adapts:
            front = [Standardize()]
        self._front = len(front)
        pretrained = [layer for _, layer in body.walk("body") if layer.carried]
        self.network_ = Network(
            Sequential([*front, *layers, Dense(outputs)]),
            loss,
            shape=(X.shape[1],),
            dtype=self.dtype or X.dtype.name,
        )
        brought = [
            (item, item.value.copy()) for layer in pretrained for item in layer.declared().values()
        ]
        self.network_.initialize(self._seed())
        for item, value in brought:
            item.value = value
        columns = getattr(self, "feature_names_in_", None)
        if columns is not None and table is None:  # which finds its columns by itself
            self.network_.seen.features = list(columns)
        if a is not None and front:
            _measure(front[0], X, a)
        self.history_ = Records()

    def _seed(self) -> int:
        return int(self._random.randint(2**31 - 1))

    def _batch_size(self, N: int) -> int:
        """Return the number of examples of a batch; none of them has one example alone."""
        if self.batch_size != "auto":
            return int(self.batch_size)
        size = min(N, max(64, min(N // 256, 512)))
        while N % size == 1 and size < N:
            size += 1
        return size

    def _train(
        self,
        X: Any,
        t: Array,
        a: Array | None,
        held_out: Any,
        incremental: bool,
        observers: list[Callback],
    ) -> None:
        network, callbacks = self.network_, [*(self.callbacks or ()), *observers]
        going_on = incremental and "_optimizer" in vars(self) and not self._optimizer.schedules
        if not going_on:
            self._optimizer = self._new_optimizer(incremental)
            self._stopping = _Lasting(patience=self.patience)
        if held_out and self.early_stopping:
            stopping = self._stopping if incremental else EarlyStopping(patience=self.patience)
            callbacks.append(stopping)
        a, validation = self._weights(t, a, learn=True), None
        if held_out:
            X_val, t_val, a_val = held_out
            validation = (X_val, network.targets.named(t_val), self._weights(t_val, a_val))
        trainer = train(
            network,
            self._optimizer,
            X,
            network.targets.named(t),
            sample_weight=a,
            validation=validation,
            epochs=1 if incremental else self.epochs,
            batch_size=self._batch_size(len(t)),
            seed=self._seed(),
            average=self.average,
            standardize_targets=network.targets.standardizable,
            metrics=self.metrics,
            measure_train=False,
            engine=self.engine,
            callbacks=callbacks,
        )
        try:
            with blas_threads(self.threads):
                trainer.run()
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        self.stopped_ = trainer.progress.stopped
        earlier = len(self.history_)
        self.history_ += [
            dataclasses.replace(record, epoch=earlier + record.epoch)
            for record in trainer.progress.records
        ]

    def _new_optimizer(self, incremental: bool) -> Optimizer:
        if self.optimizer is not None:
            return copy.deepcopy(self.optimizer)
        schedules: dict[str, Schedule] = {} if incremental else {"lr": CosineSchedule()}
        return AdamW(lr=0.003, weight_decay=1.0, schedules=schedules)

    def _weights(self, t: Array, a: Array | None, *, learn: bool = False) -> Array | None:
        """Return the weights of examples in the loss; `learn` those of classes from these."""
        return a

    @property
    def n_iter_(self) -> int:
        """The number of epochs."""
        return len(self.history_)

    @property
    def loss_curve_(self) -> list[float]:
        """The training loss of each epoch."""
        return [record.train_loss for record in self.history_]

    @property
    def validation_loss_curve_(self) -> list[float]:
        """The validation loss of each epoch; nan where there were no examples to validate on."""
        return [record.validation_loss for record in self.history_]

    def _checked(self, X: Any) -> Any:
        """Return examples to predict from as a valid array."""
        if "network_" not in vars(self):
            check_is_fitted(self)
        table = self.network_.inputs.table
        return X if not table and is_plain(X, self) else self._new_data(X, table)

    def _new_data(self, X: Any, table: Table | None) -> Any:
        if table:
            return encoded(X, table)
        return validate_data(
            self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=False
        )

    def _address(self) -> str:
        """The address in the network of the layer whose outputs `transform` returns."""
        body: Any = self.network_.body
        if self.transform_layer is None:
            return f"body.layers.{len(body) - 2}"
        known = dict((self.body or make_layers()).walk("body"))
        if self.transform_layer not in known:
            hint = suggestion(self.transform_layer, list(known))
            raise ConfigError(f"transform_layer = {self.transform_layer!r}: nothing is there{hint}")
        names = self.transform_layer.split(".")
        if type(self.body) is not Sequential and self.body is not None:
            return ".".join(["body.layers", str(self._front), *names[1:]])
        if len(names) == 1:
            return f"body.layers.{len(body) - 2}"
        return ".".join(["body.layers", str(self._front + int(names[2])), *names[3:]])

    @property
    def _n_features_out(self) -> int:
        """The number of outputs of `transform`, for their names."""
        layer: Any = self.network_[self._address()]
        return int(np.prod(layer.output_shape))

    def transform(self, X: Any) -> Array:
        """Return the outputs of a hidden layer (N, units): the last, or `transform_layer`.

        Parameters
        ----------
        X : array, DataFrame or sparse matrix (N, features)
            The examples, a row for each.
        """
        X = self._checked(X)
        return self.network_.outputs(X, of=self._address()).reshape(X.shape[0], -1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _measure(layer: Layer, X: Array, a: Array) -> None:
    """Give a Standardize or a Table the means and standard deviations of weighted examples."""
    if isinstance(layer, Table):
        counts = ~np.isnan(X) & (a > 0)[:, None]
        layer.take(
            [_moments(X[rows, j], a[rows]) for j in layer.numbers for rows in [counts[:, j]]]
        )
    elif isinstance(layer, Standardize):
        found = _moments(X, a).fitted("Standardize", layer.mean.value.dtype)
        layer.mean.value, layer.rest.value, layer.scale.value = found
    layer.declared()["fitted"].value = np.ones(())


def _moments(X: Array, a: Array) -> Moments:
    """Return the moments of weighted examples."""
    moments = Moments(X.shape[1:])
    if len(X):
        moments.origin = X[a.argmax()].astype(float)  # what is constant is exactly 0 then
        deviations = X - moments.origin
        moments.mean = np.average(deviations, axis=0, weights=a)
        moments.squares = np.average((deviations - moments.mean) ** 2, axis=0, weights=a)
    return moments
