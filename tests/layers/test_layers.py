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
    ShapeError,
    Sigmoid,
    SoftmaxCrossEntropy,
)


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


@pytest.mark.parametrize("shape", [(2, 3), ()])
def test_dense_refuses_what_is_not_a_row(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"Dense\(3\) takes rows of features") as caught:
        Dense(3).place(shape, "body.layers.4")
    assert caught.value.__notes__ == ["at body.layers.4"]


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
    assert first.backward(np.ones((1, 4))).shape == (1, 4)


def test_the_first_layer_is_found_in_nested_containers() -> None:
    first, second = Dense(4), Dense(3)
    network(Sequential([Sequential([first])]), second, shape=(2,))
    assert (first.wants_dx, second.wants_dx) == (False, True)


def test_parameters_have_no_memory_before_the_network() -> None:
    dense = Dense(2)
    dense.build((3,))
    with pytest.raises(AttributeError, match="no memory yet: put its layer into a Network"):
        dense.forward(np.ones((1, 3)))


def test_a_layer_in_seven_lines_needs_no_other_file() -> None:
    class TenthReLU(Layer):
        def forward(self, x: Array, train: bool = True) -> Array:
            self.slope = np.where(x > 0, 1, x.dtype.type(0.1))
            return x * self.slope

        def backward(self, dy: Array) -> Array:
            return dy * self.slope

    net = network(Dense(4), TenthReLU(), Dense(2), shape=(3,), dtype="float32")
    net.gradient(np.ones((2, 3)), [0, 1])
    assert net.arena.grads.any()
    assert Configurable.registry["TenthReLU"] is TenthReLU
