"""Checks of what was learned: the loss, the accuracy, and their history."""

from __future__ import annotations

import copy
import math
from typing import NamedTuple

import numpy as np

from layerkit.inspection.doctor.case import POOR, Case, labels_of, rms
from layerkit.inspection.doctor.diagnosis import HINDERS, STOPS, Check, Finding
from layerkit.inspection.doctor.examples import unseen
from layerkit.layers.regularization import AlphaDropout, Dropout
from layerkit.losses.base import spread

FIRST = 5.0
"""The first loss in parts of the best constant answer's, of classes: outputs of unit size hardly
change it, and of numbers a bias of the last layer soon learns the mean."""
RISEN = 1.5
"""The last training loss in parts of the lowest: noise between epochs is less."""
UNSTEADY = 1 / 3
"""The share of epochs after which the training loss has risen, by more than NOTICED."""
NOTICED = 0.05
"""A change of a loss in parts of the best constant answer's: less may be noise."""
ENOUGH = 6
"""Epochs from which on a loss that goes up and down can be told."""
GAP = 0.1
"""Training accuracy minus that of examples held out, and twice the standard error of that."""
LOSS_GAP = 0.25
"""The same for numbers: losses, in parts of the best constant answer's."""
UNLEARNED = 0.95
"""The loss in parts of the best constant answer's, above which nothing is learned."""
SHRUNK = 0.1
"""The size of weights in parts of the initial: training without decay makes them larger."""
DROPPED = 0.7
"""The rate of Dropout above which little comes through; 0.5 and less are usual."""


def loss(case: Case) -> Check:
    """Look whether the loss is better than that of the same answer for all."""
    check, guess = Check("loss"), case.guess
    now = case.answer[0]
    check.measured = {"loss": now, "best constant answer": guess}
    if math.isnan(guess):
        return unseen(check, "for this loss, the best constant answer is not known")
    limit = UNLEARNED if case.trained else FIRST
    if not case.trained and not case.network.loss.judges_classes:
        return unseen(check, "not trained yet")
    check.summary = (
        f"{now:.3g}; the best answer that is the same for all has {guess:.3g}, limit "
        f"{limit * guess:.3g}"
    )
    right = rightness(case)
    if case.trained and right and right.clearly_more:
        limit = 1.0  # something is learned, but it may be worse than not to answer
    if now <= limit * guess:
        return check
    severity = STOPS if case.trained else HINDERS
    if limit == 1:
        severity = HINDERS
        problem = (
            f"The loss is {now:.3g}, above {guess:.3g}, which it is with the same answer for all "
            "examples (limit), though more are right: the network is too sure of what is wrong"
        )
        remedy = "Try a smaller learning rate, weight_decay, or label_smoothing"
    elif case.trained:
        epochs = len(case.records)
        problem = (
            f"After {epochs} epoch{'s' * (epochs > 1)} hardly anything is learned: the loss "
            f"is {now:.3g}; with the same answer for all examples it is {guess:.3g} (limit "
            f"{limit * guess:.3g})"
        )
        remedy = (
            "Mend what else is found first; else try another learning rate (layerkit lr-range) or "
            "more epochs, and see whether the labels belong to the examples"
        )
    else:
        problem = (
            f"The loss before the training is {now:.3g}; with the same answer for all examples it "
            f"is {guess:.3g} (limit {limit * guess:.3g})"
        )
        remedy = "Try the default initial weights, and Standardize before the first layer"
    check.findings = [Finding("loss", problem, remedy, now, limit * guess, severity)]
    return check


class Right(NamedTuple):
    """The share of examples that are right, that of the most frequent class, and the limit."""

    share: float
    most: int
    frequent: float
    limit: float
    """One standard error above the most frequent class."""

    @property
    def clearly_more(self) -> bool:
        """Whether more are right than with the most frequent class, by four standard errors."""
        return self.share > self.frequent + 4 * (self.limit - self.frequent)


def rightness(case: Case) -> Right | None:
    """Return how many examples are right; None without classes."""
    labels = labels_of(case.network, case.t[case.rows])
    if labels is None:
        return None
    a = case.sample[2]
    weights = np.ones(labels.shape) if a is None else spread(a, labels.shape)
    share = float((case.answer[1] * weights).sum() / weights.sum())
    shares = np.bincount(labels.ravel(), weights.ravel()) / weights.sum()
    most = int(shares.argmax())
    frequent = float(shares[most])
    error = math.sqrt(frequent * (1 - frequent) / labels.size)
    return Right(share, most, frequent, frequent + error)


def accuracy(case: Case) -> Check:
    """Look whether the accuracy is better than that of the most frequent class."""
    check, right = Check("accuracy"), rightness(case)
    if right is None or not case.trained:
        return unseen(check, "not trained yet" if right else "no classes")
    share, most, frequent, limit = right
    check.measured = {"accuracy": share, "most frequent class": frequent}
    check.summary = f"{share:.1%} of training examples; the most frequent class has {frequent:.1%}"
    if share <= limit:
        problem = (
            f"The accuracy on training examples is {share:.1%}, and {frequent:.1%} if the answer "
            f"is always class {case.class_name(most)} (limit {limit:.1%})"
        )
        remedy = 'Mend what else is found first; if classes are rare, try class_weight = "balanced"'
        check.findings = [Finding("accuracy", problem, remedy, share, limit, STOPS)]
    return check


