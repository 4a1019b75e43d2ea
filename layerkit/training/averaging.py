"""Weight averaging: the exponential moving average (EMA), and the mean of the last steps (SWA).

w    the parameters
a    their average
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from layerkit.config.options import Configurable, Decay, Size
from layerkit.parameters import Arena
from layerkit.training.trainer import Attendant, Trainer


class Average(Configurable, ABC):
    """Base class of weight averages: a <- a + s (w - a) after each step.

    A subclass defines `share`, the s. Training continues with w; records, predictions and saved
    networks use a. Running statistics of layers such as BatchNorm are averaged in the same way.

    Examples
    --------
    >>> class Latest(Average):
    ...     def share(self, step, steps):
    ...         return 1.0
    >>> Latest().share(step=9, steps=100)
    1.0
    """

    @abstractmethod
    def share(self, step: int, steps: int) -> float:
        """Return s, the share of a that w replaces after `step`; the first step is 0."""


class EMA(Average):
    """a <- decay a + (1 - decay) w: the exponential moving average of the weights.

    Up to step 1 / (1 - decay), a is the arithmetic mean, so that the initial weights don't
    dominate: s = max(1 - decay, 1 / (step + 1)).

    Parameters
    ----------
    decay : float
        The share of a that is kept at each step.

    Examples
    --------
    >>> ema = EMA(decay=0.75)
    >>> [round(ema.share(step, 6), 2) for step in range(6)]
    [1.0, 0.5, 0.33, 0.25, 0.25, 0.25]
    """

    decay: Decay = 0.999

    def share(self, step: int, steps: int) -> float:
        return max(1 - self.decay, 1 / (step + 1))


class SWA(Average):
    """Stochastic weight averaging: the mean of the weights, late in the training.

    Before the start, the average a is w; then a is the mean of w, taken every few steps.
    Source: Izmailov et al. (2018), Averaging weights leads to wider optima and better
    generalization, arXiv:1803.05407.

    Parameters
    ----------
    start : float
        The share of all steps after which averaging begins.
    every : int
        Number of steps from one w in the mean to the next.

    Examples
    --------
    >>> swa = SWA(start=0.5, every=2)
    >>> [round(swa.share(step, 8), 2) for step in range(8)]
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.5, 0.0]
    """

    start: Decay = 0.75
    every: Size = 1

    def share(self, step: int, steps: int) -> float:
        """Return 1 before the start, then 1 / (n + 1) for the n-th w in the mean, else 0."""
        since = step - int(self.start * steps)
        if since < 0:
            return 1.0
        count, rest = divmod(since, self.every)
        return 0.0 if rest else 1 / (count + 1)


class AveragedWeights(Attendant):
    """The averaged weights of a network, which are swapped with its parameters to evaluate.

    Parameters
    ----------
    arena : Arena
        The network's.
    average : Average
    steps : int
        Number of steps of the training.
    """

    def __init__(self, arena: Arena, average: Average, steps: int) -> None:
        self.arena, self.average, self.steps = arena, average, steps
        self.vectors = [(w, w.copy(), np.empty_like(w)) for w in (arena.values, arena.states)]
        self.step = 0
        self.shown = False

    def step_end(self, trainer: Trainer) -> None:
        """Set a <- a + s (w - a)."""
        share = self.average.share(self.step, self.steps)
        self.step += 1
        if share == 1:  # the same as `mix`, in a tenth of the time
            for w, a, _ in self.vectors:
                a[...] = w
        elif share:
            self.mix(share)

    def mix(self, share: float) -> None:
        """Do a <- a + share (w - a), exactly a for 0 and w for 1; decided by nothing."""
        for w, a, scratch in self.vectors:
            np.subtract(w, a, out=scratch)
            scratch *= share
            np.add(a, scratch, out=a, where=share != 0)
            np.copyto(a, w, where=share == 1)

    def epoch_begin(self, trainer: Trainer) -> None:
        """Put the parameters back into the network, to continue training."""
        if self.shown:
            self._swap()

    def epoch_trained(self, trainer: Trainer) -> None:
        """Put the average into the network."""
        if not self.shown:
            self._swap()

    train_end = epoch_trained

    def _swap(self) -> None:
        for w, a, scratch in self.vectors:
            scratch[...] = w
            w[...] = a
            a[...] = scratch
        self.shown = not self.shown

    def state_dict(self) -> dict[str, Any]:
        """Return the vectors that are not in the network now, the average or the parameters."""
        (_, values, _), (_, states, _) = self.vectors
        return {
            "values": values.copy(),
            "states": states.copy(),
            "step": self.step,
            "shown": self.shown,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        (_, values, _), (_, states, _) = self.vectors
        values[...], states[...] = state["values"], state["states"]
        self.step, self.shown = state["step"], state["shown"]
