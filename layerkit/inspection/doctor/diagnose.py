"""Diagnosing a network: all checks, one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from layerkit.inspection.doctor import examples, history, values
from layerkit.inspection.doctor.belonging import belonging
from layerkit.inspection.doctor.case import Case
from layerkit.inspection.doctor.diagnosis import Diagnosis
from layerkit.network import Network
from layerkit.optimizers.base import Optimizer

FIRST = (
    *(examples.inputs, examples.columns, examples.targets, examples.classes),
    *(examples.contradictions, examples.repeats, values.finite),
)
THEN = (
    belonging,
    *(values.symmetry, values.steps, values.dead, values.saturated, values.gradients),
    *(history.loss, history.accuracy, history.curve, history.overfitting, history.regularization),
)
"""All checks, causes before what they cause; the second only where values are finite."""


class Measured(Protocol):
    """The record of an epoch, as `fit` returns it."""

    def measured(self) -> dict[str, float]:
        """Return what was measured, by name."""


def diagnose(
    network: Network,
    x: Any,
    t: Any,
    optimizer: Optimizer | None = None,
    *,
    sample_weight: Any = None,
    validation: Any = None,
    test: Any = None,
    records: Iterable[Measured] = (),
    batch_size: int = 128,
) -> Diagnosis:
    """Look for what may keep a network from learning, and say what to try.

    It looks at the examples, at the values and gradients of up to 1000 of them, at 20 steps of the
    optimizer on a copy, and at the history. Network and optimizer stay as they are. Only what can
    be told reliably is a finding: a healthy network has none.

    Parameters
    ----------
    network : Network
        The network, before or after training.
    x, t : arrays
        The training examples and their targets.
    optimizer : Optimizer, optional
        The optimizer, to judge the size of its steps.
    sample_weight : array, optional
        How much each example counts.
    validation, test : (x, t), optional
        Examples held out.
    records : sequence of Record, optional
        The records that `fit` has returned; without them the network counts as not trained yet.
    batch_size : int
        The number of examples in each step.

    Returns
    -------
    Diagnosis
        Shown as a table of all checks, and what was found, the worst first.

    Raises
    ------
    ShapeError, DataError
        For examples or targets that don't fit or are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from layerkit import Dense, MeanSquaredError, Network, ReLU, Sequential
    >>> x = np.random.default_rng(0).normal(5000, 1000, (100, 2))
    >>> body = Sequential([Dense(8), ReLU(), Dense(1)])
    >>> net = Network(body, MeanSquaredError(), shape=(2,))
    >>> found = diagnose(net, x, x[:, 0] / 1000)
    >>> [finding.where for finding in found.findings][:1]
    ['feature 1']
    >>> found.checks["inputs near unit size"].mark
    '✗'
    """
    epochs = [record.measured() for record in records]
    held_out = {"validation": validation, "test": test}
    case = Case(network, optimizer, x, t, sample_weight, held_out, epochs, batch_size)
    about = [f"{len(case.t):,} training examples"]
    about += [f"{len(t):,} {name} examples" for name, (_, t) in case.held_out.items()]
    about.append(f"{len(epochs)} epochs of training" if epochs else "no epoch of training yet")
    checks = [check(case) for check in FIRST]
    if not checks[-1].findings:
        checks += [check(case) for check in THEN]
    return Diagnosis(", ".join(about), {check.name: check for check in checks})
