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
    """The agreement of answers with targets, that by chance, and its standard error.

    Of classes the share that is right, and the share that would be if answers and labels were
    independent, as in Cohen's kappa; of numbers the correlation, and 0.
    """

    share: float
    chance: float
    error: float

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
    train = _agreement(_answers(case, x), t)
    if train.share > train.chance + CLEAR * train.error:
        return _on_new_examples(case, check, train)
    if len(t) < FEWEST:
        return unseen(check, f"fewer than {FEWEST} examples")
    return _of_neighbours(check, _agreement(t[_nearest(x)], t), case.labels is not None)


def _on_new_examples(case: Case, check: Check, train: Agreement) -> Check:
    """Look whether a network that knows training examples knows others."""
    if not case.held_out:
        return unseen(check, "no validation or test examples are given")
    held, (x, t) = next(iter(case.held_out.items()))
    rows = spread_over(len(t), SAMPLE)
    inputs = case.network.inputs.convert(reader(x, len(rows))(rows))
    new = _agreement(_answers(case, inputs), _targets(case, t[rows]))
    what, shown = _units(case.labels is not None)
    check.measured = {"train": train.share, held: new.share, "by chance": new.chance}
    check.summary = f"{what} {shown(new.share)} on {held} examples; limit {shown(new.limit)}"
    most = new._replace(share=new.share + CHANCE * new.error)
    if new.share <= new.limit and most.known < PART * train.known:
        problem = (
            f"The network knows training examples by heart, and nothing about others: its {what} "
            f"is {shown(train.share)} on training, and {shown(new.share)} on {held} examples; by "
            f"chance it is {shown(new.chance)} (limit {shown(new.limit)})"
        )
        check.findings = [Finding(held, problem, REMEDY, new.share, new.limit, STOPS)]
    return check


def _of_neighbours(check: Check, near: Agreement, classes: bool) -> Check:
    """Look whether examples that are near each other have like targets."""
    what, shown = _units(classes)
    check.measured = {"nearest": near.share, "by chance": near.chance}
    check.summary = (
        f"answers of the nearest examples: {what} {shown(near.share)}; limit {shown(near.limit)}"
    )
    if near.share <= near.limit:
        problem = (
            "The network knows nothing, and the inputs seem to say nothing about the targets: with "
            f"the target of the nearest example as the answer, the {what} is {shown(near.share)}; "
            f"by chance it is {shown(near.chance)} (limit {shown(near.limit)})"
        )
        check.findings = [Finding("", problem, REMEDY, near.share, near.limit, HINDERS)]
    return check


def _units(classes: bool) -> tuple[str, Callable[[float], str]]:
    """Return what an agreement is called, and how its numbers are written."""
    return ("accuracy", "{:.1%}".format) if classes else ("correlation", "{:.2f}".format)


def _targets(case: Case, t: Array) -> Array:
    labels = labels_of(case.network, t)
    return case.network.targets.convert(t) if labels is None else labels


def _answers(case: Case, x: Any) -> Array:
    """Return the answers of the network, as its targets are."""
    z = case.network.body.forward(x, train=False)
    if case.labels is None:
        return z
    return (z[..., 0] > 0).astype(np.intp) if z.shape[-1] == 1 else z.argmax(axis=-1)


def _agreement(answers: Array, targets: Array) -> Agreement:
    """Return the agreement of classes, which are whole numbers, or of numbers."""
    if targets.dtype.kind == "i":
        K = 1 + int(max(answers.max(), targets.max()))
        ours, theirs = (np.bincount(y.ravel(), minlength=K) / y.size for y in (answers, targets))
        chance = min(float(ours @ theirs), 1 - 1 / targets.size)
        error = math.sqrt(chance * (1 - chance) / targets.size)
        return Agreement(float((answers == targets).mean()), chance, error)
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
