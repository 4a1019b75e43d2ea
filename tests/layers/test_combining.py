"""Layers of several inputs, in check_layer and alone."""

from typing import Any

import numpy as np
import pytest

from layerkit import (
    Add,
    Array,
    DataError,
    Dense,
    Graph,
    Join,
    Layer,
    MeanSquaredError,
    Multiply,
    Network,
    Normal,
    Param,
    Shape,
    ShapeError,
    Take,
)
from layerkit.fitting import check_layers
from layerkit.testing import check_layer


def test_values_and_gradients_by_hand() -> None:
    a, b, c = np.array([[1.0, 2.0]]), np.array([[3.0, 5.0]]), np.array([[7.0, 11.0]])
    dy = np.array([[1.0, 10.0]])
    add, multiply = Add(), Multiply()
    for layer in (add, multiply):
        layer.place((2,), (2,), (2,), address="layer")
    assert add.forward(a, b, c).tolist() == [[11, 18]]
    assert [dx.tolist() for dx in add.backward(dy)] == [[[1, 10]]] * 3
    assert multiply.forward(a, b, c).tolist() == [[21, 110]]
    assert [dx.tolist() for dx in multiply.backward(dy)] == [[[21, 550]], [[7, 220]], [[3, 100]]]


def test_an_axis_of_join_is_one_of_an_example() -> None:
    a, b = np.arange(6).reshape(1, 2, 3), np.arange(3).reshape(1, 1, 3)
    join = Join(axis=-2)
    assert join.place((2, 3), (1, 3), address="join") == (3, 3)
    y = join.forward(a, b)
    assert y.tolist() == [[[0, 1, 2], [3, 4, 5], [0, 1, 2]]]
    assert [dx.tolist() for dx in join.backward(y)] == [a.tolist(), b.tolist()]


@pytest.mark.parametrize(
    ("layer", "shapes", "sentence"),
    [
        (Join(1), [(3,), (3,)], r"Join\.axis = 1: should be -1"),
        (Join(-2), [(3,), (3,)], r"Join\.axis = -2: should be -1"),
        (Join(), [(), ()], r"Join takes examples of at least one axis"),
        (Join(), [(3,), ()], r"\(3,\), \(\): what is joined may differ in axis -1 only"),
        (Join(), [(3,), (2, 3)], r"may differ in axis -1 only"),
        (Join(-2), [(2, 3), (2, 4)], r"may differ in axis -2 only"),
        (Add(), [(3,), (1,)], r"\(3,\), \(1,\): what is added should have one shape"),
        (Multiply(), [(3,), (1,)], r"\(3,\), \(1,\): what is multiplied should have one shape"),
        (Add(), [], r"Add takes 1 input, not 0"),
        (
            Add(),
            [(3,)],
            r"Add takes several inputs, and is given one, \(3,\): in a Graph, 'a, b -> a",
        ),
        (Multiply(), [(3,)], r"Multiply takes several inputs, and is given one, \(3,\)"),
        (Join(), [(3,)], r"Join takes several inputs, and is given one, \(3,\)"),
        (Dense(2), [(3,), (3,)], r"Dense takes 1 input, not 2 \(\(3,\), \(3,\)\); a Join\(\)"),
    ],
)
def test_shapes_that_do_not_fit(layer: Layer, shapes: list[Shape], sentence: str) -> None:
    with pytest.raises(ShapeError, match=sentence) as error:
        layer.place(*shapes, address="here")
    assert error.value.place == "here"


def test_options_by_keyword_are_no_inputs() -> None:
    class DoublesByKeyword(Layer):
        def forward(self, x: Array, **options: Any) -> Array:
            return 2 * x

        def backward(self, dy: Array) -> Array:
            return 2 * dy

    assert DoublesByKeyword().place((3,), address="here") == (3,)
    with pytest.raises(ShapeError, match="DoublesByKeyword takes 1 input, not 2"):
        DoublesByKeyword().place((3,), (3,), address="here")


# Mistakes in layers of several inputs: found, and named


class Difference(Layer):
    """y = a - b."""

    def forward(self, a: Array, b: Array, train: bool = True) -> Array:
        return a - b

    def backward(self, dy: Array) -> Any:
        return dy, -dy


class Ordered(Difference):
    def check(self, *xs: Array) -> None:
        a, b = xs
        if (a < b).any():
            raise DataError(f"a is below b in example {np.argwhere(a < b)[0, 0]}")


