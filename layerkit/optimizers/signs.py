"""Optimizers that use only the signs of gradients, in order of increasing complexity.

w    all parameters of the network, changed in place
g    the gradient of the loss with respect to them, read only
m    a running mean of g
"""

from __future__ import annotations

from dataclasses import field
from typing import Annotated

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import Amount, Decay, Fraction, Limits, Rate
from layerkit.errors import ConfigError
from layerkit.optimizers.base import Optimizer


class Lion(Optimizer):
    """w <- w - lr sign(beta1 m + (1 - beta1) g);  m <- beta2 m + (1 - beta2) g.

    Steps along the signs of a momentum, all of the same length.

    optax's, with its defaults of the betas and of the decoupled `weight_decay`. Every number
    changes by lr, which is therefore 3 to 10 times smaller than Adam's.

    Source: Chen et al. (2023), Symbolic Discovery of Optimization Algorithms, arXiv:2302.06675.

    Parameters
    ----------
    lr : float
        Learning rate, the length of a step.
    beta1 : float
        How much m counts in the direction of a step.
    beta2 : float
        How much of m is kept at each step.

    Examples
    --------
    >>> w = np.array([1.0, 1.0, 1.0])
    >>> Lion(lr=0.25, weight_decay=0.0).step(w, g=np.array([1e-3, -1e3, 0.0]))
    >>> w
    array([0.75, 1.25, 1.  ])
    """

    lr: Rate = 1e-4
    beta1: Decay = 0.9
    beta2: Decay = 0.99
    weight_decay: Amount = field(default=1e-3, kw_only=True)
    slots = ("m",)

    def update(self, w: Array, g: Array, m: Array) -> None:
        s = self.s
        np.subtract(m, g, out=s)
        s *= self.beta1
        s += g
        # the sign: np.sign is ten times slower where it overwrites its argument
        tiny = float(np.finfo(s.dtype).tiny)
        np.clip(s, -tiny, tiny, out=s)
        s /= tiny
        s *= self.lr
        w -= s
        m *= self.beta2
        m += np.multiply(g, 1 - self.beta2, out=s)


class Rprop(Optimizer):
    """w <- w - d sign(g): the length d of each step grows while g keeps its sign.

    d <- eta_plus d if g and the g before have the same sign, d <- eta_minus d if they differ, but
    always between min_step and max_step. Where they differ, w stays and this g is forgotten.

    PyTorch's. In another form, the step before is taken back where the signs differ. For gradients
    of all data at once, since the noise of batches changes signs.

    Source: Riedmiller and Braun (1993), A direct adaptive method for faster backpropagation
    learning: the RPROP algorithm.

    Parameters
    ----------
    lr : float
        The length of the first step of each parameter; not read again.
    eta_minus : float
        Factor of the length where g changes its sign, less than 1.
    eta_plus : float
        Factor of the length where g keeps its sign, greater than 1.
    min_step, max_step : float
        Bounds of the length.

    Raises
    ------
    ConfigError
        If `min_step` is greater than `max_step`, or for a schedule of `lr`.

    Examples
    --------
    >>> w, rprop = np.array([1.0]), Rprop(lr=0.25, eta_plus=2.0)
    >>> for g in [3.0, 0.1, -0.1]:
    ...     rprop.step(w, np.array([g]))
    >>> w, rprop.memory["d"]
    (array([0.25]), array([0.25]))
    """

    lr: Rate = 0.01
    eta_minus: Fraction = 0.5
    eta_plus: Annotated[float, Limits(gt=1)] = 1.2
    min_step: Rate = 1e-6
    max_step: Rate = 50.0

    def check_options(self) -> None:
        """Check each option by itself, and those that depend on each other."""
        super().check_options()
        if self.min_step > self.max_step:
            raise ConfigError(
                f"Rprop.min_step = {self.min_step}: should not be greater than max_step = "
                f"{self.max_step}"
            )
        if "lr" in self.schedules:
            raise ConfigError(
                "Rprop.schedules.lr: would have no effect, since lr is only the length of the "
                "first step; max_step limits all of them"
            )

    def allocate(self, w: Array) -> dict[str, Array]:
        """Return a previous gradient of 0, and lengths of lr."""
        return {"before": np.zeros_like(w), "d": np.full_like(w, self.lr)}

    def update(self, w: Array, g: Array, before: Array, d: Array) -> None:
        s = self.s
        before *= g
        np.sign(before, out=s)
        # 1 + b s + a s^2 is eta_plus for s = 1, 1 for s = 0 and eta_minus for s = -1
        a = (self.eta_plus + self.eta_minus) / 2 - 1
        b = (self.eta_plus - self.eta_minus) / 2
        np.multiply(s, a, out=before)
        before += b
        before *= s
        before += 1
        d *= before
        np.clip(d, self.min_step, self.max_step, out=d)
        # g where s is 0 or 1, else 0
        s += 1
        np.minimum(s, 1, out=s)
        np.multiply(g, s, out=before)
        np.sign(before, out=s)
        s *= d
        w -= s
