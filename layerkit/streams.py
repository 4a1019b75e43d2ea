"""Streams of random numbers: one for each seed and name, independent of all others."""

import numpy as np

from layerkit.errors import ConfigError


def stream(seed: int, name: str) -> np.random.Generator:
    """Return a new generator of the numbers that belong to a name, and to no other.

    They depend on the seed and the name alone: not on what else is drawn, nor in which order.

    Examples
    --------
    >>> stream(0, "batches").permutation(5), stream(0, "augmentation").permutation(5)
    (array([1, 2, 4, 3, 0]), array([4, 3, 0, 1, 2]))
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=tuple(name.encode())))


def as_seed(seed: int | np.random.Generator | None) -> int:
    """Return a seed as a number; a Generator draws one, so that each use of it has another.

    None is any number.

    Raises
    ------
    ConfigError
        For something else, or a negative number.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> as_seed(3), as_seed(rng) == as_seed(rng)
    (3, False)
    """
    if seed is None or isinstance(seed, np.random.Generator):
        return int(np.random.default_rng(seed).integers(2**63))
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ConfigError(f"seed = {seed!r}: should be 0, 1, 2 …, or a numpy.random.Generator")
    return int(seed)
