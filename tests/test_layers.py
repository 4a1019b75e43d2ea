import math
from collections.abc import Callable
from decimal import Decimal, localcontext
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


# Activations

SMOOTH_AND_EXTREME = [0.0, -0.0, 1e-8, 0.5, 1.0, 3.0, 17.0, 36.7, 37.0, 88.0, 103.0, 700.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layer", [ReLU(), Sigmoid()], ids=repr)
def test_activations_are_silent_at_any_number(layer: Layer, dtype: Any) -> None:
    top = np.finfo(dtype).max
    x = np.array([[-top, -1e4, -745.2, -0.0, 0.0, 745.2, 1e4, top]], dtype)
    with np.errstate(all="raise", under="ignore"):
        y = layer.forward(x)
        dx = layer.backward(np.ones_like(x))
    assert np.isfinite(y).all()
    assert np.isfinite(dx).all()
    assert (y.dtype, dx.dtype) == (dtype, dtype)


def test_sigmoid_reaches_its_limits() -> None:
    sigmoid = Sigmoid()
    assert sigmoid.forward(np.array([-1e4, 0.0, 1e4], np.float32)).tolist() == [0.0, 0.5, 1.0]
    assert sigmoid.backward(np.ones(3, np.float32)).tolist() == [0.0, 0.25, 0.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("size", SMOOTH_AND_EXTREME)
def test_sigmoid_and_its_derivative_are_exact_to_the_last_digits(
    size: float, sign: int, dtype: Any
) -> None:
    x = dtype(sign * size)
    with localcontext(prec=60):
        e = Decimal(-float(x)).exp()
        y, dx = 1 / (1 + e), e / (1 + e) ** 2
    layer = Sigmoid()
    found = layer.forward(np.array([x]))[0], layer.backward(np.ones(1, dtype))[0]
    for value, exact in zip(found, (y, dx), strict=True):
        ulp = max(np.spacing(dtype(float(exact))), np.finfo(dtype).smallest_subnormal)
        assert abs(Decimal(float(value)) - exact) <= 4 * Decimal(float(ulp))


def test_relu_is_flat_below_and_at_zero() -> None:
    relu = ReLU()
    assert relu.forward(np.array([-2.0, -0.0, 0.0, 3.0])).tolist() == [0.0, 0.0, 0.0, 3.0]
    assert relu.backward(np.full(4, 5.0)).tolist() == [0.0, 0.0, 0.0, 5.0]


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
    class LeakyReLU(Layer):
        def forward(self, x: Array, train: bool = True) -> Array:
            self.slope = np.where(x > 0, 1, x.dtype.type(0.1))
            return x * self.slope

        def backward(self, dy: Array) -> Array:
            return dy * self.slope

    net = network(Dense(4), LeakyReLU(), Dense(2), shape=(3,), dtype="float32")
    net.gradient(np.ones((2, 3)), [0, 1])
    assert net.arena.grads.any()
    assert Configurable.registry["LeakyReLU"] is LeakyReLU
