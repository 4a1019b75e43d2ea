"""Classifier: any network of layerkit as a classifier of scikit-learn."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from layerkit.arrays import Array
from layerkit.callbacks.base import Callback
from layerkit.errors import ConfigError, DataError, listed
from layerkit.exchange.sklearn_models import class_names
from layerkit.layers.base import Layer
from layerkit.layers.table import Table
from layerkit.losses.base import Loss
from layerkit.losses.binary import BinaryClassifier, BinaryCrossEntropy
from layerkit.losses.classes import Classifier as ClassLoss
from layerkit.losses.classes import SoftmaxCrossEntropy
from layerkit.optimizers.base import Optimizer
from layerkit.sklearn.mlp_classifier import balanced
from layerkit.sklearn.networks import _Estimator
from layerkit.training.averaging import Average


class Classifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """A network as a classifier of scikit-learn: of two or more classes, or of several labels.

    `body` has the hidden layers. What is before and after them follows from the data: a
    Standardize, and a Dense with an output for each class or label. So raw numbers of any scale
    may be given.

    A DataFrame with words, dates or gaps has a `layerkit.Table` in front instead, and is taken by
    the names of its columns. `sample_weight` does not count in the means and scales of a Table.

    Parameters are addresses with ``__`` in place of the periods: ``body__layers__0__units``,
    ``optimizer__lr``, in `set_params` and in searches.

    Parameters
    ----------
    body : Layer, optional
        The hidden layers, without the last one. A copy is trained. By default `make_layers()`. If
        it is a copy of layers that were trained, it begins with their weights.
    loss : Loss, optional
        By default `layerkit.SoftmaxCrossEntropy`, and `layerkit.BinaryCrossEntropy` for several
        labels.
    optimizer : Optimizer, optional
        A copy is used. By default ``AdamW(lr=0.003, weight_decay=1.0)``, whose lr falls to 0
        along a cosine; in `partial_fit` it stays.
    epochs : int
        Number of epochs at most.
    batch_size : int or "auto"
        Examples of a batch; "auto" is 64, up to 512 for many examples, or a few more, so that no
        batch has one example alone.
    random_state : int, RandomState or None
        The seed of the first weights, the order of the examples, the split and dropout.
    standardize : bool
        Whether the network begins with a Standardize. It doesn't for sparse matrices, which would
        become dense, nor if the body begins with a layer that is fitted to the data.
    early_stopping : "auto" or bool
        Whether to stop when the loss of examples that are held out, or of `X_val`, does not
        improve, and to go back to the best weights. "auto" holds out some if there are more than
        10,000; with fewer they are needed for training.
    validation_fraction : float
        The share of the examples that is held out.
    patience : int
        Number of epochs without improvement after which training stops.
    average : Average, optional
        The average of the weights: `layerkit.EMA` or `layerkit.SWA`.
    metrics : list of str or callable
        Further metrics of the examples to validate on, in `history_`.
    callbacks : list of Callback, optional
        Observers of the training.
    class_weight : "balanced" or dict, optional
        How much the examples of each class count in the loss, also in that of early stopping.
        "balanced" gives all classes of the training examples the same weight, counted with
        `sample_weight`, which is multiplied with it.
    dtype : {"float32", "float64"}, optional
        The precision of the network; by default that of X.
    engine : {"numpy", "compiled", "jax"}
        "compiled" takes less time for the same numbers.
    threads : int, optional
        The number of BLAS threads while it is trained; None leaves them as they are. Small
        networks are fastest with one.
    warm_start : bool
        Whether `fit` goes on with the network of the last one.
    transform_layer : str, optional
        The address of the layer whose outputs `transform` returns, such as ``"body.layers.0"``;
        by default the last one of the body.

    Attributes
    ----------
    network_ : Network
        The trained network: to save, export, trace or train on.
    history_ : list of Record
        The metrics measured after each epoch.
    loss_curve_, validation_loss_curve_ : list of float
        The losses of all epochs.
    n_iter_ : int
        Number of epochs.
    stopped_ : str or None
        Why the training has ended early.
    classes_ : array
        The class labels, sorted; of several labels their numbers.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : array
        Names of the columns, if X has names.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> X, y = load_wine(return_X_y=True)
    >>> clf = Classifier(random_state=0).fit(X[::2], y[::2])
    >>> round(clf.score(X[1::2], y[1::2]), 2)
    0.98
    >>> from layerkit.sklearn import make_layers
    >>> small = Classifier(make_layers((4,), "tanh"), random_state=0)
    >>> small.set_params(body__layers__0__units=8, epochs=3).fit(X, y).network_.body
    Sequential(layers=[Standardize(), Dense(units=8), Tanh(), Dense(units=3)])
    """

    classes_: Array

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
        class_weight: Any = None,
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
        self.class_weight = class_weight
        self.dtype = dtype
        self.engine = engine
        self.threads = threads
        self.warm_start = warm_start
        self.transform_layer = transform_layer

    def _learn_targets(self, y: Array, reset: bool, incremental: bool) -> None:
        check_classification_targets(y)
        if type_of_target(y) == "multiclass-multioutput":
            raise DataError(
                "y has several columns of classes; labels should be 0 and 1, or fit a Classifier "
                "for each column: sklearn.multioutput.MultiOutputClassifier"
            )
        labels = y.ndim == 2
        found = np.arange(y.shape[1]) if labels else np.unique(y)
        if reset and not incremental:
            if len(found) < 2 and not labels:
                raise DataError(
                    f"y has one class alone, {found[0]!s}; a Classifier needs at least two classes"
                )
            self.classes_, self._labels = found, labels
        elif labels != self._labels or not np.isin(found, self.classes_).all():
            raise DataError(
                f"y has {'labels' if labels else 'the classes'} {listed(map(repr, found))}, and "
                f"self.classes_ from before are {listed(map(repr, self.classes_))}: a warm start "
                "and partial_fit go on with the same"
            )

    def _targets(self, y: Array) -> Array:
        if self._labels:
            return np.asarray(y, float)
        new = np.setdiff1d(y, self.classes_)
        if len(new):
            raise DataError(f"y_val has the class {new[0]!r}, which y doesn't have")
        return np.searchsorted(self.classes_, y)

    def _head(self) -> tuple[Loss, int]:
        K, default = len(self.classes_), BinaryCrossEntropy if self._labels else SoftmaxCrossEntropy
        loss = default() if self.loss is None else copy.deepcopy(self.loss)
        binary = isinstance(loss, BinaryClassifier)
        if binary and (self._labels or K == 2):
            return loss, K if self._labels else 1
        if not self._labels and isinstance(loss, ClassLoss):
            return loss, K
        kind = "labels" if self._labels else f"{K} classes"
        raise ConfigError(f"loss = {loss}: y has {kind}; take one such as {default.__name__}()")

    def _begin(self, X: Any, a: Array | None, table: Table | None) -> None:
        super()._begin(X, a, table)
        if not self._labels:
            self.network_.classes = class_names(self.classes_)

    def _strata(self, t: Array) -> Array | None:
        if t.ndim == 2:
            return None
        held_out = np.ceil(len(t) * self.validation_fraction)
        counts = np.bincount(t)
        possible = counts[counts > 0].min() > 1 and held_out >= np.count_nonzero(counts)
        return t if possible else None

    def _weights(self, t: Array, a: Array | None, *, learn: bool = False) -> Array | None:
        if self.class_weight is None:
            return a
        y = t if self._labels else self.classes_[t]
        if learn:
            given = self.class_weight
            self._class_weight = balanced(y, a) if given == "balanced" else given
        weights = compute_sample_weight(self._class_weight, y)
        return weights if a is None else a * weights

    def predict(self, X: Any) -> Array:
        """Return the classes (N,), or whether each label is there (N, D)."""
        X = self._checked(X)  # before network_ is looked for
        y = self.network_.loss.predict(self.network_.outputs(X))
        return y.astype(int) if self._labels else self.classes_[y.reshape(len(y))]

    def _has_probabilities(self) -> bool:
        return self.loss is None or self.loss.has_probabilities

    @available_if(lambda self: self._has_probabilities())  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities of the classes (N, K), or of each label (N, D)."""
        X = self._checked(X)
        return self.network_.predict_proba(X)

    @available_if(lambda self: self._has_probabilities())  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of the probabilities."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: Any = None,
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
        classes : array, optional
            All classes, needed by the first call: a batch may be without some of them.
        X_val, y_val : arrays, optional
            Examples to validate on. The network has the weights of the call after which their loss
            was best, and `stopped_` says so when it has not improved for `patience` calls.
        """
        if "network_" not in vars(self):
            if classes is None:
                raise DataError("classes must be passed on the first call to partial_fit.")
            self.classes_ = np.unique(classes)
            self._labels = type_of_target(y).startswith("multilabel")
        elif classes is not None and not np.array_equal(self.classes_, np.unique(classes)):
            raise DataError(
                f"classes = {listed(map(repr, classes))}: is not the same as on the last call to "
                f"partial_fit, {listed(map(repr, self.classes_))}"
            )
        if self.class_weight == "balanced":
            raise ConfigError(
                "class_weight = 'balanced': partial_fit does not see all examples; give a dict "
                "with a weight for each class"
            )
        return self._fit(X, y, sample_weight, X_val, y_val, incremental=True)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