def curve(case: Case) -> Check:
    """Look whether the training loss rises, or goes up and down."""
    check, losses = Check("training loss falls"), case.curve("train_loss")
    if len(losses) < 2:
        return unseen(check, "no history of two epochs")
    unit = case.guess if case.guess == case.guess else abs(losses[0])
    low, last = min(losses), losses[-1]
    rises = np.diff(losses) > NOTICED * unit
    check.measured = {"lowest": low, "last": last, "rises": float(rises.sum())}
    check.summary = f"from {losses[0]:.3g} to {last:.3g} in {len(losses)} epochs"
    remedy = "Try a smaller learning rate, or a schedule that lowers it"
    if last > RISEN * low and last - low > NOTICED * unit:
        problem = (
            f"The training loss rises: it was {low:.3g} after epoch {1 + int(np.argmin(losses))}, "
            f"and is {last:.3g} now (limit {RISEN:g} times as much)"
        )
        check.findings = [Finding("train_loss", problem, remedy, last, RISEN * low)]
    elif len(losses) >= ENOUGH and rises.mean() > UNSTEADY:
        problem = (
            f"The training loss goes up and down: it rises in {rises.sum()} of {len(rises)} epochs "
            f"by more than {NOTICED:.0%} of {unit:.3g} (limit {UNSTEADY:.0%} of them)"
        )
        share = float(rises.mean())
        check.findings = [Finding("train_loss", problem, remedy, share, UNSTEADY)]
    return check


def overfitting(case: Case) -> Check:
    """Look whether the network is far better on training examples than on others."""
    check = Check("as good on new examples")
    parts = [name for name in ("validation", "test") if case.curve(f"{name}_loss")]
    train = case.records[-1] if case.records else {}
    if not parts or "train_loss" not in train:
        return unseen(check, "no history with examples held out")
    held, by = parts[0], "accuracy" if f"{parts[0]}_accuracy" in train else "loss"
    ours, theirs = train.get(f"train_{by}", math.nan), train[f"{held}_{by}"]
    losses, limit = case.curve(f"{held}_loss"), GAP
    gap = ours - theirs
    if by == "accuracy" and held in case.held_out:
        limit += 2 * math.sqrt(theirs * (1 - theirs) / len(case.held_out[held][1]))
    if by == "loss":
        gap, limit = (theirs - ours) / case.guess, LOSS_GAP
    if math.isnan(gap):
        return unseen(check, "for this loss, a gap has no unit")
    shown = [f"{x:.1%}" if by == "accuracy" else f"{x:.3g}" for x in (ours, theirs)]
    check.measured = {"gap": gap, "train": ours, held: theirs}
    check.summary = f"{by} {shown[0]} on training, {shown[1]} on {held} examples; limit {limit:.0%}"
    if gap > limit:
        best = 1 + int(np.argmin(losses))
        problem = (
            f"The network overfits: its {by} is {shown[0]} on training, {shown[1]} on {held} "
            f"examples (limit {limit:.0%} apart); the {held} loss was lowest after epoch {best} of "
            f"{len(losses)}"
        )
        remedy = (
            "Try EarlyStopping, Dropout or weight_decay, fewer units, or more training examples"
        )
        check.findings = [Finding(f"{held}_{by}", problem, remedy, gap, limit)]
    return check


def regularization(case: Case) -> Check:
    """Look for dropout and decay that leave little to learn with, where little was learned."""
    check, net, optimizer = Check("regularization"), case.network, case.optimizer
    if not case.trained or math.isnan(case.guess):
        return unseen(check, "not trained yet")
    share = case.answer[0] / case.guess
    rates = {
        address: layer.rate
        for address, layer in net.layers()
        if isinstance(layer, Dropout | AlphaDropout)
    }
    check.measured = {f"{address}.rate": rate for address, rate in rates.items()}
    new = copy.deepcopy(net).initialize(0).params()
    decays = optimizer is not None and bool(optimizer.weight_decay or optimizer.l1 or optimizer.l2)
    for name, param in net.params().items():
        if decays and param.decay and (size := rms(new[name].value)):
            check.measured[name] = rms(param.value) / size
    shown = f"{share:.0%} of" if share < 10 else f"{share:.3g} times"
    check.summary = f"loss {shown} the best constant answer's, limit {POOR:.0%}"
    if share <= POOR:
        return check
    for address, rate in rates.items():
        if rate > DROPPED:
            problem = f"{address} drops {rate:.0%} of its inputs (limit {DROPPED:.0%})"
            remedy = "Too little is left to learn with: try a rate of 0.5 or less"
            check.findings.append(Finding(address, problem, remedy, rate, DROPPED))
    for name, ratio in check.measured.items():
        if name in new and ratio < SHRUNK:
            problem = f"{name} has shrunk to {ratio:.2g} of its initial size (limit {SHRUNK:g})"
            remedy = "Weight decay or a penalty is too strong: try a tenth of it"
            check.findings.append(Finding(name, problem, remedy, ratio, SHRUNK))
    return check
