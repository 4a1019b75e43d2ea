import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerkit import (
    Array,
    Configurable,
    Dense,
    HeNormal,
    Layer,
    Network,
    ReLU,
    Sequential,
    Shape,
    ShapeError,
    Sigmoid,
    SoftmaxCrossEntropy,
)
from layerkit.parameters import Arena


def network(*layers: Layer, shape: tuple[int, ...], dtype: Any = "float64") -> Network:
    return Network(Sequential(list(layers)), SoftmaxCrossEntropy(), shape, dtype)


# Dense


def test_dense_is_a_matrix_product_and_a_bias() -> None:
    dense = Dense(2)
    network(dense, shape=(3,))
    dense.W.value = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    dense.b.value = np.array([10.0, 20.0])
    assert dense.forward(np.array([[1.0, 0.0, 2.0]])).tolist() == [[21.0, 34.0]]


def test_gradients_of_dense_by_hand() -> None:
    first, dense = Dense(2), Dense(2)
    network(first, dense, shape=(2,))
    dense.W.value = np.array([[1.0, 2.0], [3.0, 4.0]])
    dense.forward(np.array([[1.0, 2.0], [3.0, 5.0]]))
    assert dense.backward(np.array([[1.0, 10.0], [100.0, 1000.0]])).tolist() == [
        [21.0, 43.0],
        [2100.0, 4300.0],
    ]
    assert dense.W.grad.tolist() == [[301.0, 3010.0], [502.0, 5020.0]]
    assert dense.b.grad.tolist() == [101.0, 1010.0]


def test_dense_starts_with_its_initializer_and_no_bias() -> None:
    dense = Dense(300, init=HeNormal())
    network(dense, shape=(200,))
    assert dense.W.value.std() == pytest.approx(math.sqrt(2 / 200), rel=0.02)
    assert not dense.b.value.any()


@pytest.mark.parametrize("dtype", ["float64", "int64", "uint8"])
def test_dense_refuses_examples_of_another_type_in_loops_of_ones_own(dtype: str) -> None:
    """It would compute in float64, or not divide bytes by 255 as the network does."""
    net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
    x = np.ones((4, 3), dtype)
    with pytest.raises(
        ShapeError, match=rf"x is {dtype}, W float32: give network\.inputs\.convert"
    ):
        net.body.forward(x)
    assert net.body.forward(net.inputs.convert(x)).dtype == np.float32


def test_dense_refuses_a_single_number() -> None:
    sentence = r"Dense\(3\) takes rows of features \(…, n\), not single numbers, \(\)"
    with pytest.raises(ShapeError, match=sentence) as caught:
        Dense(3).place((), address="body.layers.4")
    assert caught.value.__notes__ == ["at body.layers.4"]


def dense_for(shape: Shape, dtype: str, bias: bool = True) -> Dense:
    """Dense(4), with memory and ordinary numbers."""
    layer = Dense(4, bias=bias)
    layer.place(shape, address="dense")
    Arena(layer.params(), dtype)
    for param in layer.params().values():
        param.value = np.random.default_rng(5).normal(size=param.shape)
    return layer


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 5, 3), (1, 3)])
def test_dense_works_on_the_features_of_every_position(shape: Shape, dtype: str) -> None:
    """Against loops over all positions."""
    dense, rng = dense_for(shape, dtype), np.random.default_rng(0)
    assert dense.output_shape == (*shape[:-1], 4)
    x, dy = (rng.normal(size=(6, *axes)).astype(dtype) for axes in (shape, dense.output_shape))
    W, b = dense.W.value, dense.b.value
    y, dx = np.empty_like(dy), np.empty_like(x)
    dW, db = np.zeros((3, 4)), np.zeros(4)
    for place in np.ndindex(6, *shape[:-1]):
        y[place], dx[place] = x[place] @ W + b, W @ dy[place]
        dW += np.outer(x[place], dy[place])
        db += dy[place]
    digits = 1e-5 if dtype == "float32" else 1e-12
    results = dense.forward(x), dense.backward(dy), dense.W.grad, dense.b.grad
    for found, expected in zip(results, (y, dx, dW, db), strict=True):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=digits, atol=digits)


def test_a_sequence_is_to_dense_as_its_positions_are() -> None:
    """Bit for bit, so that nothing depends on how positions are arranged."""
    rows, sequences, rng = (
        *(dense_for(s, "float32") for s in ((3,), (5, 3))),
        np.random.default_rng(0),
    )
    x, dy = (rng.normal(size=(6, 5, n)).astype("float32") for n in (3, 4))
    y, dx = sequences.forward(x), sequences.backward(dy)
    np.testing.assert_array_equal(y.reshape(30, 4), rows.forward(x.reshape(30, 3)))
    np.testing.assert_array_equal(dx.reshape(30, 3), rows.backward(dy.reshape(30, 4)))
    for name, param in rows.params().items():
        np.testing.assert_array_equal(sequences.params()[name].grad, param.grad)


