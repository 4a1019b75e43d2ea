"""The checks for those who extend: each mistake is found, and named."""

import copy
import math
from typing import Any

import numpy as np
import pytest

from layerkit import (
    SGD,
    Array,
    Dense,
    Initializer,
    Layer,
    LogCosh,
    Loss,
    Optimizer,
    Param,
    Rate,
    ReLU,
    Sequential,
    Shape,
    Size,
    SoftmaxCrossEntropy,
    Zeros,
    to_config,
)
from layerkit.losses.base import mean_loss
from layerkit.losses.classes import class_numbers
from layerkit.testing import check_initializer, check_layer, check_loss, check_optimizer

Sums = tuple[float, float]

# Layers, each with one mistake


class BiasOverFeatures(Dense):
    def backward(self, dy: Array) -> Array:
        self.W.grad = self.x.T @ dy
        self.b.grad = dy.sum(axis=1)
        return dy @ self.W.value.T


class BiasOverEverything(Dense):
    def backward(self, dy: Array) -> Array:
        dx = super().backward(dy)
        self.b.grad = np.full(self.units, dy.sum())
        return dx


class ForgetsBias(Dense):
    def backward(self, dy: Array) -> Array:
        self.W.grad = self.x.T @ dy
        return dy @ self.W.value.T


class ForgetsBiasOfFirstLayer(Dense):
    def backward(self, dy: Array) -> Array:
        if self.wants_dx:
            return super().backward(dy)
        self.W.grad = self.x.T @ dy
        return dy


class Accumulates(Dense):
    def backward(self, dy: Array) -> Array:
        self.W.grad += self.x.T @ dy
        self.b.grad = dy.sum(axis=0)
        return dy @ self.W.value.T


class ForgetsToTranspose(Dense):
    def backward(self, dy: Array) -> Array:
        super().backward(dy)
        return dy @ self.W.value


class LearnsOutsideParams(Dense):
    def build(self, shape: Shape) -> Shape:
        self.gain = 1.0
        return super().build(shape)

    def backward(self, dy: Array) -> Array:
        self.gain += 0.1
        return super().backward(dy)

    def forward(self, x: Array, train: bool = True) -> Array:
        y = super().forward(x)
        return y if train else y * self.gain


class StaysBuilt(Dense):
    def __getstate__(self) -> dict[str, Any]:
        return vars(self).copy()


class WritesToX(ReLU):
    def forward(self, x: Array, train: bool = True) -> Array:
        x[x < 0] = 0
        self.y = x
        return x


class WritesToDy(ReLU):
    def backward(self, dy: Array) -> Array:
        dy *= self.y > 0
        return dy


class PrintedReLU(ReLU):
    def backward(self, dy: Array) -> Array:
        dx = np.where(self.y < 0, self.y, 1)
        result: Array = dy * np.where(dx >= 0, 1, 0).astype(dy.dtype)
        return result


class TimesRootOfTwo(Layer):
    def forward(self, x: Array, train: bool = True) -> Array:
        result: Array = x * np.sqrt(np.float64(2))
        return result

    def backward(self, dy: Array) -> Array:
        result: Array = dy * np.sqrt(np.float64(2))
        return result


class WidensBackwards(Layer):
    def forward(self, x: Array, train: bool = True) -> Array:
        return x * 2

    def backward(self, dy: Array) -> Array:
        return dy * np.float64(2)


class WidensPrediction(ReLU):
    def forward(self, x: Array, train: bool = True) -> Array:
        return super().forward(x) if train else np.maximum(x, np.float64(0))


class AlwaysFloat32(Layer):
    def forward(self, x: Array, train: bool = True) -> Array:
        return x.astype(np.float32)

    def backward(self, dy: Array) -> Array:
        return dy


class PromisesTooMuch(ReLU):
    def build(self, shape: Shape) -> Shape:
        return (shape[0] + 1,)


class PromisesAList(ReLU):
    def build(self, shape: Shape) -> Shape:
        return list(shape)  # type: ignore[return-value]


class PromisesNothing(ReLU):
    def build(self, shape: Shape) -> Shape:
        return None  # type: ignore[return-value]


class ReadsBack(Layer):
    def forward(self, x: Array, train: bool = True) -> Array:
        self.y = np.tanh(x)
        return self.y

    def backward(self, dy: Array) -> Array:
        result: Array = dy * (1 - self.y**2)
        return result


