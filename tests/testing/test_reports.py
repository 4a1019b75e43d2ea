"""What the checks say, and how: one line of the user's, a table, a comparison."""

import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from layerkit import (
    LBFGS,
    SGD,
    Adam,
    Add,
    Array,
    BatchNorm,
    ConfigError,
    CosineSchedule,
    Dense,
    HeNormal,
    Initializer,
    Layer,
    LeakyReLU,
    MeanSquaredError,
    Momentum,
    Network,
    Optimizer,
    Rate,
    ReLU,
    Sequential,
    Shape,
    SoftmaxCrossEntropy,
)
from layerkit.testing import (
    check_initializer,
    check_layer,
    check_loss,
    check_optimizer,
    check_schedule,
)
from layerkit.testing.common import broken, writable, wrote
from layerkit.testing.layers import layer_laws


class ForgetsTheChainRule(Layer):
    def forward(self, x: Array, train: bool = True) -> Array:
        y = np.tanh(x)
        self.slopes = 1 - y**2
        return y

    def backward(self, dy: Array) -> Array:
        return self.slopes.copy()


class MultipliesShapes(Layer):
    def forward(self, x: Array, train: bool = True) -> Any:
        return x @ np.ones((99, 2))

    def backward(self, dy: Array) -> Any:
        return dy


class PlainWeights(Layer):
    def build(self, shape: Shape) -> Shape:
        self.W = np.random.default_rng().normal(size=shape)
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        return np.multiply(x, self.W.astype(x.dtype))

    def backward(self, dy: Array) -> Array:
        return np.multiply(dy, self.W.astype(dy.dtype))


class NakedAdam(Optimizer):
    """Adam, with or without bias correction."""

    lr: Rate = 0.001
    correct: bool = True
    slots = ("m", "v")

    def update(self, w: Array, g: Array, *slots: Array) -> None:
        m, v = slots
        m += 0.1 * (g - m)
        v += 0.001 * (g * g - v)
        first, second = (1 - 0.9**self.t, 1 - 0.999**self.t) if self.correct else (1.0, 1.0)
        w -= self.lr * m / first / (np.sqrt(v / second) + 1e-8)


class MomentumOnSelf(Optimizer):
    lr: Rate = 0.01

    def update(self, w: Array, g: Array) -> None:
        if self.t == 1:
            self.m = np.zeros_like(w)
        self.m *= 0.9
        self.m += g
        w -= self.lr * self.m


class FillsHalf(Initializer):
    def fill(self, w: Array, rng: np.random.Generator) -> None:
        w[: len(w) // 2] = 1


def test_a_layer_whose_dx_does_not_depend_on_dy_is_named() -> None:
    with pytest.raises(AssertionError, match=r"dx doesn't depend on dy: multiply by it, dx = dy"):
        check_layer(ForgetsTheChainRule(), (3,))


def test_a_parameter_that_is_a_plain_array_is_named() -> None:
    with pytest.raises(AssertionError, match=r"the array W, .* write self.W = Param\(shape, Glor"):
        check_layer(PlainWeights(), (3,))


def test_a_shape_that_is_a_number_is_named() -> None:
    with pytest.raises(AssertionError, match=r"a shape is a tuple: write \(3,\)"):
        check_layer(ReLU(), 3)  # type: ignore[arg-type]


def test_memory_on_self_is_named() -> None:
    with pytest.raises(AssertionError, match=r'remembers m on self, .* slots = \("m",\)'):
        check_optimizer(MomentumOnSelf())


def test_an_optimizer_is_compared_with_another() -> None:
    check_optimizer(NakedAdam(), like=Adam())
    check_optimizer(Adam(lr=0.01), like=Adam(lr=0.01))
    with pytest.raises(AssertionError, match=r"NakedAdam: step 1 is 3\.16\d? times that of Adam\("):
        check_optimizer(NakedAdam(correct=False), like=Adam())
    with pytest.raises(AssertionError, match=r"step 2 is .* for w\[\d\], and .* with SGD\(lr=0\.1"):
        check_optimizer(Momentum(lr=1.0, beta=0.9), like=SGD(lr=0.1))


class TwiceReLU(Layer):
    def forward(self, x: Array, train: bool = True) -> Array:
        self.x = x
        return np.maximum(2 * x, 0)

    def backward(self, dy: Array) -> Array:
        return 2 * dy * (self.x > 0)


TARGETS = np.array([0, 1, 2])


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        (lambda: check_layer(TwiceReLU(), (3,), like=ReLU()), r"y is 2 times that of ReLU\(\)"),
        (
            lambda: check_layer(LeakyReLU(0.1), (3,), like=ReLU()),
            r"y\[\d, \d\] is -.*, and 0 with",
        ),
        (
            lambda: check_layer(BatchNorm(momentum=0.2), (3,), like=BatchNorm()),
            r"\(train=False\) after batch 1: y",
        ),
        (
            lambda: check_layer(Dense(2, bias=False), (3,), like=Dense(2)),
            r"declares parameters of the shapes \[\(3, 2\)\]; those of Dense\(units=2\) are",
        ),
        (
            lambda: check_loss(
                SoftmaxCrossEntropy(label_smoothing=0.1), (3,), TARGETS, like=SoftmaxCrossEntropy()
            ),
            r"losses\[\d\] is .* with SoftmaxCrossEntropy",
        ),
    ],
)
def test_a_part_that_returns_something_else_is_named(
    check: Callable[[], object], sentence: str
) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check()


def test_the_same_part_is_like_another() -> None:
    check_layer(BatchNorm(), (3,), like=BatchNorm())
    check_loss(SoftmaxCrossEntropy(), (3,), TARGETS, like=SoftmaxCrossEntropy())


