"""Adapters to scikit-learn's scorers: a loss in the shape of a fitted estimator.

N    rows: examples, or all positions of all examples
K    classes that exclude each other, or labels that don't
z    outputs of a network, which take the place of the examples: (N, D)
t    targets of these rows, as the loss checks and converts them
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import DataError
from layerkit.losses.base import Loss, as_rows, spread
from layerkit.losses.regression import Quantile
from layerkit.streams import stream


class Regressor:
    """A fitted regressor for scikit-learn: it predicts what the loss predicts from outputs."""

    kind = "regressor"
    exclusive = False

    names: Sequence[Any] | None = None
    """Of the classes, or of several targets."""

    def __init__(self, loss: Loss, outputs: int) -> None:
        self.loss, self.outputs = loss, outputs

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type=self.kind, target_tags=TargetTags(required=False))

    def predict(self, z: Array) -> Array:
        """The predictions of the loss: (N,), or (N, K) for several numbers or labels."""
        return _columns(self.loss.predict(z))

    def true(self, t: Array) -> Array:
        """The targets, of the shape of the predictions."""
        return _columns(t)

    def sample(self, outputs: int) -> tuple[Array, Array]:
        """Made-up outputs and right answers, to try a scorer on."""
        z = stream(0, "outputs of a sample").uniform(1, 2, (6, outputs))
        return z, self.predict(z[::-1])


class OfOne(Regressor):
    """A fitted regressor of one of several targets."""

    def __init__(self, whole: Regressor, d: int) -> None:
        super().__init__(whole.loss, whole.outputs)
        self.whole, self.d = whole, d

    def predict(self, z: Array) -> Array:
        """The predictions of this target (N,)."""
        return np.asarray(self.whole.predict(z)[:, self.d])


class MedianRegressor(Regressor):
    """A fitted regressor of several quantiles: it predicts the median, the quantile 0.5."""

    def __init__(self, loss: Quantile, outputs: int) -> None:
        super().__init__(loss, outputs)
        self.quantiles = loss.quantiles

    def predict(self, z: Array) -> Array:
        """The median (N,)."""
        if 0.5 not in self.quantiles:
            raise DataError(
                f"quantiles = {self.quantiles}: none of them is the median, 0.5, which alone is a "
                "prediction to compare with the target; for others, write a scorer of your own"
            )
        return np.asarray(z[:, self.quantiles.index(0.5)])

    def true(self, t: Array) -> Array:
        """The target (N,), which each of the quantiles has."""
        return t[:, 0]

    def sample(self, outputs: int) -> tuple[Array, Array]:
        z = stream(0, "outputs of a sample").uniform(1, 2, (6, outputs))
        return z, self.true(z[::-1])


class Classifier(Regressor):
    """A fitted classifier: of classes that exclude each other, or of labels that don't."""

    kind = "classifier"

    def __init__(self, loss: Loss, outputs: int, exclusive: bool) -> None:
        self.loss, self.outputs, self.exclusive = loss, outputs, exclusive
        # for labels, the classes of each of them
        self.classes_ = np.arange(outputs) if exclusive else np.tile([0, 1], (outputs, 1))

    def true(self, t: Array) -> Array:
        """Class numbers (N,), or labels 0 and 1 (N, K)."""
        if t.dtype.kind != "f":
            y = t
        elif self.exclusive and t.ndim == 2 and t.shape[1] > 1:
            y = t.argmax(axis=1)
        else:
            y = t > 0.5
        return _columns(y).astype(np.intp)

    def decision_function(self, z: Array) -> Array:
        """The scores of class 1 (N,), or of each class or label (N, K)."""
        scores = _columns(z)
        two = self.exclusive and self.outputs == 2 and scores.ndim == 2
        return scores[:, 1] - scores[:, 0] if two else scores

    def sample(self, outputs: int) -> tuple[Array, Array]:
        """Made-up outputs, and right answers in which no class or label is missing."""
        z = stream(0, "outputs of a sample").normal(size=(self.outputs + 2, outputs))
        y = np.arange(len(z))
        if self.exclusive:
            return z, y % self.outputs
        return z, (y[:, None] + np.arange(self.outputs)) % 2


class ProbabilisticClassifier(Classifier):
    """A fitted classifier that has probabilities."""

    def predict_proba(self, z: Array) -> Array:
        """The probabilities of the classes or labels: (N, K)."""
        p = _columns(self.loss.predict_proba(z))
        return np.stack([1 - p, p], axis=1) if p.ndim == 1 else p


def estimator_of(loss: Loss, outputs: int, names: Sequence[Any] | None = None) -> Regressor:
    """Return the estimator of a network with this loss and number of outputs.

    `names` are those of the classes, or of the targets.
    """
    estimator = _estimator_of(loss, outputs)
    estimator.names = names
    return estimator


def _estimator_of(loss: Loss, outputs: int) -> Regressor:
    if isinstance(loss, Quantile) and len(loss.quantiles) > 1:
        return MedianRegressor(loss, outputs)
    if not loss.judges_classes:
        return Regressor(loss, outputs)
    cls = ProbabilisticClassifier if loss.has_probabilities else Classifier
    if outputs == 1:  # true or false: two classes
        return cls(loss, 2, exclusive=True)
    return cls(loss, outputs, exclusive=loss.predict(np.zeros((1, outputs))).ndim == 1)


class Judged(NamedTuple):
    """Outputs and right answers as scikit-learn takes them: of the rows that count alone.

    `sample_weight` is (N,), or (N, D) if it is how much each target counts.
    """

    estimator: Regressor
    z: Array
    y: Array
    sample_weight: Array | None


def judge(
    loss: Loss,
    z: Array,
    t: Array,
    sample_weight: Array | None = None,
    names: Sequence[Any] | None = None,
) -> Judged:
    """Return what a loss predicts from outputs, beside its targets.

    Without what the loss ignores or has the weight 0. `names` are those of the classes, or of the
    targets.
    """
    a, estimator = sample_weight, estimator_of(loss, z.shape[-1], names)
    if a is not None:
        a = a.reshape(-1, a.shape[-1]) if a.shape == z.shape else spread(a, z.shape[:-1]).ravel()
    z, t = as_rows(z, t)
    counting = np.ones(len(z), bool)
    if loss.judges_classes:
        counting &= ~np.isnan(loss.hits(z, t))
    if a is not None:
        counting &= a.reshape(len(a), -1).any(axis=1)
        a = a[counting]
    # sums in float64, whatever the network computes in
    return Judged(estimator, z[counting].astype(float), estimator.true(t[counting]), a)


def _columns(values: Array) -> Array:
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