class FirstBatchBuffer(Layer):
    def build(self, shape: Shape) -> Shape:
        self.buffer: Array | None = None
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        if self.buffer is None:
            self.buffer = np.empty_like(x)
        self.buffer[...] = x
        return self.buffer * 3

    def backward(self, dy: Array) -> Array:
        return dy * 3


class RemembersTheBatchBefore(Layer):
    def build(self, shape: Shape) -> Shape:
        self.mean = 0.0
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        y = x - self.mean
        self.mean = float(x.mean())
        return y

    def backward(self, dy: Array) -> Array:
        return dy


class SharedScratch(Layer):
    def build(self, shape: Shape) -> Shape:
        self.scratch = np.empty((0, *shape))
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        if train:
            return x * 2
        if self.scratch.shape != x.shape or self.scratch.dtype != x.dtype:
            self.scratch = np.empty_like(x)
        return np.multiply(x, 2, out=self.scratch)

    def backward(self, dy: Array) -> Array:
        return dy * 2


class Centers(Layer):
    def forward(self, x: Array, train: bool = True) -> Array:
        result: Array = x - x.mean(axis=0)
        return result

    def backward(self, dy: Array) -> Array:
        result: Array = dy - dy.mean(axis=0)
        return result


class GuessesInPrediction(Layer):
    def build(self, shape: Shape) -> Shape:
        self.guesses = np.random.default_rng(0)
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        return x.copy() if train else x + self.guesses.standard_normal(x.shape, x.dtype)

    def backward(self, dy: Array) -> Array:
        return dy


class OverwritesY(Layer):
    def forward(self, x: Array, train: bool = True) -> Array:
        y = np.exp(x)
        self.y = y
        return y

    def backward(self, dy: Array) -> Array:
        self.y *= dy
        return self.y


class ConsumesWhatItKept(Layer):
    def forward(self, x: Array, train: bool = True) -> Array:
        self.slope = np.cos(x)
        return np.sin(x)

    def backward(self, dy: Array) -> Array:
        self.slope *= dy
        return self.slope


class SumsTheBatch(Layer):
    def forward(self, x: Array, train: bool = True) -> Array:
        return x.copy()

    def backward(self, dy: Array) -> Array:
        result: Array = dy.sum(axis=0)
        return result


class ReturnsNoDx(Layer):
    def forward(self, x: Array, train: bool = True) -> Array:
        return x.copy()

    def backward(self, dy: Array) -> Array:
        return None  # type: ignore[return-value]


class DividesByZero(Layer):
    def forward(self, x: Array, train: bool = True) -> Array:
        return np.log(np.where(x > 0, x, np.nan))

    def backward(self, dy: Array) -> Array:
        return dy


class Staircase(Layer):
    def forward(self, x: Array, train: bool = True) -> Array:
        return np.sign(np.sin(x * 1e6))

    def backward(self, dy: Array) -> Array:
        return dy * 0


class ChangesItsOption(Layer):
    factor: Size = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self.factor += 1

    def forward(self, x: Array, train: bool = True) -> Array:
        return x * self.factor

    def backward(self, dy: Array) -> Array:
        return dy * self.factor


