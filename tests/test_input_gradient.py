"""The derivative with respect to the examples, of an output or of each example's own loss."""

import copy
import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from layerkit import (
    EMA,
    SGD,
    Adam,
    Array,
    BatchNorm,
    ConfigError,
    DataError,
    Dense,
    DivergenceError,
    Dropout,
    Layer,
    Loss,
    MeanSquaredError,
    Network,
    ReLU,
    Reshape,
    Residual,
    Sequential,
    Shape,
    ShapeError,
    Sigmoid,
    SoftmaxCrossEntropy,
    Standardize,
    Tanh,
    fit,
    train,
)
from layerkit.callbacks import Callback
from layerkit.files.mapped import CHUNK, Subset
from layerkit.progress import Progress
from tests.test_contract import LAYERS, LOSSES, named, numbers_for

H = 1e-6
SMOOTH = [(layer, shape) for layer, shape in LAYERS if numbers_for(layer, shape) is None]


def learned(body: Layer, shape: Shape, loss: Loss) -> Network:
    """A network in float64 whose parameters and states are not those that it began with."""
    network = Network(copy.deepcopy(body), copy.deepcopy(loss), shape, "float64")
    rng = np.random.default_rng(1)
    network.adapt(3 + 2 * rng.normal(size=(20, *shape)))
    network.arena.values += 0.1 * rng.normal(size=network.arena.values.shape)
    for _ in range(3):
        network.body.forward(1 + 2 * rng.normal(size=(20, *shape)))
    return network


def quotients(f: Callable[[Array], Array], x: Array) -> tuple[Array, Array]:
    """Central differences of f(x), a number for each example, and where f has no kink."""
    found, bend = np.empty_like(x), np.empty_like(x)
    for place in np.ndindex(x.shape[1:]):
        values = []
        for step in (-H, 0, H):
            moved = x.copy()
            moved[(slice(None), *place)] += step
            values.append(f(moved))
        left, middle, right = values
        found[(slice(None), *place)] = (right - left) / (2 * H)
        bend[(slice(None), *place)] = abs(right - 2 * middle + left) / H
    return found, bend < 1e-3


def assert_derivative(dx: Array, f: Callable[[Array], Array], x: Array) -> None:
    wanted, smooth = quotients(f, x)
    assert smooth.mean() > 0.8
    np.testing.assert_allclose(dx[smooth], wanted[smooth], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("layer", "shape"), SMOOTH, ids=named)
