"""Check whether targets belong to inputs: whether what is learned holds for other examples."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from layerkit.arrays import Array
from layerkit.files.mapped import reader
from layerkit.inspection.doctor.case import SAMPLE, Case, labels_of, spread_over
from layerkit.inspection.doctor.diagnosis import HINDERS, STOPS, Check, Finding
from layerkit.inspection.doctor.examples import unseen
from layerkit.losses.base import ElementwiseLoss
from layerkit.losses.classes import log_softmax

CHANCE, CLEAR = 2.0, 4.0
"""Standard errors up to which an agreement may be chance, and above which it is none."""
PART = 0.5
"""Agreement on new examples in parts of that on training examples: with less, it is memory."""
FEWEST = 100
"""Examples from which on neighbours tell something."""
REMEDY = (
    "See whether each target belongs to its inputs: one of both may have been sorted or shuffled "
    "alone. If they do, the inputs say too little about the targets, or there are too few examples"
)


class Agreement(NamedTuple):
    """The agreement of answers with targets, that by chance, its standard error, and a rise.

    The rise is from chance to an agreement worth finding: each class is right twice as often, as
    far as it can be.

    Of classes the share that is right, the mean of those of each class, so that a rare one counts
    as much as any, and the share that would be if answers and labels were independent: 1/K. Of
    numbers the correlation, and 0.
    """

    share: float
    chance: float
    error: float
    rise: float = 1.0

    @property
    def limit(self) -> float:
        """The largest agreement that may be chance."""
        return self.chance + CHANCE * self.error

    @property
    def known(self) -> float:
        """The agreement in parts of the way from chance to 1."""
        return (self.share - self.chance) / (1 - self.chance)


def belonging(case: Case) -> Check:
    """Look whether new examples are answered better than by chance, or neighbours are alike."""
    check, net = Check("targets belong to inputs"), case.network
    if not case.trained:
        return unseen(check, "not trained yet")
    if case.labels is None and not (
        net.targets.standardizable and isinstance(net.loss, ElementwiseLoss)
    ):
        return unseen(check, "the targets are neither classes nor numbers")
    x, t = case.sample[0], _targets(case, case.t[case.rows])
    if not np.ptp(t, axis=0).any():
        return unseen(check, "all targets are the same")
    train, new = _agreement(_answers(case, x), t), _new(case)
    known = train.share > train.chance + CLEAR * train.error
    if known and new is None:
        return unseen(check, "no validation or test examples with different targets are given")
    if new and (known or new.share > new.limit):
        return _on_new_examples(case, check, train, new)
    if len(t) < FEWEST:
        return unseen(check, f"fewer than {FEWEST} examples")
    return _of_neighbours(check, _agreement(t[_nearest(x)], t), case.labels is not None)


def _new(case: Case) -> Agreement | None:
    """Return the agreement on examples held out; None where there is nothing to know."""
    for x, t in list(case.held_out.values())[:1]:
        rows = spread_over(len(t), SAMPLE)
        targets = _targets(case, t[rows])
        if np.ptp(targets, axis=0).any():
            inputs = case.network.inputs.convert(reader(x, len(rows))(rows))
            return _agreement(_answers(case, inputs), targets)
    return None


def _on_new_examples(case: Case, check: Check, train: Agreement, new: Agreement) -> Check:
    """Look whether a network that knows training examples knows others."""
    held = next(iter(case.held_out))
    what, shown, alike = _units(case.labels is not None)
    check.measured = {"train": train.share, held: new.share, "by chance": new.chance}
    check.summary = f"{what} {shown(new.share)} on {held} examples; limit {shown(new.limit)}"
    most = new._replace(share=new.share + CHANCE * new.error)
    if new.share <= new.limit and most.known < PART * train.known:
        problem = (
            f"The network knows training examples by heart, and nothing about others: its {what} "
            f"is {shown(train.share)} on training, and {shown(new.share)} on {held} examples"
            f"{alike}; by chance it is {shown(new.chance)} (limit {shown(new.limit)})"
        )
        check.findings = [Finding(held, problem, REMEDY, new.share, new.limit, STOPS)]
    return check


def _of_neighbours(check: Check, near: Agreement, classes: bool) -> Check:
    """Look whether examples that are near each other have similar targets."""
    what, shown, alike = _units(classes)
    check.measured = {"nearest": near.share, "by chance": near.chance}
    check.summary = (
        f"answers of the nearest examples: {what} {shown(near.share)}; limit {shown(near.limit)}"
    )
    if near.share > near.limit:
        return check
    if near.rise < (CHANCE + CLEAR) * near.error:
        return unseen(check, "too few examples of some classes")
    problem = (
        "The network knows nothing, and the inputs seem to say nothing about the targets: with "
        f"the target of the nearest example as the answer, the {what} is {shown(near.share)}"
        f"{alike}; by chance it is {shown(near.chance)} (limit {shown(near.limit)})"
    )
    check.findings = [Finding("", problem, REMEDY, near.share, near.limit, HINDERS)]
    return check


def _units(classes: bool) -> tuple[str, Callable[[float], str], str]:
    """Return what an agreement is called, how its numbers are written, and how they count."""
    if classes:
        return "accuracy", "{:.1%}".format, ", where all classes count alike"
    return "correlation", "{:.2f}".format, ""


def _targets(case: Case, t: Array) -> Array:
    labels = labels_of(case.network, t)
    return case.network.targets.convert(t) if labels is None else labels


def _answers(case: Case, x: Any) -> Array:
    """Return the answers of the network, as its targets are.

    Of classes that whose probability is most above its mean: a network that is never sure of a
    rare class still tells where it is likelier than elsewhere.
    """
    z = case.network.body.forward(x, train=False)
    if case.labels is None:
        return z
    z = np.concatenate([np.zeros_like(z), z], axis=-1) if z.shape[-1] == 1 else z
    log_p = log_softmax(z.astype(float)).T
    usual = np.exp(log_p).mean(axis=tuple(range(z.ndim - 1)))
    tiny = np.finfo(float).tiny
    return (log_p - np.log(np.maximum(usual, tiny))).argmax(axis=-1)


def _agreement(answers: Array, targets: Array) -> Agreement:
    """Return the agreement of classes, which are whole numbers, or of numbers."""
    if targets.dtype.kind == "i":
        classes, counts = np.unique(targets, return_counts=True)
        right = [(answers[targets == k] == k).mean() for k in classes]
        given = np.array([(answers == k).mean() for k in classes])
        error = math.sqrt((given * (1 - given) / counts).sum()) / len(classes)
        rise = float(np.minimum(given, 1 - given).mean())
        return Agreement(float(np.mean(right)), float(given.mean()), error, rise)
    a, t = (np.where(np.isnan(targets), 0, y - np.nanmean(y, axis=0)) for y in (answers, targets))
    size = math.sqrt(float((a * a).sum()) * float((t * t).sum()))
    return Agreement(float((a * t).sum()) / size if size else 0.0, 0.0, 1 / math.sqrt(len(t)))


def _nearest(x: Any) -> Array:
    """Return for each example the number of the nearest other; columns count by their std."""
    columns = np.nan_to_num(np.asarray(x, "float64").reshape(len(x), -1))
    columns = columns / np.where(std := columns.std(axis=0), std, 1)
    squares = (columns * columns).sum(axis=1)
    distances = squares - 2 * columns @ columns.T  # but for what is the same in a row
    np.fill_diagonal(distances, np.inf)
    return distances.argmin(axis=1)
