"""The contract of layers."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from dataclasses import fields
from types import FrameType
from typing import Any

import numpy as np

from layerkit.config import from_config, to_config
from layerkit.layers.base import Layer
from layerkit.optimizers import SGD
from layerkit.parameters import Arena, Array, Param, Shape
from layerkit.testing.common import (
    calling,
    check_derivative,
    check_options,
    close,
    copies,
    normal,
    read_only,
    require,
    widening,
)


def check_layer(layer: Layer, shape: Shape) -> None:
    """Check a layer for examples of `shape`.

    Derivatives are compared with central differences in float64; places where the function has
    a kink are left out.

    Raises
    ------
    AssertionError
        With the first law that is broken, where, and what may be the cause.

    Examples
    --------
    >>> class Cube(Layer):
    ...     def forward(self, x, train=True):
    ...         self.x = x
    ...         return x * x * x
    ...     def backward(self, dy):
    ...         return 2 * self.x * self.x * dy
    >>> check_layer(Cube(), (3,))
    Traceback (most recent call last):
    ...
    AssertionError: Cube.backward: dx[0, 2] is -3.446, but difference quotients of forward \
give -5.169; it is 0.6667 times the right value everywhere: a factor or a sign is wrong
    """
    check_options(layer)
    _check_kept_options(layer)
    for dtype in ("float64", "float32"):
        probe = _Probe(layer, shape, dtype)
        _check_promised_shape(probe)
        _check_forward(probe)
        _check_backward(probe)
        _check_gradients_are_set(probe)
    probe = _Probe(layer, shape)
    _check_results_last(probe)
    _check_batches_are_independent(probe, layer)
    _check_prediction(probe)
    _check_derivatives(probe)
    _check_gradients_are_set(_Probe(layer, shape, wants_dx=False))
    _check_copies_train_on(probe)


class _Probe:
    """A copy of a layer, built, with parameters of its own that are nowhere 0."""

    def __init__(
        self, layer: Layer, shape: Shape, dtype: str = "float64", wants_dx: bool = True
    ) -> None:
        self.layer, self.shape, self.dtype = copy.deepcopy(layer), shape, dtype
        self.name = type(layer).__name__
        self.layer.wants_dx = wants_dx
        with calling(f"{self.name}.build"):
            self.output_shape = self.layer.place(shape, "layer")
        self.params = dict(_params(self.layer))
        self.arena = Arena(self.params, dtype)
        rng = np.random.default_rng(3)
        for param in self.params.values():
            param.init.fill(param.value, rng)
        self.arena.values += 0.1 * rng.standard_normal(self.arena.values.shape)

    def batch(self, rows: int, seed: int = 4) -> tuple[Array, Array]:
        """Draw x and dy."""
        x = normal((rows, *self.shape), seed, self.dtype)
        return x, normal((rows, *self.output_shape), seed + 100, self.dtype)

    def forward(self, x: Array, train: bool = True) -> Array:
        """Call the layer with an x that can't be written to."""
        law = "writes to x, which others may still read: make a new array, y = x + 1, not x += 1"
        what = f"{self.name}.forward"
        with calling(f"{what} (train={train}, {len(x)} rows)", law):
            y = self.layer.forward(read_only(x), train)
        require(isinstance(y, np.ndarray), f"{what} returns {y!r}; should be an array")
        return y

    def backward(self, dy: Array) -> Array:
        """Call the layer with a dy that can't be written to."""
        law = (
            "writes to dy, or to the x that forward has kept, which others may still read: make a "
            "new array, dx = dy * 2, not dy *= 2"
        )
        what = f"{self.name}.backward"
        with calling(f"{what} ({len(dy)} rows)", law):
            dx = self.layer.backward(read_only(dy))
        if self.layer.wants_dx:
            require(isinstance(dx, np.ndarray), f"{what} returns {dx!r}; should be an array, dx")
        return dx

    def gradients(self, x: Array, dy: Array, old: float) -> dict[str, Array]:
        """The parameters' gradients, where all of them were `old` before."""
        self.arena.grads[...] = old
        self.forward(x)
        self.backward(dy)
        return {name: param.grad.copy() for name, param in self.params.items()}

    def results(self, x: Array, dy: Array) -> dict[str, Array]:
        """Copies of all that forward and backward compute."""
        y = self.forward(x).copy()
        dx = self.backward(dy).copy()
        return {"y": y, "dx": dx, "gradients": self.arena.grads.copy()}


