"""Checks of optimizers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import numpy as np

from layerkit.arrays import Array
from layerkit.config.tables import from_config, to_config
from layerkit.initializers.plain import Zeros
from layerkit.inspection.mistakes import WRITES_TO_G
from layerkit.layers.dense import Dense
from layerkit.losses.regression import MeanSquaredError
from layerkit.network import Network
from layerkit.optimizers.base import Optimizer
from layerkit.parameters import Arena, Param
from layerkit.recording.recorder import record
from layerkit.streams import stream
from layerkit.testing.common import (
    Law,
    Laws,
    calling,
    check_options,
    copies,
    lent,
    normal,
    require,
    require_objects,
    run,
    times_of,
)
from layerkit.training.own_rules import (
    UNCHANGED,
    descend,
    few_numbers,
    forgotten,
    unchanged_slot,
)


def check_optimizer(
    optimizer: Optimizer, like: Optimizer | None = None, report: bool = False
) -> str | None:
    """Check an optimizer with its present options.

    Parameters
    ----------
    optimizer : Optimizer
        The optimizer to check; copies of it take the steps.
    like : Optimizer, optional
        Another one that should take the same steps, such as ``Adam()`` for an Adam of your own.
    report : bool
        Whether to return a table of all laws, with what is wrong, instead of raising an error.

    Raises
    ------
    AssertionError
        With the first broken law, and its likely cause.

    Examples
    --------
    >>> from layerkit import Optimizer, SGD
    >>> class Uphill(Optimizer):
    ...     def update(self, w, g):
    ...         w += 0.1 * g
    >>> check_optimizer(Uphill())
    Traceback (most recent call last):
    ...
    AssertionError: Uphill: 300 steps on a bowl of 5 parameters lead from the height 309 to \
