"""Checks of losses."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.graph.sequential import Sequential
from layerkit.inspection.mistakes import WRITES_TO_Z, shown, widening, written
from layerkit.layers.dense import Dense
from layerkit.layers.shapes import Reshape
from layerkit.losses.base import ElementwiseLoss, Loss, mean_loss
from layerkit.network import Network
from layerkit.recording.recorder import record
from layerkit.testing.common import (
    TRIED,
    Law,
    Laws,
    calling,
    check_derivative,
    check_options,
    close,
    lent,
    normal,
    require,
    require_like,
    require_objects,
    run,
)


def check_loss(
    loss: Loss, shape: Shape, targets: Any, report: bool = False, like: Loss | None = None
) -> str | None:
    """Check that a loss keeps its contract for outputs of one shape and their targets.

    Parameters
    ----------
    loss : Loss
        The loss to check; copies of it are tried.
    shape : tuple of int
        The shape of the outputs for one example. One of several axes, such as (T, K), checks the
        laws of positions too.
    targets : array
        Targets of two examples or more, as `layerkit.fit` takes them.
    report : bool
        Whether to return a table of all laws, with what is wrong, instead of raising an error.
    like : Loss, optional
        Another one that should return the same, such as ``MeanSquaredError()`` for one of your own.

    Raises
    ------
    AssertionError
        With the first law that is broken, where, and what may be the cause.

    Examples
    --------
    >>> from layerkit import Loss
    >>> class HalfSquares(Loss):
    ...     def losses(self, z, t):
    ...         self.error = z - t
    ...         return (self.error ** 2).sum(axis=-1) / 2
    ...     def gradients(self):
    ...         return self.error / len(self.error)
    >>> check_loss(HalfSquares(), (3,), np.zeros((4, 3)))
    Traceback (most recent call last):
    ...
    AssertionError: HalfSquares.gradients: those of 4 rows are 1/4 of those of the rows one by \