class DeclaresEarly(Layer):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.b = Param((3,), Zeros())

    def forward(self, x: Array, train: bool = True) -> Array:
        return x + self.b.value

    def backward(self, dy: Array) -> Array:
        self.b.grad = dy.sum(axis=0)
        return dy


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (BiasOverFeatures(4), r"backward \(5 rows\) raised ShapeError: a gradient of shape \(5,\)"),
        (BiasOverFeatures(5), r"backward \(2 rows\) raised ShapeError: a gradient of shape \(2,\)"),
        (BiasOverEverything(4), r"b\.grad\[\d\] is .* a sum goes over the wrong axis"),
        (ForgetsBias(4), "doesn't set the gradient of b: write self"),
        (ForgetsBiasOfFirstLayer(4), "where wants_dx is False doesn't set the gradient of b"),
        (Sequential([ReLU(), ForgetsBias(4)]), r"doesn't set the gradient of layers\.1\.b"),
        (Accumulates(4), r"gradient of W, or adds to it: .* with = and not with \+="),
        (ForgetsToTranspose(3), r"dx\[\d, \d\] is .* difference quotients of forward give"),
        (LearnsOutsideParams(4), "depends on the batches|neither an option nor a Param"),
        (StaysBuilt(4), "makes a copy that is built already"),
        (WritesToX(), "writes to x, which others may still read"),
        (WritesToDy(), "writes to dy, or to the x that forward has kept"),
        (PrintedReLU(), r"dx\[\d, \d\] is .*, but difference quotients of forward give -?0;"),
        (
            TimesRootOfTwo(),
            r"forward \(train=True\) returns float64 for float32; NumPy scalars widen",
        ),
        (WidensBackwards(), "backward returns float64 for float32; NumPy scalars widen"),
        (WidensPrediction(), r"forward \(train=False\) returns float64 for float32"),
        (AlwaysFloat32(), r"forward \(train=True\) returns float32 for float64; keep the type"),
        (PromisesTooMuch(), r"returns \(5, 3\) for 5 rows, but build promised \(4,\)"),
        (PromisesAList(), r"build returned \[3\]; should be the shape of an output"),
        (PromisesNothing(), "build returned None; should be the shape of an output"),
        (ReadsBack(), "reads back from self what another thread may have changed meanwhile"),
        (FirstBatchBuffer(), r"forward \(train=True, 2 rows\) raised ValueError"),
        (RemembersTheBatchBefore(), "y of a batch of 2 depends on the batches before it"),
        (SharedScratch(), "overwrites the result of the call before"),
        (Centers(), "row 0 of the result depends on the other rows of the batch"),
        (GuessesInPrediction(), "gives another result the second time"),
        (OverwritesY(), "backward changes the y that forward returned"),
        (ConsumesWhatItKept(), "gives another dx when it is called again"),
        (SumsTheBatch(), r"returns dx of shape \(3,\); should be that of x, \(5, 3\)"),
        (ReturnsNoDx(), "backward returns None; should be an array, dx"),
        (DividesByZero(), "returns nan or inf for ordinary x"),
        (Staircase(), "has a jump or a kink at most of the elements"),
        (ChangesItsOption(), "makes ChangesItsOption.factor=4., not ChangesItsOption.factor=3."),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_mistakes_in_layers_are_named(layer: Layer, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence) as caught:
        check_layer(layer, (3,))
    assert "\n" not in str(caught.value)


# Losses, each with one mistake


class WrongSign(SoftmaxCrossEntropy):
    def gradients(self) -> Array:
        return -super().gradients()


class OwnSoftmax(SoftmaxCrossEntropy):
    """Softmax as a student writes it; the mistakes below override its pieces."""

    def softmax(self, z: Array) -> Array:
        e = np.exp(z - z.max(axis=1, keepdims=True))
        result: Array = e / e.sum(axis=1, keepdims=True)
        return result

    def log(self, p: Array) -> Array:
        return np.log(p)

    def losses(self, z: Array, t: Array) -> Array:
        self.p = self.softmax(z)
        self.one_hot = np.eye(z.shape[1], dtype=z.dtype)[t]
        losses: Array = -(self.one_hot * self.log(self.p)).sum(axis=1)
        return losses

    def gradients(self) -> Array:
        dz: Array = self.p - self.one_hot
        return dz


class WholeArraySoftmax(OwnSoftmax):
    def softmax(self, z: Array) -> Array:
        e = np.exp(z - z.max())
        result: Array = e / e.sum()
        return result


class OneMaximum(OwnSoftmax):
    def softmax(self, z: Array) -> Array:
        e = np.exp(z - z.max())
        result: Array = e / e.sum(axis=1, keepdims=True)
        return result


class NoMaximum(OwnSoftmax):
    def softmax(self, z: Array) -> Array:
        e = np.exp(z)
        result: Array = e / e.sum(axis=1, keepdims=True)
        return result


class NoMaximumOrProbabilities(Loss):
    """Of class numbers, with `targets` and nothing else of a loss for classes."""

    def targets(self, t: Any, shape: tuple[int, ...]) -> Array:
        return class_numbers(t, shape)

    def losses(self, z: Array, t: Array) -> Array:
        self.p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        self.one_hot = np.eye(z.shape[1], dtype=z.dtype)[t]
        return -np.log((self.p * self.one_hot).sum(axis=1))

    def gradients(self) -> Array:
        return self.p - self.one_hot


class ExponentialMargin(NoMaximumOrProbabilities):
    """Overflows rightly."""

    def losses(self, z: Array, t: Array) -> Array:
        self.signs = 1 - 2 * np.eye(z.shape[1], dtype=z.dtype)[t]
        self.e = np.exp(self.signs * z)
        return self.e.sum(axis=1)

    def gradients(self) -> Array:
        return self.signs * self.e


