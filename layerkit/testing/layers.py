"""Checks of layers."""

from __future__ import annotations

import copy
import math
import reprlib
import sys
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType
from typing import Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.errors import LayerkitError
from layerkit.graph.graph import Graph
from layerkit.graph.sequential import Sequential
from layerkit.initializers.plain import Constant
from layerkit.inspection.mistakes import widening
from layerkit.layers.activations.learned import PReLU
from layerkit.layers.base import Layer
from layerkit.layers.shapes import Lambda, Reshape, Take
from layerkit.losses.regression import MeanSquaredError
from layerkit.network import Network
from layerkit.optimizers.classic import SGD
from layerkit.recording.recorder import record
from layerkit.streams import stream
from layerkit.testing.common import (
    Law,
    Laws,
    calling,
    check_derivative,
    check_options,
    close,
    copies,
    require,
    require_like,
    require_objects,
    run,
)
from layerkit.testing.probe import Examples, Probe, layers_of
from layerkit.training.own_parts import (
    kept_gradient,
    plain_constants,
    plain_random_arrays,
    unchanged_arrays,
    unset_gradient,
    untrained,
)


def check_layer(
    layer: Layer,
    *shapes: Shape,
    examples: Examples = None,
    report: bool = False,
    like: Layer | None = None,
) -> str | None:
    """Check that a layer keeps its contract for inputs of these shapes, one for each input.

    Derivatives are compared with central differences in float64; points where the function
    has a kink are left out.

    Parameters
    ----------
    layer : Layer
        The layer to check; copies of it are tried.
    *shapes : tuple of int
        The shape of one example, for each input.
    examples : array, or sequence of arrays, optional
        Examples to use (N, *shape), for a layer that doesn't take all numbers. Derivatives
        with respect to them are not compared. For several inputs, an entry for each, or None.
    report : bool
        Whether to return a table of all laws, with what is wrong, instead of raising an error. It
        says too whether the layer can be recorded, which no error does.
    like : Layer, optional
        Another one that should return the same, such as ``ReLU()`` for a ReLU of your own. It is
        given the same parameters, in the order of their declaration.

    Raises
    ------
    AssertionError
        With the first law that is broken, where, and a possible cause.

    Examples
    --------
    >>> from layerkit import Layer
    >>> class Cube(Layer):
    ...     def forward(self, x, train=True):
    ...         self.x = x
    ...         return x * x * x
    ...     def backward(self, dy):
    ...         return 2 * self.x * self.x * dy
    >>> check_layer(Cube(), (3,))
    Traceback (most recent call last):
    ...
    AssertionError: Cube.backward: dx[0, 1] is 2.102, but difference quotients of forward \
give 3.153; it is 0.6667 times the right value everywhere: a factor or a sign is wrong
    """
    __tracebackhide__ = True
    require_objects(Layer, layer, like)
    name = type(layer).__name__
    require(bool(shapes), f"check_layer({name}): give the shape of an example too, such as (3,)")
    for shape in shapes:
        written = f"({shape},)" if isinstance(shape, int) else "(3,)"
        says = f"check_layer({name}, {reprlib.repr(shape)}): a shape is a tuple: write {written}"
        require(isinstance(shape, tuple), says)
    return run(layer_laws(layer, shapes, examples, like, report), report)


def layer_laws(
    layer: Layer,
    shapes: Sequence[Shape],
    examples: Examples = None,
    like: Layer | None = None,
    report: bool = False,
) -> Laws:
    """Yield the laws of a layer."""

    def on(check: Callable[[Probe], object], dtype: str = "float64") -> Law:
        return lambda: check(Probe(layer, *shapes, examples=examples, dtype=dtype))

    if not any(isinstance(part, Lambda) for _, part in layers_of(layer)):
        yield "options", partial(check_options, layer)
    yield "parameters", on(_check_plain_arrays)
    for dtype in ("float64", "float32"):
        yield f"shape of the output, {dtype}", on(_check_promised_shape, dtype)
        yield f"random numbers, {dtype}", on(_check_chance, dtype)
        yield f"forward, {dtype}", on(_check_forward, dtype)
        yield f"backward, {dtype}", on(_check_backward, dtype)
        yield f"gradients are set, {dtype}", on(_check_gradients_are_set, dtype)
    yield "adapt", on(_check_adapt)
    yield "small batches", on(_check_smallest_batch)
    yield "results last", on(_check_results_last)
    yield "batches are independent", on(_check_batches_are_independent)
    yield "prediction", on(_check_prediction)
    yield "derivatives", on(_check_derivatives)
    yield "gradients without dx", on(_check_without_dx)
    yield "copies", on(_check_copies_train_on)
    if like is not None:
        yield f"like {type(like).__name__}", on(partial(_check_like, like=like))
    if report:
        yield "recording", on(_check_recording)


