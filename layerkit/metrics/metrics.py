"""Metrics: how good a trained network is, by scikit-learn's definitions.

N    examples
K    classes or labels
z    outputs of the network's body: (N, *shape)
t    targets, as the loss checks and converts them
a    sample weights: (N,), or one for each position

Where outputs have more axes, (N, T, K), each position counts as an example.
"""

from __future__ import annotations

import inspect
import math
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.config.checks import check_kind
from layerkit.errors import ConfigError, DataError, LayerkitError, suggestion
from layerkit.inspection.notebook import Lines
from layerkit.losses.base import Loss, as_rows, batch_of, spread
from layerkit.metrics.own import (
    is_scikit_learns,
    name_of,
    own_metric,
    own_metrics,
    place_of,
    score_own,
    takes_predictions,
    warn_if_not_finite,
)
from layerkit.metrics.scoring import MedianRegressor, OfOne, Regressor, estimator_of, judge
from layerkit.network import Network

Metric = str | Callable[..., Any]
"""The name of a metric, a function of (y, predicted), or a scorer of (estimator, x, y)."""

AVERAGED = ("precision", "recall", "f1", "roc_auc")
OF_CLASSES = ("accuracy", *AVERAGED, *(f"{name}_per_class" for name in AVERAGED))
OF_NUMBERS = ("mae", "rmse", "r2")
UNITLESS = ("r2", "explained_variance", "d2_absolute_error_score")
"""Metrics of numbers that have a mean over targets in different units."""
TOP = r"top_(\d+)_accuracy"


def measure(
    metrics: Sequence[Metric],
    loss: Loss,
    z: Array,
    t: Array,
    sample_weight: Array | None = None,
    names: Sequence[Any] | None = None,
) -> dict[str, float]:
    """Return the metrics of outputs `z` for targets `t`, by name.

    ``accuracy``
        The share of examples that are right; where labels don't exclude each other, of labels.
    ``top_3_accuracy``, and so on
        The share of examples whose class is among the 3 with the largest outputs.
    ``precision``, ``recall``, ``f1``
        Those of class 1 if there are two classes, else the mean over the classes that occur or are
        predicted. 0 where it would be 0 / 0, such as the precision of a class that is never
        predicted.
    ``roc_auc``
        The area under the ROC curve: of class 1 if there are two classes, else the mean over the
        classes, each against the rest. nan if a class is missing.
    ``precision_per_class``, ``recall_per_class``, ``f1_per_class``, ``roc_auc_per_class``
        One metric for each class, such as ``f1_class_0``, or ``f1_class_cat`` by its name.
    ``mae``, ``rmse``, ``r2``
        For losses of numbers, the mean over the outputs. Mean absolute error and root mean squared
        error, in units of the target; coefficient of determination. Of several quantiles, the
        median, 0.5, is measured. Several targets with names may have different units: then each
        has its own, such as ``mae_price``, and only ``r2``, which has no unit, a mean besides.

    All other names are scikit-learn's, such as ``f1_weighted``, ``balanced_accuracy`` or
    ``neg_log_loss``. Its scorers are greater for better networks, so its errors are negative;
    ``mae`` and ``rmse`` are not. A metric is nan where scikit-learn refuses its input, such as the
    logarithmic error of a negative prediction. Targets that are distributions count as the class
    that is most probable. Positions that the loss ignores are left out.

    Parameters
    ----------
    metrics : sequence of str or callable
        Names that `layerkit.metrics.check_metrics` accepts; functions of (y, predicted), which are
        given the true values and the predictions; and scorers of (estimator, x, y), such as those
        of ``sklearn.metrics.make_scorer``. A scorer has the name of its function, and is called
        with the outputs in place of the examples, so that it sees all quantiles, for example.
        Classes are numbers, even where they have names.
    loss : Loss
        Defines the predictions, and which positions are ignored.
    z, t : arrays
        Outputs (N, *shape) and targets of one data set.
    sample_weight : array, optional
        How much each example counts (N,), or each position, in all metrics that take weights. If
        it is how much each target counts, of the shape of z, each output is measured alone, and a
        metric is the mean over the outputs.
    names : sequence, optional
        The names of the classes, or of the targets.

    Raises
    ------
    ShapeError
        For outputs of more axes whose targets or weights have other positions.
    DataError
        For a metric that is not a mean over the outputs, where each target has its weight; and for
        a metric given by name, where the predictions have another shape than the targets.

    Examples
    --------
    >>> from layerkit import SoftmaxCrossEntropy
    >>> z, t = np.eye(3)[[0, 0, 1, 1]], np.array([0, 1, 1, 1])
    >>> measure(["accuracy", "precision_per_class"], SoftmaxCrossEntropy(), z, t)
    {'accuracy': 0.75, 'precision_class_0': 0.5, 'precision_class_1': 1.0, 'precision_class_2': 0.0}
    """
    check_targets(metrics, loss, z, t)
    if sample_weight is not None and sample_weight.shape == z.shape:
        return _measure_each(metrics, loss, z, t, sample_weight, names)
    estimator, z, y, sample_weight = judge(loss, z, t, sample_weight, names)
    values: dict[str, float] = {}
    for name, own in _named(metrics):
        scored = _score(name, own, estimator, z, y, sample_weight)
        if own and len(y):
            for key, value in scored.items():
                warn_if_not_finite(key, own, value)
        values |= scored
    return values