class Clips(OwnSoftmax):
    def log(self, p: Array) -> Array:
        result: Array = np.log(np.clip(p, 1e-12, 1))
        return result


class ReportsSquares(OwnSoftmax):
    def losses(self, z: Array, t: Array) -> Array:
        super().losses(z, t)
        losses: Array = ((self.p - self.one_hot) ** 2).sum(axis=1)
        return losses


class HalfAProbability(SoftmaxCrossEntropy):
    def predict_proba(self, z: Array) -> Array:
        p: Array = super().predict_proba(z) / 2
        return p


class WideProbabilities(SoftmaxCrossEntropy):
    def predict_proba(self, z: Array) -> Array:
        return super().predict_proba(z).astype(float)


class OneHit(SoftmaxCrossEntropy):
    def hits(self, z: Array, t: Array) -> Array:
        hit: Array = super().hits(z, t).mean(keepdims=True)
        return hit


class Squares(Loss):
    def losses(self, z: Array, t: Array) -> Array:
        self.error = z - t
        losses: Array = (self.error**2).mean(axis=1)
        return losses

    def gradients(self) -> Array:
        dz: Array = 2 * self.error / self.error.shape[1]
        return dz


class MeanOfAll(Squares):
    def losses(self, z: Array, t: Array) -> Array:
        return np.asarray(super().losses(z, t).mean())


class ReturnsScalar(Squares):
    def losses(self, z: Array, t: Array) -> Array:
        return super().losses(z, t).mean()


class LossOfEachOutput(Squares):
    def losses(self, z: Array, t: Array) -> Array:
        self.error = z - t
        losses: Array = self.error**2
        return losses


class DividedByN(Squares):
    def losses(self, z: Array, t: Array) -> Array:
        losses: Array = super().losses(z, t) / len(z)
        return losses


class GradientsDividedByN(Squares):
    def gradients(self) -> Array:
        dz: Array = 2 * self.error / self.error.size
        return dz


class ForgetsTheTwo(Squares):
    def gradients(self) -> Array:
        dz: Array = self.error / self.error.shape[1]
        return dz


class WritesToZ(Squares):
    def losses(self, z: Array, t: Array) -> Array:
        z -= t
        self.error = z
        losses: Array = (z**2).mean(axis=1)
        return losses


class WidensLoss(Squares):
    def gradients(self) -> Array:
        dz: Array = self.error * (np.float64(2) / self.error.shape[1])
        return dz


class ConsumesError(Squares):
    def gradients(self) -> Array:
        self.error *= 2 / self.error.shape[1]
        return self.error


class FlattensDz(Squares):
    def gradients(self) -> Array:
        return super().gradients().ravel()


class RunningMean(Squares):
    def build(self, shape: Shape) -> None:
        self.before = 0.0

    def losses(self, z: Array, t: Array) -> Array:
        losses: Array = super().losses(z, t) + 0.1 * self.before
        self.before = float(losses.mean())
        return losses


class Exponentials(Squares):
    def losses(self, z: Array, t: Array) -> Array:
        self.e = np.exp(4 * z)
        losses: Array = self.e.mean(axis=1)
        return losses

    def gradients(self) -> Array:
        result: Array = 4 * self.e / self.e.shape[1]
        return result


class SumOfAll(Squares):
    def forward(self, z: Array, t: Array, sample_weight: Array | None = None) -> Sums:
        total, weight = super().forward(z, t, sample_weight)
        return total * len(z), weight


class MeanAlone(Squares):
    def forward(self, z: Array, t: Array, sample_weight: Array | None = None) -> Sums:
        return self.mean(z, t, sample_weight)  # type: ignore[return-value]

    def mean(self, z: Array, t: Array, sample_weight: Array | None = None) -> float:
        return mean_loss(*super().forward(z, t, sample_weight))


class ScalarForward(Squares):
    def forward(self, z: Array, t: Array, sample_weight: Array | None = None) -> Sums:
        total, weight = super().forward(z, t, sample_weight)
        return np.float64(total), weight


class IgnoresWeights(Squares):
    def forward(self, z: Array, t: Array, sample_weight: Array | None = None) -> Sums:
        return super().forward(z, t)


class WeighsTheLossesOnly(Squares):
    def forward(self, z: Array, t: Array, sample_weight: Array | None = None) -> Sums:
        total, _ = super().forward(z, t, sample_weight)
        return total, float(len(z))