@pytest.mark.parametrize("shape", [(3,), (5, 3)])
def test_dense_without_a_bias_has_a_matrix_alone(shape: Shape) -> None:
    bare, full = dense_for(shape, "float64", bias=False), dense_for(shape, "float64")
    assert list(bare.params()) == ["W"]
    full.b.value = np.zeros(4)
    x, dy = (
        np.random.default_rng(0).normal(size=(6, *axes)) for axes in (shape, bare.output_shape)
    )
    np.testing.assert_array_equal(bare.forward(x), full.forward(x))
    np.testing.assert_array_equal(bare.backward(dy), full.backward(dy))
    np.testing.assert_array_equal(bare.W.grad, full.W.grad)
    assert repr(bare) == "Dense(units=4, bias=False)"


def fortran(array: Array) -> Array:
    return np.asfortranarray(array)


def strided(array: Array) -> Array:
    wide = np.zeros((2 * len(array), 3 * array.shape[1]), array.dtype)
    wide[::2, ::3] = array
    return wide[::2, ::3]


def reversed_rows(array: Array) -> Array:
    return array[::-1].copy()[::-1]


def read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


LAYOUTS: list[Callable[[Array], Array]] = [fortran, strided, reversed_rows, read_only]


@given(
    rows=st.integers(1, 6),
    widths=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    activation=st.sampled_from([Sigmoid, ReLU]),
    layout=st.sampled_from(LAYOUTS),
    seed=st.integers(0, 2**32 - 1),
)
def test_gradients_of_any_perceptron_in_any_memory_layout(
    rows: int, widths: list[int], activation: type[Layer], layout: Any, seed: int
) -> None:
    """Against the derivative along one random direction of all parameters."""
    rng = np.random.default_rng(seed)
    inputs, *units = widths
    layers = [layer for width in units for layer in (Dense(width), activation())]
    net = network(Dense(inputs), *layers, Dense(3), shape=(inputs,)).initialize(rng)
    net.arena.values += 0.1 * rng.normal(size=net.arena.values.shape)  # no kink at 0
    x, t = rng.normal(size=(rows, inputs)), rng.integers(0, 3, rows)
    loss = net.gradient(layout(x), t)
    assert net.gradient(x, t) == pytest.approx(loss, rel=1e-13)
    w, g, h = net.arena.values, net.arena.grads.copy(), 1e-6
    start, direction = w.copy(), rng.normal(size=w.shape)
    sides = []
    for step in (h, -h):
        w[:] = start + step * direction
        sides.append(net.gradient(x, t))
    bend = abs(sides[0] + sides[1] - 2 * loss) / h
    assert abs((sides[0] - sides[1]) / (2 * h) - g @ direction) < 1e-6 + bend


@given(rows=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_a_broadcast_batch_is_a_batch(rows: int, seed: int) -> None:
    """Zero strides: every row is the same memory."""
    net = network(Dense(4), Sigmoid(), Dense(3), shape=(2,))
    row = np.random.default_rng(seed).normal(size=(1, 2))
    rows_alike = np.broadcast_to(row, (rows, 2))
    loss = net.gradient(rows_alike, np.zeros(rows, int))
    gradient = net.arena.grads.copy()
    assert net.gradient(row, [0]) == pytest.approx(loss)
    np.testing.assert_allclose(net.arena.grads, gradient, rtol=1e-10, atol=1e-14)


# Layers in general


def test_the_first_layer_is_not_asked_for_dx() -> None:
    first, second = Dense(4), Dense(2)
    network(first, Sigmoid(), second, shape=(784,))
    assert (first.wants_dx, second.wants_dx) == (False, True)
    first.forward(np.ones((1, 784)))
    assert first.backward(np.ones((1, 4))) is None
    assert first.b.grad.tolist() == [1, 1, 1, 1]


def test_the_first_layer_is_found_in_nested_containers() -> None:
    first, second = Dense(4), Dense(3)
    network(Sequential([Sequential([first])]), second, shape=(2,))
    assert (first.wants_dx, second.wants_dx) == (False, True)


def test_parameters_have_no_memory_before_the_network() -> None:
    dense = Dense(2)
    dense.build((3,))
    with pytest.raises(AttributeError, match="no memory yet: put its layer into a Network"):
        dense.forward(np.ones((1, 3)))


class TenthReLU(Layer):
    def forward(self, x: Array, train: bool = True) -> Array:
        self.slope = np.where(x > 0, 1, x.dtype.type(0.1))
        return x * self.slope

    def backward(self, dy: Array) -> Array:
        return dy * self.slope


def test_a_layer_in_seven_lines_needs_no_other_file() -> None:
    net = network(Dense(4), TenthReLU(), Dense(2), shape=(3,), dtype="float32")
    net.gradient(np.ones((2, 3)), [0, 1])
    assert net.arena.grads.any()
    assert Configurable.registry["TenthReLU"] is TenthReLU