def _measure_each(
    metrics: Sequence[Metric],
    loss: Loss,
    z: Array,
    t: Array,
    weights: Array,
    names: Sequence[Any] | None,
) -> dict[str, float]:
    D = z.shape[-1]
    if isinstance(estimator_of(loss, D), MedianRegressor):
        raise DataError("metrics: each quantile has weights of its own; give a weight per example")
    for name, own in _named(metrics):
        if re.search("micro|weighted|samples", name) or (own and name.endswith("_per_class")):
            raise DataError(
                f"metrics: {name!r} of targets with weights or gaps of their own: should be one "
                "that is a mean over the outputs, such as 'f1_macro', 'roc_auc' or 'mae'"
            )
    (z, t, a) = (values.reshape(-1, D) for values in (z, t, weights))
    stems = [m.removesuffix("_per_class") if isinstance(m, str) else m for m in metrics]
    columns = [measure(stems, loss, z[:, [d]], t[:, [d]], a[:, d]) for d in range(D)]
    values: dict[str, float] = {}
    for (name, own), (stem, _) in zip(_named(metrics), _named(stems), strict=True):
        each = [column[stem] for column in columns]
        if name != stem:
            values |= {f"{stem}_class_{k}": x for k, x in zip(names or range(D), each, strict=True)}
            continue
        apart = names if own is None and not loss.judges_classes else None
        if not apart or name in UNITLESS:
            values[name] = float(np.mean(each))
        if apart:
            values |= {f"{name}_{k}": x for k, x in zip(apart, each, strict=True)}
    if "accuracy" in values:  # of all labels together
        values |= measure(["accuracy"], loss, z.reshape(-1, 1), t.reshape(-1, 1), a.ravel())
    return values


def evaluate_metrics(
    network: Network, x: Any, t: Any, metrics: Sequence[Metric], sample_weight: Any = None
) -> dict[str, float]:
    """Return the metrics of a network for examples and targets, by name.

    Parameters
    ----------
    network : Network
        The network whose predictions are measured.
    x, t : arrays
        Examples (N, *shape) and targets.
    metrics : list of str or callable
        Names such as ``"f1"``, ``"roc_auc"`` or ``"rmse"``, or functions of your own;
        `layerkit.metrics.metrics.measure` has the list.
    sample_weight : array, optional
        How much each example counts (N,).

    Raises
    ------
    ConfigError
        For metrics that are unknown or don't suit the network's loss.
    DataError, ShapeError
        For data that don't fit the network.

    Examples
    --------
    >>> from layerkit import Dense, Network, SoftmaxCrossEntropy
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(1,))
    >>> net.arena.values[:] = [-1, 1, 0, 0]
    >>> x, t = [[5.0], [-5.0], [1.0], [-1.0]], [1, 0, 0, 0]
    >>> evaluate_metrics(net, x, t, ["precision", "recall", "balanced_accuracy"])
    {'precision': 0.5, 'recall': 1.0, 'balanced_accuracy': 0.8333333333333333}
    """
    check_kind("network", network, Network, "network, x, t, metrics")
    names = network.targets.names
    check_metrics(metrics, network.loss, network.body.output_shape, names)
    rows, targets, weights = network.check(x, t, sample_weight)
    return measure(metrics, network.loss, network.outputs(rows), targets, weights, names)


