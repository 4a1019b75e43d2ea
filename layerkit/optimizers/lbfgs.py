"""L-BFGS, for small data: a direction from the last gradients, and a line search along it.

w       all parameters of the network, changed in place
g       the gradient of the loss with respect to them, read only
s, y    one of the last steps, and the change of g in it
t       the length of a step, in units of its direction H g
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from layerkit.arrays import Array, check_memory
from layerkit.config.options import Rate, Size
from layerkit.errors import ConfigError
from layerkit.optimizers.base import Optimizer

EVALUATIONS = 25
"""Evaluations of a search at most, after the first one."""


class LBFGS(Optimizer):
    """w <- w - t H g: a quasi-Newton method, whose H estimates the inverse Hessian.

    H is made of the last steps: a step s that changed g by y means H y = s. It is never written
    down. Pairs (s, y) with s y <= 1e-10 are left out, and the first estimate of H is s y / (y y) of
    the last pair.

    If `step` is given `again`, as in training, a search that begins with lr finds a t that meets
    the strong Wolfe conditions; otherwise t is lr. At the first step lr is divided by the sum
    of all |g|, if that is greater than 1. w stays if max |g| <= 1e-7, or if g H g <= 1e-9.

    PyTorch's with ``max_iter=1`` and, if there is a search, ``line_search_fn="strong_wolfe",
    max_eval=26``; it remembers 100 steps. For small data: batches should be the same, or large.
    Each evaluation is a forward pass with ``train=True``, which BatchNorm and Dropout notice.

    Source: Nocedal and Wright (2006), Numerical Optimization, 2nd edition: chapter 7 for the
    direction, chapter 3 for the search.

    Parameters
    ----------
    lr : float
        Length t of a step, the first one that is tried.
    history_size : int
        Number of steps that are remembered, with two vectors for each.
    weight_decay : float
        Has to be 0; use l2 instead.

    Raises
    ------
    ConfigError
        For a `weight_decay`, or `rates` other than 0 and 1, which would change w beside the search.

    Examples
    --------
    >>> w, lbfgs, curvature = np.array([3.0, -1.0]), LBFGS(), np.array([1.0, 100.0])
    >>> for _ in range(12):
    ...     lbfgs.step(w, g=curvature * w)
    >>> abs(w).round(4)
    array([0., 0.])
    """

    lr: Rate = 1.0
    history_size: Size = 10

    def check_options(self) -> None:
        """Check each option by itself, and that none changes a step after the search."""
        super().check_options()
        if self.weight_decay:
            raise ConfigError(
                f"LBFGS.weight_decay = {self.weight_decay}: should be 0, since w may only "
                "change along the search; use l2"
            )
        for pattern, rate in self.rates.items():
            if rate not in (0, 1):
                raise ConfigError(
                    f"LBFGS.rates.{pattern} = {rate}: should be 0 or 1, frozen or not, since the "
                    "search finds the length of a step"
                )

    def allocate(self, w: Array) -> dict[str, Array]:
        """Return room for the pairs, the last step and the gradient before it, and their number."""
        pairs = (self.history_size, *w.shape)
        check_memory(
            f"history_size = {self.history_size} pairs", (pairs, w.dtype), (pairs, w.dtype)
        )
        return {
            "S": np.zeros(pairs, w.dtype),
            "Y": np.zeros(pairs, w.dtype),
            "step": np.zeros_like(w),
            "before": np.zeros_like(w),
            "kept": np.zeros(1, np.int64),
        }

    def update(
        self, w: Array, g: Array, S: Array, Y: Array, step: Array, before: Array, kept: Array
    ) -> None:
        """Learn from the last step, then take one in the new direction."""
        loss = self.again() if self.again else 0.0
        if float(np.abs(g, out=self.s).max()) <= 1e-7:
            return
        self.remember(g, S, Y, step, before, kept)
        np.copyto(before, g)
        self.direct(g, S, Y, step, int(kept[0]))
        slope = dot(g, step)
        t = self.lr if slope <= -1e-9 else 0.0
        if self.t == 1:
            t *= min(1.0, 1 / float(np.abs(g, out=self.s).sum()))
        if t and self.again:
            t = self.search(w, g, step, self.again, Point(0.0, loss, slope), t)
        step *= t
        w += step

    def remember(
        self, g: Array, S: Array, Y: Array, step: Array, before: Array, kept: Array
    ) -> None:
        """Keep the last step and its change of g, unless the slope fell along it."""
        y = np.subtract(g, before, out=self.s)
        if dot(y, step) > 1e-10:
            i = int(kept[0]) % self.history_size
            S[i], Y[i] = step, y
            kept += 1

    def direct(self, g: Array, S: Array, Y: Array, d: Array, kept: int) -> None:
        """Do d <- -H g by two loops over the pairs."""
        rows = [i % self.history_size for i in range(max(0, kept - self.history_size), kept)]
        pairs = [(S[i], Y[i], dot(S[i], Y[i])) for i in rows]
        np.negative(g, out=d)
        factors = []
        for s, y, sy in reversed(pairs):
            factors.append(dot(s, d) / sy)
            d -= np.multiply(y, factors[-1], out=self.s)
        if pairs:
            _, y, sy = pairs[-1]
            d *= sy / dot(y, y)
        for (s, y, sy), factor in zip(pairs, reversed(factors), strict=True):
            d += np.multiply(s, factor - dot(y, d) / sy, out=self.s)

    def search(
        self, w: Array, g: Array, d: Array, again: Callable[[], float], start: Point, t: float
    ) -> float:
        """Return a good length t of a step along d; w stays, g does not."""
        origin = w.copy()

        def look(t: float) -> Point:
            np.multiply(d, t, out=w)
            np.add(w, origin, out=w)
            loss = again()
            return Point(t, loss, dot(g, d))

        t = search(look, start, t, float(np.abs(d, out=self.s).max()))
        np.copyto(w, origin)
        return t


class Point(NamedTuple):
    """A point on a line: its distance, the loss there and the derivative along the line."""

    t: float
    loss: float
    slope: float


def dot(a: Array, b: Array) -> float:
    """Return the sum of the products."""
    return float(np.vdot(a, b))


def search(look: Callable[[float], Point], start: Point, t: float, unit: float) -> float:
    """Return a t > 0 that meets the strong Wolfe conditions, or the best t that was tried.

    They are L(t) <= L(0) + 1e-4 t L'(0) and |L'(t)| <= 0.9 |L'(0)|. First t grows until
    two ends enclose such a point, then the ends are brought together. `unit` is the greatest change
    of a parameter at t = 1; ends that are closer than 1e-9 count as one point.
    """

    def high(p: Point) -> bool:
        return not p.loss <= start.loss + 1e-4 * p.t * start.slope  # not <= is true for nan

    def flat(p: Point) -> bool:
        return abs(p.slope) <= -0.9 * start.slope

    last, new = start, look(t)
    for used in range(EVALUATIONS):
        if high(new) or (used > 1 and new.loss >= last.loss):
            break
        if flat(new):
            return new.t
        if new.slope >= 0:
            break
        t = cubic_minimum(last, new, new.t + 0.01 * (new.t - last.t), 10 * new.t)
        last, new = new, look(t)
    else:
        return min(start, new, key=lambda p: p.loss).t

    a, b = sorted((last, new), key=lambda p: p.loss)
    near_end = False
    for _ in range(used, EVALUATIONS):
        left, right = sorted((a.t, b.t))
        if (right - left) * unit < 1e-9:
            break
        t, margin = cubic_minimum(a, b, left, right), 0.1 * (right - left)
        if min(right - t, t - left) >= margin:
            near_end = False
        elif near_end or not left < t < right:
            t = right - margin if right - t < t - left else left + margin
            near_end = False
        else:
            near_end = True
        new = look(t)
        if high(new) or new.loss >= a.loss:
            a, b = sorted((a, new), key=lambda p: p.loss)
        elif flat(new):
            return new.t
        else:
            a, b = new, b if new.slope * (b.t - a.t) < 0 else a
    return a.t


def cubic_minimum(p: Point, q: Point, least: float, most: float) -> float:
    """Return the minimum of the cubic through two points with their slopes, within bounds.

    The middle of the bounds, if there is no minimum.
    """
    p, q = sorted((p, q))
    u = p.slope + q.slope - 3 * (p.loss - q.loss) / (p.t - q.t)
    square = u * u - p.slope * q.slope
    if not 0 <= square < math.inf:
        return (least + most) / 2
    root = math.sqrt(square)
    divisor = q.slope - p.slope + 2 * root
    if divisor == 0:
        return (least + most) / 2
    t = q.t - (q.t - p.t) * (q.slope + root - u) / divisor
    return min(max(t, least), most)
