"""The contract of losses."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np

from layerkit.losses import Loss
from layerkit.parameters import Array, Shape
from layerkit.testing.common import (
    calling,
    check_derivative,
    check_options,
    close,
    normal,
    read_only,
    require,
    widening,
)


def check_loss(loss: Loss, shape: Shape, targets: Any) -> None:
    """Check a loss for outputs of `shape` and these targets, at least two rows of them.

    Raises
    ------
    AssertionError
        With the first law that is broken, where, and what may be the cause.

    Examples
    --------
    >>> class HalfSquares(Loss):
    ...     def forward(self, z, t):
    ...         self.error = z - t
    ...         return float((self.error ** 2).sum()) / 2
    ...     def backward(self):
    ...         return self.error
    >>> check_loss(HalfSquares(), (3,), np.zeros((4, 3)))
    Traceback (most recent call last):
    ...
    AssertionError: HalfSquares.forward: the loss of 4 rows is 4 times the mean of their losses; \
divide by N, the number of rows
    """
    check_options(loss)
    loss, name = copy.deepcopy(loss), type(loss).__name__
    with calling(f"{name}.build"):
        loss.build(shape)
    with calling(f"{name}.targets"):
        t = loss.targets(targets, shape)
    require(len(t) > 1, f"check_loss wants at least two rows of targets, not {len(t)}")
    z = normal((len(t), *shape), seed=1)
    for dtype in ("float64", "float32"):
        # a network gives targets that are not whole numbers in its own type
        t = t.astype(dtype) if t.dtype.kind == "f" else t
        _check_one_batch(loss, z.astype(dtype), t)
    _check_mean(loss, z, t)
    _check_loss_derivative(loss, z, t)
    _check_extremes(loss, z, t)
    _check_probabilities(loss, z)


def _loss_forward(loss: Loss, z: Array, t: Array) -> float:
    name = type(loss).__name__
    law = "writes to z or to the targets, which are not its own: make a new array"
    with calling(f"{name}.forward", law):
        value = loss.forward(read_only(z), read_only(t))
    require(
        type(value) is float,
        f"{name}.forward returns {value!r}, {type(value).__name__}; should be a float: float(…)",
    )
    return value


def _loss_backward(loss: Loss) -> Array:
    name = type(loss).__name__
    with calling(f"{name}.backward", "writes to z or to the targets: make a new array"):
        dz = loss.backward()
    require(isinstance(dz, np.ndarray), f"{name}.backward returns {dz!r}; should be an array, dz")
    return dz


def _check_one_batch(loss: Loss, z: Array, t: Array) -> None:
    name, value = type(loss).__name__, _loss_forward(loss, z, t)
    require(bool(np.isfinite(value)), f"{name}.forward is {value} for ordinary outputs")
    dz = _loss_backward(loss).copy()
    what = f"{name}.backward"
    require(dz.shape == z.shape, f"{what} returns {dz.shape}; should be the shape of z, {z.shape}")
    require(dz.dtype == z.dtype, f"{what} returns {dz.dtype} for {z.dtype}; {widening(z)}")
    require(
        close(_loss_backward(loss), dz),
        f"{what} gives another dz when it is called again: it changes what forward has kept",
    )
    _loss_forward(loss, -z[:1], t[:1])
    again = _loss_forward(loss, z, t)
    require(
        again == value and close(_loss_backward(loss), dz),
        f"{name}: the loss of a batch depends on the batches before it: something that the loss "
        "keeps is not made anew by forward",
    )


def _check_mean(loss: Loss, z: Array, t: Array) -> None:
    N, value = len(z), _loss_forward(loss, z, t)
    mean = sum(_loss_forward(loss, z[i : i + 1], t[i : i + 1]) for i in range(N)) / N
    what = f"{type(loss).__name__}.forward: the loss of {N} rows"
    require(
        mean == 0 or not np.isclose(value, N * mean, rtol=1e-6),
        f"{what} is {N} times the mean of their losses; divide by N, the number of rows",
    )
    require(
        bool(np.isclose(value, mean, rtol=1e-9, atol=1e-12)),
        f"{what} is {value:.4g}, the mean of their losses one by one is {mean:.4g}: rows influence "
        "each other; sums and maxima go along axis=1",
    )


def _check_loss_derivative(loss: Loss, z: Array, t: Array) -> None:
    """For a classifier at logits like 40 too, where clipping would show."""
    for size in (1.0, 40.0, -40.0) if _has_classes(loss) else (1.0,):
        scaled = size * z
        value = _loss_forward(loss, scaled, t)
        dz, noise = _loss_backward(loss).copy(), 1e-9 * (1 + abs(value))
        what = f"{type(loss).__name__}.backward: dz"
        f = partial(_loss_forward, loss, scaled, t)
        check_derivative(what, f, scaled, dz, noise)


def _has_classes(loss: Loss) -> bool:
    return type(loss).predict_proba is not Loss.predict_proba


def _check_extremes(loss: Loss, z: Array, t: Array) -> None:
    """Rows of very different size, in float32: 1e4 for logits, 1e-3 to 30 for other outputs."""
    column, axes = (len(z), *[1] * (z.ndim - 1)), tuple(range(1, z.ndim))
    if _has_classes(loss):
        offsets = np.resize([1e4, -1e4], column)
        tried = [1e4 * np.sign(z), z + offsets]
    else:
        sizes = np.geomspace(1e-3, 30, len(z)).reshape(column)
        tried = [sign * sizes * z / abs(z).max(axis=axes, keepdims=True) for sign in (-1, 1)]
    size = "1e4" if _has_classes(loss) else "30"
    what = f"{type(loss).__name__}: for outputs of up to {size} in float32"
    for big in [extreme.astype("float32") for extreme in tried]:
        with np.errstate(all="ignore"):
            values = {"the loss": np.array(_loss_forward(loss, big, t))}
            values["dz"] = _loss_backward(loss)
            if _has_classes(loss):
                values["predict_proba"] = loss.predict_proba(read_only(big))
        for quantity, value in values.items():
            require(
                bool(np.isfinite(value).all()),
                f"{what} {quantity} is not finite: subtract from each row its own maximum, and "
                "take no log of what may be 0",
            )
        with np.errstate(all="raise", under="ignore"), calling(f"{what} it"):
            loss.forward(read_only(big), read_only(t))
            loss.backward()


def _check_probabilities(loss: Loss, z: Array) -> None:
    if not _has_classes(loss):
        return
    what = f"{type(loss).__name__}.predict_proba"
    with calling(what, "writes to z: make a new array"):
        p = loss.predict_proba(read_only(z.astype("float32")))
    require(p.shape == z.shape, f"{what} returns {p.shape}; should be the shape of z, {z.shape}")
    require(p.dtype == np.float32, f"{what} returns {p.dtype} for float32")
    require(
        bool((p >= 0).all()) and np.allclose(p.sum(axis=1), 1, atol=1e-5),
        f"{what}: row 0 is {p[0]}; each row should be >= 0 and sum to 1",
    )
