"""Mistakes in parts of one's own: `fit` finds them beforehand, and says what to write."""

import copy
import math
from collections.abc import Iterator
from dataclasses import field
from typing import Any

import numpy as np
import pytest

from layerkit import (
    SGD,
    Array,
    Augmentation,
    BatchNorm,
    ConfigError,
    Dense,
    Dropout,
    Layer,
    LayerkitError,
    LogCosh,
    Loss,
    MeanSquaredError,
    Network,
    Optimizer,
    Param,
    Rate,
    Sequential,
    Shape,
    Sigmoid,
    Standardize,
    Zeros,
    fit,
    train,
)
from layerkit.testing import check_layer
from layerkit.training import own_rules

X = np.random.default_rng(0).normal(size=(12, 3))
Y = X[:, :2]


def network(layer: Layer | None = None, loss: Loss | None = None) -> Network:
    layers = [Dense(4), *([layer] if layer else []), Dense(2)]
    return Network(Sequential(layers), loss or MeanSquaredError(), shape=(3,))


# Layers


class OwnPlain(Layer):
    def forward(self, x: Array, train: bool = True) -> Array:
        self.x = x
        return x + 1

    def backward(self, dy: Array) -> Any:
        return dy + 0


class OwnWidens(OwnPlain):
    def forward(self, x: Array, train: bool = True) -> Array:
        return np.multiply(x, np.sqrt(np.float64(2)))


class OwnWidensWhenTrained(OwnPlain):
    def forward(self, x: Array, train: bool = True) -> Array:
        return x.astype(float) if train else x


class OwnNoReturn(OwnPlain):
    def forward(self, x: Array, train: bool = True) -> Any:
        self.y = x + 1


class OwnClears(OwnPlain):
    def forward(self, x: Array, train: bool = True) -> Array:
        x[x < 0] = 0
        return x


class OwnOneNumber(OwnPlain):
    def forward(self, x: Array, train: bool = True) -> Any:
        return math.tanh(x)


class OwnWidensBack(OwnPlain):
    def backward(self, dy: Array) -> Array:
        return np.multiply(dy, np.float64(2))


class OwnSumsBack(OwnPlain):
    def backward(self, dy: Array) -> Any:
        return dy.sum(axis=0)


class OwnNothingBack(OwnPlain):
    def backward(self, dy: Array) -> Any:
        self.dx = dy * 2


class OwnWritesBack(OwnPlain):
    def backward(self, dy: Array) -> Array:
        dy *= 2
        return dy


class OwnShift(OwnPlain):
    def build(self, shape: Shape) -> Shape:
        self.b = Param(shape, Zeros())
        return shape


class OwnAddsUp(OwnShift):
    def backward(self, dy: Array) -> Array:
        self.b.grad += dy.sum(axis=0)
        return dy + 0


class OwnPlainArray(OwnPlain):
    def build(self, shape: Shape) -> Shape:
        self.W = np.random.default_rng().normal(size=shape).astype("float32")
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        return np.multiply(x, self.W)


class OwnZerosOfItsOwn(OwnPlain):
    def build(self, shape: Shape) -> Shape:
        self.W: Any = np.zeros(shape, "float32")
        return shape

    def backward(self, dy: Array) -> Array:
        self.W.grad = (dy * self.x).sum(axis=0)
        return dy + 0


class OwnOnes(OwnPlain):
    def build(self, shape: Shape) -> Shape:
        self.W = np.ones(shape, "float32")
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        return np.multiply(x, self.W)


class OwnBuffer(OwnOnes):
    """Has an array of zeros that it writes to: nothing is wrong with it."""

    def build(self, shape: Shape) -> Shape:
        self.mean = np.zeros(shape, "float32")
        self.seen: list[int] = []
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        self.mean += x.mean(axis=0)
        self.seen.append(len(x))
        return np.add(x, 1)


