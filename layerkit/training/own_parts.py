"""The layers, the loss and the augmentation of a training run, tried on a few examples beforehand.

Where some are a user's own; tests try layerkit's. They are called as the training will call them,
with arrays that can't be written to, and what they return is looked at. What they change on self is
put back, but for what is inside of other objects there.

x, t      some examples and their targets, in the network's dtype
z, dz     the outputs of its body, and the derivative of the loss with respect to them
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.errors import ConfigError, DivergenceError, ShapeError, at
from layerkit.files.mapped import Subset
from layerkit.fitting import snapshot
from layerkit.graph.container import Container
from layerkit.guidance import Guided, is_own
from layerkit.inspection.mistakes import (
    WRITES_TO_DY,
    WRITES_TO_X,
    WRITES_TO_Z,
    calling,
    check_array,
    read_only,
    shown,
    written,
)
from layerkit.layers.base import Layer
from layerkit.layers.watch import Method, watched
from layerkit.losses.base import ElementwiseLoss, Loss
from layerkit.network import Network
from layerkit.optimizers.base import Optimizer
from layerkit.training.augmentation import Augmentation
from layerkit.training.batches import Batch, Source


class Tried(Source):
    """A source of unknown batches, the first of which tries the parts of the training.

    Parameters
    ----------
    source : Source
    network : Network
    augmentation : Augmentation, optional
    """

    def __init__(self, source: Source, network: Network, augmentation: Augmentation | None) -> None:
        self.source, self.network, self.augmentation = source, network, augmentation
        self.examples, self.batches, self.tried = source.examples, source.batches, False

    def epoch(self, rng: np.random.Generator, skip: int = 0) -> Iterator[Batch]:
        """Yield the batches of the source."""
        for batch in self.source.epoch(rng, skip):
            if not self.tried:
                check_parts(self.network, batch.x, batch.t, self.augmentation)
                self.tried = True
            yield batch

    def chunks(self) -> Iterator[Batch]:
        """Yield the chunks of the source."""
        return self.source.chunks()


def check_assigned(network: Network, optimizer: Optimizer) -> None:
    """Refuse what was assigned to the parts of a training run, and nobody reads.

    Raises
    ------
    ConfigError
        For an array in the place of a parameter, and for attributes of other libraries, such as
        ``layer.trainable = False``.
    """
    declared = network.declared()
    for address in network.arena.params.keys() - declared.keys():
        raise ConfigError(
            f"{address}: something was assigned in the place of the parameter: write "
            f"network[{address!r}].value = …, which changes its numbers"
        )
    parts: dict[str, Guided] = {"network": network, "optimizer": optimizer}
    for address, part in {**parts, **dict(network.layers()), **declared}.items():
        for name, hint in part.assigned().items():
            raise ConfigError(f"{address}.{name} = {vars(part)[name]!r}: has no effect{hint}")


def check_parts(
    network: Network, x: Array | Subset, t: Array, augmentation: Augmentation | None = None
) -> None:
    """Send the first examples through the augmentation, the layers and the loss, and back.

    At least two of them; if there is only one, it is used twice.

    Raises
    ------
    ShapeError
        For what is not an array, or has another shape or dtype than it should; for a part that
        writes to what it is given, and a gradient that is not set.
    ConfigError
        For a parameter that is not a Param.
    """
    layers = dict(network.layers())
    parts = (network.loss, *layers.values())
    trying = any(is_own(type(part)) or "forward" in vars(part) for part in parts)
    if not trying and augmentation is None:
        return
    count = max(2, *(layer.smallest_batch for layer in layers.values()))
    rows = np.arange(count) % min(count, len(t))
    examples = np.asarray(network.inputs.convert(x[:count]))[rows]
    targets = network.targets.convert(t[:count])[rows]
    if augmentation:
        with at("augmentation"):
            augmentation.check(examples)
    if not trying:
        return
    # where a value is not finite, the training itself says more
    with (
        suppress(DivergenceError),
        np.errstate(all="ignore"),
        _untouched(network),
        _checked(layers),
    ):
        for layer in layers.values():
            vars(layer)["wants_dy"] = lambda: True  # so each backward is called
        network.body.want_dx(False)
        _try(network, examples, targets)


def _try(network: Network, x: Array, t: Array) -> None:
    """Predict, and go forward and backward; where a gradient is nan, once more."""
    network.body.forward(x, train=False)
    network.arena.grads[...] = np.nan
    _pass(network, x, t)
    unset = [name for name, p in network.arena.params.items() if np.isnan(p.grad).any()]
    if unset:
        network.arena.grads[...] = 0
        _pass(network, x, t)
    for address in unset:
        _check_gradient(network, address)


@contextmanager
def _untouched(network: Network) -> Iterator[None]:
    """Restore all that the parts keep."""
    parts: list[Any] = [network.loss, *(layer for _, layer in network.layers())]
    restore = snapshot(network.arena, *parts)
    for part in parts:  # the trial works with copies
        vars(part).update({name: _copied(value) for name, value in vars(part).items()})
    try:
        yield
    finally:
        restore()


def _copied(value: Any) -> Any:
    """A copy of what can change in place; what is in a list, such as layers, is not copied."""
    if isinstance(value, np.ndarray | np.random.Generator):
        return copy.deepcopy(value)
    return copy.copy(value) if isinstance(value, list | dict | set) else value


def _pass(network: Network, x: Array, t: Array) -> None:
    """Go forward and backward once, with a look at what the loss returns."""
    z = network.body.forward(x)
    with at("loss"):
        dz = loss_gradient(network.loss, z, t)
    network.body.backward(dz)


def loss_gradient(loss: Loss, z: Array, t: Array) -> Array:
    """Return dz, after a look at what `losses` and `gradients` return.

    Raises
    ------
    ShapeError
    """
    name, rows = type(loss).__name__, z.shape[:-1]
    method, derivative = written(loss, "losses"), written(loss, "gradients")
    if isinstance(loss, ElementwiseLoss):
        with calling(f"{name}.values", WRITES_TO_Z):
            values = loss.values(read_only(z), read_only(t))
        if not isinstance(values, np.ndarray) or values.shape != z.shape:
            raise ShapeError(
                f"{name}.values returns {shown(values)}; should be an array {z.shape}, a number "
                "for each output: write it without mean or sum"
            )
    with calling(f"{name}.{method}", WRITES_TO_Z):
        losses = loss.losses(read_only(z), read_only(t))
    if not isinstance(losses, np.ndarray) or losses.shape != rows:
        hint = "don't take a mean" if method == "row_losses" else "write return (…).mean(axis=-1)"
        raise ShapeError(
            f"{name}.{method} returns {shown(losses)}; should be an array {rows}, one loss for "
            f"each row: {hint}"
        )
    what = f"{name}.{derivative}"
    with calling(what, WRITES_TO_Z):
        dz = loss.gradients()
    if isinstance(dz, np.ndarray) and dz.shape != z.shape:
        divided = ", divided by z.shape[-1]" if derivative == "gradients" else ""
        raise ShapeError(
            f"{what} returns {shown(dz)}; should be {z.dtype} {z.shape}, the derivative with "
            f"respect to each number of z: write it without mean or sum{divided}"
        )
    check_array(what, dz, z.shape, z.dtype)
    with calling(f"{name}.counts", WRITES_TO_Z):
        loss.forward(read_only(z), read_only(t))
    return loss.backward()


@contextmanager
def _checked(layers: dict[str, Layer]) -> Iterator[None]:
    """Let all layers but containers look at what their forward and backward return."""
    inputs: dict[str, tuple[Array, ...]] = {}
    constants: dict[str, dict[str, Array]] = {}

    def checking(address: str, name: str, method: Method) -> Method:
        layer, what = layers[address], f"{type(layers[address]).__name__}.{name}"

        def forward(*xs: Array, **options: Any) -> Array:
            with at(address):
                if address not in inputs and is_own(type(layer)):
                    shapes = [x.shape[1:] for x in xs]
                    if drawn := plain_random_arrays(layer, shapes):
                        raise ConfigError(untrained(layer, drawn))
                    constants[address] = plain_constants(layer, shapes)
                inputs[address] = xs
                with calling(f"{what} at {address}", WRITES_TO_X):
                    y: Array = method(*map(read_only, xs), **options)
                check_array(what, y, (len(xs[0]), *layer.output_shape), xs[0].dtype)
            return y

        def backward(dy: Array) -> Any:
            with at(address):
                with calling(f"{what} at {address}", WRITES_TO_DY):
                    dx = method(read_only(dy))
                xs = inputs[address]
                dxs = dx if len(xs) > 1 else (dx,)
                if layer.wants_dx and isinstance(dxs, tuple) and len(dxs) == len(xs):
                    for one, x in zip(dxs, xs, strict=True):
                        check_array(what, one, x.shape, x.dtype)
            return dx

        return forward if name == "forward" else backward

    leaves = [item for item in layers.items() if not isinstance(item[1], Container)]
    with watched(leaves, checking, containers=True):
        yield
    for address, arrays in constants.items():
        with at(address):
            if sentence := unchanged_arrays(layers[address], arrays):
                raise ConfigError(sentence)


def plain_constants(layer: Layer, shapes: Sequence[Shape]) -> dict[str, Array]:
    """Return the arrays of zeros or ones that `build` makes, where the layer has no parameters."""
    built = {} if layer.declared() else _built_arrays(layer, shapes)
    return {n: a for n, a in built.items() if a.size and a.flat[0] in (0, 1) and np.ptp(a) == 0}


def _built_arrays(layer: Layer, shapes: Sequence[Shape]) -> dict[str, Array]:
    """Return the plain arrays that `build` makes."""
    if any(layer.parts()):
        return {}
    twin = replace(layer)
    twin.place(*shapes, address=layer.address)
    return {name: value for name, value in vars(twin).items() if _is_float_array(value)}


def plain_random_arrays(layer: Layer, shapes: Sequence[Shape]) -> list[str]:
    """Return the names of the arrays that `build` draws anew for each layer."""
    one = _built_arrays(layer, shapes)
    other = _built_arrays(layer, shapes) if one else one
    return [name for name in one if not np.array_equal(one[name], other[name], equal_nan=True)]


def unchanged_arrays(layer: Layer, arrays: dict[str, Array]) -> str:
    """Return a sentence about an array that forward and backward have left as it was, or ""."""
    for name, array in arrays.items():
        if np.array_equal(vars(layer).get(name), array):  # type: ignore[arg-type]
            init = "Ones()" if array.flat[0] else "Zeros()"
            return (
                f"{type(layer).__name__}.build makes the array {name}, full of {array.flat[0]:g}, "
                f"and nothing changes it: for a parameter, write self.{name} = Param(shape, "
                f"{init}); for numbers to keep, self.{name} = State(shape, {init}); else leave it "
                "out"
            )
    return ""


def untrained(layer: Layer, names: Sequence[str]) -> str:
    """Return the sentence about parameters that are plain arrays."""
    first = names[0]
    return (
        f"{type(layer).__name__}.build draws the array {first}, which is neither trained nor "
        f"saved: write self.{first} = Param(shape, GlorotUniform()), self.{first}.value where it "
        f"is read, and self.{first}.grad = … in backward"
    )


def _is_float_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _check_gradient(network: Network, address: str) -> None:
    """Refuse a gradient that was nan only since it was nan before."""
    grad = network.arena.params[address].grad
    if np.isnan(grad).any():
        return
    where, _, name = address.rpartition(".")
    sentence = kept_gradient(name) if grad.any() else unset_gradient(name)
    with at(where):
        raise ShapeError(f"{type(network[where]).__name__}.backward {sentence}")


def unset_gradient(name: str) -> str:
    """Return the sentence about a gradient that `backward` doesn't set."""
    return f"doesn't set the gradient of {name}: write self.{name.split('.')[-1]}.grad = …"


def kept_gradient(name: str) -> str:
    """Return the sentence about a gradient in which old numbers remain."""
    return (
        f"leaves what was there before in the gradient of {name}, or adds to it: write "
        f"self.{name.split('.')[-1]}.grad = …, with = and not with +="
    )