def check_metrics(
    metrics: Sequence[Metric], loss: Loss, shape: Shape, names: Sequence[Any] | None = None
) -> list[str]:
    """Check that all metrics suit a loss, by measuring them on a few made-up outputs.

    Returns the names of what they measure.

    Parameters
    ----------
    metrics : sequence of str or callable
        Names that `layerkit.metrics.metrics.measure` knows, or functions of your own.
    loss : Loss
        The loss of the network.
    shape : tuple of int
        The shape of its outputs, without the batch axis.
    names : sequence, optional
        The names of the classes, or of the targets.

    Raises
    ------
    ConfigError
        For a name that is unknown, appears twice, or doesn't suit the loss.

    Examples
    --------
    >>> from layerkit import Hinge
    >>> check_metrics(["f1_marco"], Hinge(), (1,))
    Traceback (most recent call last):
    ...
    layerkit.errors.ConfigError: metrics: 'f1_marco': unknown; did you mean 'f1_macro'? (a metric \
of your own has to be imported first: --import FILE.py)
    >>> check_metrics(["neg_log_loss"], Hinge(), (1,))
    Traceback (most recent call last):
    ...
    layerkit.errors.ConfigError: metrics: 'neg_log_loss' can't judge Hinge with outputs (1,): it \
has no probabilities
    """
    if isinstance(metrics, str) or not isinstance(metrics, Sequence):
        raise ConfigError(f"metrics = {metrics!r}: should be a list of names or functions")
    estimator = estimator_of(loss, shape[-1], names)
    z, y = estimator.sample(shape[-1])
    measured_as: list[str] = []
    for name, own in _named(metrics):
        _check_namesake(name, own or own_metric(name))
        if own is None:
            _check_name(name, loss, estimator)
        try:
            measured = _score(name, own, estimator, z, y, None, strict=True)
        except ConfigError:
            raise
        except Exception as error:
            lacking = isinstance(error, AttributeError) and not loss.has_probabilities
            reason = str(error)
            if lacking and (own is None or hasattr(own, "_score_func")):
                reason = "it has no probabilities"
            elif own and not isinstance(error, LayerkitError):
                reason = f"{type(error).__name__}: {reason}, when tried with {len(y)} made-up rows"
            raise ConfigError(
                f"metrics: {name!r}{place_of(own, error)} can't judge {type(loss).__name__} "
                f"with outputs {shape}: {reason}"
            ) from error
        for key in measured:
            if key in measured_as:
                raise ConfigError(f"metrics: {key!r} appears twice")
            measured_as.append(key)
    return measured_as


def check_targets(metrics: Sequence[Metric], loss: Loss, z: Array, t: Array) -> None:
    """Raise a DataError if metrics by name can't compare predictions with targets of this shape.

    Functions and scorers of your own are given both, and may.
    """
    names = [name for name, own in _named(metrics) if own is None]
    if not names:
        return
    estimator, (rows, targets) = estimator_of(loss, z.shape[-1]), as_rows(z, t)
    predicted, true = (
        y.shape[1:] for y in (estimator.predict(rows[:1]), estimator.true(targets[:1]))
    )
    if predicted != true:
        raise DataError(
            f"metrics: {names[0]!r} can't compare predictions of {type(loss).__name__}, "
            f"{batch_of(predicted)}, with its targets, {batch_of(true)}: override `predict`, so "
            "that they have the targets' shape, or give a function of your own"
        )


def of_numbers(loss: Loss, shape: Shape, t: Array) -> Sequence[str]:
    """Return mae, rmse and r2 if a loss predicts numbers of the shape of its targets, else none."""
    if loss.judges_classes:
        return ()
    estimator = estimator_of(loss, shape[-1])
    try:
        for name in OF_NUMBERS:
            _score(name, None, estimator, *estimator.sample(shape[-1]), None, strict=True)
        check_targets(OF_NUMBERS, loss, np.ones((1, *shape)), t[:1])
    except (AttributeError, TypeError, ValueError):
        return ()
    return OF_NUMBERS