one; each row has its own derivative: don't divide by N, backward does
    """
    __tracebackhide__ = True
    require_objects(Loss, loss, like)
    return run(loss_laws(loss, shape, targets, like, report), report)


def loss_laws(
    loss: Loss, shape: Shape, targets: Any, like: Loss | None = None, report: bool = False
) -> Laws:
    """Yield the laws of a loss."""
    yield "options", partial(check_options, loss)

    def on(check: Callable[[Loss, Array, Array], object], dtype: str = "float64") -> Law:
        return lambda: check(*_prepared(loss, shape, targets, dtype))

    yield "one batch, float64", on(_check_one_batch)
    yield "one batch, float32", on(_check_one_batch, "float32")
    yield "rows", on(_check_rows)
    yield "positions", on(_check_positions)
    yield "sums", on(_check_sums)
    yield "derivative", on(_check_loss_derivative)
    yield "sample weights", on(_check_sample_weights)
    yield "weights of positions", on(_check_weighted_positions)
    yield "large outputs", on(_check_extremes)
    yield "predictions", on(_check_predictions)
    if like is not None:
        yield f"like {type(like).__name__}", on(partial(_check_like, like=like))
    if report:
        yield "recording", partial(_check_recording, loss, shape, targets)


def _prepared(loss: Loss, shape: Shape, targets: Any, dtype: str) -> tuple[Loss, Array, Array]:
    """Return a built copy of a loss, outputs, and targets as it takes them."""
    loss, name = copy.deepcopy(loss), type(loss).__name__
    with calling(f"{name}.build"):
        loss.build(shape)
    with calling(f"{name}.targets"):
        t = loss.targets(targets, shape)
    require(len(t) > 1, f"check_loss needs at least two targets, not {len(t)}")
    z = normal((len(t), *shape), seed=1)
    # a network converts targets to its dtype, but for whole numbers
    return loss, z.astype(dtype), t.astype(dtype) if t.dtype.kind == "f" else t


def _losses(loss: Loss, z: Array, t: Array) -> Array:
    positions, method = z.shape[:-1], written(loss, "losses")
    what = f"{type(loss).__name__}.{method}"
    hint = "don't take a mean" if method == "row_losses" else "mean(axis=-1), not mean()"
    with calling(what, WRITES_TO_Z):
        losses = loss.losses(lent(z), lent(t))
    require(
        isinstance(losses, np.ndarray) and losses.shape == positions,
        f"{what} returns {getattr(losses, 'shape', losses)!r} for outputs of shape "
        f"{z.shape}; should be {positions}, a loss for each position: {hint}",
    )
    return losses


def _gradients(loss: Loss) -> Array:
    what = f"{type(loss).__name__}.{written(loss, 'gradients')}"
    with calling(what, "writes to z or to the targets: make a new array"):
        dz = loss.gradients()
    require(isinstance(dz, np.ndarray), f"{what} returns {shown(dz)}; should be an array")
    return dz.copy()


def _forward(
    loss: Loss, z: Array, t: Array, sample_weight: Array | None = None
) -> tuple[float, float]:
    name = type(loss).__name__
    try:
        pair = loss.forward(lent(z), lent(t), sample_weight)
    except Exception as error:
        raise AssertionError(
            f"{name}.forward raised {type(error).__name__}: {error}; write "
            f"{written(loss, 'losses')} and {written(loss, 'gradients')} only, forward and "
            "backward are made of them"
        ) from error
    require(
        type(pair) is tuple and list(map(type, pair)) == [float, float],
        f"{name}.forward returns {pair!r}; should be two floats: float(…), the sum of the "
        "losses and that of the weights",
    )
    return pair


def _mean(loss: Loss, z: Array, t: Array, sample_weight: Array | None = None) -> float:
    return mean_loss(*_forward(loss, z, t, sample_weight))


def _backward(loss: Loss) -> Array:
    with calling(f"{type(loss).__name__}.backward"):
        return loss.backward().copy()


def _check_one_batch(loss: Loss, z: Array, t: Array) -> None:
    name, method = type(loss).__name__, written(loss, "losses")
    if isinstance(loss, ElementwiseLoss):
        with calling(f"{name}.values", WRITES_TO_Z):
            values = loss.values(lent(z), lent(t))
        require(
            isinstance(values, np.ndarray) and values.shape == z.shape,
            f"{name}.values returns {shown(values)} for outputs of shape {z.shape}; should be "
            "a number for each output: write it without mean or sum",
        )
    losses = _losses(loss, z, t)
    require(
        bool(np.isfinite(losses).all()), f"{name}.{method} returns {losses} for ordinary outputs"
    )
    dz = _gradients(loss)
    what = f"{name}.{written(loss, 'gradients')}"
    require(dz.shape == z.shape, f"{what} returns {dz.shape}; should be the shape of z, {z.shape}")
    require(dz.dtype == z.dtype, f"{what} returns {dz.dtype} for {z.dtype}; {widening(z.dtype)}")
    require(
        close(_gradients(loss), dz),
        f"{what} returns something else when it is called again: it changes what {method} has kept",
    )
    _losses(loss, -z[:1], t[:1])
    require(
        close(_losses(loss, z, t), losses) and close(_gradients(loss), dz),
        f"{name}: the losses of a batch depend on the batches before it: {method} should "
        "compute anew all that the loss keeps",
    )


def _check_rows(loss: Loss, z: Array, t: Array) -> None:
    """Check that each row, that is each example, is judged alone."""
    name, N, rows = type(loss).__name__, len(z), range(len(z))
    losses, dz = _losses(loss, z, t), _gradients(loss)
    alone = [(_losses(loss, z[i : i + 1], t[i : i + 1]), _gradients(loss)) for i in rows]
    own_losses, own_dz = (np.concatenate(parts) for parts in zip(*alone, strict=True))
    for what, together, one_by_one in [("losses", losses, own_losses), ("gradients", dz, own_dz)]:
        method = f"{name}.{written(loss, what)}"
        require(
            not together.any() or not close(N * together, one_by_one),
            f"{method}: those of {N} rows are 1/{N} of those of the rows one by one; each row "
            f"has its own {'loss' if what == 'losses' else 'derivative'}: don't divide by N, "
            f"{'forward' if what == 'losses' else 'backward'} does",
        )
        require(
            close(together, one_by_one),
            f"{method} of {N} rows are not those of the rows one by one: rows influence each "
            "other; sums and maxima go along axis=-1",
        )


def _check_positions(loss: Loss, z: Array, t: Array) -> None:
    """Check that each position is judged alone."""
    losses, dz = _losses(loss, z, t), _gradients(loss)
    for index in list(np.ndindex(losses.shape))[:TRIED]:
        changed, others = z.copy(), np.ones(losses.shape, bool)
        changed[index] = z[index][::-1] - 1
        others[index] = False
        found = _losses(loss, changed, t)[others], _gradients(loss)[others]
        require(
            all(map(close, found, (losses[others], dz[others]))),
            f"{type(loss).__name__}: the outputs at {list(index)} change losses or gradients of "
            "other positions; sums and maxima go along axis=-1",
        )


def _counts(loss: Loss, z: Array, t: Array) -> Array:
    name, positions = type(loss).__name__, z.shape[:-1]
    with calling(f"{name}.counts"):
        counts = loss.counts(lent(z), lent(t))
    counts = np.ones(positions) if counts is None else counts
    require(
        counts.shape == positions and bool((counts >= 0).all()) and bool(counts.any()),
        f"{name}.counts returns {counts}; should be numbers >= 0 of shape {positions}, one for "
        "each position, not all 0",
    )
    return counts


def _check_sums(loss: Loss, z: Array, t: Array) -> None:
    name, N, counts = type(loss).__name__, len(z), _counts(loss, z, t)
    sums = float(_losses(loss, z, t).sum()), float(counts.sum())
    found = _forward(loss, z, t)
    require(
        np.allclose(found, sums, rtol=1e-9, atol=1e-12),
        f"{name}.forward returns {found} for {N} rows; should be the sum of their losses and that "
        f"of their counts, {sums}: write {written(loss, 'losses')} and counts only",
    )


def _check_loss_derivative(loss: Loss, z: Array, t: Array) -> None:
    """Check dz; for a classifier at logits of 40 too, where clipping would be noticed."""
    for size in (1.0, 40.0, -40.0) if loss.has_probabilities else (1.0,):
        scaled = size * z
        value = _mean(loss, scaled, t)
        dz, noise = _backward(loss), 1e-9 * (1 + abs(value))
        f = partial(_mean, loss, scaled, t)
        what = f"{type(loss).__name__}.{written(loss, 'gradients')}: dz"
        check_derivative(what, f, scaled, dz, noise)


def _check_sample_weights(loss: Loss, z: Array, t: Array) -> None:
    name, N = type(loss).__name__, len(z)

    def run(rows: Array, a: Array | None) -> tuple[Array, Array]:
        """Return both sums, and the derivative of the first."""
        sums = _forward(loss, z[rows], t[rows], a)
        return np.array(sums), _backward(loss) * sums[1]

    def same(some: tuple[Array, Array], others: tuple[Array, Array]) -> bool:
        return all(map(close, some, others))

    every, law = np.arange(N), f"{name}, sample_weight: "
    plain = run(every, None)
    require(same(run(every, np.ones(N)), plain), f"{law}weights of 1 change the result")
    a = np.resize([0.5, 2.0, 1.0], N)
    sums, dz = run(every, a)
    (first, first_dz), (second, second_dz) = (
        run(rows, a[rows]) for rows in np.split(every, [N // 2])
    )
    require(
        same((first + second, np.concatenate([first_dz, second_dz])), (sums, dz)),
        f"{law}a batch is not the sum of its two halves",
    )
    times = np.resize([2, 1, 3], N)
    repeated, repeated_dz = run(np.repeat(every, times), None)
    repeated_dz = np.add.reduceat(repeated_dz, np.cumsum(times) - times)
    require(
        same(run(every, times.astype(float)), (repeated, repeated_dz)),
        f"{law}a row of weight 2 is not the same as the row twice",
    )
    require(
        same(run(every, 8 * a), (8 * sums, 8 * dz)),
        f"{law}8 times the weights are not worth 8 times as much",
    )
    sums, dz = run(every[1:], None)
    require(
        same(run(every, np.append(0.0, np.ones(N - 1))), (sums, np.append(0 * dz[:1], dz, axis=0))),
        f"{law}a row of weight 0 is not the same as no row: its gradient should be 0, and it "
        "should not count in the mean",
    )
    found = _forward(loss, z, t, np.zeros(N))
    require(
        found == (0, 0) and not _backward(loss).any(),
        f"{law}where all weights are 0 it is {found}; should be (0.0, 0.0) with a gradient of 0",
    )


def _check_weighted_positions(loss: Loss, z: Array, t: Array) -> None:
    """Check that both sums and the derivative are those of the weighted positions."""
    losses, dz, counts = _losses(loss, z, t), _gradients(loss), _counts(loss, z, t)
    law = f"{type(loss).__name__}, sample_weight of shape"
    a = np.resize([0.5, 2.0, 0.0, 1.0, 0.0], losses.shape)
    examples = a.reshape(len(a), -1)[:, 0]
    spread = np.broadcast_to(examples, losses.shape[::-1]).T
    for given, each in [(a, a), (examples, spread)]:
        right = float((each * losses).sum()), float((each * counts).sum())
        if not right[1]:
            continue
        sums = _forward(loss, z, t, given)
        require(
            np.allclose(sums, right, rtol=1e-9, atol=1e-12),
            f"{law} {given.shape}: forward returns {sums}; should be {right}, the sums of the "
            "weighted losses and counts",
        )
        require(
            close(_backward(loss) * sums[1], each[..., None] * dz),
            f"{law} {given.shape}: backward is not the derivative of the weighted mean",
        )


def _check_extremes(loss: Loss, z: Array, t: Array) -> None:
    """Check outputs of very different size, in float32: 1e4 for logits, else 1e-3 to 30.

    A loss of classes without probabilities may be infinite, but not nan.
    """
    logits = loss.has_probabilities or t.dtype.kind in "iu"
    t = t.astype("float32") if t.dtype.kind == "f" else t
    column, axes = (len(z), *[1] * (z.ndim - 1)), tuple(range(1, z.ndim))
    if logits:
        offsets = np.resize([1e4, -1e4], column)
        tried = [1e4 * np.sign(z), z + offsets]
    else:
        sizes = np.geomspace(1e-3, 30, len(z)).reshape(column)
        tried = [sign * sizes * z / abs(z).max(axis=axes, keepdims=True) for sign in (-1, 1)]
    size = "1e4" if logits else "30"
    infinite = logits and not loss.has_probabilities
    what = f"{type(loss).__name__}: for outputs of up to {size} in float32"
    for big in [extreme.astype("float32") for extreme in tried]:
        with np.errstate(all="ignore"):
            values = {"the loss": _losses(loss, big, t), "dz": _gradients(loss)}
            if loss.has_probabilities:
                values["predict_proba"] = loss.predict_proba(lent(big))
        for quantity, value in values.items():
            require(
                not (np.isnan(value) if infinite else ~np.isfinite(value)).any(),
                f"{what} {quantity} is not finite: subtract from each row its own maximum, and "
                "take no log of what may be 0",
            )
        with (
            np.errstate(all="ignore" if infinite else "raise", under="ignore"),
            calling(f"{what} it"),
        ):
            loss.forward(lent(big), lent(t))
            loss.backward()


def _check_predictions(loss: Loss, z: Array, t: Array) -> None:
    name, N, positions = type(loss).__name__, len(z), z.shape[:-1]
    with calling(f"{name}.hits", "writes to z or to the targets: make a new array"):
        hits = loss.hits(lent(z), lent(t))
    require(
        hits.shape == positions and not ((hits < 0) | (hits > 1)).any(),
        f"{name}.hits returns {hits}; should be numbers from 0 to 1 of shape {positions}, one for "
        "each position",
    )
    losses, dz = _losses(loss, z, t), _gradients(loss)
    ignored = np.isnan(hits) & loss.judges_classes
    require(
        not (losses[ignored].any() or _counts(loss, z, t)[ignored].any() or dz[ignored].any()),
        f"{name}.hits returns nan for positions that are ignored; their losses, counts and "
        "gradients should be 0",
    )
    with calling(f"{name}.predict", "writes to z: make a new array"):
        predictions = loss.predict(lent(z))
    require(
        len(predictions) == N,
        f"{name}.predict returns {predictions.shape}; should be {N} predictions",
    )
    if not loss.has_probabilities:
        return
    what = f"{name}.predict_proba"
    with calling(what, "writes to z: make a new array"):
        p = loss.predict_proba(lent(z.astype("float32")))
    require(p.shape == z.shape, f"{what} returns {p.shape}; should be the shape of z, {z.shape}")
    require(p.dtype == np.float32, f"{what} returns {p.dtype} for float32")
    one_of_many = predictions.ndim < z.ndim
    require(
        bool(((p >= 0) & (p <= 1)).all())
        and (not one_of_many or np.allclose(p.sum(axis=-1), 1, atol=1e-5)),
        f"{what}: row 0 is {p[0]}; should be from 0 to 1{' and sum to 1' * one_of_many}",
    )


def _check_like(loss: Loss, z: Array, t: Array, like: Loss) -> None:
    """Compare losses, predictions and probabilities; the derivative follows from the losses."""
    name, like = type(loss).__name__, copy.deepcopy(like)
    like.build(z.shape[1:])
    what = f"{name}.{written(loss, 'losses')}"
    require_like(what, _losses(loss, z, t), _losses(like, z, t), like)
    require_like(f"{name}.predict", loss.predict(z), like.predict(z), like)
    if like.has_probabilities:
        with calling(f"{name}.predict_proba"):
            p = loss.predict_proba(z)
        require_like(f"{name}.predict_proba", p, like.predict_proba(z), like)


def _check_recording(loss: Loss, shape: Shape, targets: Any) -> None:
    """Record a prediction and a step of a network with the loss, also with sample weights."""
    body = Sequential([Dense(math.prod(shape)), Reshape(shape)])
    net = Network(body, copy.deepcopy(loss), shape=(3,), dtype="float64")
    x = normal((len(targets), 3), seed=1)
    record(net, x)
    record(net, x, targets)
    record(net, x, targets, sample_weight=np.linspace(0.5, 2, len(x)))