class OwnWaves(OwnPlain):
    """Has an array that is no parameter, the same in each layer: nothing is wrong with it."""

    def build(self, shape: Shape) -> Shape:
        self.positions = np.linspace(0, 1, shape[0], dtype="float32")
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        return np.add(x, self.positions)


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (
            OwnWidens(),
            "OwnWidens.forward returns float64 (2, 4); should be float32 (2, 4): NumPy scal",
        ),
        (OwnWidensWhenTrained(), "forward returns float64 (2, 4); should be float32 (2, 4)"),
        (OwnNoReturn(), "OwnNoReturn.forward returns None; should be float32 (2, 4): write return"),
        (
            OwnClears(),
            "OwnClears.forward writes to x, which others may still read: make a new array",
        ),
        (
            OwnOneNumber(),
            "OwnOneNumber.forward calls a function of one number with an array: write np.",
        ),
        (
            OwnWidensBack(),
            "OwnWidensBack.backward returns float64 (2, 4); should be float32 (2, 4): Nu",
        ),
        (OwnSumsBack(), "OwnSumsBack.backward returns float32 (4,); should be float32 (2, 4)"),
        (
            OwnNothingBack(),
            "OwnNothingBack.backward returns None; should be float32 (2, 4): write ret",
        ),
        (OwnWritesBack(), "OwnWritesBack.backward writes to dy, or to the x that forward has kept"),
        (OwnShift(), "OwnShift.backward doesn't set the gradient of b: write self.b.grad = …"),
        (
            OwnAddsUp(),
            "OwnAddsUp.backward leaves what was there before in the gradient of b, or adds",
        ),
        (
            OwnPlainArray(),
            "OwnPlainArray.build draws the array W, which is neither trained nor saved: ",
        ),
        (
            OwnOnes(),
            "OwnOnes.build makes the array W, full of 1, and nothing changes it: for a parameter, ",
        ),
        (
            OwnZerosOfItsOwn(),
            "OwnZerosOfItsOwn.backward takes grad of a plain array: a parameter is",
        ),
    ],
)
def test_a_mistake_in_a_layer_is_found(layer: Layer, sentence: str) -> None:
    net = network(layer)
    with pytest.raises(LayerkitError) as caught:
        train(net, SGD(), X, Y)
    assert str(caught.value).startswith(sentence) or sentence in str(caught.value)
    assert caught.value.place == "body.layers.1"


def test_an_array_of_ones_that_stays_is_found_by_check_layer() -> None:
    with pytest.raises(AssertionError, match=r"self\.W = Param\(shape, Ones\(\)\); for numbers"):
        check_layer(OwnOnes(), (3,))


def test_an_error_of_a_layer_says_where_it_was() -> None:
    class Asks(OwnPlain):
        def forward(self, x: Array, train: bool = True) -> Any:
            return x @ np.ones((99, 2))

    with pytest.raises(ValueError, match="matmul") as caught:
        fit(network(Asks()), SGD(), X, Y)
    assert caught.value.__notes__ == ["in Asks.forward at body.layers.1"]


# Losses


class OwnErrors(Loss):
    def losses(self, z: Array, t: Array) -> Any:
        self.error = z - t
        return (self.error**2).mean(axis=-1)

    def gradients(self) -> Any:
        return 2 * self.error / self.error.shape[-1]


class OwnEverything(OwnErrors):
    def losses(self, z: Array, t: Array) -> Any:
        return super().losses(z, t).mean()


class OwnPythonNumber(OwnErrors):
    def losses(self, z: Array, t: Array) -> Any:
        return float(super().losses(z, t).mean())


class OwnColumn(OwnErrors):
    def losses(self, z: Array, t: Array) -> Any:
        return super().losses(z, t)[:, None]


class OwnEachOutput(OwnErrors):
    def losses(self, z: Array, t: Array) -> Any:
        super().losses(z, t)
        return self.error**2


class OwnMeanGradient(OwnErrors):
    def gradients(self) -> Any:
        return super().gradients().mean(axis=-1)


class OwnWideGradient(OwnErrors):
    def gradients(self) -> Any:
        return super().gradients() * np.float64(2)


class OwnCounts(OwnErrors):
    def counts(self, z: Array, t: Array) -> Any:
        z *= 0
        return z[:, 0]


class OwnValuesOfRows(LogCosh):
    def values(self, z: Array, t: Array) -> Any:
        return super().values(z, t).mean(axis=-1)


class OwnSlopesOfRows(LogCosh):
    def slopes(self) -> Any:
        return super().slopes().mean(axis=-1)


class OwnChangesOutputs(OwnErrors):
    def losses(self, z: Array, t: Array) -> Any:
        z -= t
        return super().losses(z, 0 * t)


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        (
            OwnEverything(),
            "OwnEverything.losses returns float32 (); should be an array (2,), one loss for",
        ),
        (
            OwnPythonNumber(),
            "should be an array (2,), one loss for each row: write return (…).mean(",
        ),
        (
            OwnColumn(),
            "OwnColumn.losses returns float32 (2, 1); should be an array (2,), one loss for",
        ),
        (
            OwnEachOutput(),
            "OwnEachOutput.losses returns float32 (2, 2); should be an array (2,), one",
        ),
        (
            OwnMeanGradient(),
            "OwnMeanGradient.gradients returns float32 (2,); should be float32 (2, 2), ",
        ),
        (
            OwnWideGradient(),
            "OwnWideGradient.gradients returns float64 (2, 2); should be float32 (2, 2)",
        ),
        (
            OwnValuesOfRows(),
            "OwnValuesOfRows.values returns float32 (2,); should be an array (2, 2), a number for",
        ),
        (
            OwnSlopesOfRows(),
            "OwnSlopesOfRows.slopes returns float32 (2,); should be float32 (2, 2), the derivative",
        ),
        (OwnCounts(), "OwnCounts.counts writes to z or to the targets, which are not its own"),
        (
            OwnChangesOutputs(),
            "OwnChangesOutputs.losses writes to z or to the targets, which are not its own",
        ),
    ],
)
def test_a_mistake_in_a_loss_is_found(loss: Loss, sentence: str) -> None:
    with pytest.raises(LayerkitError) as caught:
        train(network(loss=loss), SGD(), X, Y)
    assert sentence in str(caught.value)
    assert caught.value.place == "loss"


