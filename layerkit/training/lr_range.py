"""The learning-rate range test, which finds good learning rates in a few seconds."""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import fields, replace
from functools import partial
from numbers import Integral, Real
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import ConfigError, DivergenceError
from layerkit.fitting import adapt, check_layers
from layerkit.inspection.nonfinite import first_not_finite
from layerkit.losses.base import mean_loss
from layerkit.network import Network
from layerkit.optimizers.base import Optimizer
from layerkit.optimizers.lbfgs import LBFGS
from layerkit.optimizers.schedules.plain import ConstantSchedule
from layerkit.streams import as_seed, stream
from layerkit.training.loop import check_kinds, count_steps
from layerkit.training.options import Training

NEAR = 5
"""Neighbours on each side over which a loss is averaged; single batches are noisy."""


class RateRange(NamedTuple):
    """The result of a range test; as a string, it says which learning rates to try.

    Parameters
    ----------
    rates, losses : list of float
        The learning rate of each step, and the loss of its batch before the step.
    smoothed : list of float
        Means of a loss and its neighbours.
    steepest : float or None
        The rate at which the smoothed loss falls fastest in the lower half of its way down, if it
        falls by a tenth at least.
    limit : float or None
        The rate at which the loss diverges, if it does.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    steepest: float | None
    limit: float | None

    @property
    def suggestion(self) -> float | None:
        """The rate to try first: `steepest`, but at most a tenth of `limit`."""
        if self.steepest is None or self.limit is None:
            return self.steepest
        return min(self.steepest, self.limit / 10)

    def __str__(self) -> str:
        low, high = self.rates[0], self.rates[-1]
        falls = f"The loss does not fall between lr = {low:.2g} and {high:.3g}."
        diverges = f"It does not diverge up to lr = {high:.3g}."
        if self.steepest:
            falls = f"The loss falls fastest at lr = {self.steepest:.2g}."
        if self.limit:
            diverges = f"It diverges at lr = {self.limit:.2g}."
        advice = f" Try lr = {self.suggestion:.2g} first." if self.suggestion else ""
        return f"{falls} {diverges}{advice}"


def lr_range(
    network: Network,
    optimizer: Optimizer,
    x: Any,
    t: Any,
    *,
    low: float = 1e-5,
    high: float = 100.0,
    steps: int = 200,
    batch_size: int = 128,
    seed: int | np.random.Generator = 0,
    standardize_targets: bool = False,
) -> RateRange:
    """Train for a few steps at learning rates that grow from `low` to `high`, and watch the loss.

    lr = low (high / low)^s at step i, with s = i / (steps - 1), until the loss diverges: until it
    is not finite, or its mean over the last six steps has risen too far above the lowest such
    mean. The limit of this rise is three times the lowest mean, but not less than a third of the
    first loss, and not more than all of it. Network and optimizer are left as they are.
    Source: Smith (2015), Cyclical learning rates for training neural networks, arXiv:1506.01186.

    Parameters
    ----------
    network : Network
        The test begins at its weights.
    optimizer : Optimizer
        One with an option `lr`, whose value does not matter; no schedule is followed.
    x, t : arrays
        Examples (N, *shape) and targets, as `layerkit.Network.gradient` takes them.
    low, high : float
        The first and the last learning rate.
    steps : int
        At least 2; each takes a batch of its own.
    batch_size : int
        Number of examples for one step.
    seed : int or Generator
        Chooses the batches; a Generator draws a seed.
    standardize_targets : bool
        Whether numeric targets are standardized, as ``layerkit train`` does by default.

    Returns
    -------
    RateRange
        The losses by learning rate; printed, it says which learning rates to try.

    Raises
    ------
    ConfigError, DataError, ShapeError
        Before the first step.
    DivergenceError
        When the first loss of all is not finite.

    Examples
    --------
    >>> from layerkit import Dense, Network, SGD, SoftmaxCrossEntropy
    >>> x = np.random.default_rng(0).normal(size=(200, 2))
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(2,))
    >>> found = lr_range(net, SGD(), x, x[:, 0] > 0, batch_size=20)
    >>> print(f"{found.steepest:.1f}")
    0.2
    """
    check_kinds(network, optimizer)
    numbers = isinstance(low, Real) and isinstance(high, Real) and isinstance(steps, Integral)
    if not (numbers and 0 < low < high < math.inf and steps >= 2):
        raise ConfigError(
            f"low = {low!r}, high = {high!r}, steps = {steps!r}: should be positive rates, the "
            "lower one first, and a whole number of at least 2 steps"
        )
    if "lr" not in [option.name for option in fields(optimizer)]:
        raise ConfigError(f"{optimizer}: has no learning rate, no option `lr`")
    if isinstance(optimizer, LBFGS):
        raise ConfigError("LBFGS searches for the length of each step itself, whatever lr is")
    # refused where lr is not the rate of the steps
    replace(optimizer, schedules={"lr": ConstantSchedule()})
    twin, mover = copy.deepcopy(network), replace(optimizer, schedules={})
    examples, targets, weights = twin.check(x, t, learn=True, standardize=standardize_targets)
    count_steps(twin, len(examples), Training(batch_size=batch_size))
    mover.bind(twin.arena, steps)
    check_layers(twin.body, twin.inputs, examples)
    if not twin.adapted:
        adapt(twin.body, twin.inputs, twin.arena, examples)
    rng = stream(as_seed(seed), "batches of the range test")
    rates = [low * (high / low) ** (i / (steps - 1)) for i in range(steps)]
    losses: list[float] = []
    limit = None
    with np.errstate(all="ignore"):
        for rate in rates:
            rows = rng.choice(len(examples), min(batch_size, len(examples)), replace=False)
            batch, labels = twin.inputs.convert(examples[rows]), targets[rows]
            labels, a = twin.targets.convert(labels), None if weights is None else weights[rows]
            again = partial(_loss_of, twin, batch, labels, a)
            loss = again()
            if not losses and not math.isfinite(loss):
                raise DivergenceError(f"the loss is {loss}; {first_not_finite(twin, batch)}")
            if not math.isfinite(loss) or _diverges([*losses, loss]):
                limit = rate
                break
            losses.append(loss)
            vars(mover)["lr"] = rate
            mover.step(twin.arena.values, twin.arena.grads, again)
    smoothed = [fmean(losses[max(0, i - NEAR) : i + NEAR + 1]) for i in range(len(losses))]
    rates = rates[: len(losses)]
    return RateRange(rates, losses, smoothed, _steepest(rates, smoothed), limit)


def _loss_of(network: Network, x: Array, t: Array, a: Array | None) -> float:
    return mean_loss(*network.backpropagate(x, t, a))


def _diverges(losses: list[float]) -> bool:
    means = [fmean(losses[max(0, i - NEAR) : i + 1]) for i in range(len(losses))]
    lowest, first = min(means), abs(losses[0])
    return means[-1] - lowest > min(max(3 * abs(lowest), first / 3), first)


def _steepest(rates: list[float], smoothed: list[float]) -> float | None:
    """Return where the loss falls fastest on its way down, if that is more than chance."""
    lowest = min(smoothed)
    if smoothed[0] - lowest <= abs(smoothed[0]) / 10:
        return None
    # below the middle of its way it is out of the noise, which may fall faster than the loss
    end, middle = smoothed.index(lowest), (smoothed[0] + lowest) / 2
    start = max(i for i in range(end) if smoothed[i] >= middle)
    falls = [before - after for before, after in itertools.pairwise(smoothed[start : end + 1])]
    return rates[start + falls.index(max(falls))]
