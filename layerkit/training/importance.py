"""Permutation importance: how much worse a network is when a column says nothing any more."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np

from layerkit.arrays import Array
from layerkit.callbacks.monitors import SMALLER_IS_BETTER
from layerkit.config.checks import check_kind
from layerkit.errors import ConfigError, ShapeError
from layerkit.metrics.metrics import check_metrics, undirected
from layerkit.network import Network
from layerkit.streams import as_seed, stream
from layerkit.training.batches import Arrays
from layerkit.training.evaluation import measure_source


class Importances(NamedTuple):
    """The importance of each column; as a string, a table with the most important first.

    Parameters
    ----------
    metric : str
        The name of the metric.
    value : float
        The metric with the columns as they are.
    columns : list of str
        Their names.
    worse : array
        How much worse the metric is, for each column and each time that it was shuffled
        (C, repeats).
    examples : int
        The number of examples.
    """

    metric: str
    value: float
    columns: list[str]
    worse: Array
    examples: int

    @property
    def falls(self) -> bool:
        """Whether a worse metric is a smaller one."""
        return not re.fullmatch(SMALLER_IS_BETTER, self.metric)

    @property
    def mean(self) -> Array:
        """Mean over the repeats (C,)."""
        return self.worse.mean(axis=1)

    @property
    def std(self) -> Array:
        """Standard deviation over the repeats (C,)."""
        return self.worse.std(axis=1)

    @property
    def order(self) -> Array:
        """The numbers of the columns, the most important first."""
        return np.argsort(-self.mean, kind="stable")

    def __str__(self) -> str:
        width = max(map(len, self.columns))
        rows = [
            f"{self.columns[c]:<{width}}  {self.mean[c]:9.4f}  {self.std[c]:.4f}"
            for c in self.order
        ]
        head = (
            f"{self.metric} {self.value:.4f} of {self.examples:,} examples, worse when shuffled by"
        )
        return "\n".join([head, *rows])


class _Scored:
    """A network as an estimator of scikit-learn, whose score is a metric of the examples given."""

    def __init__(self, network: Network, source: Arrays, metric: str) -> None:
        self.network, self.source, self.metric = network, source, metric

    def fit(self, x: Array, y: Array) -> None:
        """Only there since scikit-learn asks for it."""

    def value(self, x: Array) -> float:
        self.source.x = x
        metrics = [] if self.metric == "loss" else [self.metric]
        return measure_source(self.network, self.source, metrics)[self.metric]

    def score(self, x: Array, y: None) -> float:
        return -self.value(x) if re.fullmatch(SMALLER_IS_BETTER, self.metric) else self.value(x)


def permutation_importance(
    network: Network,
    x: Any,
    t: Any,
    sample_weight: Any = None,
    *,
    metric: str = "loss",
    repeats: int = 5,
    most: int = 1000,
    seed: int | np.random.Generator = 0,
) -> Importances:
    """Return how much worse a network is when the numbers of one column are shuffled.

    Permutation importance, by scikit-learn's function of this name. A column of words or dates is
    shuffled as a whole, where a `Table` is the first layer. A column that the network does not need
    has an importance of about 0. Of two columns that say the same, each may seem unimportant, since
    the other one is left. Take examples that the network was not trained on.

    Parameters
    ----------
    network : Network
        The trained network; it stays as it is.
    x, t : arrays
        Examples (N, C) and targets, as `evaluate` takes them.
    sample_weight : array, optional
        How much each example counts in the metric (N,).
    metric : str
        "loss", or the name of another metric, such as "accuracy", "f1" or "rmse".
    repeats : int
        How often each column is shuffled.
    most : int
        The largest number of examples to measure on; of more, this many are drawn.
    seed : int or Generator
        The seed of the draw and of the shuffles.

    Returns
    -------
    Importances
        Printed as a table, the most important column first: mean and standard deviation over the
        repeats, in the unit of the metric.

    Raises
    ------
    ConfigError
        For a metric that does not suit the loss, or has several values.
    ShapeError, DataError
        For data that don't fit, or have no columns.

    Examples
    --------
    >>> from layerkit import Dense, MeanSquaredError, Network
    >>> net = Network(Dense(1), MeanSquaredError(), shape=(2,))
    >>> net.arena.values[:] = [3, 0, 1]
    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> print(permutation_importance(net, x, 3 * x[:, 0] + 1, metric="mae"))
    mae 0.0000 of 50 examples, worse when shuffled by
    column 0     3.1838  0.0696
    column 1     0.0000  0.0000
    """
    from sklearn import inspection

    check_kind("network", network, Network, "network, x, t")
    if len(network.shape) != 1:
        raise ShapeError(f"examples have shape {network.shape}; only columns, (N, C), are shuffled")
    if metric != "loss":
        shape, names = network.body.output_shape, network.targets.names
        if metric not in check_metrics([metric], network.loss, shape, names):
            raise ConfigError(f"metric = {metric!r}: has several values; should be one number")
        if undirected([metric]):
            raise ConfigError(
                f"metric = {metric!r}: is a function of your own, of which greater or smaller may "
                "be better; give a scorer, as sklearn.metrics.make_scorer makes it"
            )
    network.check_adapted()
    seed = as_seed(seed)
    source = Arrays(network, x, t, sample_weight)
    rows = np.arange(len(source.x))
    if len(rows) > most:
        rows = np.sort(stream(seed, "examples for importance").choice(rows, most, replace=False))
    kept = np.asarray(source.x[rows])
    source.t, source.a = source.t[rows], None if source.a is None else source.a[rows]
    scored = _Scored(network, source, metric)
    found = inspection.permutation_importance(
        scored,
        kept,
        None,
        n_repeats=repeats,
        random_state=int(stream(seed, "permutations for importance").integers(2**31)),
    )
    names = column_names(network)
    return Importances(metric, scored.value(kept), names, found.importances, len(rows))


def column_names(network: Network) -> list[str]:
    """Return the names of the columns of x, or their numbers."""
    if network.inputs.table:
        return [column.name for column in network.inputs.table.ready()]
    return network.seen.features or [f"column {c}" for c in range(network.shape[0])]