def _check_plain_arrays(probe: Probe) -> None:
    """Check that what `build` draws, or fills with one number that stays, is a Param."""
    if any(probe.layer.parts()):
        return
    if names := plain_random_arrays(probe.original, probe.shapes):
        raise AssertionError(untrained(probe.layer, names))
    if arrays := plain_constants(probe.layer, probe.shapes):
        *xs, dy = probe.batch(5)
        probe.forward(*xs)
        probe.backward(dy)
        if sentence := unchanged_arrays(probe.layer, arrays):
            raise AssertionError(sentence)


def _check_promised_shape(probe: Probe) -> None:
    shape = probe.output_shape
    require(
        type(shape) is tuple and all(type(n) is int and n > 0 for n in shape),
        f"{probe.name}.build returns {shape!r}; should be a tuple of int, the shape of one output",
    )


def _check_chance(first: Probe) -> None:
    """Compare two fresh layers with equal generators."""
    results = []
    for probe in (first, first.twin(dtype=first.dtype)):
        xs, name = probe.batch(5)[:-1], probe.name
        for path, layer in probe.layers.items():
            layer.rng = stream(0, f"layer {path}")
        before = _draws(probe)
        probe.forward(*xs, train=False)
        require(
            _draws(probe) == before,
            f"{name}.forward with train=False draws random numbers: a prediction should not "
            "depend on chance; return the expected value, as Dropout does: x",
        )
        results.append(probe.forward(*xs))
        silent = [
            type(layer).__name__
            for layer, was, now in zip(probe.layers.values(), before, _draws(probe), strict=True)
            if not layer.random and now != was
        ]
        require(
            not silent,
            f"{', '.join(silent)} draws from self.rng, which a Network provides only where the "
            "class says so: random = True",
        )
    require(
        np.array_equal(results[0], results[1], equal_nan=True),
        f"{name}.forward gives another result for the same x, parameters and generator: draw "
        "random numbers from self.rng alone, and say random = True in the class",
    )


def _draws(probe: Probe) -> list[Any]:
    return [layer.rng.bit_generator.state for layer in probe.layers.values()]


def _check_adapt(probe: Probe) -> None:
    """Check that a second look at the same examples changes nothing."""
    if probe.layer.adapts:
        before = probe.arena.states.copy()
        probe.adapt()
        require(
            close(probe.arena.states, before),
            f"{probe.name}.adapt gives other states when it is called again with the same "
            "examples: begin anew each time",
        )


def _check_smallest_batch(probe: Probe) -> None:
    if probe.smallest == 1:
        return
    xs = [x[1:] for x in probe.batch(probe.smallest)[:-1]]
    refused = False
    try:
        probe.layer.forward(*xs)
    except LayerkitError:
        refused = True
    require(
        refused,
        f"{probe.name}.forward takes {len(xs[0])} rows with train=True, though its smallest_batch "
        f"is {probe.smallest}: raise a DataError that says what to do",
    )


def _check_forward(probe: Probe) -> None:
    *xs, dy = probe.batch(5)
    for train in (True, False):
        y, what = probe.forward(*xs, train=train), f"{probe.name}.forward (train={train})"
        require(
            y.shape == dy.shape,
            f"{what} returns {y.shape} for 5 rows, but build promised {probe.output_shape}",
        )
        require(
            y.dtype == dy.dtype, f"{what} returns {y.dtype} for {dy.dtype}; {widening(dy.dtype)}"
        )
        require(bool(np.isfinite(y).all()), f"{what} returns nan or inf for ordinary x")


def _check_backward(probe: Probe) -> None:
    *xs, dy = probe.batch(5)
    probe.forward(*xs)
    what = f"{probe.name}.backward"
    for x, (name, dx) in zip(xs, probe.dxs(dy).items(), strict=True):
        require(
            dx.shape == x.shape,
            f"{what} returns {name} of shape {dx.shape}; should be that of {name[1:]}, {x.shape}",
        )
        require(
            dx.dtype == x.dtype, f"{what} returns {dx.dtype} for {x.dtype}; {widening(x.dtype)}"
        )