def undirected(metrics: Sequence[Metric]) -> list[str]:
    """Return the names of functions of (y, predicted): greater or smaller may be better."""
    pairs = [(name, own) for name, own in _named(metrics) if own]
    return [name.removesuffix("_per_class") for name, own in pairs if takes_predictions(own)]


def known_names() -> list[str]:
    """Return the names of layerkit's and scikit-learn's metrics, but for ``top_3_accuracy``."""
    from sklearn.metrics import get_scorer_names

    return list(dict.fromkeys([*OF_CLASSES, *OF_NUMBERS, *get_scorer_names()]))


def _is_known(name: str) -> bool:
    return bool(re.fullmatch(TOP, name)) or name in known_names()


def _named(metrics: Sequence[Metric]) -> list[tuple[str, Any]]:
    """Return the names of metrics, each with its function or scorer if it is a user's own."""
    pairs: list[tuple[str, Any]] = []
    for metric in metrics:
        if isinstance(metric, str):
            own = own_metric(metric)
            pairs.append((metric, None if own and _is_known(metric) else own))
        elif not callable(metric) or isinstance(metric, type):
            raise ConfigError(f"metrics: {metric!r}: should be a name or a function")
        else:
            pairs.append((name_of(metric), metric))
    return pairs


def _check_namesake(name: str, own: Any) -> None:
    """Refuse a user's metric with the name of another, but for scikit-learn's functions."""
    if own and (name == "loss" or _is_known(name)) and not is_scikit_learns(own):
        raise ConfigError(
            f"metrics: {name!r}{place_of(own)} has the name of a metric of layerkit or "
            "scikit-learn: choose another"
        )


def _check_name(name: str, loss: Loss, estimator: Regressor) -> None:
    top = re.fullmatch(TOP, name)
    if not _is_known(name):
        of_class = re.sub("_class_.*", "_per_class", name)
        of_target = name.partition("_")[0]
        for whole in (of_class, of_target):
            if (
                whole != name
                and _is_known(whole)
                and (whole == of_class or not loss.judges_classes)
            ):
                raise ConfigError(
                    f"metrics: {name!r}: is one of the results of {whole!r}: write that instead"
                )
        hint = suggestion(name, [*own_metrics(), *known_names()], "metrics")
        raise ConfigError(
            f"metrics: {name!r}: unknown{hint} "
            "(a metric of your own has to be imported first: --import FILE.py)"
        )
    numbers = r"mae|rmse|r2|explained_variance|d2_absolute_error_score|neg_.*_(error|deviance)"
    if bool(re.fullmatch(numbers, name)) == loss.judges_classes:
        kind = "classes" if loss.judges_classes else "numbers"
        raise ConfigError(f"metrics: {name!r} doesn't suit {type(loss).__name__}, a loss of {kind}")
    if top and not (estimator.exclusive and 1 < int(top[1]) < estimator.outputs):
        raise ConfigError(
            f"metrics: {name!r}: the number should be greater than 1 and less than that of the "
            f"classes that exclude each other, here {estimator.outputs * estimator.exclusive}"
        )


