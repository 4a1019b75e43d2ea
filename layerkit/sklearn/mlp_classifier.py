"""MLPClassifier: scikit-learn's interface, layerkit's network."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import validate_data

from layerkit.arrays import Array
from layerkit.callbacks.base import Callback
from layerkit.errors import ConfigError, DataError
from layerkit.exchange.sklearn_models import class_names
from layerkit.losses.base import Loss
from layerkit.losses.classes import Classifier as ClassLoss
from layerkit.sklearn.checks import _Parameters, check_parameters
from layerkit.sklearn.perceptrons import _Perceptron


class _ClassifierParameters(_Parameters):
    loss: Loss | None


class MLPClassifier(ClassifierMixin, _Perceptron):  # type: ignore[misc]
    """scikit-learn's MLPClassifier, trained by layerkit.

    Parameters, attributes and defaults are scikit-learn's, and from the same `random_state` it has
    the same first weights, batches and splits, and so the same losses. In addition, `network_` is
    an ordinary Network.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int
        Number of units of each hidden layer.
    activation : {"identity", "logistic", "tanh", "relu"}, Layer, or a list of them
        The activation of the hidden layers, or one for each. Any layer, such as ``GELU()``; copies
        are used.
    solver : {"lbfgs", "sgd", "adam"} or Optimizer
        The optimizer. lbfgs takes all examples at once, for small data. Any optimizer of layerkit,
        with its own learning rate and schedules; a copy is used.
    alpha : float
        The penalty alpha / 2 |W|^2, divided by the number of examples of a batch, is added to the
        loss.
    batch_size : int or "auto"
        Examples of a batch; "auto" is 200, or all if there are fewer.
    learning_rate : {"constant", "invscaling", "adaptive"}
        For sgd: lr stays; or it is ``lr / t**power_t`` after t examples; or it is divided by 5
        whenever training would stop.
    learning_rate_init : float
        lr of sgd and adam.
    power_t : float
        The exponent of "invscaling".
    max_iter : int
        Number of epochs at most; of lbfgs, of iterations.
    shuffle : bool
        Whether each epoch has a new order.
    random_state : int, RandomState or None
        The seed of the first weights, the order of the examples and the split of early stopping.
    tol : float
        An improvement that is smaller does not count; of lbfgs, the greatest gradient at the end.
    verbose : bool
        Whether to print the loss of each epoch.
    warm_start : bool
        Whether `fit` goes on with the network of the last one.
    momentum : float
        The momentum of sgd, from 0 to 1.
    nesterovs_momentum : bool
        Whether sgd looks ahead.
    early_stopping : bool
        Whether to hold out examples, to stop when their score does not improve, and to go back to
        the weights with the best one. Without, training stops when the loss does not improve.
    validation_fraction : float
        The share of the examples that is held out.
    beta_1, beta_2, epsilon : float
        The options of adam.
    n_iter_no_change : int
        Training stops after more epochs than this without an improvement.
    max_fun : int
        Number of evaluations of the loss at most, for lbfgs.
    dropout : float
        The share of each hidden layer's outputs that is dropped while it is trained.
    dtype : {"float32", "float64"}, optional
        The precision of the network; by default that of X.
    callbacks : list of Callback, optional
        Observers of the training: early stopping by any rule, logs, a progress bar. They see all
        that `history_` keeps.
    metrics : list of str or callable, optional
        Metrics of layerkit, such as "f1", or "mae" of numbers, to be measured after each epoch, on
        the examples that are trained on and on those to validate on.
    threads : int, optional
        The number of BLAS threads while it is trained; by default they are left as they are.
    class_weight : "balanced" or dict, optional
        How much the examples of each class count in the loss, and in the score of early stopping;
        "balanced" gives all classes the same weight. Multiplied with `sample_weight`.
    loss : Loss, optional
        A loss of layerkit, such as ``SoftmaxCrossEntropy(label_smoothing=0.1)`` or ``Hinge()``
        instead of the logarithmic one.

    Attributes
    ----------
    network_ : Network
        The trained network: to save, export, trace or train on.
    classes_ : array
        The class labels, sorted.
    coefs_, intercepts_ : list of array
        W and b of each layer.
    loss_, best_loss_, loss_curve_
        The loss of the last epoch, the lowest one, and all of them.
    validation_scores_, best_validation_score_
        With early stopping, the accuracies on the examples that are held out.
    validation_loss_curve_ : list of float or None
        The losses of the examples to validate on, without the penalty.
    history_ : list of Record
        The metrics measured after each epoch: "train_loss", "validation_loss",
        "validation_accuracy", and the metrics of both, such as "train_f1" and "validation_f1".
    stopped_ : str or None
        Why training has ended before `max_iter`, or should, in `partial_fit`.
    n_iter_, t_ : int
        Number of epochs, and of examples that were trained on.
    n_layers_, n_outputs_, n_features_in_ : int
        Number of layers with the input, of outputs and features.
    feature_names_in_ : array
        Names of the columns, if X has names.
    out_activation_ : str
        The function applied to the outputs: "softmax" or "logistic".

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MLPClassifier([8], solver="lbfgs", max_iter=1000, random_state=0).fit(X, y)
    >>> clf.predict(X[:2]), round(clf.score(X, y), 2)
    (array([0, 0]), 0.99)
    >>> clf.network_.body
    Sequential(layers=[Dense(units=8), ReLU(), Dense(units=3)])
    """

    checks = _ClassifierParameters

    def __init__(
        self,
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
        class_weight: Any = None,
        loss: Loss | None = None,
        metrics: Any = None,
        threads: int | None = None,
    ) -> None:
        self.class_weight = class_weight
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
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            new = set(unique_labels(y)) - set(self.classes_)
            gone = set() if incremental else set(self.classes_) - set(unique_labels(y))
            if new or gone:
                raise DataError(
                    f"y has the classes {unique_labels(y)}, and self.classes_ from before are "
                    f"{self.classes_}; warm_start needs the same, partial_fit none but these"
                )
        self._check_loss()
        return X, self._binarized(y)

    def _check_loss(self) -> None:
        kind = self._label_binarizer.y_type_
        if self.loss and not (
            self.loss.judges_classes
            and (kind == "binary" or self._judges_classes() == (kind == "multiclass"))
        ):
            right = "BinaryCrossEntropy" if kind.startswith("multilabel") else "SoftmaxCrossEntropy"
            raise ConfigError(
                f"loss = {self.loss}: y has {kind} targets; take one such as {right}()"
            )

    def _binarized(self, y: Any) -> Array:
        y = self._label_binarizer.transform(y)
        return np.hstack([1 - y, y]) if self._judges_classes() and y.shape[1] == 1 else y

    def _targets(self, y: Any) -> Array:
        if new := set(unique_labels(y)) - set(self.classes_):
            raise DataError(
                f"y_val has the classes {np.array(list(new))}, and y has {self.classes_}: no "
                "probability can be right for them; leave these examples out"
            )
        return self._binarized(y)

    def _judges_classes(self) -> bool:
        """Whether a loss was given that judges the outputs together, one for each class."""
        return isinstance(self.loss, ClassLoss)

    def _own_targets(self, t: Array) -> Array:
        return t.argmax(axis=1) if self._judges_classes() else t

    def _own_activations(self, z: Array) -> Array:
        loss = self.network_.loss
        if loss.has_probabilities:
            return loss.predict_proba(z)
        p = loss.predict(z)
        return np.eye(z.shape[1])[p] if self._judges_classes() else p

    def _output_activation(self) -> str:
        multiclass = self._label_binarizer.y_type_ == "multiclass" or self._judges_classes()
        return "softmax" if multiclass else "logistic"

    def _begin(self, features: int, dtype: np.dtype[Any]) -> None:
        super()._begin(features, dtype)
        if not self._label_binarizer.y_type_.startswith("multilabel") and len(self.classes_) > 1:
            self.network_.classes = class_names(self.classes_)

    def _class_weights(self, y: Array, a: Array | None, incremental: bool) -> Array | None:
        if self.class_weight is None:
            return a
        if incremental and self.class_weight == "balanced":
            raise ConfigError(
                "class_weight = 'balanced': partial_fit does not see all examples; give a dict "
                "with a weight for each class"
            )
        labels, self._class_weight = self._labels(y), self.class_weight
        if self.class_weight == "balanced":
            self._class_weight = balanced(labels, a)
        return self._weighted(labels, a)

    def _weighted(self, labels: Any, a: Array | None) -> Array | None:
        if self.class_weight is None:
            return a
        weights = compute_sample_weight(self._class_weight, labels).astype(self.network_.dtype)
        return weights if a is None else a * weights

    def _labels(self, outputs: Array) -> Any:
        if self._label_binarizer.y_type_ == "binary":
            outputs = outputs[:, -1:]  # two outputs for two classes, with a loss that was given
        return self._label_binarizer.inverse_transform(super()._labels(outputs))

    def initialize(self, n_features: int, classes: Any) -> Self:
        """Make the network with its first weights, without data.

        It can predict, be given other `coefs_` and `intercepts_`, and be trained by
        `partial_fit`, or by `fit` with a warm start.

        Parameters
        ----------
        n_features : int
            The number of columns of X.
        classes : array
            All class labels.
        """
        check_parameters(self)
        self._label_binarizer = LabelBinarizer().fit(classes)
        self.classes_ = self._label_binarizer.classes_
        self._check_loss()
        return self._initialize(n_features, self._binarized(classes).shape[1])

    def predict(self, X: Any) -> Array:
        """Return the classes (N,), or whether each label is there (N, D)."""
        return self._labels(self._outputs(X))

    def _has_probabilities(self) -> bool:
        return self.loss is None or self.loss.has_probabilities

    @available_if(lambda self: self._has_probabilities())  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities of the classes (N, K), or of each label (N, D)."""
        p = self._outputs(X)
        return np.hstack([1 - p, p]) if self.n_outputs_ == 1 else p

    @available_if(lambda self: self._has_probabilities())  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of the probabilities."""
        p = self.predict_proba(X)
        return np.log(p, out=p)

    @available_if(lambda self: self._is_stochastic())  # type: ignore[untyped-decorator]
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        classes: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
    ) -> Self:
        """Train for one epoch on these examples.

        With early stopping, X_val and y_val are needed. The network has the weights of the call
        after which their score was best, and the next call goes on from those of the last;
        `stopped_` is set when the score has not improved for long enough.

        Parameters
        ----------
        X, y, sample_weight, X_val, y_val
            As for `fit`.
        classes : array, optional
            All classes, needed by the first call: a batch may be without some of them.
        """
        if not hasattr(self, "classes_"):
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            indicator = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if indicator else classes)
            self.classes_ = unique_labels(classes)
        elif classes is not None and not np.array_equal(self.classes_, unique_labels(classes)):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{self.classes_!r}"
            )
        return self._fit(X, y, sample_weight, True, X_val, y_val)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def balanced(labels: Any, a: Array | None = None) -> Any:
    """Return weights that make all classes count the same: a dict, or one for each of D labels.

    Examples are counted with their weights, so that twice the weight is as good as a copy.

    Examples
    --------
    >>> balanced(np.array(["no", "no", "no", "no", "yes"]))
    {'no': 0.625, 'yes': 2.5}
    >>> balanced(np.array(["no", "yes"]), np.array([4.0, 1.0]))
    {'no': 0.625, 'yes': 2.5}
    """
    if labels.ndim == 2:
        return [balanced(column, a) for column in labels.T]
    classes, numbers = np.unique(labels, return_inverse=True)
    counts = np.bincount(numbers, a)
    share = counts.sum() / max(1, np.count_nonzero(counts))
    weights = np.divide(share, counts, out=np.zeros(len(counts)), where=counts > 0)
    return dict(zip(classes.tolist(), weights.tolist(), strict=True))