class CountsRows(Squares):
    """The mean and its derivative are right, its weight is not."""

    def forward(self, z: Array, t: Array, sample_weight: Array | None = None) -> Sums:
        return self.mean(z, t, sample_weight) * len(z), float(len(z))

    def mean(self, z: Array, t: Array, sample_weight: Array | None = None) -> float:
        return mean_loss(*super().forward(z, t, sample_weight))

    def backward(self, *, mean: bool = True) -> Array:
        a = np.ones(len(self.error)) if self.sample_weight is None else self.sample_weight
        dz: Array = self.gradients() * (a / a.sum())[:, None].astype(self.error.dtype)
        return dz


class NormalizesWeights(Squares):
    def forward(self, z: Array, t: Array, sample_weight: Array | None = None) -> Sums:
        if sample_weight is not None and sample_weight.any():
            sample_weight = sample_weight / sample_weight.mean()
        return super().forward(z, t, sample_weight)


class LimitsWeights(Squares):
    def forward(self, z: Array, t: Array, sample_weight: Array | None = None) -> Sums:
        if sample_weight is not None:
            sample_weight = np.minimum(sample_weight, 3)
        return super().forward(z, t, sample_weight)


class NanOfNothing(Squares):
    def forward(self, z: Array, t: Array, sample_weight: Array | None = None) -> Sums:
        total, weight = super().forward(z, t, sample_weight)
        return (total, weight) if weight else (math.nan, weight)


class AtLeastTiny(Squares):
    """Raises weights of 0."""

    def forward(self, z: Array, t: Array, sample_weight: Array | None = None) -> Sums:
        if sample_weight is not None and sample_weight.any():
            sample_weight = np.maximum(sample_weight, 1e-3 * sample_weight.max())
        return super().forward(z, t, sample_weight)


class OneCount(Squares):
    def counts(self, z: Array, t: Array) -> Array | None:
        return np.array(float(len(t)))


class NegativeCounts(Squares):
    def counts(self, z: Array, t: Array) -> Array | None:
        return -np.ones(len(t))


class IgnoresHitsAlone(SoftmaxCrossEntropy):
    def hits(self, z: Array, t: Array) -> Array:
        return np.where(t == 0, math.nan, super().hits(z, t))


class SquaresOfSteps(Loss):
    """For outputs (N, T, D), and right."""

    def losses(self, z: Array, t: Array) -> Array:
        self.error = z - t
        return (self.error**2).mean(axis=-1)

    def gradients(self) -> Array:
        return 2 * self.error / self.error.shape[-1]


class LossOfEachSequence(SquaresOfSteps):
    def losses(self, z: Array, t: Array) -> Array:
        return super().losses(z, t).mean(axis=1)


class SoftmaxOverSteps(SquaresOfSteps):
    """Whose steps influence each other, with the right derivative."""

    def losses(self, z: Array, t: Array) -> Array:
        self.p = np.exp(z - z.max(axis=1, keepdims=True))
        self.p /= self.p.sum(axis=1, keepdims=True)
        return super().losses(self.p, t)

    def gradients(self) -> Array:
        dp = super().gradients()
        return self.p * (dp - (dp * self.p).sum(axis=1, keepdims=True))


class WeighsExamplesOnly(SquaresOfSteps):
    def forward(self, z: Array, t: Array, sample_weight: Array | None = None) -> Sums:
        if sample_weight is not None and sample_weight.ndim > 1:
            sample_weight = sample_weight.mean(axis=1)
        return super().forward(z, t, sample_weight)


class SharesOfSequences(SquaresOfSteps):
    """Whose sums are right, and whose derivative takes the mean weight of each sequence."""

    def backward(self, *, mean: bool = True) -> Array:
        a = self.sample_weight
        if a is None or not self.weight:
            return super().backward()
        share = np.broadcast_to(a.mean(axis=1, keepdims=True), a.shape) / self.weight
        return self.gradients() * share[..., None].astype(self.error.dtype)


class RowGradientsTwice(SoftmaxCrossEntropy):
    def row_gradients(self) -> Array:
        return 2 * super().row_gradients()


class MeanOfRows(SoftmaxCrossEntropy):
    def row_losses(self, z: Array, t: Array) -> Array:
        return super().row_losses(z, t).mean()


class ValuesOfRows(LogCosh):
    def values(self, z: Array, t: Array) -> Array:
        return super().values(z, t).mean(axis=-1)


class SlopesTwice(LogCosh):
    def slopes(self) -> Array:
        return 2 * super().slopes()


