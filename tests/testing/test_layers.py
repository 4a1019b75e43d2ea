"""Mistakes with chance, states, data and small batches in one's own layers: found, and named."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from layerkit import (
    SGD,
    Array,
    BatchNorm,
    DataError,
    Dense,
    Dropout,
    Embedding,
    Lambda,
    Layer,
    Sequential,
    Shape,
    Standardize,
)
from layerkit.testing import check_layer

# Chance


class GlobalGenerator(Dropout):
    def disturb(self, x: Array) -> tuple[Array, Array]:
        m = np.asarray(np.random.default_rng().random(x.shape) < 0.5, x.dtype)
        return x * m, m


class GeneratorOfItsOwn(Layer):
    def build(self, shape: Shape) -> Shape:
        self.generator_of_mine = np.random.default_rng(0)
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        result: Array = x + self.generator_of_mine.random(x.shape, np.float32) if train else x
        return result

    def backward(self, dy: Array) -> Array:
        return dy


class DoesNotSayRandom(Dropout):
    random = False


class RandomPrediction(Dropout):
    def forward(self, x: Array, train: bool = True) -> Array:
        return super().forward(x)


class AnotherMaskBackwards(Dropout):
    def backward(self, dy: Array) -> Array:
        return self.disturb(dy)[0]


class ForgetsToScaleBackwards(Dropout):
    def backward(self, dy: Array) -> Array:
        result: Array = dy * (self.m != 0)
        return result


# States


class PlainStatistics(Layer):
    """Keeps its running mean in an attribute, which a copy does not have."""

    def build(self, shape: Shape) -> Shape:
        self.mean = np.zeros(shape)
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        if train:
            self.mean += 0.1 * (x.mean(axis=0) - self.mean)
            return x.copy()
        result: Array = x - self.mean.astype(x.dtype)
        return result

    def backward(self, dy: Array) -> Array:
        return dy


class LearnsFromPredictions(BatchNorm):
    def forward(self, x: Array, train: bool = True) -> Array:
        self.mean.value += 0.1 * x.mean(axis=0)
        return super().forward(x, train)


class PredictsFromTheBatch(BatchNorm):
    def forward(self, x: Array, train: bool = True) -> Array:
        return super().forward(x) if len(x) > 1 else super().forward(x, train)


class TakesMeanForConstant(BatchNorm):
    def backward(self, dy: Array) -> Array:
        self.train = False
        return super().backward(dy)


# Small batches


class SingleExample(BatchNorm):
    def forward(self, x: Array, train: bool = True) -> Array:
        return super().forward(x if len(x) > 1 else np.concatenate([x, x]), train)[: len(x)]


# Data


class AddsUp(Standardize):
    def adapt(self, batches: Iterable[Array]) -> None:
        for x in batches:
            self.mean.value += x.mean(axis=0)


class CentersTheBatch(Standardize):
    def adapt(self, batches: Iterable[Array]) -> None:
        for x in batches:
            x -= x.mean(axis=0)


class LooksTwice(Standardize):
    def adapt(self, batches: Iterable[Array]) -> None:
        first = np.concatenate(list(batches))
        self.mean.value, self.scale.value = first.mean(axis=0), np.concatenate(list(batches)).std()


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (GlobalGenerator(), "draw random numbers from self.rng alone, and say random = True"),
        (GeneratorOfItsOwn(), "depends on the batches before it: .* a generator other than self.r"),
        (DoesNotSayRandom(), "DoesNotSayRandom draws from self.rng, .* says so: random = True"),
        (Sequential([Dropout(), DoesNotSayRandom()]), "DoesNotSayRandom draws from self.rng"),
        (RandomPrediction(), "with train=False draws random numbers: a prediction should not"),
        (AnotherMaskBackwards(), "gives another dx when it is called again"),
        (ForgetsToScaleBackwards(0.2), "it is 0.8 times the right value everywhere"),
        (PlainStatistics(), "neither an option nor a Param nor a State: declare it in build"),
        (LearnsFromPredictions(), "changes what is kept in a State: learn only with train=True"),
        (PredictsFromTheBatch(), "with train=False changes what is kept in a State"),
        (TakesMeanForConstant(), r"dx\[\d, \d\] is .* difference quotients of forward give"),
        (SingleExample(), "takes 1 rows with train=True, though its smallest_batch is 2: raise"),
        (AddsUp(), "adapt gives other states when it is called again with the same examples"),
        (CentersTheBatch(), "adapt writes to a batch, which others may still read"),
        (LooksTwice(), "adapt raised ValueError: need at least one array"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_mistakes_are_named(layer: Layer, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence) as caught:
        check_layer(layer, (3,))
    assert "\n" not in str(caught.value)


class LooksUpInHalves(Embedding):
    def backward(self, dy: Array) -> Array:
        dx = super().backward(dy)
        self.W.grad = self.W.grad / 2
        return dx


class OverwritesRepeated(Embedding):
    def backward(self, dy: Array) -> Array:
        dx = super().backward(dy)
        dW = np.zeros_like(self.W.grad)
        dW[self.numbers] = dy
        self.W.grad = dW
        return dx


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (LooksUpInHalves(4, 2), r"W.grad.* it is 0.5 times the right value everywhere"),
        (OverwritesRepeated(4, 2), r"W.grad\[\d, \d\] is .* difference quotients of forward give"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_layers_that_do_not_take_any_numbers_are_tried_with_given_ones(
    layer: Layer, sentence: str
) -> None:
    examples = np.array([[0, 1], [1, 1], [3, 2]])
    check_layer(Embedding(4, 2), (2,), examples=examples)
    with pytest.raises(AssertionError, match=sentence):
        check_layer(layer, (2,), examples=examples)
    with pytest.raises(AssertionError, match="raised DataError: Embedding takes whole numbers"):
        check_layer(layer, (2,))


@pytest.mark.parametrize(
    ("derivative", "sentence"),
    [(np.sin, "difference quotients of forward give"), (np.cos, None)],
)
def test_a_lambda_can_be_checked(derivative: Any, sentence: str | None) -> None:
    layer = Sequential([Lambda(np.sin, derivative)])
    if sentence is None:
        check_layer(layer, (3,))
    else:
        with pytest.raises(AssertionError, match=sentence):
            check_layer(layer, (3,))


def test_a_batch_that_is_too_small_may_be_refused_in_any_words_of_layerkit() -> None:
    class NeedsThree(Layer):
        smallest_batch = 3

        def forward(self, x: Array, train: bool = True) -> Array:
            if train and len(x) < 3:
                raise DataError("NeedsThree takes three examples or more")
            self.x = x
            return x * x

        def backward(self, dy: Array) -> Array:
            return 2 * self.x * dy

    check_layer(NeedsThree(), (3,))


class SendsBackDyUnasked(Layer):
    def forward(self, x: Array, train: bool = True) -> Array:
        return 3 * x

    def backward(self, dy: Array) -> Array:
        return 3 * dy if self.wants_dx else dy


class SendsBackNone(SendsBackDyUnasked):
    def backward(self, dy: Array) -> Any:
        return super().backward(dy) if self.wants_dx else None


def test_where_nobody_wants_dx_a_wrong_one_is_not_returned_either() -> None:
    check_layer(SendsBackNone(), (3,))
    with pytest.raises(AssertionError, match="dx is different where wants_dx is False"):
        check_layer(SendsBackDyUnasked(), (3,))


@pytest.mark.parametrize(
    ("given", "like", "sentence"),
    [
        ([Dense, (3,)], None, "Dense is a class: give an object, Dense()"),
        ([Dense(2), (3,)], Dense, "Dense is a class: give an object, Dense()"),
        ([SGD(lr=0.1), (3,)], None, "SGD(lr=0.1): should be of type Layer"),
        ([Dense(2)], None, "check_layer(Dense): give the shape of an example too, such as (3,)"),
        ([Dense(2), 3], None, "check_layer(Dense, 3): a shape is a tuple: write (3,)"),
        ([Dense(2), np.ones((9, 3))], None, ": a shape is a tuple: write (3,)"),
    ],
)
def test_what_a_check_is_given_is_looked_at(given: list[Any], like: Any, sentence: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_layer(*given, like=like)
    assert sentence in str(caught.value)