def _score(
    name: str,
    own: Any,
    estimator: Regressor,
    z: Array,
    y: Array,
    sample_weight: Array | None,
    strict: bool = False,
) -> dict[str, float]:
    """Call a scorer; with `strict`, what scikit-learn refuses raises instead of being nan."""
    import sklearn

    names = estimator.names
    if own is None and names and not estimator.loss.judges_classes and y.shape[1:] == (len(names),):
        each = {
            f"{name}_{target}": value
            for d, target in enumerate(names)
            for value in _score(
                name, None, OfOne(estimator, d), z, y[:, d], sample_weight, strict
            ).values()
        }
        if name not in UNITLESS:
            return each
        estimator = estimator_of(estimator.loss, estimator.outputs)
        return _score(name, None, estimator, z, y, sample_weight, strict) | each
    scorer = own or _scorer(name, estimator)
    options: dict[str, Any] = {"sample_weight": sample_weight}
    if own is None:
        options["zero_division"] = 0
        # means are over the classes that occur or are predicted, as scikit-learn's are
        if not re.fullmatch(r"(precision|recall|f1|jaccard)(?!_per_class).*", name):
            options["labels"] = np.arange(estimator.outputs)
    taken = {key: options[key] for key in _parameters(scorer) if options.get(key) is not None}
    value = math.nan
    # with routing, a scorer can be given more than weights
    with (
        warnings.catch_warnings(action="ignore"),
        sklearn.config_context(enable_metadata_routing=True),
    ):
        try:
            if len(y) and own:
                value = score_own(name, own, estimator, z, y, taken)
            elif len(y):
                value = scorer(estimator, z, y, **taken)
        except (ValueError, ZeroDivisionError) as error:
            if strict or own or isinstance(error, LayerkitError):
                raise
    if not name.endswith("_per_class"):
        return {name: float(value)}
    values = np.broadcast_to(value, estimator.outputs)
    stem, keys = name.removesuffix("_per_class"), names or range(estimator.outputs)
    return {f"{stem}_class_{k}": float(x) for k, x in zip(keys, values, strict=True)}


def _parameters(scorer: Any) -> Iterable[str]:
    """The names of a scorer's optional arguments."""
    if hasattr(scorer, "get_metadata_routing"):
        requests: dict[str, Any] = scorer.get_metadata_routing().score.requests
        return requests
    return inspect.signature(scorer).parameters


def _scorer(name: str, estimator: Regressor) -> Any:
    from sklearn import metrics

    several = estimator.outputs > 2 or not estimator.exclusive
    stem = name.removesuffix("_per_class")
    if name == "accuracy":
        return metrics.make_scorer(_accuracy)
    if name in ("mae", "rmse"):
        errors = {"mae": metrics.mean_absolute_error, "rmse": metrics.root_mean_squared_error}
        return metrics.make_scorer(errors[name])
    if top := re.fullmatch(TOP, name):
        return metrics.make_scorer(
            metrics.top_k_accuracy_score, response_method="decision_function", k=int(top[1])
        )
    if stem == "roc_auc":
        # only probabilities can be compared between examples of several classes
        methods = ("predict_proba", "decision_function")[:: 1 if several else -1]
        average = "macro" if stem == name else None
        return metrics.make_scorer(_roc_auc, response_method=methods, average=average)
    if stem in AVERAGED:
        average = ("macro" if several else "binary") if stem == name else None
        return metrics.make_scorer(getattr(metrics, f"{stem}_score"), average=average)
    return metrics.get_scorer(name)


def _accuracy(y: Array, predicted: Array, *, sample_weight: Array | None = None) -> float:
    right = (y == predicted).reshape(len(y), -1).mean(axis=1)
    return float(np.average(right, weights=sample_weight))


def _roc_auc(
    y: Array, scores: Array, *, average: str | None, sample_weight: Array | None = None
) -> Any:
    """The area under the ROC curve, each class against the rest; the same for both of two."""
    from sklearn.metrics import roc_auc_score

    if scores.ndim == 1:
        scores = np.stack([-scores, scores], axis=1)
    truth = y if y.ndim == 2 else np.eye(scores.shape[1], dtype=int)[y]
    return roc_auc_score(truth, scores, average=average, sample_weight=sample_weight)