def _params(layer: Layer, path: str = "") -> Iterator[tuple[str, Param]]:
    for name, param in layer.params().items():
        yield path + name, param
    for name, part in layer.parts():
        yield from _params(part, f"{path}{name}.")


def _check_kept_options(layer: Layer) -> None:
    fresh = from_config(to_config(layer), type(layer))
    unknown = vars(fresh).keys() - {option.name for option in fields(layer)}
    require(
        not unknown,
        f"{type(layer).__name__} sets {', '.join(sorted(unknown))} before build, and a copy of it "
        "forgets that; assign it in build, or declare it as an option",
    )


def _check_promised_shape(probe: _Probe) -> None:
    shape = probe.output_shape
    require(
        type(shape) is tuple and all(type(n) is int and n > 0 for n in shape),
        f"{probe.name}.build returns {shape!r}; should be a tuple of int, the shape of one output",
    )


def _check_forward(probe: _Probe) -> None:
    x, dy = probe.batch(5)
    for train in (True, False):
        y, what = probe.forward(x, train), f"{probe.name}.forward (train={train})"
        require(
            y.shape == dy.shape,
            f"{what} returns {y.shape} for 5 rows, but build promised {probe.output_shape}",
        )
        require(y.dtype == x.dtype, f"{what} returns {y.dtype} for {x.dtype}; {widening(x)}")
        require(bool(np.isfinite(y).all()), f"{what} returns nan or inf for ordinary x")


def _check_backward(probe: _Probe) -> None:
    x, dy = probe.batch(5)
    probe.forward(x)
    dx, what = probe.backward(dy), f"{probe.name}.backward"
    require(
        dx.shape == x.shape,
        f"{what} returns dx of shape {dx.shape}; should be that of x, {x.shape}",
    )
    require(dx.dtype == x.dtype, f"{what} returns {dx.dtype} for {x.dtype}; {widening(x)}")


def _check_gradients_are_set(probe: _Probe) -> None:
    x, dy = probe.batch(5)
    after_zeros, after_ones = (probe.gradients(x, dy, old) for old in (0.0, 1.0))
    wanted = "" if probe.layer.wants_dx else " where wants_dx is False"
    for name, gradient in after_zeros.items():
        what = f"{probe.name}.backward{wanted}"
        require(bool(np.isfinite(gradient).all()), f"{what}: the gradient of {name} has nan or inf")
        kept = after_ones[name] != gradient
        require(
            not kept.all() or bool(gradient.any()),
            f"{what} doesn't set the gradient of {name}: assign it, self.{name}.grad = …",
        )
        require(
            not kept.any(),
            f"{what} leaves what was there before in the gradient of {name}, or adds to it: "
            "overwrite all of it, with = and not with +=",
        )


def _check_results_last(probe: _Probe) -> None:
    x, dy = probe.batch(5)
    y = probe.forward(x)
    kept = y.copy()
    dx = probe.backward(dy).copy()
    require(
        np.array_equal(y, kept),
        f"{probe.name}.backward changes the y that forward returned, which the next layer may "
        "still read: make a new array, or let forward keep a copy",
    )
    require(
        close(probe.backward(dy), dx),
        f"{probe.name}.backward gives another dx when it is called again: it changes what forward "
        "has kept for it",
    )


