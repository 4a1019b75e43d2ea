"""Small data sets that are drawn, to see how networks learn: classes in the plane, and curves.

x    points (N, 2), or (N, 1) of a curve
t    classes (N,), each as often as the others, or the noisy values of the curve (N,)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from layerkit.arrays import Array
from layerkit.streams import stream


class Toy(NamedTuple):
    """A data set that is drawn: its classes, 0 of a curve, its usual noise, and its points.

    `points` returns x, and t of a curve, without noise: ``points(classes (N,), rng)``.
    """

    classes: int
    noise: float
    points: Callable[[Array, np.random.Generator], tuple[Array, Array | None]]

    @property
    def shape(self) -> tuple[int]:
        """The shape of an example."""
        return (2,) if self.classes else (1,)


def circles(t: Array, rng: np.random.Generator) -> tuple[Array, Array | None]:
    """Return points of a disc, of class 0, and of a ring around it, of class 1."""
    radius = np.where(t == 0, rng.uniform(0, 0.8, len(t)), rng.uniform(1.3, 2, len(t)))
    return _polar(radius, rng.uniform(0, 2 * np.pi, len(t))), None


def moons(t: Array, rng: np.random.Generator) -> tuple[Array, Array | None]:
    """Return points of two half circles, of which each reaches into the other."""
    angle = rng.uniform(0, np.pi, len(t)) + np.pi * t
    return 1.2 * _polar(np.ones(len(t)), angle) + np.array([0.6, 0.3]) * (2 * t[:, None] - 1), None


def spiral(t: Array, rng: np.random.Generator) -> tuple[Array, Array | None]:
    """Return points of two arms that wind around each other."""
    along = rng.uniform(0.05, 1, len(t))
    return _polar(2 * along, 3 * np.pi * along + np.pi * t), None


def xor(t: Array, rng: np.random.Generator) -> tuple[Array, Array | None]:
    """Return points of four squares: class 1 where exactly one of the coordinates is positive."""
    x = rng.uniform(0.15, 1.85, (len(t), 2)) * np.where(rng.random(len(t)) < 0.5, 1, -1)[:, None]
    return x * np.stack([np.ones(len(t)), 1 - 2 * t], axis=1), None


def blobs(t: Array, rng: np.random.Generator) -> tuple[Array, Array | None]:
    """Return the centres of three clouds; it is the noise that spreads the points."""
    return _polar(np.full(len(t), 1.2), np.pi / 2 + t * 2 * np.pi / 3), None


def sine(t: Array, rng: np.random.Generator) -> tuple[Array, Array | None]:
    """Return x from -2 to 2, and sin(pi x)."""
    x = rng.uniform(-2, 2, len(t))
    return x[:, None], np.sin(np.pi * x)


def steps(t: Array, rng: np.random.Generator) -> tuple[Array, Array | None]:
    """Return x from -2 to 2, and the whole number nearest to it."""
    x = rng.uniform(-2, 2, len(t))
    return x[:, None], np.round(x)


def _polar(radius: Array, angle: Array) -> Array:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


TOYS = {
    "circles": Toy(2, 0.1, circles),
    "moons": Toy(2, 0.15, moons),
    "spiral": Toy(2, 0.05, spiral),
    "xor": Toy(2, 0.1, xor),
    "blobs": Toy(3, 0.4, blobs),
    "sine": Toy(0, 0.1, sine),
    "steps": Toy(0, 0.1, steps),
}


def draw_toy(name: str, examples: int, noise: float | None, seed: int) -> tuple[Array, Array]:
    """Return x and t; the noise is added to the points, or to the values of a curve.

    Parameters
    ----------
    name : str
        One of `TOYS`.
    examples : int
    noise : float, optional
        Standard deviation; by default that of the toy.
    seed : int

    Examples
    --------
    >>> x, t = draw_toy("xor", 6, 0.0, seed=0)
    >>> t
    array([0, 1, 0, 1, 0, 1])
    >>> (x[:, 0] * x[:, 1] < 0).astype(int)
    array([0, 1, 0, 1, 0, 1])
    """
    toy = TOYS[name]
    classes = np.arange(examples) % max(toy.classes, 1)
    x, values = toy.points(classes, stream(seed, f"points of {name}"))
    spread = toy.noise if noise is None else noise
    rng = stream(seed, f"noise of {name}")
    if values is None:
        return (x + spread * rng.normal(size=x.shape)).astype(np.float32), classes
    return x.astype(np.float32), values + spread * rng.normal(size=examples)