# Augmentations


class OwnWide(Augmentation):
    def __call__(self, x: Array, rng: np.random.Generator) -> Any:
        return x + rng.normal(size=x.shape)


class OwnInPlace(Augmentation):
    def __call__(self, x: Array, rng: np.random.Generator) -> Any:
        x *= 2
        return x


class OwnForgets(Augmentation):
    def __call__(self, x: Array, rng: np.random.Generator) -> Any:
        self.x = x * 2


@pytest.mark.parametrize(
    ("augmentation", "sentence"),
    [
        (OwnWide(), "returns float64 (2, 3); should be float32 (2, 3): NumPy scalars widen"),
        (
            OwnInPlace(),
            "OwnInPlace.__call__ writes to x, which others may still read: make a new array",
        ),
        (OwnForgets(), "returns None; should be float32 (2, 3): write return"),
    ],
)
def test_a_mistake_in_an_augmentation_is_found(augmentation: Any, sentence: str) -> None:
    with pytest.raises(LayerkitError) as caught:
        train(network(), SGD(), X, Y, augmentation=augmentation)
    assert sentence in str(caught.value)


# Optimizers


class OwnDescent(Optimizer):
    lr: Rate = 0.1

    def update(self, w: Array, g: Array, *slots: Array) -> Any:
        w -= self.lr * g


class OwnRenamesW(OwnDescent):
    def update(self, w: Array, g: Array, *slots: Array) -> Any:
        w = w - self.lr * g


class OwnReturns(OwnDescent):
    def update(self, w: Array, g: Array, *slots: Array) -> Any:
        return w - self.lr * g


class OwnChangesGradient(OwnDescent):
    def update(self, w: Array, g: Array, *slots: Array) -> Any:
        g *= self.lr
        w -= g


class OwnRenamesSlot(OwnDescent):
    slots = ("m",)

    def update(self, w: Array, g: Array, *slots: Array) -> Any:
        (m,) = slots
        m = 0.9 * m + g
        w -= self.lr * m


class OwnOnSelf(OwnDescent):
    def update(self, w: Array, g: Array, *slots: Array) -> Any:
        if self.t == 1:
            self.m = np.zeros_like(w)
        self.m += g
        w -= self.lr * self.m


class OwnBeginsOnSelf(OwnDescent):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.m: Any = 0.0

    def update(self, w: Array, g: Array, *slots: Array) -> Any:
        self.m = 0.9 * self.m + g
        w -= self.lr * self.m


class OwnNumberOnSelf(OwnDescent):
    def update(self, w: Array, g: Array, *slots: Array) -> Any:
        self.factor = getattr(self, "factor", 1.0) * 0.9
        w -= self.lr * self.factor * g


class OwnGenerator(OwnDescent):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.rng = np.random.default_rng(0)

    def update(self, w: Array, g: Array, *slots: Array) -> Any:
        w -= self.lr * g * self.rng.random()


class OwnNowAndThen(OwnDescent):
    """Waits for 15 steps, and writes to its slot at every 20th."""

    slots = ("m",)

    def update(self, w: Array, g: Array, *slots: Array) -> Any:
        if self.t > 15:
            w -= self.lr * g
        if self.t % 20 == 0:
            slots[0][...] = g


class OwnDrawsNoise(OwnDescent):
    """Draws from a generator of its own: nobody knows where it goes."""

    def update(self, w: Array, g: Array, *slots: Array) -> Any:
        w -= self.lr * g * np.random.default_rng().random()


@pytest.mark.parametrize(
    ("optimizer", "sentence"),
    [
        (
            OwnRenamesW(),
            "OwnRenamesW.update leaves w as it was: write w -= …, since w = w - … only renames",
        ),
        (OwnReturns(), "OwnReturns.update leaves w as it was: write w -= …"),
        (OwnRenamesW(weight_decay=0.1), "OwnRenamesW.update leaves w as it was: write w -= …"),
        (OwnChangesGradient(), "OwnChangesGradient.update writes to g, which is the network"),
        (
            OwnRenamesSlot(),
            "OwnRenamesSlot: slot m is still as it was at the start: write m *= … and m",
        ),
        (
            OwnOnSelf(),
            'OwnOnSelf remembers m on self, which no checkpoint has: write slots = ("m",) and',
        ),
        (OwnBeginsOnSelf(), "OwnBeginsOnSelf remembers m on self, which no checkpoint has: write"),
        (
            OwnGenerator(),
            "OwnGenerator takes steps that depend on something that no checkpoint has, such as a g",
        ),
        (OwnNumberOnSelf(), "OwnNumberOnSelf remembers factor on self, which no checkpoint has"),
    ],
)
def test_a_mistake_in_an_optimizer_is_found(optimizer: Optimizer, sentence: str) -> None:
    with pytest.raises(LayerkitError) as caught:
        train(network(), optimizer, X, Y)
    assert str(caught.value).startswith(sentence)
    assert optimizer.t == 0


