"""What stands for a fitted estimator of scikit-learn: a loss, whose examples are outputs.

N    examples
K    classes that exclude each other, or labels that don't
z    outputs of a network: (N, *shape)
t    targets, as the loss checks and converts them
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.losses.base import Loss


class Numbers:
    """Stands for a fitted estimator, whose examples are the outputs of a network: a regressor."""

    kind = "regressor"
    exclusive = False

    def __init__(self, loss: Loss, outputs: int) -> None:
        self.loss, self.outputs = loss, outputs

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type=self.kind, target_tags=TargetTags(required=False))

    def predict(self, z: Array) -> Array:
        """What the loss calls a prediction: (N,), or (N, K) for several numbers or labels."""
        return _columns(self.loss.predict(z))

    def true(self, t: Array) -> Array:
        """The targets, of the shape of the predictions."""
        return _columns(t)

    def sample(self, shape: Shape) -> tuple[Array, Array]:
        """Made-up outputs, and what would be right."""
        z = np.random.default_rng(0).uniform(1, 2, (6, *shape))
        return z, self.predict(z[::-1])


class Classes(Numbers):
    """Stands for a classifier: of classes that exclude each other, or of labels."""

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
        """How much the outputs are for class 1 (N,), or for each class or label (N, K)."""
        scores = _columns(z)
        two = self.exclusive and self.outputs == 2 and scores.ndim == 2
        return scores[:, 1] - scores[:, 0] if two else scores

    def sample(self, shape: Shape) -> tuple[Array, Array]:
        """Made-up outputs, and classes or labels, of which none is missing."""
        z = np.random.default_rng(0).normal(size=(self.outputs + 2, *shape))
        y = np.arange(len(z))
        if self.exclusive:
            return z, y % self.outputs
        return z, (y[:, None] + np.arange(self.outputs)) % 2


class ProbableClasses(Classes):
    """Stands for a classifier with probabilities."""

    def predict_proba(self, z: Array) -> Array:
        """The probabilities of the classes or labels: (N, K)."""
        p = _columns(self.loss.predict_proba(z))
        return np.stack([1 - p, p], axis=1) if p.ndim == 1 else p


def estimator_of(loss: Loss, shape: Shape) -> Numbers:
    """Return what stands for a network of this loss, whose outputs have this shape."""
    outputs = math.prod(shape)
    if not loss.judges_classes:
        return Numbers(loss, outputs)
    cls = ProbableClasses if loss.has_probabilities else Classes
    if outputs == 1:  # true or false: two classes
        return cls(loss, 2, exclusive=True)
    return cls(loss, outputs, exclusive=loss.predict(np.zeros((1, *shape))).ndim == 1)


def _columns(values: Array) -> Array:
    rows = values.reshape(len(values), math.prod(values.shape[1:]))
    return rows[:, 0] if rows.shape[1] == 1 else rows