def report(network: Network, x: Any, t: Any, class_names: Sequence[str] | None = None) -> str:
    """Return a classification report of a network, or for regression a report of its errors.

    Precision, recall and F1 of each class, the number of its examples (support), and the averages;
    below, for at most 20 classes that exclude each other, the confusion matrix. With more axes,
    the examples are the positions.

    Parameters
    ----------
    network : Network
        The network whose predictions are measured.
    x, t : arrays
        Examples and targets, as `layerkit.evaluate` takes them.
    class_names : sequence of str, optional
        The names of the classes by their numbers, or those of the targets; by default those that
        the network knows, else the numbers.

    Raises
    ------
    ConfigError
        For more or fewer names than classes.
    DataError
        For data that don't fit, labels with gaps, and if the loss ignores all examples.

    Examples
    --------
    >>> from layerkit import Dense, Network, SoftmaxCrossEntropy
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(1,))
    >>> net.arena.values[:] = [-1, 1, 0, 0]
    >>> print(report(net, [[-5.0], [-1.0], [5.0], [1.0]], [0, 1, 1, 1], ["cat", "dog"]))
                  precision    recall  f1-score   support
    <BLANKLINE>
             cat     0.5000    1.0000    0.6667         1
             dog     1.0000    0.6667    0.8000         3
    <BLANKLINE>
        accuracy                         0.7500         4
       macro avg     0.7500    0.8333    0.7333         4
    weighted avg     0.8750    0.7500    0.7667         4
    <BLANKLINE>
    A row for each true class, a column for each predicted one:
         cat  dog
    cat    1    0
    dog    1    2
    """
    check_kind("network", network, Network, "network, x, t, class_names")
    rows, targets, weights = network.check(x, t)
    names = network.targets.names if class_names is None else class_names
    return Lines(report_outputs(network.loss, network.outputs(rows), targets, names, weights))


def report_outputs(
    loss: Loss,
    z: Array,
    t: Array,
    class_names: Sequence[Any] | None = None,
    sample_weight: Array | None = None,
) -> str:
    """Return the `report` of outputs, whose targets were checked."""
    from sklearn.metrics import classification_report, confusion_matrix

    if sample_weight is not None and sample_weight.shape == z.shape and loss.judges_classes:
        return _table_of(("precision", "recall", "f1"), loss, z, t, sample_weight, class_names)
    if loss.judges_classes and sample_weight is not None:
        raise DataError("a report counts examples: not with weights")
    if not loss.judges_classes and class_names is not None and len(class_names) > 1:
        return _table_of(OF_NUMBERS, loss, z, t, sample_weight, class_names)
    if not loss.judges_classes:
        errors = measure(OF_NUMBERS, loss, z, t, sample_weight)
        return "\n".join(f"{name:<4}  {value:.6g}" for name, value in errors.items())
    estimator, z, y, _ = judge(loss, z, t)
    predicted = estimator.predict(z)
    labels = np.arange(estimator.outputs)
    names = [str(name) for name in (labels if class_names is None else class_names)]
    if len(names) != len(labels):
        raise ConfigError(f"class_names: {len(names)} of them; should be {len(labels)}")
    if not len(y):
        raise DataError("no example counts: the loss ignores all targets")
    table: str = classification_report(
        y, predicted, labels=labels, target_names=names, digits=4, zero_division=0
    ).rstrip()
    if not estimator.exclusive or len(labels) > 20:
        return table
    counts = confusion_matrix(y, predicted, labels=labels).T.astype(str)
    columns = [["", *names], *([name, *column] for name, column in zip(names, counts, strict=True))]
    padded = [[cell.rjust(max(map(len, column))) for cell in column] for column in columns]
    lines = ["  ".join(row) for row in zip(*padded, strict=True)]
    title = "A row for each true class, a column for each predicted one:"
    return "\n".join([table, "", title, *lines])


def _table_of(
    metrics: Sequence[str],
    loss: Loss,
    z: Array,
    t: Array,
    sample_weight: Array | None,
    names: Sequence[Any] | None,
) -> str:
    """Return a table with a row for each target or label, and how many there are of it."""
    names = list(range(z.shape[-1])) if names is None else names
    ending, mark = ("_per_class", "_class_") if loss.judges_classes else ("", "_")
    found = measure([f"{m}{ending}" for m in metrics], loss, z, t, sample_weight, names)
    counts = np.full(len(names), float(len(z)))
    if sample_weight is not None:
        counts = spread(sample_weight, t.shape).reshape(-1, len(names)).sum(axis=0)
    table = [["", *map(str, names)]]
    table += [[m, *(f"{found[f'{m}{mark}{k}']:.6g}" for k in names)] for m in metrics]
    table.append(["support", *(f"{count:g}" for count in counts)])
    padded = [[cell.rjust(max(map(len, column))) for cell in column] for column in table]
    return "\n".join("  ".join(row) for row in zip(*padded, strict=True))
