"""Functional programs compute the same bits, without views and writes."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from layerkit import (
    LBFGS,
    SGD,
    Adam,
    Array,
    CosineSchedule,
    Dense,
    Identity,
    Layer,
    Loss,
    MeanSquaredError,
    Network,
    Optimizer,
    ReLU,
    Sequential,
    Shape,
)
from layerkit.errors import RecordingError
from layerkit.recording import record
from layerkit.recording.functional import functional
from tests.test_contract import LAYERS, LOSSES, OPTIMIZERS, named, numbers_for

CHANGED = [
    SGD(clip_global_norm=0.1, l2=0.1),
    SGD(schedules={"lr": CosineSchedule()}),
    Adam(weight_decay=0.1, rates={"body.layers.0.*": 0.5}),
]


def check(net: Network, x: Array, *more: Any, **options: Any) -> None:
    """A program and its functional form: the same outputs, and the same memory afterwards."""
    program = record(net, x, *more, **options)
    pure = functional(program)
    for op in pure.ops:
        assert op.writes is None
        assert all(value.base is None for value in op.outputs)
    given = {name: value.array for name, value in program.inputs.items()}
    memory = {name: value.array.copy() for name, value in program.memory.items()}
    expected = program.run(memory=memory, **given) | memory
    for name, array in pure.run(**given).items():
        assert np.asarray(array).tobytes() == np.asarray(expected.pop(name)).tobytes(), name
    for name, array in expected.items():
        assert array.tobytes() == program.memory[name].array.tobytes(), name


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=named)
def test_layers(layer: Layer, shape: Shape) -> None:
    rng = np.random.default_rng(0)
    net = Network(Sequential([copy.deepcopy(layer)]), MeanSquaredError(), shape=shape)
    x = rng.normal(size=(7, *shape)).astype("f")
    numbers = numbers_for(layer, shape)
    x = x if numbers is None else numbers.astype("f")
    net.adapt(x)
    check(net, x)
    check(net, x, rng.normal(size=(7, *net.body.output_shape)))


@pytest.mark.parametrize(("loss", "shape", "t"), LOSSES, ids=named)
def test_losses(loss: Loss, shape: Shape, t: Any) -> None:
    net = Network(Dense(shape[-1]), copy.deepcopy(loss), shape=(*shape[:-1], 2))
    x, t = np.ones((6, *shape[:-1], 2)), np.resize(np.asarray(t), (6, *np.shape(t)[1:]))
    check(net, x)
    check(net, x, t, sample_weight=np.arange(6))


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, *CHANGED], ids=named)
def test_optimizers(optimizer: Optimizer) -> None:
    if isinstance(optimizer, LBFGS):
        return
    net = Network(Sequential([Dense(4), ReLU(), Dense(3)]), MeanSquaredError(), shape=(3,))
    rng = np.random.default_rng(0)
    check(net, rng.normal(size=(7, 3)), rng.normal(size=(7, 3)), optimizer)


class InManyShapes(Layer):
    """A layer that does something."""

    def forward(self, x: Array, train: bool = True) -> Array:
        return ACTION[0](x)

    def backward(self, dy: Array) -> Array:
        return dy


ACTION: list[Callable[[Array], Any]] = []


def views_of_views(x: Array) -> Array:
    y = x.copy()
    turned = y.T
    corner, row = turned[1:], y[:, 2]
    corner[0] += 1
    z = row * 2  # sees nothing of it
    corner.reshape(-1, len(x))[1] *= z
    y.swapaxes(0, 1)[0] = row  # sees the product
    return y + turned[0][:, None]


def masks_and_places(x: Array) -> Array:
    y = np.zeros_like(x)
    np.add(x, 1, out=y, where=x > 0)
    y[x < -1] = 5
    np.put_along_axis(y, x.argmax(axis=1, keepdims=True), 7, 1)
    y[:, [0, 2]] = y[:, [2, 0]]
    np.add.at(y, (slice(None), np.array([1, 1])), 1)  # type: ignore[arg-type]
    y[:, 0].fill(3)
    y.sort(axis=1)
    np.copyto(y, x, where=x > 1)
    return y


def other_types(x: Array) -> Array:
    y = np.zeros_like(x, dtype=int)
    np.multiply(x, 10, out=y, casting="unsafe")
    np.sum(x, axis=0, keepdims=True, out=x[:1] * 0)
    return (y // 3).astype(x.dtype)


@pytest.mark.parametrize("action", [views_of_views, masks_and_places, other_types])
def test_writes_of_a_layer_of_ones_own(action: Callable[[Array], Array]) -> None:
    ACTION[:] = [action]
    x = np.random.default_rng(1).normal(size=(5, 3)) * 2
    check(Network(InManyShapes(), MeanSquaredError(), shape=(3,)), x)


def into_a_part(x: Array) -> Array:
    y = x.copy()
    np.split(y, 3, axis=1)[0][:] = 1
    return y


def into_more(x: Array) -> Array:
    y = np.zeros_like(x)
    np.add(x[:, :1], 1, out=y)
    return y


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (into_a_part, r"body: .*ACTION.*: a write to what split returned; write to the array"),
        (into_more, r"body: .*ACTION.*: an out= larger than what add returns"),
    ],
)
def test_what_cannot_be_traced_back(action: Callable[[Array], Array], message: str) -> None:
    ACTION[:] = [action]
    program = record(Network(InManyShapes(), MeanSquaredError(), shape=(3,)), np.ones((2, 3)))
    with pytest.raises(RecordingError, match=message):
        functional(program)


def test_only_what_is_wanted_is_computed() -> None:
    net = Network(Sequential([Dense(4), ReLU(), Dense(1)]), MeanSquaredError(), shape=(3,))
    program = record(net, np.ones((2, 3)), np.ones((2, 1)), Adam())
    assert {op.phase for op in functional(program, ["z"]).ops} == {"memory", "input", "forward"}
    assert "optimizer" in {op.phase for op in functional(program).ops}


def test_inputs_have_any_number_of_examples_also_where_nothing_is_done_with_them() -> None:
    program = record(Network(Identity(), MeanSquaredError(), shape=(3,)), np.ones((2, 3)))
    (N, three) = program.inputs["x"].shape
    assert (str(N), three) == ("N", 3)


def test_several_results_with_names_are_recorded() -> None:
    ACTION[:] = [
        lambda x: np.linalg.svd(x[:, None] * np.ones((3, 1), x.dtype)).S.sum(axis=1)[:, None] + x
    ]
    program = record(Network(InManyShapes(), MeanSquaredError(), shape=(3,)), np.ones((2, 3)))
    assert "svd" in [op.name for op in program.ops]