class AsksArrays(Layer):
    def forward(self, x: Array, train: bool = True) -> Array:
        return x if x > 0 else 0 * x

    def backward(self, dy: Array) -> Array:
        return dy


class ReturnsLists(Layer):
    def forward(self, x: Array, train: bool = True) -> Any:
        return [list(row) for row in x]

    def backward(self, dy: Array) -> Array:
        return dy


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (AsksArrays(), r"asks an array whether it is true: write np\.where\(x > 0, a, b\)"),
        (ReturnsLists(), "returns a list of 5 lists; should be an array"),
    ],
)
def test_what_is_not_done_with_whole_arrays_is_named(layer: Layer, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_layer(layer, (3,))


class DoublesInPlace(Layer):
    def forward(self, x: Array, train: bool = True) -> Array:
        x *= 2
        return x

    def backward(self, dy: Array) -> Array:
        return 2 * dy


def test_who_writes_is_judged_by_the_rest() -> None:
    laws = dict(layer_laws(DoublesInPlace(), [(3,)]))
    assert wrote(broken(laws["forward, float64"]))
    with writable():
        assert broken(laws["forward, float64"]) is None
    assert wrote(broken(laws["forward, float64"]))


class Decides(Layer):
    def forward(self, x: Array, train: bool = True) -> Array:
        return 2 * x if x.size and np.isfinite(x).all() else x * 1

    def backward(self, dy: Array) -> Array:
        return 2 * dy


@pytest.mark.parametrize(
    ("check", "lines"),
    [
        (lambda: check_layer(Dense(2), (3,), report=True), ["✓ copies"]),
        (
            lambda: check_layer(ForgetsTheChainRule(), (3,), report=True),
            ["✓ forward, float32", "✗ derivatives: ForgetsTheChain"],
        ),
        (
            lambda: check_loss(MeanSquaredError(), (2,), np.ones((3, 2)), report=True),
            ["✓ sample weights", "✓ recording"],
        ),
        (
            lambda: check_optimizer(NakedAdam(correct=False), Adam(), report=True),
            ["✗ like Adam: NakedAdam: st", "✓ downhill 3"],
        ),
        (lambda: check_initializer(HeNormal(), report=True), ["✓ fill"]),
        (
            lambda: check_initializer(FillsHalf(), report=True),
            ["✗ fill: FillsHalf.fill leaves numbers of w"],
        ),
        (lambda: check_schedule(CosineSchedule(), report=True), ["✓ unknown length"]),
        (lambda: check_layer(Add(), (3,), (3,), report=True), ["✓ recording"]),
        (
            lambda: check_layer(Decides(), (3,), report=True),
            ["- recording: body.nodes.layer: test_rep"],
        ),
        (lambda: check_optimizer(SGD(), report=True), ["✓ recording"]),
        (
            lambda: check_optimizer(LBFGS(), report=True),
            ["- recording: LBFGS searches: it evaluates"],
        ),
    ],
)
def test_a_report_has_a_line_for_each_law(check: Callable[[], str], lines: list[str]) -> None:
    report = check().splitlines()
    for line in lines:
        assert any(found.startswith(line) for found in report)


def test_a_layer_that_decides_by_values_keeps_the_contract() -> None:
    """It can't be recorded, and that is all."""
    check_layer(Decides(), (3,))
    assert "✗" not in str(check_layer(Decides(), (3,), report=True))


def test_a_sentence_appears_once_in_a_report() -> None:
    table = str(check_layer(MultipliesShapes(), (3,), report=True))
    assert table.count("forward (train=False, 5 rows) raised ValueError") == 1
    assert "✗ copies" in table


@pytest.mark.parametrize("layer", [ForgetsTheChainRule(), MultipliesShapes(), ReLU])
def test_an_error_shows_no_frame_of_the_checks(layer: Any) -> None:
    with pytest.raises(AssertionError) as caught:
        check_layer(layer, (3,))
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)][1:]
    assert frames
    assert all(frame.f_locals["__tracebackhide__"] for frame in frames)
    if cause := caught.value.__cause__:  # of one's own code, only its own lines
        names = [frame.f_code.co_name for frame, _ in traceback.walk_tb(cause.__traceback__)]
        assert names == ["forward"]


def test_a_network_finds_an_initializer_that_leaves_numbers() -> None:
    body = Sequential([Dense(2), Dense(4, init=FillsHalf())])
    with pytest.raises(
        ConfigError, match=r"FillsHalf\.fill leaves numbers of w .* w\[\.\.\.\] ="
    ) as e:
        Network(body, MeanSquaredError(), shape=(3,))
    assert e.value.place == "body.layers.1.W"


class GrowsWithoutEnd(Optimizer):
    lr: Rate = 0.1

    def update(self, w: Array, g: Array) -> None:
        w += self.lr * g * 9.0**self.t


class RootsOfG(Optimizer):
    lr: Rate = 0.1

    def update(self, w: Array, g: Array) -> None:
        w -= self.lr * np.sqrt(g)


@pytest.mark.parametrize(
    ("optimizer", "sentence"),
    [
        (GrowsWithoutEnd(), "nan or inf after 300 steps .* do the steps grow without end"),
        (RootsOfG(), "nan or inf after ordinary steps; is there a root of negative numbers"),
    ],
)
def test_steps_that_are_not_finite_are_named(optimizer: Optimizer, sentence: str) -> None:
    with np.errstate(all="ignore"), pytest.raises(AssertionError, match=sentence):
        check_optimizer(optimizer)
