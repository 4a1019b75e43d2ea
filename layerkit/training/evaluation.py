"""Evaluation: loss, accuracy and further metrics of a network on sets of examples."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from layerkit.config.checks import check_kind
from layerkit.errors import DataError, DivergenceError, at_examples
from layerkit.inspection.nonfinite import first_not_finite
from layerkit.losses.base import mean_loss, spread
from layerkit.metrics.metrics import Metric, check_metrics, check_targets, measure
from layerkit.network import Network
from layerkit.training.batches import Arrays, Batch, Source
from layerkit.training.iterables import open_source, together


def evaluate(
    network: Network, x: Any, t: Any = None, sample_weight: Any = None
) -> tuple[float, float]:
    """Return accuracy and loss, means over all examples; for numbers the accuracy is nan.

    Parameters
    ----------
    network : Network
        The network to measure.
    x, t : arrays
        Examples and targets, or for `x` an iterable of batches, as `train` takes them.
    sample_weight : array, optional
        How much each example counts in the means (N,).

    Raises
    ------
    ConfigError, DataError, ShapeError
        For examples, targets or weights that don't fit or are not finite.
    DivergenceError
        When the loss is not finite.

    Examples
    --------
    >>> from layerkit import Dense, Network, SoftmaxCrossEntropy
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(1,))
    >>> net.arena.values[:] = [-1, 1, 0, 0]
    >>> accuracy, loss = evaluate(net, [[5.0], [-5.0], [1.0], [0.0]], [1, 0, 0, 0])
    >>> accuracy, round(loss, 4)
    (0.75, 0.705)
    """
    check_kind("network", network, Network, "network, x, t")
    network.check_adapted()
    measured = measure_source(network, open_source(network, x, t, sample_weight))
    return measured.get("accuracy", math.nan), measured["loss"]


def measure_sets(
    network: Network,
    sets: Mapping[str, Source],
    metrics: Sequence[Metric],
    names: Sequence[Any] | None = None,
) -> dict[str, float]:
    """Return all metrics of an epoch, by name, such as "validation_loss".

    The further `metrics` are those of the validation set, or else of the test set; `names` are
    those of the classes or targets.
    """
    chosen = _measured_with(sets)
    return {
        f"{name}_{key}": value
        for name, source in sets.items()
        for key, value in measure_source(
            network, source, metrics if name == chosen else (), names
        ).items()
    }


def metric_names(
    network: Network, sets: Mapping[str, Source], metrics: Sequence[Metric]
) -> list[str]:
    """Return the names that `measure_sets` returns, and "train_loss", if all can be measured."""
    loss, shape, chosen = network.loss, network.body.output_shape, _measured_with(sets)
    each = ("loss", "accuracy") if loss.judges_classes else ("loss",)
    names = ["train_loss", *(f"{name}_{key}" for name in sets for key in each)]
    further = check_metrics(metrics, loss, shape, network.targets.names)
    if isinstance(source := sets.get(chosen), Arrays):
        check_targets(metrics, loss, np.ones((1, *shape)), source.t[:1])
    return list(dict.fromkeys([*names, *(f"{chosen}_{key}" for key in further)]))


def _measured_with(sets: Iterable[str]) -> str:
    return "validation" if "validation" in sets else "test"


def measure_source(
    network: Network,
    source: Source,
    metrics: Sequence[Metric] = (),
    names: Sequence[Any] | None = None,
) -> dict[str, float]:
    """Return loss, accuracy if there are classes, and `metrics`, over all examples of a source."""
    outputs: list[Batch] = []
    total = weight = right = judged = 0.0
    seen = 0
    loss = copy.copy(network.loss)  # several threads may measure at once, and a loss keeps values
    loss.build(network.body.output_shape)
    with np.errstate(all="ignore"):
        for x, t, a, _ in source.chunks():
            batch = network.inputs.convert(x)
            with at_examples(seen, len(x)):
                z = network.body.forward(batch, train=False)
            seen += len(x)
            if loss.judges_classes:
                each = a is not None and a.shape == z.shape  # weights of each label
                hits = loss.hits(z[..., None], t[..., None]) if each else loss.hits(z, t)
                counting = np.where(np.isnan(hits), 0, 1 if a is None else spread(a, hits.shape))
                right += float(np.nansum(hits * counting))
                judged += float(counting.sum())
            of_chunk = loss.forward(z, network.targets.convert(t), a)
            total, weight = total + of_chunk[0], weight + of_chunk[1]
            if metrics:
                # the next batch may come in the same memory
                outputs.append(copy.deepcopy(Batch(network.targets.restore(z), t, a)))
            if not math.isfinite(total):
                raise DivergenceError(
                    f"the loss is not finite; {first_not_finite(network, batch)}. "
                    "Try a smaller learning rate, or scale the examples"
                )
    if not weight:
        raise DataError("no example counts: all sample weights are 0, or all labels are ignored")
    measured = {}
    if loss.judges_classes:
        measured["accuracy"] = right / judged if judged else math.nan
    measured["loss"] = mean_loss(total, weight)
    if metrics:
        z, t, a, _ = together(outputs)
        measured |= measure(metrics, loss, z, t, a, names)
    return measured