def test_a_layer_looks_at_all_its_inputs_before_a_training() -> None:
    graph = Graph(
        {"first": Take([0]), "second": Take([1]), "both": Ordered()},
        ["input -> first", "input -> second", "first, second -> both -> output"],
    )
    net = Network(graph, MeanSquaredError(), shape=(2,))
    check_layers(net.body, net.inputs, np.array([[2.0, 1.0], [3.0, 3.0]]))
    with pytest.raises(DataError, match="a is below b in example 1") as error:
        check_layers(net.body, net.inputs, np.array([[2.0, 1.0], [3.0, 4.0]]))
    assert error.value.place == "body.nodes.both, examples 0 to 1"


class WrongSignOfTheSecond(Difference):
    def backward(self, dy: Array) -> Any:
        return dy, dy


class OnlyOne(Difference):
    def backward(self, dy: Array) -> Any:
        return dy


class AList(Difference):
    def backward(self, dy: Array) -> Any:
        return [dy, -dy]


class ThreeOfTwo(Difference):
    def backward(self, dy: Array) -> Any:
        return dy, -dy, dy


class WritesToTheSecond(Difference):
    def forward(self, a: Array, b: Array, train: bool = True) -> Array:
        b *= -1
        return a + b


class WrongShape(Difference):
    def backward(self, dy: Array) -> Any:
        return dy, -dy.sum(axis=0)


class WidensTheSecond(Difference):
    def backward(self, dy: Array) -> Any:
        return dy, -np.float64(1) * dy


class MixesRows(Difference):
    def forward(self, a: Array, b: Array, train: bool = True) -> Array:
        return a - b.mean(axis=0)

    def backward(self, dy: Array) -> Any:
        return dy, np.broadcast_to(-dy.mean(axis=0), dy.shape)


class SendsDyBack(Difference):
    def backward(self, dy: Array) -> Any:
        return (dy, -dy) if self.wants_dx else (dy, dy)


class Silent(Difference):
    def backward(self, dy: Array) -> Any:
        return (dy, -dy) if self.wants_dx else None


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (WrongSignOfTheSecond(), r"dx_2\[\d, \d\] is .* it is -1 times the right value everywhere"),
        (OnlyOne(), "should be a tuple of 2 arrays, a dx for each input"),
        (AList(), "should be a tuple of 2 arrays, a dx for each input"),
        (ThreeOfTwo(), "should be a tuple of 2 arrays, a dx for each input"),
        (WritesToTheSecond(), "writes to x, which others may still read"),
        (WrongShape(), r"returns dx_2 of shape \(3,\); should be that of x_2, \(5, 3\)"),
        (WidensTheSecond(), "returns float64 for float32"),
        (MixesRows(), "row 0 of the result depends on the other rows of the batch"),
        (SendsDyBack(), "dx_2 is different where wants_dx is False; backward may return None"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_mistakes_are_named(layer: Layer, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_layer(layer, (3,), (3,))


@pytest.mark.parametrize("layer", [Difference(), Silent()])
def test_right_layers_pass(layer: Layer) -> None:
    check_layer(layer, (3,), (3,))
    check_layer(layer, (2, 3), (2, 3))


def test_a_wrong_number_of_shapes_is_refused() -> None:
    with pytest.raises(AssertionError, match="Difference takes 2 inputs, not 1"):
        check_layer(Difference(), (3,))


class AddEmbedded(Layer):
    """y = W[x] + z, for whole numbers x from 0 to 3."""

    def build(self, numbers: Shape, rows: Shape) -> Shape:
        self.W = Param((4, rows[-1]), Normal(std=1.0))
        return rows

    def forward(self, x: Array, z: Array, train: bool = True) -> Array:
        numbers = x.astype(np.intp)
        self.numbers = numbers
        return self.W.value[numbers] + z

    def backward(self, dy: Array) -> tuple[Array, Array]:
        dW = np.zeros_like(self.W.grad)
        np.add.at(dW, self.numbers, dy)
        self.W.grad = dW
        return np.zeros(self.numbers.shape, dy.dtype), dy


class DoublesDz(AddEmbedded):
    def backward(self, dy: Array) -> tuple[Array, Array]:
        dx, dz = super().backward(dy)
        return dx, 2 * dz


def test_examples_may_be_given_for_one_of_the_inputs() -> None:
    numbers = np.array([[0, 1], [1, 1], [3, 2]])
    check_layer(AddEmbedded(), (2,), (2, 3), examples=[numbers, None])
    with pytest.raises(AssertionError, match=r"dx_2\[.*it is 2 times the right value"):
        check_layer(DoublesDz(), (2,), (2, 3), examples=[numbers, None])