9.72e+06; is the sign right, w -= lr * g?
    >>> class Downhill(Optimizer):
    ...     def update(self, w, g):
    ...         w -= 0.05 * g
    >>> check_optimizer(Downhill(), like=SGD(lr=0.1))
    Traceback (most recent call last):
    ...
    AssertionError: Downhill: step 1 is 0.5 times that of SGD(lr=0.1)
    """
    __tracebackhide__ = True
    require_objects(Optimizer, optimizer, like)
    return run(optimizer_laws(optimizer, like, report), report)


def optimizer_laws(
    optimizer: Optimizer, like: Optimizer | None = None, report: bool = False
) -> Laws:
    """Yield the laws of an optimizer."""
    table = to_config(optimizer)

    def on(check: Callable[[Optimizer], object]) -> Law:
        return lambda: check(from_config(table, type(optimizer)))

    yield "options", partial(check_options, optimizer)
    yield "a step", on(_check_step)
    yield "float32", on(_check_float32)
    yield "nothing is shared", on(_check_nothing_is_shared)
    yield "copies", on(_check_copies_walk_on)
    yield "checkpoints", on(_check_checkpoints)
    yield "refusals", on(_check_refusal)
    yield "no gradient", on(_check_zero_gradient)
    for seed in range(3):
        yield f"downhill {seed + 1}", on(partial(_check_downhill, seed=seed))
    if like is not None:
        yield f"like {type(like).__name__}", on(partial(_check_like, like=copy.deepcopy(like)))
    if report:
        yield "recording", on(_check_recording)


def _step(optimizer: Optimizer, w: Array, g: Array) -> None:
    with calling(f"{type(optimizer).__name__}.update", WRITES_TO_G):
        optimizer.step(w, lent(g))


def _walk(optimizer: Optimizer, steps: int, w: Array | None = None, start: int = 0) -> Array:
    """Take steps along fixed gradients, by default from a fixed w; return the last w."""
    w = np.linspace(-1, 1, 5) if w is None else w.copy()
    for i in range(start, start + steps):
        _step(optimizer, w, normal(w.shape, seed=40 + i))
    return w


def _check_step(optimizer: Optimizer) -> None:
    name, w = type(optimizer).__name__, normal((5,), 1, "float32")
    before = w.copy()
    with np.errstate(all="ignore"):
        for i in range(10):
            _step(optimizer, w, normal((5,), 40 + i, "float32"))
    require(
        bool(np.isfinite(w).all()),
        f"{name}: w has nan or inf after ordinary steps; is there a root of negative numbers, or "
        "a division by 0?",
    )
    require(
        not np.array_equal(w, before),
        f"{name}.update {UNCHANGED}",
    )
    for slot, value in optimizer.memory.items():
        require(
            slot not in optimizer.slots or bool(value.any()),
            f"{name}: {unchanged_slot(slot)}",
        )


def _check_float32(optimizer: Optimizer) -> None:
    name, w = type(optimizer).__name__, np.ones(5, "float32")
    for i in range(2):
        _step(optimizer, w, normal((5,), 40 + i, "float32"))
    for what, value in {**vars(optimizer), **optimizer.memory}.items():
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "f":
            require(
                value.dtype == np.float32,
                f"{name}: {what} is {value.dtype} for float32 parameters; name it in slots, or use "
                "math and Python floats instead of np.sqrt and the like",
            )


def _check_nothing_is_shared(one: Optimizer) -> None:
    two, path = _fresh(one), _walk(_fresh(one), 6)
    a = b = None
    for i in range(6):
        a, b = _walk(one, 1, a, i), _walk(two, 1, b, i)
    require(
        np.array_equal(a, path) and np.array_equal(b, path),  # type: ignore[arg-type]
        f"{type(one).__name__}: two optimizers with the same options and gradients go different "
        "ways; they share state or draw random numbers: name the state in slots",
    )


def _check_checkpoints(optimizer: Optimizer) -> None:
    """Check that all that is remembered is in the state that checkpoints keep."""
    few = few_numbers(Arena({"W": Param((2, 3), Zeros())}, "float64"))
    descend(optimizer, few, 6)
    if sentence := forgotten(optimizer, few):
        raise AssertionError(f"{type(optimizer).__name__} {sentence}")


def _check_like(optimizer: Optimizer, like: Optimizer) -> None:
    """Compare each of some steps with that of the other optimizer."""
    name, w, other = type(optimizer).__name__, np.linspace(-1, 1, 5), np.linspace(-1, 1, 5)
    for i in range(20):
        before, g = w.copy(), normal(w.shape, seed=40 + i)
        _step(optimizer, w, g)
        other[...] = before
        _step(like, other, g)
        if not np.allclose(w, other, rtol=1e-9, atol=1e-12):
            ours, right = w - before, other - before
            worst = int(abs(ours - right).argmax())
            factor = float(ours @ right / (right @ right))
            times = f"{times_of(factor)} that of {like}"
            if not np.allclose(ours, factor * right, rtol=1e-4):
                times = f"{ours[worst]:.4g} for w[{worst}], and {right[worst]:.4g} with {like}"
            raise AssertionError(f"{name}: step {i + 1} is {times}")


def _fresh(optimizer: Optimizer) -> Optimizer:
    return from_config(to_config(optimizer), type(optimizer))


def _check_copies_walk_on(optimizer: Optimizer) -> None:
    path, w = _walk(_fresh(optimizer), 6), _walk(optimizer, 3)
    with calling(f"{type(optimizer).__name__}: copying it"):
        walkers = copies(optimizer)
    for how, walker in {**walkers, "making copies": optimizer}.items():
        require(
            np.array_equal(_walk(walker, 3, w, 3), path),
            f"{type(optimizer).__name__}: after {how} the next steps differ: copies should "
            "remember everything and share nothing; name the state in slots",
        )


def _check_refusal(optimizer: Optimizer) -> None:
    w = _walk(optimizer, 2)
    before = copy.deepcopy((w, optimizer.t, optimizer.memory))
    name, refused = type(optimizer).__name__, False
    try:
        optimizer.step(w, np.ones(len(w) - 1))
    except ValueError:
        refused = True
    require(refused, f"{name}.step takes gradients of another size than the parameters")
    same = np.array_equal(w, before[0]) and optimizer.t == before[1]
    require(
        same and all(np.array_equal(v, before[2][k]) for k, v in optimizer.memory.items()),
        f"{name}.step refuses gradients of a wrong size only after it has changed something",
    )


def _check_zero_gradient(optimizer: Optimizer) -> None:
    w = np.ones(5)
    with np.errstate(all="ignore"):
        for _ in range(3):
            _step(optimizer, w, np.zeros(5))
    require(
        bool(np.isfinite(w).all()),
        f"{type(optimizer).__name__}: w is {w[0]} after steps with the gradient 0; is there a "
        "division by 0?",
    )


def _check_downhill(optimizer: Optimizer, seed: int) -> None:
    """Check descent on a wide bowl, which learning rates up to 10 don't leave."""
    rng, curvature, steps = stream(seed, "start in a bowl"), np.geomspace(0.02, 0.2, 5), 300
    w = rng.choice([-1, 1], 5) * rng.uniform(20, 100, 5)
    start = curvature @ w**2 / 2
    with np.errstate(all="ignore"):
        for _ in range(steps):
            _step(optimizer, w, curvature * w)
    end = curvature @ w**2 / 2
    require(
        bool(np.isfinite(end)),
        f"{type(optimizer).__name__}: w has nan or inf after {steps} steps on a bowl of {len(w)} "
        "parameters; do the steps grow without end?",
    )
    require(
        bool(end < start),
        f"{type(optimizer).__name__}: {steps} steps on a bowl of {len(w)} parameters lead from the "
        f"height {start:.3g} to {end:.3g}; is the sign right, w -= lr * g?",
    )


def _check_recording(optimizer: Optimizer) -> None:
    """Record a step of a network."""
    net = Network(Dense(2), MeanSquaredError(), shape=(3,), dtype="float64")
    record(net, normal((5, 3), seed=1), np.zeros((5, 2)), optimizer)