LABELS, NUMBERS = np.array([0, 2, 1, 2]), np.linspace(-1, 1, 12).reshape(4, 3)


@pytest.mark.parametrize(
    ("loss", "targets", "sentence"),
    [
        (WrongSign(), LABELS, "it is -1 times the right value everywhere"),
        (
            WholeArraySoftmax(),
            LABELS,
            "rows influence each other; sums and maxima go along axis=-1",
        ),
        (RowGradientsTwice(), LABELS, r"^RowGradientsTwice.row_gradients: dz\[.*is 2 times"),
        (MeanOfRows(), LABELS, r"^MeanOfRows.row_losses returns \(\) .*: don't take a mean$"),
        (ValuesOfRows(), NUMBERS, r"^ValuesOfRows.values returns float64 \(4,\) .*without mean"),
        (SlopesTwice(), NUMBERS, r"^SlopesTwice.slopes: dz\[.*is 2 times"),
        (OneMaximum(), LABELS, "is not finite: subtract from each row its own maximum"),
        (NoMaximum(), LABELS, "is not finite: subtract from each row its own maximum"),
        (
            NoMaximumOrProbabilities(),
            LABELS,
            "up to 1e4 in float32 the loss is not finite: subtract",
        ),
        (Clips(), LABELS, r"dz\[\d, \d\] is .* difference quotients of forward give 0"),
        (ReportsSquares(), LABELS, r"dz\[\d, \d\] is .* difference quotients of forward give"),
        (HalfAProbability(), LABELS, r"row 0 is \[.*\]; should be from 0 to 1 and sum to 1"),
        (WideProbabilities(), LABELS, "predict_proba returns float64 for float32"),
        (OneHit(), LABELS, r"hits returns .* numbers from 0 to 1 of shape \(4,\), one for each"),
        (
            IgnoresHitsAlone(),
            LABELS,
            "hits returns nan for positions that are ignored; their losses",
        ),
        (MeanOfAll(), NUMBERS, r"losses returns \(\) for outputs .* mean\(axis=-1\), not mean\(\)"),
        (ReturnsScalar(), NUMBERS, r"returns \(\) for outputs of shape \(4, 3\); should be \(4,\)"),
        (LossOfEachOutput(), NUMBERS, r"losses returns \(4, 3\) for outputs .*; should be \(4,\)"),
        (DividedByN(), NUMBERS, "losses: those of 4 rows are 1/4 .* don't divide by N, forward"),
        (GradientsDividedByN(), NUMBERS, "gradients: those of 4 rows are 1/4 .*by N, backward"),
        (ForgetsTheTwo(), NUMBERS, "it is 0.5 times the right value everywhere"),
        (WritesToZ(), NUMBERS, "losses writes to z or to the targets, which are not its own"),
        (WidensLoss(), NUMBERS, "gradients returns float64 for float32; NumPy scalars widen"),
        (ConsumesError(), NUMBERS, "gradients returns something else when it is called again"),
        (FlattensDz(), NUMBERS, r"returns \(12,\); should be the shape of z, \(4, 3\)"),
        (RunningMean(), NUMBERS, "the losses of a batch depend on the batches before it"),
        (Exponentials(), NUMBERS, "the loss is not finite"),
        (
            MeanAlone(),
            NUMBERS,
            r"forward returns \d.*; should be two floats: float\(…\), the sum",
        ),
        (
            SumOfAll(),
            NUMBERS,
            r"forward returns \(.*, 4.0\) for 4 rows; should be the sum of their",
        ),
        (
            ScalarForward(),
            NUMBERS,
            r"forward returns \(np.float64.*; should be two floats: float\(…\)",
        ),
        (IgnoresWeights(), NUMBERS, "a row of weight 2 is not the same as the row twice"),
        (WeighsTheLossesOnly(), NUMBERS, "a batch is not the sum of its two halves"),
        (CountsRows(), NUMBERS, "a batch is not the sum of its two halves"),
        (NormalizesWeights(), NUMBERS, "a batch is not the sum of its two halves"),
        (LimitsWeights(), NUMBERS, "8 times the weights are not worth 8 times as much"),
        (AtLeastTiny(), NUMBERS, "a row of weight 0 is not the same as no row"),
        (
            NanOfNothing(),
            NUMBERS,
            r"where all weights are 0 it is \(nan, 0.0\); should be \(0.0, 0.0\)",
        ),
        (OneCount(), NUMBERS, r"counts returns 4.0; should be numbers >= 0 of shape \(4,\), one"),
        (NegativeCounts(), NUMBERS, "counts returns .* should be numbers >= 0"),
        (Squares(), NUMBERS[:1], "needs at least two targets, not 1"),
        (Squares(), NUMBERS[:, :2], "targets raised DataError: targets have shape"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Loss) else "",
)
def test_mistakes_in_losses_are_named(loss: Loss, targets: Array, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence) as caught:
        check_loss(loss, (3,), targets)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        (
            LossOfEachSequence(),
            r"returns \(4,\) for outputs of shape \(4, 3, 2\); should be \(4, 3\)",
        ),
        (
            SoftmaxOverSteps(),
            r"at \[0, 0\] change losses or gradients of other positions; .* axis=-1",
        ),
        (WeighsExamplesOnly(), r"sample_weight of shape \(4, 3\): forward returns .*; should be"),
        (SharesOfSequences(), r"sample_weight of shape \(4, 3\): backward is not the derivative"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Loss) else "",
)
def test_mistakes_in_losses_of_positions_are_named(loss: Loss, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_loss(loss, (3, 2), np.linspace(-1, 1, 24).reshape(4, 3, 2))


# Optimizers, each with one mistake


class Rebinds(SGD):
    def update(self, w: Array, g: Array) -> None:
        w = w - self.lr * g


class WritesToG(SGD):
    def update(self, w: Array, g: Array) -> None:
        g *= self.lr
        w -= g


class Climbs(SGD):
    def update(self, w: Array, g: Array) -> None:
        w += self.lr * g


class WideState(SGD):
    def update(self, w: Array, g: Array) -> None:
        if self.t == 1:
            self.v = np.zeros(w.shape)
        self.v += g
        w -= (self.lr * self.v).astype(w.dtype)


class WideScalar(SGD):
    def update(self, w: Array, g: Array) -> None:
        self.decayed = self.lr / np.sqrt(self.t)
        w -= self.decayed * g


class RenamesSlot(Optimizer):
    slots = ("v",)

    def update(self, w: Array, g: Array, v: Array) -> None:
        v = 0.9 * v - 0.1 * g
        w += v


class RebindsSlot(Optimizer):
    slots = ("v",)

    def update(self, w: Array, g: Array, v: Array) -> None:
        self.memory["v"] = v + g * np.float64(0.5)
        w -= 0.1 * self.memory["v"]


class SharedCounter(SGD):
    COUNT = [0]

    def update(self, w: Array, g: Array) -> None:
        self.COUNT[0] += 1
        w -= self.lr / self.COUNT[0] * g


class Random(SGD):
    def update(self, w: Array, g: Array) -> None:
        w -= self.lr * g * np.random.default_rng().random()


class Forgetful(SGD):
    """Keeps its momentum in a place that copies share."""

    def update(self, w: Array, g: Array) -> None:
        if self.t == 1:
            self.v = np.zeros_like(w)
        self.v += g
        w -= self.lr * self.v

    def __deepcopy__(self, memo: Any) -> "Forgetful":
        other = copy.copy(self)
        other.memory = {}
        return other


class StepsThenChecks(SGD):
    def step(self, w: Array, g: Array, again: Any = None) -> None:
        self.t += 1
        if w.shape != g.shape:
            raise ValueError("sizes differ")
        w -= self.lr * g


class ChecksNothing(SGD):
    def step(self, w: Array, g: Array, again: Any = None) -> None:
        w[: len(g)] -= self.lr * g


class NoEpsilon(SGD):
    slots = ("v",)

    def update(self, w: Array, g: Array, v: Array) -> None:  # type: ignore[override]
        v += g * g
        w -= self.lr * g / np.sqrt(v)


@pytest.mark.parametrize(
    ("optimizer", "sentence"),
    [
        (Rebinds(), "leaves w as it was: write w -= …, since w = w - … only renames"),
        (WritesToG(), "writes to g, which is the network's"),
        (Climbs(), r"300 steps on a bowl .* is the sign right, w -= lr \* g\?"),
        (WideState(), "v is float64 for float32 parameters; name it in slots"),
        (WideScalar(), "decayed is float64 for float32 parameters; .* use math"),
        (
            RenamesSlot(),
            r"slot v is still as it was at the start: write v \*= … and v \+= …, since v = …",
        ),
        (RebindsSlot(), "v is float64 for float32 parameters"),
        (SharedCounter(), "with the same options and gradients go different ways"),
        (Random(), "with the same options and gradients go different ways"),
        (Forgetful(), "after .* the next steps differ: copies should remember everything"),
        (StepsThenChecks(), "only after it has changed something"),
        (ChecksNothing(), "takes gradients of another size than the parameters"),
        (NoEpsilon(), "w is nan after steps with the gradient 0; is there a division by 0"),
        (SGD, r"^SGD is a class: give an object, SGD\(\)$"),
        (ReLU(), r"^ReLU\(\): should be of type Optimizer$"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Optimizer) else "",
)
def test_mistakes_in_optimizers_are_named(optimizer: Optimizer, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence) as caught:
        check_optimizer(optimizer)
    assert "\n" not in str(caught.value)


# Initializers, each with one mistake


class Renames(Initializer):
    def fill(self, w: Array, rng: np.random.Generator) -> None:
        w = np.zeros_like(w)


class Adds(Initializer):
    def fill(self, w: Array, rng: np.random.Generator) -> None:
        np.nan_to_num(w, copy=False)
        w += 1


class OwnRandomness(Initializer):
    def fill(self, w: Array, rng: np.random.Generator) -> None:
        w[...] = np.random.default_rng().random(w.shape)


class Misspells(Initializer):
    def fill(self, w: Array, rng: np.random.Generator) -> None:
        w[...] = rng.normall()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("init", "sentence"),
    [
        (Renames(), "leaves numbers of w as they were"),
        (Adds(), "gives other values the second time"),
        (OwnRandomness(), "gives other values the second time; draw from rng alone"),
        (Misspells(), "fill raised AttributeError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Initializer) else "",
)
def test_mistakes_in_initializers_are_named(init: Initializer, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_initializer(init)


# What is right is left in peace


class OwnScale(Layer):
    """A layer with an option and a parameter, as a user would write it."""

    start: Rate = 1.0

    def build(self, shape: Shape) -> Shape:
        self.a = Param(shape, Zeros())
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        self.x = x
        return x * (self.a.value + self.start)

    def backward(self, dy: Array) -> Array:
        self.a.grad = (self.x * dy).sum(axis=0)
        return dy * (self.a.value + self.start)


class Backwards(Layer):
    """Returns views of what it was given."""

    def forward(self, x: Array, train: bool = True) -> Array:
        return x[:, ::-1]

    def backward(self, dy: Array) -> Array:
        return dy[:, ::-1]


class Sorts(Layer):
    """Has kinks."""

    def forward(self, x: Array, train: bool = True) -> Array:
        self.order = x.argsort(axis=1)
        return np.sort(x, axis=1)

    def backward(self, dy: Array) -> Array:
        dx = np.empty_like(dy)
        np.put_along_axis(dx, self.order, dy, axis=1)
        return dx


@pytest.mark.parametrize("layer", [OwnScale(start=0.5), Backwards(), Sorts()], ids=repr)
@pytest.mark.parametrize("shape", [(3,), (2, 4)], ids=str)
def test_right_layers_pass(layer: Layer, shape: Shape) -> None:
    check_layer(layer, shape)


def test_a_layer_may_declare_parameters_before_it_is_built() -> None:
    check_layer(DeclaresEarly(), (3,))


@pytest.mark.parametrize("targets", [NUMBERS, NUMBERS.astype(np.float32)])
def test_right_losses_pass(targets: Array) -> None:
    check_loss(Squares(), (3,), targets)
    check_loss(SquaresOfSteps(), (3, 2), np.stack([targets, targets], axis=-1))
    check_loss(ExponentialMargin(), (3,), LABELS)


def test_a_class_inside_a_function_can_be_checked() -> None:
    class Local(ReLU):
        pass

    check_layer(Local(), (3,))


def test_what_is_checked_is_left_alone() -> None:
    layer, loss, optimizer = Dense(2), SoftmaxCrossEntropy(), SGD()
    before = [(dict(vars(part)), to_config(part)) for part in (layer, loss, optimizer)]
    labels = LABELS.copy()
    check_layer(layer, (3,))
    check_loss(loss, (3,), labels)
    check_optimizer(optimizer)
    assert [(vars(part), to_config(part)) for part in (layer, loss, optimizer)] == before
    np.testing.assert_array_equal(labels, LABELS)


def test_an_optimizer_in_use_can_be_checked() -> None:
    optimizer, w = Climbs(), np.ones(7)
    optimizer.step(w, w)
    with pytest.raises(AssertionError, match="sign"):
        check_optimizer(optimizer)
    assert optimizer.t == 1