def _check_batches_are_independent(probe: _Probe, layer: Layer) -> None:
    """Batches of several sizes, one after the other, against each on a fresh layer."""
    for i, rows in enumerate((5, 2, 1, 5)):
        x, dy = probe.batch(rows, seed=10 + i)
        expected = _Probe(layer, probe.shape).results(x, dy)
        for what, found in probe.results(x, dy).items():
            require(
                close(found, expected[what]),
                f"{probe.name}: {what} of a batch of {rows} depends on the batches before it: "
                "something that the layer keeps is not made anew by forward",
            )


def _check_prediction(probe: _Probe) -> None:
    (x, _), (other, _) = probe.batch(5), probe.batch(5, seed=20)
    what = f"{probe.name}.forward with train=False"
    y = probe.forward(x, train=False)
    kept = y.copy()
    probe.forward(other, train=False)
    require(
        np.array_equal(y, kept),
        f"{what} overwrites the result of the call before: return a new array",
    )
    require(
        close(probe.forward(x, train=False), kept),
        f"{what} gives another result the second time: it depends on what the layer keeps, or on "
        "chance",
    )
    for i in range(len(x)):
        require(
            close(probe.forward(x[i : i + 1], train=False), kept[i : i + 1]),
            f"{what}: row {i} of the result depends on the other rows of the batch; is an axis "
            "wrong?",
        )
    require(
        close(_interrupted(probe, x, other), kept),
        f"{what} reads back from self what another thread may have changed meanwhile: hold the "
        "result in a variable, y = …; self.y = y; return y",
    )


def _interrupted(probe: _Probe, x: Array, other: Array) -> Array:
    """Predict x, while after each bytecode of it "another thread" predicts `other`."""

    def interrupt(frame: FrameType, event: str, arg: Any) -> Any:
        if event == "call":
            if not isinstance(frame.f_locals.get("self"), Layer):
                return None
            frame.f_trace_opcodes = True
        elif event == "opcode":
            probe.forward(other, train=False)
        return interrupt

    before = sys.gettrace()
    sys.settrace(interrupt)
    try:
        # from Python 3.12 on, opcodes are reported from the second call
        probe.forward(x, train=False)
        return probe.forward(x, train=False)
    finally:
        sys.settrace(before)


def _check_derivatives(probe: _Probe) -> None:
    x, dy = probe.batch(3)

    def f() -> float:
        return float((probe.forward(x) * dy).sum())

    noise = 1e-9 * float(abs(probe.forward(x) * dy).sum())
    dx, gradients = probe.backward(dy).copy(), probe.gradients(x, dy, 0.0)
    check_derivative(f"{probe.name}.backward: dx", f, x, dx, noise)
    for name, param in probe.params.items():
        what = f"{probe.name}.backward: {name}.grad"
        check_derivative(what, f, param.value, gradients[name], noise)


def _check_copies_train_on(probe: _Probe) -> None:
    """What has been trained and its copies, given its parameters, have the same future."""
    _train(probe)
    with calling(f"{probe.name}: copying it"):
        layers = copies(probe.layer)
        twins = {how: _Probe(layer, probe.shape) for how, layer in layers.items()}
    x = probe.batch(5)[0]
    for how, twin in twins.items():
        require(
            not layers[how].address,
            f"{probe.name}: {how} makes a copy that is built already; a copy has just the options",
        )
        twin.arena.values[...] = probe.arena.values
        _train(twin)
    _train(probe)
    y = probe.forward(x, train=False)
    for how, twin in twins.items():
        require(
            close(twin.arena.values, probe.arena.values) and close(twin.forward(x, False), y),
            f"{probe.name}: after {how} it trains on otherwise than the original: it has learned "
            "something that is neither an option nor a Param",
        )


def _train(probe: _Probe) -> None:
    optimizer = SGD(lr=0.01)
    for seed in range(3):
        x, dy = probe.batch(4, seed=30 + seed)
        probe.results(x, dy)
        optimizer.step(probe.arena.values, probe.arena.grads)