def test_every_layer_has_the_derivative_of_its_prediction(layer: Layer, shape: Shape) -> None:
    network = learned(layer, shape, MeanSquaredError())
    x = 2 * np.random.default_rng(5).normal(size=(6, *shape))
    outputs = network.body.output_shape
    for output in (tuple(n // 2 for n in outputs), (-1,) * len(outputs)):
        dx = network.input_gradient(x, output=output)
        assert dx.shape == x.shape
        assert dx.dtype == "float64"
        assert_derivative(dx, partial(one_output, network, output), x)
    t = np.random.default_rng(6).normal(size=(6, *outputs))
    assert_derivative(network.input_gradient(x, t), lambda x: own_losses(network, x, t), x)


def one_output(network: Network, output: tuple[int, ...], x: Array) -> Array:
    place: Any = (slice(None), *output)
    return network.outputs(x)[place]


def own_losses(network: Network, x: Array, t: Any) -> Array:
    _, targets, _ = network.check(x, t)
    losses = network.loss.losses(network.outputs(x), targets)
    return losses.reshape(len(x), -1).sum(axis=1)


@pytest.mark.parametrize(("layer", "shape"), SMOOTH, ids=named)
def test_a_layer_deep_inside_sends_back_the_derivative_of_its_prediction(
    layer: Layer, shape: Shape
) -> None:
    size = math.prod(shape)
    body = Sequential(
        [Dense(size), Tanh(), Reshape(shape), copy.deepcopy(layer), Residual(Tanh()), BatchNorm()]
    )
    network = learned(body, (4,), MeanSquaredError())
    x = np.random.default_rng(5).normal(size=(6, 4))
    output = (0,) * len(network.body.output_shape)
    dx = network.input_gradient(x, output=output)
    assert_derivative(dx, partial(one_output, network, output), x)


@pytest.mark.parametrize(("loss", "shape", "t"), LOSSES, ids=named)
def test_of_every_loss_it_is_each_example_s_own(loss: Loss, shape: Shape, t: Any) -> None:
    body = Sequential([Dense(math.prod(shape)), Reshape(shape)])
    network = learned(body, (3,), loss)
    x = np.random.default_rng(8).normal(size=(len(t), 3))
    dx = network.input_gradient(x, t)
    assert_derivative(dx, lambda x: own_losses(network, x, t), x)
    for i in range(len(t)):
        alone = network.input_gradient(x[i : i + 1], t[i : i + 1])
        np.testing.assert_allclose(dx[i : i + 1], alone, rtol=1e-12, atol=1e-15)


def test_by_hand() -> None:
    network = Network(Dense(2), MeanSquaredError(), shape=(2,), dtype="float64")
    W = np.array([[1.0, 2.0], [3.0, 5.0]])
    network.arena.values[:] = [*W.ravel(), 0.5, -0.5]
    x, t = np.array([[1.0, 0.0], [2.0, 1.0]]), np.array([[0.0, 0.0], [1.0, 2.0]])
    assert network.input_gradient(x, output=1).tolist() == [[2, 5], [2, 5]]
    assert network.input_gradient(x, output=(-2,)).tolist() == [[1, 3], [1, 3]]
    # z = [[1.5, 1.5], [5.5, 8.5]], and a loss is the mean of two squares: dz = z - t
    assert network.input_gradient(x, t).tolist() == [[4.5, 12.0], [17.5, 46.0]]


def test_the_mean_of_the_losses_has_the_mean_of_their_derivatives() -> None:
    """The gradient of the first biases, found in two ways."""
    body = Sequential([Dense(3), Tanh(), Dense(2)])
    network = learned(body, (3,), SoftmaxCrossEntropy())
    network["body.layers.0.W"].value = np.eye(3)  # type: ignore[union-attr]
    x, t = np.random.default_rng(0).normal(size=(9, 3)), np.arange(9) % 2
    network.gradient(x, t)
    mean = network.input_gradient(x, t).mean(axis=0)
    np.testing.assert_allclose(mean, network.arena.grads[9:12], rtol=1e-12)


def state_of(network: Network) -> Any:
    arena = network.arena
    return (
        *(part.tobytes() for part in (arena.values, arena.grads, arena.states)),
        [layer.wants_dx for _, layer in network.layers()],
        [layer.rng.bit_generator.state for _, layer in network.layers() if layer.random],
    )


MANY: list[Layer] = [Standardize(), Dense(4), BatchNorm(), Residual(Dense(4)), Dropout(0.5)]


def many() -> Network:
    body = Sequential([*copy.deepcopy(MANY), Dense(3)])
    return Network(body, SoftmaxCrossEntropy(), shape=(4,)).initialize(1)


X = np.random.default_rng(2).normal(size=(30, 4))
T = np.arange(30) % 3


def test_nothing_is_left_behind() -> None:
    network = many().adapt(X)
    network.gradient(X, T)
    before = state_of(network)
    assert before[3][:2] == [False, False]
    for options in ({"t": T}, {"output": 0}):
        network.input_gradient(X, **options)
        assert state_of(network) == before
    vars(network["body.layers.2"])["forward"] = overflows
    with pytest.raises(DivergenceError, match="in the middle"):
        network.input_gradient(X, T)
    assert state_of(network) == before


def overflows(x: Array, train: bool = True) -> Array:
    raise DivergenceError("in the middle")


def test_a_body_of_one_layer() -> None:
    for body in (Dense(3), Sigmoid()):
        network = learned(body, (3,), SoftmaxCrossEntropy())
        x = np.random.default_rng(0).normal(size=(4, 3))
        dx = network.input_gradient(x, output=2)
        assert_derivative(dx, partial(one_output, network, (2,)), x)
        assert not network.body.wants_dx


@pytest.mark.parametrize("options", [{"t": T}, {"output": 2}])
def test_more_than_a_chunk_agrees_with_one_by_one(options: dict[str, Any]) -> None:
    network, rng = learned(many().body, (4,), SoftmaxCrossEntropy()), np.random.default_rng(0)
    x, t = rng.normal(size=(2 * CHUNK + 3, 4)), rng.integers(0, 3, 2 * CHUNK + 3)

    def found(x: Any, t: Array) -> Array:
        return network.input_gradient(x, **{**options, **({"t": t} if "t" in options else {})})

    dx = found(x, t)
    assert dx.shape == x.shape
    for i in (0, 1, CHUNK - 1, CHUNK, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 2):
        np.testing.assert_allclose(dx[i : i + 1], found(x[i : i + 1], t[i : i + 1]), rtol=1e-10)
    rows = np.array([CHUNK + 1, 5, 2])
    np.testing.assert_allclose(found(Subset(x, rows), t[rows]), dx[rows], rtol=1e-10)


def test_results_stay_when_it_is_called_again() -> None:
    for body in (Sequential([Sigmoid()]), Sequential([Dropout(0.5)])):
        network = Network(body, MeanSquaredError(), shape=(4,))
        first = network.input_gradient(X, output=0)
        kept = first.copy()
        network.input_gradient(2 * X, output=1)
        np.testing.assert_array_equal(first, kept)


def test_bytes_are_seen_as_the_network_sees_them() -> None:
    network = many().adapt(X)
    images = np.random.default_rng(0).integers(0, 256, (20, 4)).astype(np.uint8)
    floats = images / np.float32(255)
    np.testing.assert_array_equal(
        network.input_gradient(images, T[:20]), network.input_gradient(floats, T[:20])
    )
    assert network.input_gradient(images, output=1).dtype == np.float32


def test_sequences_have_a_derivative_at_each_position() -> None:
    """An output of one position depends on that one alone; ignored positions on none."""
    body = Sequential([Dense(4), Tanh(), Dense(3)])
    network = learned(body, (5, 2), SoftmaxCrossEntropy(ignore_label=-1))
    x, t = np.random.default_rng(0).normal(size=(7, 5, 2)), np.arange(35).reshape(7, 5) % 3
    dx = network.input_gradient(x, output=(3, 2))
    assert dx[:, 3].all()
    assert not np.delete(dx, 3, axis=1).any()
    t[:, 1], t[0] = -1, -1
    dx = network.input_gradient(x, t)
    assert not dx[:, 1].any()
    assert not dx[0].any()
    assert dx[1:, [0, 2, 3, 4]].all()
    assert_derivative(dx, lambda x: own_losses(network, x, t), x)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({}, ConfigError, "give targets t, or output, the number of one"),
        ({"t": T, "output": 0}, ConfigError, "give targets t, or output, the number of one"),
        ({"output": 3}, ConfigError, "output = 3: the body's outputs have the shape (3,)"),
        ({"output": -4}, ConfigError, "output = -4: the body's outputs have the shape (3,)"),
        ({"output": (0, 0)}, ConfigError, "output = (0, 0): the body's outputs have the shape"),
        ({"output": ()}, ConfigError, "output = (): the body's outputs have the shape (3,)"),
        ({"output": 0.0}, ConfigError, "output = 0.0: the body's outputs have the shape (3,)"),
        ({"output": True}, ConfigError, "output = True: the body's outputs have the shape (3,)"),
        ({"output": "1"}, ConfigError, "output = '1': the body's outputs have the shape (3,)"),
        ({"output": [1]}, ConfigError, "output = [1]: the body's outputs have the shape (3,)"),
        ({"output": slice(2)}, ConfigError, "output = slice(None, 2, None): the body's outputs"),
        ({"t": T[1:]}, DataError, "30 examples with targets of shape (29,)"),
        ({"t": T + 1}, DataError, "label 3 of example"),
        ({"x": X[:, :2], "output": 0}, ShapeError, "examples have shape (30, 2)"),
        ({"x": X * math.nan, "t": T}, DataError, "x[0, 0] is nan"),
        ({"x": X[:0], "output": 0}, DataError, "no examples"),
    ],
)
def test_what_has_no_derivative(
    options: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    network = many().adapt(X)
    before = state_of(network)
    with pytest.raises(error, match=re.escape(sentence)):
        network.input_gradient(**{"x": X, **options})
    assert state_of(network) == before


def test_output_may_be_a_number_of_numpy_s() -> None:
    network = many().adapt(X)
    np.testing.assert_array_equal(
        network.input_gradient(X, output=np.argmax([0, 1, 0])), network.input_gradient(X, output=1)
    )


def test_a_network_that_has_seen_no_data() -> None:
    with pytest.raises(ConfigError, match="has not seen them yet"):
        many().input_gradient(X, output=0)


@pytest.mark.filterwarnings("error")
def test_a_derivative_that_is_not_finite() -> None:
    """Nothing was too big on the way forward."""
    network = Network(Sequential([Dense(2), Dense(2)]), MeanSquaredError(), shape=(2,))
    network["body.layers.0.W"].value = 1e30 * np.eye(2)  # type: ignore[union-attr]
    network["body.layers.1.W"].value = 1e30 * np.eye(2)  # type: ignore[union-attr]
    x = [[0.0, 0.0], [1e-30, 0.0]]
    assert np.isfinite(network.outputs(x)).all()
    before = state_of(network)
    for options in ({"output": 0}, {"t": [[0.0, 0.0], [0.0, 0.0]]}):
        with pytest.raises(DivergenceError, match=r"derivative for example [01] is not finite"):
            network.input_gradient(x, **options)
    assert state_of(network) == before


class LooksInside(Callback):
    """Asks for the saliency of some examples in the midst of a training."""

    network: Any = None

    def look(self, progress: Progress) -> None:
        progress.network.input_gradient(X, T)
        progress.network.input_gradient(X, output=1)

    epoch_begin = epoch_end = batch_begin = batch_end = train_end = look


def test_a_training_goes_on_bit_for_bit_the_same() -> None:
    found = []
    for callbacks in ([], [LooksInside()]):
        network = many()
        options: Any = {"epochs": 3, "batch_size": 8, "average": EMA(0.5), "callbacks": callbacks}
        records = fit(network, Adam(lr=0.1), X, T, gradient_accumulation_steps=2, **options)
        losses = [record.train_loss for record in records]
        found.append((losses, network.arena.values.tobytes(), network.arena.states.tobytes()))
    assert found[0] == found[1]


def test_between_the_doors_of_a_step() -> None:
    found = []
    for looks in (False, True):
        network = many()
        trainer = train(network, SGD(lr=0.5), X, T, batch_size=8)
        for batch in trainer.batches():
            trainer.gradient(batch)
            if looks:
                network.input_gradient(X, T)
            trainer.apply()
        found.append(network.arena.values.tobytes())
    assert found[0] == found[1]


def test_a_layer_without_parameters_before_the_first_of_them() -> None:
    network = Network(Sequential([ReLU(), Dense(1)]), MeanSquaredError(), (3,), "float64")
    network.arena.values[:] = [2, 3, 4, 0]
    dx = network.input_gradient([[1.0, -1.0, 5.0]], output=0)
    assert dx.tolist() == [[2, 0, 4]]