class OwnNeedsMore(OwnDescent):
    """Takes a mask for each number of the network, and binds to it."""

    mask: list[float] = field(default_factory=list)

    def bind(self, arena: Any, steps: int | None = None) -> None:
        super().bind(arena, steps)
        self.names = list(arena.params)

    def update(self, w: Array, g: Array, *slots: Array) -> Any:
        assert self.names
        w -= self.lr * np.array(self.mask) * g

    def check_options(self) -> None:
        super().check_options()
        if not self.weight_decay:
            raise ConfigError("decays always")


def test_an_optimizer_that_needs_all_numbers_is_tried_in_the_training_itself() -> None:
    net = network()
    optimizer = OwnNeedsMore(mask=[1.0] * net.arena.values.size, weight_decay=0.1)
    assert len(fit(net, optimizer, X, Y, epochs=1)) == 1
    with pytest.raises(ValueError, match="broadcast"):
        fit(network(), OwnNeedsMore(mask=[1.0] * 5, weight_decay=0.1), X, Y)


def test_an_error_of_layerkit_is_not_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_rules, "find_segments", None)
    with pytest.raises(TypeError, match="'NoneType' object is not callable"):
        fit(network(), OwnDescent(), X, Y)


def test_an_attribute_assigned_in_place_of_an_option_is_found() -> None:
    optimizer = SGD()
    optimizer.lrr = 0.5  # type: ignore[attr-defined]
    with pytest.raises(
        ConfigError, match=r"SGD\.lrr is assigned and not read; did you mean 'lr'\?"
    ):
        fit(network(), optimizer, X, Y)


# All of them


def known(net: Network) -> list[Any]:
    """All numbers of a network, and what its layers and its loss keep."""
    parts = [net.loss, *(layer for _, layer in net.layers())]
    drawn = [layer.rng.bit_generator.state for _, layer in net.layers() if layer.random]
    kept = [{name: repr(value) for name, value in vars(part).items()} for part in parts]
    return [
        net.arena.values.tolist(),
        net.arena.grads.tolist(),
        net.arena.states.tolist(),
        drawn,
        kept,
    ]


@pytest.mark.parametrize(
    ("layer", "examples"),
    [
        *[(layer, 1) for layer in (None, OwnPlain(), OwnWaves(), OwnBuffer(), Dropout(0.5))],
        *[(layer, 12) for layer in (None, OwnWaves(), OwnBuffer(), BatchNorm(), Dropout(0.5))],
    ],
)
def test_a_trial_leaves_nothing(layer: Layer | None, examples: int) -> None:
    net = network(copy.deepcopy(layer), OwnErrors())
    before = known(net)
    train(net, OwnDrawsNoise(), X[:examples], Y[:examples])
    assert known(net) == before


def test_a_layer_before_all_parameters_is_tried_once_and_then_left_alone() -> None:
    calls = []

    class Front(OwnPlain):
        def backward(self, dy: Array) -> Any:
            calls.append(self.wants_dx)
            return super().backward(dy)

    for layers in ([Front(), Dense(2)], [Standardize(), Front(), Dense(2)]):
        net = Network(Sequential(layers), MeanSquaredError(), shape=(3,))
        fit(net, SGD(), X, Y, epochs=3)
        assert not any(layer.wants_dx for _, layer in net.layers())
    assert calls == [False, True]


def test_networks_without_parameters_and_patient_optimizers_are_trained() -> None:
    identity = Network(Sequential([Sigmoid()]), MeanSquaredError(), shape=(3,))
    assert len(fit(identity, OwnDescent(), X, X, epochs=1)) == 1
    assert len(fit(network(), OwnNowAndThen(), X, Y, epochs=1)) == 1


def test_the_first_batch_of_an_iterable_tries_the_parts() -> None:
    def batches() -> Iterator[tuple[Array, Array]]:
        yield X, Y

    for loss, layer in [(OwnColumn(), None), (None, OwnWidens())]:
        with pytest.raises(LayerkitError, match=r"should be (an array|float32)"):
            fit(network(layer, loss), SGD(), batches)
    assert len(fit(network(OwnPlain()), SGD(), batches, epochs=2)) == 2