def _check_gradients_are_set(probe: Probe) -> None:
    batch = probe.batch(5)
    after_zeros, after_ones = (probe.gradients(*batch, old=old) for old in (0.0, 1.0))
    wanted = "" if probe.layer.wants_dx else " where wants_dx is False"
    for name, gradient in after_zeros.items():
        what = f"{probe.name}.backward{wanted}"
        require(bool(np.isfinite(gradient).all()), f"{what}: the gradient of {name} has nan or inf")
        kept = after_ones[name] != gradient
        require(not kept.all() or bool(gradient.any()), f"{what} {unset_gradient(name)}")
        require(not kept.any(), f"{what} {kept_gradient(name)}")


def _check_results_last(probe: Probe) -> None:
    *xs, dy = probe.batch(5)
    y = probe.forward(*xs)
    kept = y.copy()
    first = {name: dx.copy() for name, dx in probe.dxs(dy).items()}
    require(
        np.array_equal(y, kept),
        f"{probe.name}.backward changes the y that forward returned, which the next layer may "
        "still read: make a new array, or let forward keep a copy",
    )
    again = probe.dxs(dy)
    require(
        all(close(again[name], dx) for name, dx in first.items()),
        f"{probe.name}.backward gives another dx when it is called again: it changes what forward "
        "has kept for it, or draws random numbers",
    )


def _check_batches_are_independent(probe: Probe) -> None:
    """Compare batches of several sizes, one after the other, with each on a fresh layer."""
    for i, rows in enumerate((5, 2, 1, 5)):
        batch = probe.batch(rows, seed=10 + i)
        expected = probe.twin().results(*batch)
        for what, found in probe.results(*batch).items():
            require(
                close(found, expected[what]),
                f"{probe.name}: {what} of a batch of {rows} depends on the batches before it: "
                "something that the layer keeps is not made anew by forward, or it draws from a "
                "generator other than self.rng",
            )


def _check_prediction(probe: Probe) -> None:
    xs, others = probe.batch(5)[:-1], probe.batch(5, seed=20)[:-1]
    what = f"{probe.name}.forward with train=False"
    states = probe.arena.states.copy()
    y = probe.forward(*xs, train=False)
    kept = y.copy()
    probe.forward(*others, train=False)
    require(
        np.array_equal(probe.arena.states, states),
        f"{what} changes what is kept in a State: learn only with train=True",
    )
    require(
        np.array_equal(y, kept),
        f"{what} overwrites the result of the call before: return a new array",
    )
    require(
        close(probe.forward(*xs, train=False), kept),
        f"{what} gives another result the second time: it depends on what the layer keeps, or on "
        "chance",
    )
    for i in range(len(kept)):
        row = [x[i : i + 1] for x in xs]
        require(
            close(probe.forward(*row, train=False), kept[i : i + 1]),
            f"{what}: row {i} of the result depends on the other rows of the batch; is an axis "
            "wrong?",
        )
    require(
        close(_interrupted(probe, xs, others), kept),
        f"{what} reads back from self what another thread may have changed meanwhile: hold the "
        "result in a variable, y = …; self.y = y; return y",
    )


def _interrupted(probe: Probe, xs: list[Array], others: list[Array]) -> Array:
    """Predict xs, while after each bytecode of it "another thread" predicts `others`."""

    def interrupt(frame: FrameType, event: str, arg: Any) -> Any:
        if event == "call":
            if not isinstance(frame.f_locals.get("self"), Layer):
                return None
            frame.f_trace_opcodes = True
        elif event == "opcode":
            probe.forward(*others, train=False)
        return interrupt

    before = sys.gettrace()
    sys.settrace(interrupt)
    try:
        # from Python 3.12 on, opcodes are reported from the second call
        probe.forward(*xs, train=False)
        return probe.forward(*xs, train=False)
    finally:
        sys.settrace(before)


def _check_derivatives(probe: Probe) -> None:
    *xs, dy = probe.batch(3)

    def f() -> float:
        return float((probe.forward(*xs) * dy).sum())

    noise = 1e-9 * float(abs(probe.forward(*xs) * dy).sum())
    dxs = {name: dx.copy() for name, dx in probe.dxs(dy).items()}
    gradients = probe.gradients(*xs, dy, old=0.0)
    found = {**dxs, **{f"self.{name}.grad": gradient for name, gradient in gradients.items()}}
    twice = probe.dxs(2 * dy)
    twice |= {f"self.{name}.grad": param.grad for name, param in probe.params.items()}
    for name, one in found.items():
        require(
            close(one, 0 * one) or not close(twice[name], one),
            f"{probe.name}.backward: {name} doesn't depend on dy: multiply by it, {name} = dy * …",
        )
    for x, examples, (name, dx) in zip(xs, probe.examples, dxs.items(), strict=True):
        if examples is None:
            check_derivative(f"{probe.name}.backward: {name}", f, x, dx, noise)
    for name, param in probe.params.items():
        what = f"{probe.name}.backward: {name}.grad"
        check_derivative(what, f, param.value, gradients[name], noise)


def _check_without_dx(probe: Probe) -> None:
    """Check that backward without dx sets the same gradients, and returns dx or None."""
    _check_gradients_are_set(probe.twin(wants_dx=False))
    batch, silent = probe.batch(5), probe.twin(wants_dx=False)
    right = probe.results(*batch)
    for name, found in silent.results(*batch).items():
        require(
            close(found, right[name]),
            f"{probe.name}: {name} is different where wants_dx is False; backward may return "
            "None then, but nothing wrong that looks right",
        )


def _check_copies_train_on(probe: Probe) -> None:
    """Check that a trained layer and its copies continue in the same way."""
    _train(probe)
    with calling(f"{probe.name}: copying it"):
        layers = copies(probe.layer)
        twins = {
            how: Probe(twin, *probe.shapes, examples=probe.examples) for how, twin in layers.items()
        }
    xs = probe.batch(5)[:-1]
    for how, twin in twins.items():
        require(
            not layers[how].address,
            f"{probe.name}: {how} makes a copy that is built already; a copy has the options and "
            "carries the parameters",
        )
        twin.arena.values = probe.arena.values
        twin.arena.states = probe.arena.states
        _train(twin)
    _train(probe)
    y = probe.forward(*xs, train=False)
    for how, twin in twins.items():
        require(
            close(twin.arena.values, probe.arena.values)
            and close(twin.forward(*xs, train=False), y),
            f"{probe.name}: after {how} it continues otherwise than the original: it has learned "
            "something that is neither an option nor a Param nor a State: declare it in build, "
            "such as self.mean = State(shape, Zeros()), and assign self.mean.value = …",
        )


def _train(probe: Probe) -> None:
    optimizer = SGD(lr=0.01)
    for seed in range(3):
        probe.results(*probe.batch(4, seed=30 + seed))
        optimizer.step(probe.arena.values, probe.arena.grads)


def _check_like(probe: Probe, like: Layer) -> None:
    """Compare predictions and training with those of the other layer."""
    other = Probe(like, *probe.shapes, examples=probe.examples)
    ours, right = ([p.value.shape for p in one.params.values()] for one in (probe, other))
    require(
        ours == right,
        f"{probe.name}.build declares parameters of the shapes {ours}; those of {like} are {right}",
    )
    other.arena.values[...] = probe.arena.values
    for seed in range(4):
        xs = probe.batch(5, seed=30 + seed)[:-1]
        for train in (False, True):
            y, other_y = (one.forward(*xs, train=train) for one in (probe, other))
            after = f" after batch {seed}" if seed else ""
            what = f"{probe.name}.forward (train={train}){after}: y"
            require_like(what, y, other_y, like)


def _check_recording(probe: Probe) -> None:
    """Record a prediction and a step of a network with the layer, which has to return dx."""
    xs, nodes, start = probe.batch(5)[:-1], dict[str, Layer](), 0
    for name, shape in zip(probe.names, probe.shapes, strict=True):
        end = start + math.prod(shape)
        nodes[name], start = Sequential([Take(list(range(start, end))), Reshape(shape)]), end
    edges = ["input -> same", *(f"same -> {name}" for name in nodes)]
    edges.append(f"{', '.join(probe.names)} -> layer -> row -> output")
    nodes["same"], nodes["layer"] = PReLU(init=Constant(1.0)), copy.deepcopy(probe.original)
    nodes["row"] = Reshape((math.prod(probe.output_shape),))
    net = Network(Graph(nodes, edges), MeanSquaredError(), shape=(start,), dtype="float64")
    rows = np.nan_to_num(np.concatenate([x.reshape(len(x), -1) for x in xs], axis=1))
    if not net.adapted:
        net.adapt(rows)
    record(net, rows)
    record(net, rows, np.zeros((len(rows), *net.body.output_shape)))
